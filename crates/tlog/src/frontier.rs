//! The right edge of a growing tree: what is needed to append to it and to know its root.

use crate::hash::{Hash, node_hash};
use crate::node::{MAX_SIZE, Node, tree_nodes};
use crate::reader::{HashReader, ReadError, fold};
use std::fmt;

/// The hashes of the complete subtrees that a tree consists of, at most 63: enough to append leaves and to
/// compute the root, without any other hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// One hash for each bit set in `size`, largest subtree first.
    hashes: Vec<Hash>,
}

impl Frontier {
    /// The frontier of the tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// The frontier of a tree of `size` leaves, from the hashes of [`tree_nodes`]`(size)` in that order.
    ///
    /// # Errors
    ///
    /// [`FrontierError`] if there are more or fewer hashes, or `size` exceeds [`MAX_SIZE`].
    pub fn from_hashes(size: u64, hashes: Vec<Hash>) -> Result<Self, FrontierError> {
        if size > MAX_SIZE || hashes.len() != size.count_ones() as usize {
            return Err(FrontierError { size, hashes: hashes.len() });
        }
        Ok(Self { size, hashes })
    }

    /// The frontier of a tree whose hashes can be read, for example from stored tiles with
    /// [`StoredTiles`](crate::StoredTiles).
    ///
    /// # Errors
    ///
    /// [`ReadError::OutOfRange`] if `size` exceeds [`MAX_SIZE`], and whatever the reader says.
    pub fn restore<R: HashReader>(size: u64, reader: &R) -> Result<Self, ReadError<R::Error>> {
        let nodes = tree_nodes(size)?;
        if nodes.is_empty() {
            return Ok(Self::new());
        }
        let hashes = reader.read_hashes(&nodes).map_err(ReadError::Reader)?;
        Self::from_hashes(size, hashes).map_err(|e| ReadError::Count { want: nodes.len(), got: e.hashes })
    }

    /// Appends a leaf by its [`leaf_hash`](crate::leaf_hash()).
    pub fn push(&mut self, leaf: Hash) {
        self.push_with(leaf, |_, _| {});
    }

    /// Appends a leaf and hands out every subtree that it completes with its hash, the leaf first and each
    /// higher one after it. Those at levels 0, 8, 16, … are the ones that tiles hold.
    pub fn push_with(&mut self, leaf: Hash, mut completed: impl FnMut(Node, &Hash)) {
        let mut hash = leaf;
        let index = self.size;
        for level in 0..64_u8 {
            if let Some(node) = Node::new(level, index >> level) {
                completed(node, &hash);
            }
            // A bit set in the index: the subtree to the left is waiting for this one.
            if index >> level & 1 == 0 {
                break;
            }
            let Some(left) = self.hashes.pop() else { break };
            hash = node_hash(&left, &hash);
        }
        self.hashes.push(hash);
        self.size += 1;
    }

    /// Leaves in the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        fold(&self.hashes)
    }

    /// The hashes of [`tree_nodes`]`(size)` in that order.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }
}

/// The hashes given do not make up a tree of the size given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrontierError {
    size: u64,
    hashes: usize,
}

impl fmt::Display for FrontierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, hashes } = self;
        if *size > MAX_SIZE {
            return write!(f, "a tree of {size} leaves is larger than any");
        }
        write!(f, "a tree of {size} leaves has {} subtrees, got {hashes} hashes", size.count_ones())
    }
}

impl std::error::Error for FrontierError {}
