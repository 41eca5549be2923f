//! Reading hashes from one's own tiles, which are taken as true.

use crate::hash::Hash;
use crate::node::Node;
use crate::reader::HashReader;
use crate::tile::Tile;
use std::collections::BTreeMap;
use std::fmt;

/// Reads the hashes of a tree from tiles that one wrote oneself. Nothing is checked but lengths: for tiles from
/// anywhere else use [`TilePlan`](crate::TilePlan).
#[derive(Clone, Debug)]
pub struct StoredTiles<F> {
    size: u64,
    read: F,
}

impl<F> StoredTiles<F> {
    /// A reader of the tree of `size` leaves. `read` gets a hash tile as wide as that tree has it and returns its
    /// body; a body from a larger tree, being longer, is fine: its beginning is used.
    pub fn new(size: u64, read: F) -> Self {
        Self { size, read }
    }
}

impl<F, B, E> HashReader for StoredTiles<F>
where
    F: Fn(Tile) -> Result<B, E>,
    B: AsRef<[u8]>,
{
    type Error = StoredTileError<E>;

    /// Reads each tile once.
    fn read_hashes(&self, nodes: &[Node]) -> Result<Vec<Hash>, Self::Error> {
        let mut bodies: BTreeMap<Tile, B> = BTreeMap::new();
        let mut hashes = Vec::with_capacity(nodes.len());
        for node in nodes {
            let tile = Tile::containing(*node, self.size).ok_or(StoredTileError::Outside(*node))?;
            let body = match bodies.remove(&tile) {
                Some(body) => body,
                None => (self.read)(tile).map_err(StoredTileError::Read)?,
            };
            let own = body.as_ref().get(..tile.hash_bytes());
            hashes.push(own.and_then(|own| tile.hash(own, *node)).ok_or(StoredTileError::Short(tile))?);
            bodies.insert(tile, body);
        }
        Ok(hashes)
    }
}

/// A stored tile could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredTileError<E> {
    /// The tree does not have this hash.
    Outside(Node),
    /// The storage failed.
    Read(E),
    /// The storage holds fewer entries of this tile than the tree has.
    Short(Tile),
}

impl<E: fmt::Display> fmt::Display for StoredTileError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside(node) => write!(f, "{node} lies outside the tree"),
            Self::Read(error) => write!(f, "reading a tile: {error}"),
            Self::Short(tile) => write!(f, "stored {tile} is too short"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for StoredTileError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(error) => Some(error),
            Self::Outside(_) | Self::Short(_) => None,
        }
    }
}
