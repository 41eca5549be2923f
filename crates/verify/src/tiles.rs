//! Hashes of a signed tree from tiles that nobody vouches for: kept or fetched, authenticated, then kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use quipu_note::VerifierKey;
use quipu_tlog::{
    AuthenticatedHashes, Hash, HashReader, Node, NotPlanned, TILE_WIDTH, Tile, TileError, TileLevel, TilePlan,
};

use crate::client::Limits;
use crate::error::Error;
use crate::evidence::{Evidence, NotProven, Subtree};
use crate::flight::Flights;
use crate::head::SignedHead;
use crate::state::{State, narrow};
use crate::transport::{Transport, TransportError};

/// Reads hashes of trees. What it hands out is authenticated; what it keeps is, too.
pub(crate) struct TileReader {
    /// The database's, to accuse with.
    keys: Vec<VerifierKey>,
    source: Arc<Source>,
    flights: Flights<Tile, Result<Bytes, TransportError>>,
}

/// What a fetch needs to go on by itself.
struct Source {
    transport: Arc<dyn Transport>,
    state: Arc<dyn State>,
    limits: Limits,
    /// Tiles and answers that could not be kept.
    unkept: AtomicU64,
}

/// The body of a planned tile.
#[derive(Clone)]
struct Body {
    bytes: Bytes,
    /// Whether it was kept before, and not fetched now.
    kept: bool,
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What was read, for saying what is wrong with it.
struct Read<'a> {
    plan: &'a TilePlan,
    bodies: &'a [Body],
}

impl Read<'_> {
    fn served(&self) -> impl Iterator<Item = (Tile, Bytes)> {
        self.plan.tiles().iter().zip(self.bodies).map(|(tile, body)| (*tile, body.bytes.clone()))
    }
}

/// Tiles of a tree, all of them authenticated: what its hashes are read from, for proofs to hand on.
pub(crate) struct Genuine {
    size: u64,
    tiles: Vec<(Tile, Bytes)>,
}

impl HashReader for Genuine {
    type Error = NotPlanned;

    fn read_hashes(&self, nodes: &[Node]) -> Result<Vec<Hash>, NotPlanned> {
        let hash = |node: &Node| {
            let wanted = Tile::containing(*node, self.size)?;
            let (tile, body) = self.tiles.iter().find(|(tile, _)| *tile == wanted)?;
            tile.hash(body, *node)
        };
        nodes.iter().map(|node| hash(node).ok_or(NotPlanned(*node))).collect()
    }
}

/// Hashes proven to be in a tree, and the tiles that prove it.
pub(crate) struct Proven {
    pub(crate) hashes: AuthenticatedHashes,
    tiles: Vec<(Tile, Body)>,
}

impl Proven {
    fn new(plan: &TilePlan, bodies: Vec<Body>, hashes: AuthenticatedHashes) -> Self {
        Self { hashes, tiles: plan.tiles().iter().copied().zip(bodies).collect() }
    }

    /// The tiles that prove it, to read more hashes from.
    pub(crate) fn genuine(&self, size: u64) -> Genuine {
        let tiles = self.tiles.iter().map(|(tile, body)| (*tile, body.bytes.clone()));
        Genuine { size, tiles: tiles.collect() }
    }

    /// The body of a tile that was needed; as wide as the tree has it.
    pub(crate) fn tile(&self, wanted: &Tile) -> Option<(Tile, Bytes)> {
        let mut tiles = self.tiles.iter();
        let same = |tile: &Tile| tile.level() == wanted.level() && tile.n() == wanted.n();
        let (tile, body) = tiles.find(|(tile, _)| same(tile))?;
        Some((*tile, body.bytes.clone()))
    }
}

impl TileReader {
    pub(crate) fn new(
        keys: Vec<VerifierKey>,
        transport: Arc<dyn Transport>,
        state: Arc<dyn State>,
        limits: Limits,
    ) -> Self {
        let source = Source { transport, state, limits, unkept: AtomicU64::new(0) };
        Self { keys, source: Arc::new(source), flights: Flights::new() }
    }

    /// The hashes of `nodes` in the tree of `head`; `what` is being checked, for the text of errors.
    ///
    /// Tiles kept before come first. If they turn out not to belong to this tree, because the disk damaged them or
    /// because the tree belongs to another history, they are fetched anew: only what the server says *now* shows
    /// whether its tree is false.
    pub(crate) async fn read(&self, head: &SignedHead, nodes: &[Node], what: &str) -> Result<Proven, Error> {
        let plan = TilePlan::new(&head.tree(), nodes)
            .map_err(|e| Error::unproven(what, format_args!("tree of {} records: {e}", head.size())))?;
        let bodies = self.bodies(plan.tiles(), what, Self::kept_or_fetched).await?;
        let error = match plan.authenticate(&bodies) {
            Ok(hashes) => return Ok(Proven::new(&plan, bodies, hashes)),
            Err(error) => error,
        };
        if !bodies.iter().any(|body| body.kept) {
            return Err(self.refused(what, head, &Read { plan: &plan, bodies: &bodies }, &error));
        }
        let bodies = self.bodies(plan.tiles(), what, Self::fetched).await?;
        match plan.authenticate(&bodies) {
            Ok(hashes) => Ok(Proven::new(&plan, bodies, hashes)),
            Err(error) => Err(self.refused(what, head, &Read { plan: &plan, bodies: &bodies }, &error)),
        }
    }

