//! One proof that a tree holds many records: what their single proofs have in common is in it once.
//!
//! The proof holds the hash of every largest subtree without any of the records, and nothing else: all other hashes
//! follow from these and from the records, so no smaller set does. Their order is the one in which a checker needs them
//! who computes the root from the leaves upwards and, of two subtrees with records, the left one first. For a single
//! record that is its RFC 6962 audit path.

use crate::hash::{Hash, node_hash};
use crate::node::{Leaves, MAX_SIZE, Node, OutOfRange};
use crate::proof::ProofError;
use crate::reader::{HashReader, ReadError, read_subtrees};
use crate::tree::Tree;
use std::slice::Iter;

/// The proof that the leaves `indexes` are in the tree of `size` leaves.
///
/// # Errors
///
/// [`ReadError::OutOfRange`] unless there is an index, they rise, and all are below `size <= MAX_SIZE`; and whatever the
/// reader says.
pub fn prove_records<R: HashReader>(
    size: u64,
    indexes: &[u64],
    reader: &R,
) -> Result<Vec<Hash>, ReadError<R::Error>> {
    read_subtrees(&subtrees(size, indexes)?, reader)
}

/// The hashes that [`prove_records`] reads, for planning.
///
/// # Errors
///
/// [`OutOfRange`] unless there is an index, they rise, and all are below `size <= MAX_SIZE`.
pub fn records_nodes(size: u64, indexes: &[u64]) -> Result<Vec<Node>, OutOfRange> {
    Ok(subtrees(size, indexes)?.into_iter().flat_map(Leaves::nodes).collect())
}

/// Checks that `proof` shows each of `records` to be the index and the hash of a leaf of `tree`.
///
/// # Errors
///
/// [`ProofError::OutOfRange`] unless there is a record, their indexes rise, and all are below
/// `tree.size <= MAX_SIZE`; [`ProofError::Failed`] if the proof does not show it, or holds more than it needs.
pub fn check_records(proof: &[Hash], tree: &Tree, records: &[(u64, Hash)]) -> Result<(), ProofError> {
    check_range(tree.size, records, |(index, _)| *index)?;
    let mut hashes = proof.iter();
    let root = root(Leaves { start: 0, end: tree.size }, records, &mut hashes);
    if root == Some(tree.root) && hashes.len() == 0 { Ok(()) } else { Err(ProofError::Failed) }
}

fn subtrees(size: u64, indexes: &[u64]) -> Result<Vec<Leaves>, OutOfRange> {
    check_range(size, indexes, |index| *index)?;
    let mut without = Vec::new();
    collect(Leaves { start: 0, end: size }, indexes, &mut without);
    Ok(without)
}

fn check_range<T>(size: u64, items: &[T], index: impl Fn(&T) -> u64) -> Result<(), OutOfRange> {
    let rising = items.is_sorted_by(|a, b| index(a) < index(b));
    let last = items.last().map(index).ok_or(OutOfRange)?;
    if rising && last < size && size <= MAX_SIZE { Ok(()) } else { Err(OutOfRange) }
}

/// The subtrees of `subtree` without any of `indexes`, all of which lie in it, in the order of the proof.
fn collect(subtree: Leaves, indexes: &[u64], without: &mut Vec<Leaves>) {
    let Some((left, right)) = subtree.split() else { return };
    let (to_left, to_right) = indexes.split_at(indexes.partition_point(|index| *index < left.end));
    if !to_left.is_empty() {
        collect(left, to_left, without);
    }
    if !to_right.is_empty() {
        collect(right, to_right, without);
    }
    if to_left.is_empty() {
        without.push(left);
    } else if to_right.is_empty() {
        without.push(right);
    }
}

/// The hash of `subtree` from the records in it and the next hashes of the proof; none if these run out.
fn root(subtree: Leaves, records: &[(u64, Hash)], proof: &mut Iter<'_, Hash>) -> Option<Hash> {
    let Some((left, right)) = subtree.split() else {
        return records.first().map(|(_, hash)| *hash);
    };
    let (to_left, to_right) = records.split_at(records.partition_point(|(index, _)| *index < left.end));
    let left_root = if to_left.is_empty() { None } else { Some(root(left, to_left, proof)?) };
    let right_root = if to_right.is_empty() { None } else { Some(root(right, to_right, proof)?) };
    // At most one of the two is taken from the proof: there is a record in the subtree.
    let left_root = left_root.or_else(|| proof.next().copied())?;
    let right_root = right_root.or_else(|| proof.next().copied())?;
    Some(node_hash(&left_root, &right_root))
}
