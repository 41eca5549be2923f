//! The client: looks up records and believes only what the signed tree proves.

mod kept;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::FutureExt as _;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use quipu_module::ModuleVersion;
use quipu_note::VerifierKey;
use quipu_tlog::{
    Hash, MAX_SIZE, Node, Tile, TileLevel, leaf_hash, prove_records, records_nodes, split_records,
};

use crate::error::Error;
use crate::evidence::{Evidence, Leaf, NotProven, Subtree};
use crate::flight::Flights;
use crate::head::SignedHead;
use crate::proof::ProvenRecords;
use crate::record::{Answer, AuthenticatedRecord};
use crate::state::{State, narrow};
use crate::tiles::{Genuine, TileReader};
use crate::timeline::Timeline;
use crate::transport::{Transport, TransportError};
use crate::ways::Ways;

/// What the client refuses to exceed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest signed note, in bytes.
    pub note_bytes: usize,
    /// Longest lookup answer, in bytes.
    pub lookup_bytes: usize,
    /// Longest data tile, in bytes.
    pub data_tile_bytes: usize,
    /// Tiles that one question fetches at once.
    pub parallel: usize,
    /// A signed tree with this many records or more is not believed.
    pub tree_size: u64,
}

impl Default for Limits {
    /// Notes of 1 MiB, answers of 2 MiB, data tiles of 16 MiB, 8 fetches at once, trees below 2^40 records.
    fn default() -> Self {
        Self {
            note_bytes: 1 << 20,
            lookup_bytes: 2 << 20,
            data_tile_bytes: 16 << 20,
            parallel: 8,
            tree_size: 1 << 40,
        }
    }
}

/// A record that is in the log, and the tree that proves it.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The place of the record in the log, from 0.
    pub id: u64,
    /// The record.
    pub record: AuthenticatedRecord,
    /// The head whose tree was shown to hold it.
    pub head: Arc<SignedHead>,
    /// The whole answer as it was received, with the signed note that came in it.
    pub body: Bytes,
}

/// What came of asking for the latest head.
#[derive(Clone, Debug)]
pub struct Refreshed {
    /// The head that the database gave. It fits the timeline.
    pub served: Arc<SignedHead>,
    /// The latest head seen so far. If this is larger, the database said less than it has signed: a cache between it
    /// and here may be old, or the database was rolled back.
    pub latest: Arc<SignedHead>,
}

/// A suspicious client of one checksum database. Clones are the same client.
///
/// All methods may be called at once from many tasks; what several want at the same time is fetched once. A call
/// makes a bounded number of requests, of [`Limits::parallel`] at a time. How long each may take, and how many there
/// may be altogether, is up to the [`Transport`].
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    keys: Vec<VerifierKey>,
    transport: Arc<dyn Transport>,
    state: Arc<dyn State>,
    limits: Limits,
    /// One for all who look at the database together.
    timeline: Arc<Timeline>,
    tiles: Ways,
    lookups: Flights<ModuleVersion, Result<Verified, Error>>,
    heads: Flights<(), Result<Refreshed, Error>>,
}

impl Client {
    /// A client of the database that signs with `keys`. `state` must be that database's own.
    ///
    /// # Errors
    /// [`Error::State`] if the head kept in the state cannot be read or is not signed by one of the keys: then no
    /// other head may be believed.
    pub fn new(
        keys: Vec<VerifierKey>,
        transport: Arc<dyn Transport>,
        state: Arc<dyn State>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let one = Self::vantages(keys, vec![transport], state, limits)?.pop();
        one.ok_or_else(|| Error::state("initializing", "no way to the database"))
    }

