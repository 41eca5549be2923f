//! Reading hashes from tiles that somebody else serves, each of them authenticated.
//!
//! A reader knows a tree (its size and signed root) and wants some hashes. The plan names the tiles to fetch:
//!
//! 1. the *root tiles*, from which the root of the tree is computed: they are authenticated together, by the
//!    root that comes out;
//! 2. for each wanted hash the tile it is in and the tiles above that, up to one that is planned already. All of
//!    these are full, and each is authenticated by its entry in the tile above it.
//!
//! *Every* tile of the second kind must be checked. Counting them from the number of hashes that make up the root,
//! which may be more than the tiles that hold these hashes, left some unchecked in many readers and let a server
//! forge records (CVE-2026-56865). Here the two kinds are kept apart, each with what authenticates it.

use crate::hash::Hash;
use crate::node::{Node, OutOfRange, tree_nodes};
use crate::reader::{HashReader, fold};
use crate::tile::Tile;
use crate::tree::Tree;
use std::collections::HashMap;
use std::fmt;

/// Which tiles to fetch to learn some hashes of a tree, and how to check them.
#[derive(Clone, Debug)]
pub struct TilePlan {
    tree: Tree,
    /// The root tiles first, then each tile after the one that has its entry.
    tiles: Vec<Tile>,
    /// The hashes that make up the root, left to right, and the tiles that they are in.
    roots: Vec<Place>,
    /// What authenticates the tiles after the root tiles: as many as those, in the same order.
    parents: Vec<Place>,
    /// The hashes asked for and the tiles they are in, in order of nodes.
    wanted: Vec<Place>,
}

/// A hash and the place in [`TilePlan::tiles`] of the tile that it is computed from.
#[derive(Clone, Copy, Debug)]
struct Place {
    node: Node,
    tile: usize,
}

impl TilePlan {
    /// Plans how to learn the hashes of `wanted` from the tiles of `tree`.
    ///
    /// For a record, ask for its leaf; for an older tree, for [`tree_nodes`](crate::tree_nodes)`(old size)`; for
    /// proofs to hand on, for [`inclusion_nodes`](crate::inclusion_nodes) or
    /// [`consistency_nodes`](crate::consistency_nodes).
    ///
    /// # Errors
    ///
    /// [`OutOfRange`] if a node does not lie in the tree, or its size exceeds [`MAX_SIZE`](crate::MAX_SIZE).
    pub fn new(tree: &Tree, wanted: &[Node]) -> Result<Self, OutOfRange> {
        let mut builder = Builder { size: tree.size, tiles: Vec::new(), places: HashMap::new() };
        let roots = tree_nodes(tree.size)?;
        let roots = roots.into_iter().map(|node| builder.add_root(node)).collect::<Result<_, _>>()?;
        let mut parents = Vec::new();
        let mut places = Vec::with_capacity(wanted.len());
        for node in wanted {
            places.push(builder.add_wanted(*node, &mut parents)?);
        }
        places.sort_unstable_by_key(|place| place.node);
        places.dedup_by_key(|place| place.node);
        Ok(Self { tree: *tree, tiles: builder.tiles, roots, parents, wanted: places })
    }

    /// The tiles to fetch, each exactly as wide as it says here; all at once if that is faster.
    pub fn tiles(&self) -> &[Tile] {
        &self.tiles
    }

    /// Checks the bodies of [`tiles`](Self::tiles), given in the same order, against the tree and hands out the
    /// hashes. Before this none of the bodies may be used or kept; after it, all of them are genuine.
    ///
    /// # Errors
    ///
    /// [`TileError`] if a body is missing, of another length, or not from this tree.
    pub fn authenticate<B: AsRef<[u8]>>(&self, bodies: &[B]) -> Result<AuthenticatedHashes, TileError> {
        self.check_lengths(bodies)?;
        self.check_root(bodies)?;
        self.check_parents(bodies)?;
        let hashes = self.wanted.iter().map(|place| Ok((place.node, self.hash(bodies, *place)?)));
        Ok(AuthenticatedHashes { hashes: hashes.collect::<Result<_, _>>()? })
    }

    fn check_lengths<B: AsRef<[u8]>>(&self, bodies: &[B]) -> Result<(), TileError> {
        if bodies.len() != self.tiles.len() {
            return Err(TileError::Count { want: self.tiles.len(), got: bodies.len() });
        }
        for (tile, body) in self.tiles.iter().zip(bodies) {
            let got = body.as_ref().len();
            if got != tile.hash_bytes() {
                return Err(TileError::Length { tile: *tile, got });
            }
        }
        Ok(())
    }

    fn check_root<B: AsRef<[u8]>>(&self, bodies: &[B]) -> Result<(), TileError> {
        let hashes =
            self.roots.iter().map(|place| self.hash(bodies, *place)).collect::<Result<Vec<_>, _>>()?;
        if fold(&hashes) == self.tree.root {
            return Ok(());
        }
        Err(TileError::Root { tiles: self.root_tiles().to_vec() })
    }