    /// The error for tiles, fetched just now, that are not the tree's.
    fn refused(&self, what: &str, head: &SignedHead, read: &Read<'_>, error: &TileError) -> Error {
        match error {
            TileError::Length { .. } | TileError::Count { .. } => Error::malformed(what, error),
            TileError::Root { tiles } => {
                let tiles = read.served().take(tiles.len()).collect();
                let evidence = Evidence::prove_tiles(&self.keys, head.note().clone(), tiles);
                Error::contradicted(what, error, evidence)
            }
            TileError::Parent { tile } => {
                // The tiles before this one are genuine, and they are all that its place is proven by.
                let genuine = read.served().take_while(|(other, _)| other != tile).collect();
                let genuine = Genuine { size: head.size(), tiles: genuine };
                let served = read.served().find(|(other, _)| other == tile);
                let evidence = self.contradiction(head, served, tile.root_node(), &genuine);
                Error::contradicted(what, error, evidence)
            }
        }
    }

    /// Evidence of a tile, or of a record in a data tile, that contradicts what genuine tiles say about a node.
    pub(crate) fn contradiction(
        &self,
        head: &SignedHead,
        served: Option<(Tile, Bytes)>,
        node: Option<Node>,
        genuine: &Genuine,
    ) -> Result<Evidence, NotProven> {
        let (served, node) = served.zip(node).ok_or_else(|| NotProven::new("no such tile"))?;
        let signed = Subtree::prove(head.size(), node, genuine).map_err(NotProven::new)?;
        Evidence::prove_tile(&self.keys, head.note().clone(), served, signed)
    }

    /// Keeps the tiles that were fetched. Only for a tree that is on the timeline: otherwise tiles of another
    /// history would take the place of good ones.
    pub(crate) fn keep(&self, proven: &Proven) {
        for (tile, body) in &proven.tiles {
            if !body.kept {
                self.count_kept(&self.source.state.keep_tile(tile, &body.bytes));
            }
        }
    }

    /// Takes note of whether a body could be kept: if not, the client goes on without.
    pub(crate) fn count_kept(&self, outcome: &std::io::Result<()>) {
        if outcome.is_err() {
            self.source.unkept.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many bodies could not be kept.
    pub(crate) fn unkept(&self) -> u64 {
        self.source.unkept.load(Ordering::Relaxed)
    }

    /// The body of a tile from the server, nothing about it checked but that it may have this length.
    pub(crate) async fn fetch(&self, tile: Tile) -> Result<Bytes, TransportError> {
        let source = self.source.clone();
        self.flights.join(tile, move || async move { source.fetch(tile).await }.boxed()).await
    }

    async fn bodies(
        &self,
        tiles: &[Tile],
        what: &str,
        get: for<'a> fn(&'a Self, Tile) -> BoxFuture<'a, Result<Body, TransportError>>,
    ) -> Result<Vec<Body>, Error> {
        let one = |tile: Tile| {
            get(self, tile).map(move |r| {
                r.map_err(|e| Error::needed(&format!("{what}: reading {}", tile.sumdb_path()), &e))
            })
        };
        let fetches: Vec<_> = tiles.iter().copied().map(one).collect();
        stream::iter(fetches).buffered(self.source.limits.parallel.max(1)).try_collect().await
    }

    fn kept_or_fetched(&self, tile: Tile) -> BoxFuture<'_, Result<Body, TransportError>> {
        match self.source.state.tile(&tile) {
            Some(bytes) => std::future::ready(Ok(Body { bytes, kept: true })).boxed(),
            None => self.fetched(tile),
        }
    }

    fn fetched(&self, tile: Tile) -> BoxFuture<'_, Result<Body, TransportError>> {
        self.fetch(tile).map(|r| r.map(|bytes| Body { bytes, kept: false })).boxed()
    }
}

impl Source {
    /// The tile from the server. If a partial tile cannot be had, whatever the reason, the full one may be there:
    /// a server may drop partial tiles that have become full. If that fails too, the first failure is reported.
    async fn fetch(&self, tile: Tile) -> Result<Bytes, TransportError> {
        let first = match self.get(&tile).await {
            Ok(body) => return Ok(body),
            Err(error) => error,
        };
        let full = Tile::new(tile.level(), tile.n(), TILE_WIDTH).filter(|full| *full != tile);
        let Some(full) = full else { return Err(first) };
        let body = self.get(&full).await.map_err(|_| first.clone())?;
        narrow(&full, &body, &tile).ok_or(first)
    }

    async fn get(&self, tile: &Tile) -> Result<Bytes, TransportError> {
        let limit = match tile.level() {
            TileLevel::Hashes(_) => tile.hash_bytes(),
            TileLevel::Data => self.limits.data_tile_bytes,
        };
        let body = self.transport.get(&format!("/{}", tile.sumdb_path()), limit).await?;
        // The limit is the transport's duty; whoever neglects it cannot do harm here.
        if body.len() > limit { Err(TransportError::TooLarge(limit)) } else { Ok(body) }
    }
}