    /// Clients of one database, each of which reaches it in its own way: mirrors, proxies, edges of a delivery network.
    ///
    /// They share one timeline, so that heads which cannot both be true become evidence wherever they are served, and
    /// hand each other the tiles that the one does not have and the other does.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn vantages(
        keys: Vec<VerifierKey>,
        transports: Vec<Arc<dyn Transport>>,
        state: Arc<dyn State>,
        limits: Limits,
    ) -> Result<Vec<Self>, Error> {
        let timeline = Timeline::load(keys.clone(), state.clone(), limits.tree_size.min(MAX_SIZE))?;
        let timeline = Arc::new(timeline);
        let reader = |transport: &Arc<dyn Transport>| {
            Arc::new(TileReader::new(keys.clone(), transport.clone(), state.clone(), limits))
        };
        let readers: Vec<_> = transports.iter().map(reader).collect();
        let client = move |(transport, tiles)| {
            let (keys, state, timeline) = (keys.clone(), state.clone(), timeline.clone());
            let (lookups, heads) = (Flights::new(), Flights::new());
            let inner = Inner { keys, transport, state, limits, timeline, tiles, lookups, heads };
            Self { inner: Arc::new(inner) }
        };
        Ok(transports.into_iter().zip(Ways::of_each(&readers)).map(client).collect())
    }

    /// The record of a module version, proven to be in the log.
    ///
    /// The steps are those of the `go` command: the note in the answer must fit the timeline of heads seen so far
    /// (an older head is fine, a larger one moves the timeline on, any other is a fork); the record must be
    /// the leaf that it claims to be, by tiles that are all authenticated; and only then is the record looked into.
    ///
    /// # Errors
    /// Every kind of [`Error`]. [`Error::NotFound`] only if the database itself says that it cannot find the module
    /// version.
    pub async fn lookup(&self, module: &ModuleVersion) -> Result<Verified, Error> {
        let (inner, wanted) = (self.inner.clone(), module.clone());
        let start = move || async move { inner.lookup(&wanted).await }.boxed();
        self.inner.lookups.join(module.clone(), start).await
    }

    /// The records of module versions, and one proof that all of them are in the tree of one signed head: the latest after
    /// all have been looked up. A module version that is named twice counts once.
    ///
    /// # Errors
    /// Every kind of [`Error`]: the first that a lookup ends in, and [`Error::Unproven`] if no module version is named.
    pub async fn prove(&self, modules: &[ModuleVersion]) -> Result<ProvenRecords, Error> {
        let lookups = modules.iter().map(|module| self.lookup(module)).collect::<Vec<_>>();
        let parallel = self.inner.limits.parallel.max(1);
        let found: Vec<Verified> = stream::iter(lookups).buffer_unordered(parallel).try_collect().await?;
        let mut records: Vec<_> = found.into_iter().map(|found| (found.id, found.record)).collect();
        records.sort_unstable_by_key(|(id, _)| *id);
        records.dedup_by_key(|(id, _)| *id);
        let (head, proof) = self.inner.prove(&records).await?;
        Ok(ProvenRecords { head, records, proof })
    }

    /// The answer for a module version that was verified when it was kept, without asking anybody.
    pub fn kept_lookup(&self, module: &ModuleVersion) -> Option<Bytes> {
        self.inner.state.lookup(module)
    }

    /// Asks for the latest head and takes it in; gives the head that is the latest then, which is never smaller than
    /// any seen before.
    ///
    /// # Errors
    /// Every kind of [`Error`] but [`Error::NotFound`].
    pub async fn latest(&self) -> Result<Arc<SignedHead>, Error> {
        Ok(self.refresh().await?.latest)
    }

    /// As [`Client::latest`], and tells which head the database gave.
    ///
    /// # Errors
    /// Those of [`Client::latest`].
    pub async fn refresh(&self) -> Result<Refreshed, Error> {
        let inner = self.inner.clone();
        let start = move || async move { inner.refresh().await }.boxed();
        self.inner.heads.join((), start).await
    }

    /// The latest head seen so far, without asking anybody; none before the first.
    pub fn head(&self) -> Option<Arc<SignedHead>> {
        self.inner.timeline.latest()
    }

    /// The body of a hash tile or data tile, proven to belong to the log: for handing on to other clients.
    ///
    /// If the latest head seen does not cover the tile, the latest is asked for once. A tile that was proven and
    /// kept before is also handed out while the database cannot be reached.
    ///
    /// # Errors
    /// Every kind of [`Error`]. [`Error::NotFound`] only if the signed tree does not have the tile.
    pub async fn tile(&self, tile: Tile) -> Result<Bytes, Error> {
        match self.proven_tile(tile).await {
            Err(Error::Unavailable(failure)) => {
                self.inner.state.tile(&tile).ok_or(Error::Unavailable(failure))
            }
            outcome => outcome,
        }
    }

    /// How many tiles and answers could not be kept since the client was made: a full disk shows here.
    pub fn unkept(&self) -> u64 {
        self.inner.tiles.unkept()
    }

    async fn proven_tile(&self, tile: Tile) -> Result<Bytes, Error> {
        let head = match self.head() {
            Some(head) if tile.is_in(head.size()) => head,
            _ => self.latest().await?,
        };
        if !tile.is_in(head.size()) {
            let why = format_args!("the signed tree has {} records", head.size());
            return Err(Error::not_found(tile.sumdb_path(), why));
        }
        self.inner.tile(tile, &head).await
    }
}