    fn check_parents<B: AsRef<[u8]>>(&self, bodies: &[B]) -> Result<(), TileError> {
        let first = self.root_tiles().len();
        for ((tile, body), parent) in self.tiles.iter().zip(bodies).skip(first).zip(&self.parents) {
            if tile.root(body.as_ref()) != Some(self.hash(bodies, *parent)?) {
                return Err(TileError::Parent { tile: *tile });
            }
        }
        Ok(())
    }

    fn root_tiles(&self) -> &[Tile] {
        let count = self.tiles.len() - self.parents.len();
        &self.tiles[..count]
    }

    fn hash<B: AsRef<[u8]>>(&self, bodies: &[B], place: Place) -> Result<Hash, TileError> {
        let found = self.tiles.get(place.tile).zip(bodies.get(place.tile));
        let Some((tile, body)) = found else {
            return Err(TileError::Count { want: self.tiles.len(), got: bodies.len() });
        };
        let got = body.as_ref().len();
        tile.hash(body.as_ref(), place.node).ok_or(TileError::Length { tile: *tile, got })
    }
}

/// The tiles planned so far.
struct Builder {
    size: u64,
    tiles: Vec<Tile>,
    places: HashMap<Tile, usize>,
}

impl Builder {
    fn add_root(&mut self, node: Node) -> Result<Place, OutOfRange> {
        let tile = Tile::containing(node, self.size).ok_or(OutOfRange)?;
        Ok(Place { node, tile: self.add(tile) })
    }

    /// Adds the tile of a wanted hash and those that authenticate it, and notes what authenticates each.
    fn add_wanted(&mut self, node: Node, parents: &mut Vec<Place>) -> Result<Place, OutOfRange> {
        let tile = Tile::containing(node, self.size).ok_or(OutOfRange)?;
        let mut missing = Vec::new();
        let mut next = tile;
        while !self.places.contains_key(&next) {
            missing.push(next);
            // Ends at a root tile at the latest: the highest level of a tree has fewer than 256 hashes, so its
            // one tile is partial, and a partial tile holds one of the hashes that make up the root.
            next = next.parent(self.size).ok_or(OutOfRange)?;
        }
        let mut parent = self.add(next);
        for tile in missing.into_iter().rev() {
            // A tile that is not among the root tiles is full, so its parent has an entry for it.
            parents.push(Place { node: tile.root_node().ok_or(OutOfRange)?, tile: parent });
            parent = self.add(tile);
        }
        Ok(Place { node, tile: parent })
    }

    fn add(&mut self, tile: Tile) -> usize {
        *self.places.entry(tile).or_insert_with(|| {
            self.tiles.push(tile);
            self.tiles.len() - 1
        })
    }
}

/// The hashes that a [`TilePlan`] was made for, proven to belong to its tree.
#[derive(Clone, Debug)]
pub struct AuthenticatedHashes {
    /// In order of nodes.
    hashes: Vec<(Node, Hash)>,
}

impl AuthenticatedHashes {
    /// The hash of a node, if the plan asked for it.
    pub fn get(&self, node: Node) -> Option<Hash> {
        let at = self.hashes.binary_search_by_key(&node, |(node, _)| *node).ok()?;
        self.hashes.get(at).map(|(_, hash)| *hash)
    }
}

impl HashReader for AuthenticatedHashes {
    type Error = NotPlanned;

    fn read_hashes(&self, nodes: &[Node]) -> Result<Vec<Hash>, NotPlanned> {
        nodes.iter().map(|node| self.get(*node).ok_or(NotPlanned(*node))).collect()
    }
}

/// A hash was asked for that the plan did not want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPlanned(pub Node);

impl fmt::Display for NotPlanned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was not planned for", self.0)
    }
}

impl std::error::Error for NotPlanned {}

/// Tiles that were fetched are not those of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TileError {
    /// There are more or fewer bodies than planned tiles.
    Count {
        /// Tiles planned.
        want: usize,
        /// Bodies given.
        got: usize,
    },
    /// A body is not of the length that its tile has.
    Length {
        /// The tile.
        tile: Tile,
        /// Bytes in the body.
        got: usize,
    },
    /// The root computed from the root tiles is not the root of the tree: at least one of them is wrong, it cannot
    /// be told which, or the tree itself is not the one that the server has.
    Root {
        /// The root tiles.
        tiles: Vec<Tile>,
    },
    /// A tile contradicts its entry in the tile above it, which is genuine.
    Parent {
        /// The tile.
        tile: Tile,
    },
}

impl fmt::Display for TileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { want, got } => write!(f, "got {got} tiles, want {want}"),
            Self::Length { tile, got } => {
                write!(f, "{tile} has {got} bytes, want {}", tile.hash_bytes())
            }
            Self::Root { tiles } => {
                f.write_str("tiles do not add up to the root of the tree:")?;
                tiles.iter().try_for_each(|tile| write!(f, " {tile}"))
            }
            Self::Parent { tile } => write!(f, "{tile} contradicts the tile above it"),
        }
    }
}

impl std::error::Error for TileError {}
