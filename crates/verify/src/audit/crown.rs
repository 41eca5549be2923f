//! The hash tiles of a signed tree, each checked from above: the root tiles by the signed root, all others by their
//! entry in the tile above them.
//!
//! Because each tile is checked for itself, a wrong one is known as soon as it is read, and nothing else becomes
//! doubtful. When a tile is refused, what lies below it tells whether it can be mended: if the hashes computed from below
//! are those that the tile above wants, it is known which entries are wrong, and the audit goes on with the right ones.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use quipu_tlog::{Frontier, Hash, HashReader, Node, TILE_WIDTH, Tile, TileLevel, TilePlan, Tree, tree_nodes};

use super::findings::Findings;
use super::reader::{Reader, Trouble};
use crate::check::Fault;
use crate::error::Error;

/// Authenticated hash tiles.
pub(super) struct Crown<'a> {
    reader: &'a Reader<'a>,
    findings: &'a Findings,
    tree: Tree,
    roots: Vec<Tile>,
    /// By level and place; none for those that are wrong and cannot be mended.
    known: Mutex<HashMap<(u8, u64), Option<Bytes>>>,
}

/// A tile above another one: its body and the entry that the other one must have as its root.
pub(super) struct Above {
    pub(super) tile: Tile,
    pub(super) body: Bytes,
    pub(super) entry: Hash,
}

impl<'a> Crown<'a> {
    /// Reads the tiles from which the root of the tree is computed. None if they do not lead to it and cannot be mended.
    pub(super) fn new(
        reader: &'a Reader<'a>,
        findings: &'a Findings,
        tree: Tree,
    ) -> Result<Option<Self>, Error> {
        let plan = TilePlan::new(&tree, &[]).map_err(|e| Error::unproven("signed tree", e))?;
        let roots = plan.tiles().to_vec();
        let crown = Self { reader, findings, tree, roots, known: Mutex::default() };
        let Some(bodies) = crown.root_bodies()? else { return Ok(None) };
        let known = crown.roots.iter().filter_map(|tile| Some((level(tile)?, tile.n()))).zip(bodies);
        crown.lock().extend(known.map(|(place, body)| (place, Some(body))));
        Ok(Some(crown))
    }

    /// The tree.
    pub(super) fn tree(&self) -> Tree {
        self.tree
    }

    /// The authenticated body of a hash tile, as wide as the tree has it; none if it is wrong beyond repair (then that
    /// is among the findings) or the tree has no such tile.
    pub(super) fn tile(&self, level: u8, n: u64) -> Result<Option<Bytes>, Error> {
        if let Some(known) = self.lock().get(&(level, n)) {
            return Ok(known.clone());
        }
        let body = self.authenticate(level, n)?;
        self.lock().insert((level, n), body.clone());
        Ok(body)
    }

    /// The tile above a full one.
    pub(super) fn above(&self, tile: &Tile) -> Result<Option<Above>, Error> {
        let place = level(tile).zip(tile.root_node());
        let Some((level, node)) = place else { return Ok(None) };
        let n = tile.n() / u64::from(TILE_WIDTH);
        let Some(body) = self.tile(level + 1, n)? else { return Ok(None) };
        let above = Tile::widest(TileLevel::Hashes(level + 1), n, self.tree.size);
        Ok(above.and_then(|above| {
            let entry = above.hash(&body, node)?;
            Some(Above { tile: above, body, entry })
        }))
    }

    /// Forgets all tiles but the root tiles.
    pub(super) fn forget(&self) {
        let roots: Vec<_> = self.roots.iter().filter_map(|tile| Some((level(tile)?, tile.n()))).collect();
        self.lock().retain(|place, _| roots.contains(place));
    }

    fn authenticate(&self, level: u8, n: u64) -> Result<Option<Bytes>, Error> {
        let tile = Tile::new(TileLevel::Hashes(level), n, TILE_WIDTH);
        let Some(tile) = tile.filter(|tile| tile.is_in(self.tree.size)) else { return Ok(None) };
        let Some(above) = self.above(&tile)? else { return Ok(None) };
        let (fault, served) = match self.reader.hashes(&tile) {
            Ok(body) if tile.root(&body) == Some(above.entry) => return Ok(Some(body)),
            Ok(body) => (parent_fault(tile, &above), Some(body)),
            Err(Trouble::Found(fault)) => (fault, None),
            Err(Trouble::Stop(error)) => return Err(error),
        };
        let mended = self.reader.below(&tile).filter(|body| tile.root(body) == Some(above.entry));
        match (&mended, served) {
            (Some(right), Some(served)) => self.findings.add_entries(tile, &served, right),
            (_, served) => {
                let shown = served.map(|body| (tile, body)).into_iter().chain([(above.tile, above.body)]);
                self.findings.add(fault, shown.collect());
            }
        }
        Ok(mended.map(Bytes::from))
    }