impl Inner {
    async fn lookup(&self, module: &ModuleVersion) -> Result<Verified, Error> {
        let path = format!("/lookup/{}", module.escaped());
        if let Some(body) = self.state.lookup(module) {
            match self.verify(&path, module, body).await {
                // Damaged on its way to or from the disk: ask anew.
                Err(Error::Malformed(_) | Error::Unproven(_)) => {}
                outcome => return outcome,
            }
        }
        let body = self.get(&path, self.limits.lookup_bytes).await.map_err(|e| Error::asked_for(&path, e))?;
        let verified = self.verify(&path, module, body).await?;
        self.tiles.count_kept(&self.state.keep_lookup(module, &verified.body));
        Ok(verified)
    }

    async fn verify(&self, path: &str, module: &ModuleVersion, body: Bytes) -> Result<Verified, Error> {
        let answer = Answer::parse(path, &body)?;
        if let Some(note) = answer.note {
            let head = self.timeline.open(path, note)?;
            self.timeline.merge(&self.tiles, Arc::new(head)).await?;
        }
        let head = self.timeline.latest();
        let head = head.ok_or_else(|| Error::unproven(path, "no signed tree holds the record"))?;
        let (id, text) = (answer.id, answer.text);
        let genuine = self.check_leaf(path, &head, (id, &text), module).await?;
        let record = AuthenticatedRecord::find(path, text.clone(), module)
            .map_err(|error| self.accuse(&head, (id, text), &genuine).unwrap_or(error))?;
        Ok(Verified { id, record, head, body })
    }

    /// Checks that the record in an answer is where the answer says; gives the tiles that prove it.
    async fn check_leaf(
        &self,
        path: &str,
        head: &SignedHead,
        (id, text): (u64, &str),
        module: &ModuleVersion,
    ) -> Result<Genuine, Error> {
        let leaf = Node::leaf(id).filter(|_| id < head.size()).ok_or_else(|| {
            Error::unproven(path, format_args!("cannot validate record {id} in tree of size {}", head.size()))
        })?;
        let proven = self.tiles.read(head, &[leaf], path).await?;
        self.tiles.keep(&proven);
        let genuine = proven.genuine(head.size());
        if proven.hashes.get(leaf) == Some(leaf_hash(text.as_bytes())) {
            return Ok(genuine);
        }
        let why = format_args!("cannot authenticate record data: the log holds another record {id}");
        let served = (module.clone(), Bytes::copy_from_slice(text.as_bytes()));
        let evidence = Subtree::prove(head.size(), leaf, &genuine).map_err(NotProven::new);
        let evidence = evidence
            .and_then(|signed| Evidence::prove_answer(&self.keys, head.note().clone(), served, signed));
        Err(Error::contradicted(path, why, evidence))
    }

    /// The error for a record that is in the signed tree against the rules of a checksum database; none if it keeps them.
    fn accuse(&self, head: &SignedHead, (id, text): (u64, String), genuine: &Genuine) -> Option<Error> {
        let leaf = Leaf::prove(head.size(), id, text.into(), genuine).ok()?;
        let evidence = Evidence::prove_record(&self.keys, head.note().clone(), leaf).ok()?;
        Some(Error::Misbehaved(Arc::new(evidence)))
    }

