//! Coordinates of the hashes in a tree, and which of them make up a range of leaves.

use std::fmt;

/// Leaves in the largest tree: sizes are signed 64-bit numbers in the Go checksum database.
pub const MAX_SIZE: u64 = i64::MAX as u64;

/// Where a complete subtree stands: the one of 2^`level` leaves that begins at leaf `index` · 2^`level`.
///
/// Level 0 are the leaves themselves. A node always lies within a tree of [`MAX_SIZE`] leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    level: u8,
    index: u64,
}

impl Node {
    /// The node at this level and index, if a tree of [`MAX_SIZE`] leaves has it.
    pub const fn new(level: u8, index: u64) -> Option<Self> {
        // The level is at most 62: no tree has a complete subtree of 2^63 leaves.
        if level < 63 && index < MAX_SIZE >> level { Some(Self { level, index }) } else { None }
    }

    /// The node of one leaf.
    pub const fn leaf(index: u64) -> Option<Self> {
        Self::new(0, index)
    }

    /// Height above the leaves, 0 to 62.
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// Place within the level, from the left, from 0.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The first leaf below the node.
    pub const fn first_leaf(&self) -> u64 {
        self.index << self.level
    }

    /// One past the last leaf below the node: the least size of a tree that holds its hash.
    pub const fn end(&self) -> u64 {
        (self.index + 1) << self.level
    }

    /// The place of the node's hash when hashes are stored in the order in which they become complete, as
    /// the storage of the Go reference does.
    pub const fn stored_index(&self) -> u64 {
        stored_hash_count(self.end() - 1) + self.level as u64
    }

    /// The inverse of [`stored_index`](Self::stored_index).
    pub fn from_stored_index(stored: u64) -> Option<Self> {
        // Leaf n stands at 2n - popcount(n), so n lies between stored/2 and 64 beyond it.
        let mut leaf = stored / 2;
        while leaf < MAX_SIZE - 1 && stored_hash_count(leaf + 1) <= stored {
            leaf += 1;
        }
        let level = u8::try_from(stored.checked_sub(stored_hash_count(leaf))?).ok()?;
        let completes = u32::from(level) <= leaf.trailing_ones();
        if completes { Self::new(level, leaf >> level) } else { None }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hash {} of level {}", self.index, self.level)
    }
}

/// How many hashes a tree of `size` leaves (at most [`MAX_SIZE`]) stores: all complete subtrees.
pub const fn stored_hash_count(size: u64) -> u64 {
    let size = if size > MAX_SIZE { MAX_SIZE } else { size };
    2 * size - size.count_ones() as u64
}

/// The complete subtrees that a tree of `size` leaves consists of, left to right, largest first: one for each
/// bit set in `size`. Their hashes, folded from the right, give the root.
///
/// # Errors
///
/// [`OutOfRange`] if `size` exceeds [`MAX_SIZE`].
pub fn tree_nodes(size: u64) -> Result<Vec<Node>, OutOfRange> {
    if size > MAX_SIZE {
        return Err(OutOfRange);
    }
    Ok(Leaves { start: 0, end: size }.nodes().collect())
}

/// The leaves of one subtree, complete or not: `start..end`.
///
/// `start` is a multiple of the largest power of two that fits, as it is for every subtree of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaves {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Leaves {
    /// The complete subtrees that these leaves consist of, left to right, largest first.
    pub(crate) fn nodes(self) -> impl Iterator<Item = Node> {
        let mut start = self.start;
        std::iter::from_fn(move || {
            let level = (self.end - start).checked_ilog2()?;
            let node = Node { level: u8::try_from(level).ok()?, index: start >> level };
            start += 1 << level;
            Some(node)
        })
    }

    /// How many nodes [`nodes`](Self::nodes) yields.
    pub(crate) fn node_count(self) -> usize {
        (self.end - self.start).count_ones() as usize
    }

    /// The two subtrees that this one is made of: the left has the largest power of two of leaves that leaves
    /// something for the right. None for a single leaf.
    pub(crate) fn split(self) -> Option<(Self, Self)> {
        let level = (self.end - self.start).checked_sub(1)?.checked_ilog2()?;
        let middle = self.start + (1 << level);
        Some((Self { end: middle, ..self }, Self { start: middle, ..self }))
    }
}

/// An index, node or older size does not lie in the tree, or a size exceeds [`MAX_SIZE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange;

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("index or size outside the tree")
    }
}

impl std::error::Error for OutOfRange {}