    /// Bodies of the root tiles that lead to the signed root, mended if need be.
    fn root_bodies(&self) -> Result<Option<Vec<Bytes>>, Error> {
        let mut served = Vec::with_capacity(self.roots.len());
        for tile in &self.roots {
            served.push(match self.reader.hashes(tile) {
                Ok(body) => Ok(body),
                Err(Trouble::Found(fault)) => Err(fault),
                Err(Trouble::Stop(error)) => return Err(error),
            });
        }
        let bodies: Vec<Option<Bytes>> = served.iter().map(|body| body.clone().ok()).collect();
        if self.root(&bodies) == Some(self.tree.root) {
            return Ok(Some(bodies.into_iter().flatten().collect()));
        }
        let below: Vec<_> = self.roots.iter().map(|tile| self.reader.below(tile).map(Bytes::from)).collect();
        let mended = self.mend(&bodies, &below);
        self.report_roots(&served, mended.as_deref());
        Ok(mended)
    }

    /// Takes some of the root tiles as they were served and the others as what is below them says, in all ways there
    /// are (at most 2^8) until they lead to the signed root.
    fn mend(&self, served: &[Option<Bytes>], below: &[Option<Bytes>]) -> Option<Vec<Bytes>> {
        (1..1_u32 << self.roots.len()).find_map(|choice| {
            let both = served.iter().zip(below).enumerate();
            let bodies: Vec<_> = both
                .map(|(i, (served, below))| if choice >> i & 1 == 0 { served.clone() } else { below.clone() })
                .collect();
            let bodies = (self.root(&bodies) == Some(self.tree.root)).then_some(bodies)?;
            bodies.into_iter().collect()
        })
    }

    fn report_roots(&self, served: &[Result<Bytes, Fault>], mended: Option<&[Bytes]>) {
        for (i, (tile, served)) in self.roots.iter().zip(served).enumerate() {
            match (served, mended.and_then(|bodies| bodies.get(i))) {
                (Err(fault), _) => self.findings.add(fault.clone(), Vec::new()),
                (Ok(served), Some(right)) => self.findings.add_entries(*tile, served, right),
                (Ok(_), None) => {}
            }
        }
        let bodies: Vec<_> = served.iter().map(|body| body.clone().ok()).collect();
        if mended.is_none()
            && let Some(root) = self.root(&bodies)
        {
            let computed = Tree { size: self.tree.size, root };
            let shown = self.roots.iter().copied().zip(bodies.into_iter().flatten()).collect();
            self.findings.add(Fault::Root { computed, signed: self.tree.root }, shown);
        }
        self.findings.add_unchecked(if mended.is_none() { self.tree.size } else { 0 });
    }

    /// The root that these bodies of the root tiles lead to.
    fn root(&self, bodies: &[Option<Bytes>]) -> Option<Hash> {
        let size = self.tree.size;
        let hash = |node: Node| {
            let tile = Tile::containing(node, size)?;
            let place = self.roots.iter().position(|root| *root == tile)?;
            tile.hash(bodies.get(place)?.as_deref()?, node)
        };
        let hashes = tree_nodes(size).ok()?.into_iter().map(hash).collect::<Option<_>>()?;
        Some(Frontier::from_hashes(size, hashes).ok()?.root())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(u8, u64), Option<Bytes>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HashReader for Crown<'_> {
    type Error = Error;

    fn read_hashes(&self, nodes: &[Node]) -> Result<Vec<Hash>, Error> {
        let one = |node: &Node| {
            let lost = || Error::unproven("signed tree", format_args!("its tiles do not give {node}"));
            let tile = Tile::containing(*node, self.tree.size).ok_or_else(lost)?;
            let level = level(&tile).ok_or_else(lost)?;
            let body = self.tile(level, tile.n())?.ok_or_else(lost)?;
            tile.hash(&body, *node).ok_or_else(lost)
        };
        nodes.iter().map(one).collect()
    }
}

/// A tile does not hash to what the tile above it says.
pub(super) fn parent_fault(tile: Tile, above: &Above) -> Fault {
    Fault::Parent { tile, above: above.tile, entry: (tile.n() % u64::from(TILE_WIDTH)) as u16 }
}

fn level(tile: &Tile) -> Option<u8> {
    match tile.level() {
        TileLevel::Hashes(level) => Some(level),
        TileLevel::Data => None,
    }
}
