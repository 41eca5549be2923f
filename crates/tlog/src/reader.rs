//! Where hashes of a tree come from, and the root computed from them.

use crate::hash::{Hash, node_hash};
use crate::node::{Leaves, MAX_SIZE, Node, OutOfRange};
use std::convert::Infallible;
use std::fmt;

/// Gives hashes of a tree.
///
/// Whoever implements it answers for the hashes being right: proofs made from wrong hashes are wrong, and roots
/// computed from them too.
pub trait HashReader {
    /// Why hashes could not be read.
    type Error;

    /// The hashes of `nodes`, as many and in the same order. Callers ask once for all they need.
    ///
    /// # Errors
    ///
    /// When any of them cannot be read.
    fn read_hashes(&self, nodes: &[Node]) -> Result<Vec<Hash>, Self::Error>;
}

impl<R: HashReader + ?Sized> HashReader for &R {
    type Error = R::Error;

    fn read_hashes(&self, nodes: &[Node]) -> Result<Vec<Hash>, Self::Error> {
        (**self).read_hashes(nodes)
    }
}

/// The root of the tree of the first `size` leaves, [`Hash::EMPTY_TREE`] for none.
///
/// # Errors
///
/// [`ReadError::OutOfRange`] if `size` exceeds [`MAX_SIZE`], and whatever the reader says.
pub fn tree_root<R: HashReader>(size: u64, reader: &R) -> Result<Hash, ReadError<R::Error>> {
    if size > MAX_SIZE {
        return Err(ReadError::OutOfRange);
    }
    let roots = read_subtrees(&[Leaves { start: 0, end: size }], reader)?;
    Ok(roots.first().copied().unwrap_or(Hash::EMPTY_TREE))
}

/// The hashes of subtrees, read in one go. A subtree without leaves has the hash of the empty tree.
pub(crate) fn read_subtrees<R: HashReader>(
    subtrees: &[Leaves],
    reader: &R,
) -> Result<Vec<Hash>, ReadError<R::Error>> {
    let nodes: Vec<Node> = subtrees.iter().flat_map(|s| s.nodes()).collect();
    if nodes.is_empty() {
        return Ok(vec![Hash::EMPTY_TREE; subtrees.len()]);
    }
    let hashes = reader.read_hashes(&nodes).map_err(ReadError::Reader)?;
    if hashes.len() != nodes.len() {
        return Err(ReadError::Count { want: nodes.len(), got: hashes.len() });
    }
    let mut rest = hashes.as_slice();
    let roots = subtrees.iter().map(|subtree| {
        let (own, others) = rest.split_at_checked(subtree.node_count()).unwrap_or((rest, &[]));
        rest = others;
        fold(own)
    });
    Ok(roots.collect())
}

/// The hash of a subtree from those of the complete subtrees that it consists of, left to right.
pub(crate) fn fold(hashes: &[Hash]) -> Hash {
    let root = hashes.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
    root.unwrap_or(Hash::EMPTY_TREE)
}

/// Hashes could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError<E = Infallible> {
    /// The question does not fit the tree (see [`OutOfRange`]).
    OutOfRange,
    /// The reader failed.
    Reader(E),
    /// The reader broke its contract: it returned another number of hashes than was asked for.
    Count {
        /// Hashes asked for.
        want: usize,
        /// Hashes returned.
        got: usize,
    },
}

impl<E> From<OutOfRange> for ReadError<E> {
    fn from(_: OutOfRange) -> Self {
        Self::OutOfRange
    }
}

impl<E: fmt::Display> fmt::Display for ReadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange => OutOfRange.fmt(f),
            Self::Reader(error) => write!(f, "reading hashes: {error}"),
            Self::Count { want, got } => write!(f, "reading hashes: got {got} hashes, want {want}"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for ReadError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Reader(error) => Some(error),
            Self::OutOfRange | Self::Count { .. } => None,
        }
    }
}
