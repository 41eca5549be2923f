//! Proofs that a tree holds a record and that it extends an older tree (RFC 6962, sections 2.1.1 and 2.1.2).

use crate::hash::{Hash, node_hash};
use crate::node::{Leaves, MAX_SIZE, Node, OutOfRange};
use crate::reader::{HashReader, ReadError, read_subtrees};
use crate::tree::Tree;
use std::fmt;

/// The proof that leaf `index` is in the tree of `size` leaves: hashes from the leaf upwards.
///
/// # Errors
///
/// [`ReadError::OutOfRange`] unless `index < size <= MAX_SIZE`, and whatever the reader says.
pub fn prove_inclusion<R: HashReader>(
    size: u64,
    index: u64,
    reader: &R,
) -> Result<Vec<Hash>, ReadError<R::Error>> {
    prove_subtree(size, Node::leaf(index).ok_or(OutOfRange)?, reader)
}

/// The hashes that [`prove_inclusion`] reads, for planning.
///
/// # Errors
///
/// [`OutOfRange`] unless `index < size <= MAX_SIZE`.
pub fn inclusion_nodes(size: u64, index: u64) -> Result<Vec<Node>, OutOfRange> {
    subtree_nodes(size, Node::leaf(index).ok_or(OutOfRange)?)
}

/// Checks that `proof` shows `leaf` to be the hash of leaf `index` of `tree`.
///
/// # Errors
///
/// [`ProofError::OutOfRange`] unless `index < tree.size <= MAX_SIZE`; [`ProofError::Failed`] if the proof does
/// not show it.
pub fn check_inclusion(proof: &[Hash], tree: &Tree, index: u64, leaf: &Hash) -> Result<(), ProofError> {
    check_subtree(proof, tree, Node::leaf(index).ok_or(OutOfRange)?, leaf)
}

/// The proof that the tree of `size` leaves has a complete subtree: hashes from its root upwards. For a leaf the same
/// as [`prove_inclusion`], and for what a tile determines the least that authenticates it.
///
/// # Errors
///
/// [`ReadError::OutOfRange`] unless the tree has the node and `size <= MAX_SIZE`, and whatever the reader says.
pub fn prove_subtree<R: HashReader>(
    size: u64,
    node: Node,
    reader: &R,
) -> Result<Vec<Hash>, ReadError<R::Error>> {
    let subtrees: Vec<Leaves> = path_to(size, node)?.iter().map(|step| step.subtree).collect();
    read_subtrees(&subtrees, reader)
}

/// The hashes that [`prove_subtree`] reads, for planning.
///
/// # Errors
///
/// [`OutOfRange`] unless the tree has the node and `size <= MAX_SIZE`.
pub fn subtree_nodes(size: u64, node: Node) -> Result<Vec<Node>, OutOfRange> {
    Ok(path_to(size, node)?.iter().flat_map(|step| step.subtree.nodes()).collect())
}

/// Checks that `proof` shows `hash` to be the hash of `node` in `tree`.
///
/// # Errors
///
/// [`ProofError::OutOfRange`] unless the tree has the node and at most [`MAX_SIZE`] leaves; [`ProofError::Failed`] if
/// the proof does not show it.
pub fn check_subtree(proof: &[Hash], tree: &Tree, node: Node, hash: &Hash) -> Result<(), ProofError> {
    let path = path_to(tree.size, node)?;
    if path.len() != proof.len() {
        return Err(ProofError::Failed);
    }
    let root = path.iter().zip(proof).fold(*hash, |hash, (step, beside)| step.side.join(beside, &hash));
    if root == tree.root { Ok(()) } else { Err(ProofError::Failed) }
}

/// The proof that the tree of `new_size` leaves begins with the `old_size` leaves of an older tree: hashes from
/// the leaves upwards.
///
/// # Errors
///
/// [`ReadError::OutOfRange`] unless `1 <= old_size <= new_size <= MAX_SIZE` (every tree extends the empty one,
/// there is nothing to prove), and whatever the reader says.
pub fn prove_consistency<R: HashReader>(
    new_size: u64,
    old_size: u64,
    reader: &R,
) -> Result<Vec<Hash>, ReadError<R::Error>> {
    read_subtrees(&ConsistencyPath::new(new_size, old_size)?.subtrees(), reader)
}

/// The hashes that [`prove_consistency`] reads, for planning.
///
/// To check an older tree against tiles, ask for [`tree_nodes`](crate::tree_nodes)`(old_size)` instead and
/// compare [`tree_root`](crate::tree_root)`(old_size)` with the older root: tiles authenticated against
/// the newer tree prove the rest.
///
/// # Errors
///
/// [`OutOfRange`] unless `1 <= old_size <= new_size <= MAX_SIZE`.
pub fn consistency_nodes(new_size: u64, old_size: u64) -> Result<Vec<Node>, OutOfRange> {
    let subtrees = ConsistencyPath::new(new_size, old_size)?.subtrees();
    Ok(subtrees.into_iter().flat_map(Leaves::nodes).collect())
}