    /// The proof of records that were looked up, in the latest tree: it holds all trees that they were found in.
    async fn prove(
        &self,
        records: &[(u64, AuthenticatedRecord)],
    ) -> Result<(Arc<SignedHead>, Vec<Hash>), Error> {
        let what = "proving records";
        let unproven = |e: &dyn std::fmt::Display| Error::unproven(what, e);
        let head = self.timeline.latest().ok_or_else(|| unproven(&"no signed tree"))?;
        let ids: Vec<u64> = records.iter().map(|(id, _)| *id).collect();
        let nodes = records_nodes(head.size(), &ids).map_err(|e| unproven(&e))?;
        let proven = self.tiles.read(&head, &nodes, what).await?;
        self.tiles.keep(&proven);
        let proof = prove_records(head.size(), &ids, &proven.hashes).map_err(|e| unproven(&e))?;
        Ok((head, proof))
    }

    async fn refresh(&self) -> Result<Refreshed, Error> {
        let path = "/latest";
        let note = self.get(path, self.limits.note_bytes).await.map_err(|e| Error::needed(path, &e))?;
        let served = Arc::new(self.timeline.open(path, note)?);
        self.timeline.merge(&self.tiles, served.clone()).await?;
        let latest = self.timeline.latest().ok_or_else(|| Error::unproven(path, "no signed tree"))?;
        Ok(Refreshed { served, latest })
    }

    async fn tile(&self, tile: Tile, head: &SignedHead) -> Result<Bytes, Error> {
        let path = tile.sumdb_path();
        let lost = || Error::unproven(&path, "not covered by the proof of its own first entry");
        // The first entry of a data tile and that of the hash tile of level 0 are the same leaf.
        let first = tile.node(0).ok_or_else(lost)?;
        let proven = self.tiles.read(head, &[first], &path).await?;
        self.tiles.keep(&proven);
        let level = match tile.level() {
            TileLevel::Data => TileLevel::Hashes(0),
            hashes @ TileLevel::Hashes(_) => hashes,
        };
        let hashes = Tile::new(level, tile.n(), tile.width()).ok_or_else(lost)?;
        let (wide, body) = proven.tile(&hashes).ok_or_else(lost)?;
        let body = narrow(&wide, &body, &hashes).ok_or_else(lost)?;
        if tile == hashes {
            return Ok(body);
        }
        self.data_tile(tile, &path, &body).await.map_err(|wrong| match wrong {
            Wrong::Error(error) => error,
            Wrong::Record(id, text) => {
                let genuine = proven.genuine(head.size());
                let evidence = self.tiles.contradiction(head, Some((tile, text)), Node::leaf(id), &genuine);
                Error::contradicted(&path, format_args!("the log holds another record {id}"), evidence)
            }
        })
    }

    /// A data tile whose records have exactly these hashes.
    async fn data_tile(&self, tile: Tile, path: &str, hashes: &[u8]) -> Result<Bytes, Wrong> {
        if let Some(body) = self.state.tile(&tile)
            && check_records(&tile, path, &body, hashes).is_ok()
        {
            return Ok(body);
        }
        let body = self.tiles.fetch(tile, path).await.map_err(Wrong::Error)?;
        check_records(&tile, path, &body, hashes)?;
        self.tiles.count_kept(&self.state.keep_tile(&tile, &body));
        Ok(body)
    }

    async fn get(&self, path: &str, max_bytes: usize) -> Result<Bytes, TransportError> {
        let body = self.transport.get(path, max_bytes).await?;
        // The limit is the transport's duty; whoever neglects it cannot do harm here.
        if body.len() > max_bytes { Err(TransportError::TooLarge(max_bytes)) } else { Ok(body) }
    }
}

/// Why there is no data tile.
enum Wrong {
    Error(Error),
    /// The record of this id is another one, namely this.
    Record(u64, Bytes),
}

fn check_records(tile: &Tile, path: &str, body: &[u8], hashes: &[u8]) -> Result<(), Wrong> {
    let records = split_records(body, tile.width()).map_err(|e| Wrong::Error(Error::malformed(path, e)))?;
    let (hashes, _) = hashes.as_chunks::<{ Hash::SIZE }>();
    for (i, (record, hash)) in records.iter().zip(hashes).enumerate() {
        if leaf_hash(record.as_bytes()).as_bytes() != hash {
            return Err(Wrong::Record(tile.first() + i as u64, Bytes::copy_from_slice(record.as_bytes())));
        }
    }
    Ok(())
}