/// Checks that `proof` shows `new` to begin with all leaves of `old`.
///
/// # Errors
///
/// [`ProofError::OutOfRange`] unless `1 <= old.size <= new.size <= MAX_SIZE`; [`ProofError::Failed`] if the proof
/// does not show it.
pub fn check_consistency(proof: &[Hash], new: &Tree, old: &Tree) -> Result<(), ProofError> {
    let path = ConsistencyPath::new(new.size, old.size)?;
    let (common, steps) = match (path.common, proof) {
        // The old tree is a subtree of the new: the checker knows its hash already.
        (None, steps) => (old.root, steps),
        (Some(_), [common, steps @ ..]) => (*common, steps),
        (Some(_), []) => return Err(ProofError::Failed),
    };
    if path.steps.len() != steps.len() {
        return Err(ProofError::Failed);
    }
    let (mut old_root, mut new_root) = (common, common);
    for (step, beside) in path.steps.iter().zip(steps) {
        new_root = step.side.join(beside, &new_root);
        // What lies to the right of the common part is not in the old tree.
        if step.side == Side::Left {
            old_root = step.side.join(beside, &old_root);
        }
    }
    if old_root == old.root && new_root == new.root { Ok(()) } else { Err(ProofError::Failed) }
}

/// One hash of a proof: a subtree and the side on which it joins what was computed so far.
#[derive(Clone, Copy, Debug)]
struct Step {
    subtree: Leaves,
    side: Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl Side {
    /// The hash of the subtree that `beside`, on this side, forms with `hash`.
    fn join(self, beside: &Hash, hash: &Hash) -> Hash {
        match self {
            Self::Left => node_hash(beside, hash),
            Self::Right => node_hash(hash, beside),
        }
    }
}

/// The subtrees beside the way from `node` up to the root of the tree of `size` leaves.
fn path_to(size: u64, node: Node) -> Result<Vec<Step>, OutOfRange> {
    if node.end() > size || size > MAX_SIZE {
        return Err(OutOfRange);
    }
    let mut steps = Vec::with_capacity(MAX_STEPS);
    let mut subtree = Leaves { start: 0, end: size };
    // A complete subtree lies to one side of every split above it, so the way down ends at it.
    while subtree != (Leaves { start: node.first_leaf(), end: node.end() })
        && let Some((left, right)) = subtree.split()
    {
        subtree = descend(&mut steps, left, right, node.first_leaf() < left.end);
    }
    steps.reverse();
    Ok(steps)
}

/// What a consistency proof is made of.
struct ConsistencyPath {
    /// The right edge of the old tree, unless it is the whole old tree.
    common: Option<Leaves>,
    /// The subtrees beside the way from there up to the root of the new tree.
    steps: Vec<Step>,
}

impl ConsistencyPath {
    fn new(new_size: u64, old_size: u64) -> Result<Self, OutOfRange> {
        if old_size == 0 || old_size > new_size || new_size > MAX_SIZE {
            return Err(OutOfRange);
        }
        let mut steps = Vec::with_capacity(MAX_STEPS);
        let mut subtree = Leaves { start: 0, end: new_size };
        while subtree.end != old_size
            && let Some((left, right)) = subtree.split()
        {
            subtree = descend(&mut steps, left, right, old_size <= left.end);
        }
        steps.reverse();
        Ok(Self { common: (subtree.start != 0).then_some(subtree), steps })
    }

    fn subtrees(&self) -> Vec<Leaves> {
        self.common.into_iter().chain(self.steps.iter().map(|step| step.subtree)).collect()
    }
}

/// Goes down to the left or to the right and notes the subtree passed by.
fn descend(steps: &mut Vec<Step>, left: Leaves, right: Leaves, to_left: bool) -> Leaves {
    let (next, subtree, side) = if to_left { (left, right, Side::Right) } else { (right, left, Side::Left) };
    steps.push(Step { subtree, side });
    next
}

/// A tree of at most 2^63 - 1 leaves is at most this high.
const MAX_STEPS: usize = 63;

/// A proof was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofError {
    /// There cannot be a proof of this (see [`OutOfRange`]).
    OutOfRange,
    /// The proof does not show what it should: a hash in it, its length, or one of the hashes it is checked
    /// against is wrong.
    Failed,
}

impl From<OutOfRange> for ProofError {
    fn from(_: OutOfRange) -> Self {
        Self::OutOfRange
    }
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange => OutOfRange.fmt(f),
            Self::Failed => f.write_str("invalid transparency proof"),
        }
    }
}

impl std::error::Error for ProofError {}
