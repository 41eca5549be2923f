//! Properties of proofs, against the definition in RFC 6962 written down as it stands there.

use crate::common::LOG;
use proptest::prelude::*;
use quipu_tlog::{
    Frontier, Hash, Node, ProofError, ReadError, TilePlan, Tree, check_consistency, check_inclusion,
    consistency_nodes, inclusion_nodes, node_hash, prove_consistency, prove_inclusion, tree_root,
};

/// Largest tree here; large enough for every shape of path up to 11 levels.
const MAX: u64 = 2000;

/// MTH of RFC 6962, section 2.1, over leaves start..end.
fn merkle_tree_hash(start: u64, end: u64) -> Hash {
    match end - start {
        0 => Hash::EMPTY_TREE,
        1 => LOG.leaf(start),
        n => {
            let middle = start + n.next_power_of_two() / 2;
            node_hash(&merkle_tree_hash(start, middle), &merkle_tree_hash(middle, end))
        }
    }
}

/// PATH of RFC 6962, section 2.1.1: the proof, and whether each of its hashes stands to the left.
fn path(m: u64, start: u64, end: u64) -> Vec<(bool, Hash)> {
    let n = end - start;
    if n == 1 {
        return Vec::new();
    }
    let middle = start + n.next_power_of_two() / 2;
    if m < middle {
        [path(m, start, middle), vec![(false, merkle_tree_hash(middle, end))]].concat()
    } else {
        [path(m, middle, end), vec![(true, merkle_tree_hash(start, middle))]].concat()
    }
}

/// SUBPROOF of RFC 6962, section 2.1.2; the first hash is the common part unless `whole`, and has no side.
fn subproof(m: u64, start: u64, end: u64, whole: bool) -> Vec<(Option<bool>, Hash)> {
    let n = end - start;
    if m == end {
        return if whole { Vec::new() } else { vec![(None, merkle_tree_hash(start, end))] };
    }
    let middle = start + n.next_power_of_two() / 2;
    if m <= middle {
        [subproof(m, start, middle, whole), vec![(Some(false), merkle_tree_hash(middle, end))]].concat()
    } else {
        [subproof(m, middle, end, false), vec![(Some(true), merkle_tree_hash(start, middle))]].concat()
    }
}

fn hashes<S>(proof: Vec<(S, Hash)>) -> Vec<Hash> {
    proof.into_iter().map(|(_, hash)| hash).collect()
}

/// What a checker computes depends on the sides alone. Two sizes may give the same: then a proof for the one is a
/// proof for the other with the same root, which cannot be told apart. (That is why sizes are signed.)
fn inclusion_shape(size: u64, index: u64) -> Option<Vec<bool>> {
    let valid = index < size && size <= MAX;
    valid.then(|| path(index, 0, size).into_iter().map(|(side, _)| side).collect())
}

fn consistency_shape(new: u64, old: u64) -> Option<Vec<Option<bool>>> {
    let valid = 0 < old && old <= new && new <= MAX;
    valid.then(|| subproof(old, 0, new, true).into_iter().map(|(side, _)| side).collect())
}

fn flip(hash: &Hash, bit: usize) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    Hash::from_bytes(bytes)
}

fn size_and_index() -> impl Strategy<Value = (u64, u64)> {
    (1..=MAX).prop_flat_map(|size| (Just(size), 0..size))
}

fn new_and_old() -> impl Strategy<Value = (u64, u64)> {
    (1..=MAX).prop_flat_map(|new| (Just(new), 1..=new))
}

proptest! {
    #[test]
    fn roots_are_as_defined(size in 0..=MAX) {
        prop_assert_eq!(LOG.tree(size).root, merkle_tree_hash(0, size));
        prop_assert_eq!(tree_root(size, &*LOG), Ok(merkle_tree_hash(0, size)));
    }

    #[test]
    fn a_restored_frontier_grows_like_the_tree(size in 0..MAX, more in 1..40_u64) {
        let mut frontier = Frontier::restore(size, &*LOG).unwrap();
        prop_assert_eq!(&Frontier::from_hashes(size, frontier.hashes().to_vec()), &Ok(frontier.clone()));
        for index in size..size + more {
            prop_assert_eq!(frontier.root(), LOG.tree(index).root);
            let mut completed = Vec::new();
            frontier.push_with(LOG.leaf(index), |node, hash| completed.push((node, *hash)));
            prop_assert_eq!(completed.len(), (index + 1).trailing_zeros() as usize + 1);
            for (node, hash) in completed {
                prop_assert_eq!((node.end(), LOG.hash(node)), (index + 1, hash));
            }
        }
        prop_assert_eq!(frontier.size(), size + more);
    }

    #[test]
    fn inclusion_is_as_defined((size, index) in size_and_index()) {
        let proof = prove_inclusion(size, index, &*LOG).unwrap();
        prop_assert_eq!(&proof, &hashes(path(index, 0, size)));
        prop_assert_eq!(check_inclusion(&proof, &LOG.tree(size), index, &LOG.leaf(index)), Ok(()));
    }

    #[test]
    fn consistency_is_as_defined((new, old) in new_and_old()) {
        let proof = prove_consistency(new, old, &*LOG).unwrap();
        prop_assert_eq!(&proof, &hashes(subproof(old, 0, new, true)));
        prop_assert_eq!(check_consistency(&proof, &LOG.tree(new), &LOG.tree(old)), Ok(()));
    }

    #[test]
    fn inclusion_with_one_bit_changed((size, index) in size_and_index(), bit in 0..256_usize, other in 0..=MAX) {
        let (tree, leaf) = (LOG.tree(size), LOG.leaf(index));
        let proof = prove_inclusion(size, index, &*LOG).unwrap();
        prop_assert!(check_inclusion(&proof, &tree, index, &flip(&leaf, bit)).is_err());
        let root = Tree { root: flip(&tree.root, bit), ..tree };
        prop_assert!(check_inclusion(&proof, &root, index, &leaf).is_err());
        for at in 0..proof.len() {
            let mut changed = proof.clone();
            changed[at] = flip(&changed[at], bit);
            prop_assert!(check_inclusion(&changed, &tree, index, &leaf).is_err());
        }
        for index_bit in 0..64 {
            prop_assert!(check_inclusion(&proof, &tree, index ^ 1 << index_bit, &leaf).is_err());
        }
        let sizes = (0..64).map(|size_bit| size ^ 1 << size_bit).chain([other]);
        for changed in sizes.filter(|changed| *changed <= MAX || *changed > i64::MAX as u64) {
            let accepted = check_inclusion(&proof, &Tree { size: changed, ..tree }, index, &leaf).is_ok();
            prop_assert_eq!(accepted, inclusion_shape(changed, index) == inclusion_shape(size, index));
        }
    }

    #[test]
    fn inclusion_with_a_hash_more_or_less((size, index) in size_and_index(), at in 0..12_usize) {
        let (tree, leaf) = (LOG.tree(size), LOG.leaf(index));
        let mut proof = prove_inclusion(size, index, &*LOG).unwrap();
        let at = at.min(proof.len());
        proof.insert(at, leaf);
        prop_assert!(check_inclusion(&proof, &tree, index, &leaf).is_err());
        proof.remove(at);
        prop_assert!(check_inclusion(&proof, &tree, index, &leaf).is_ok());
        if proof.pop().is_some() {
            prop_assert!(check_inclusion(&proof, &tree, index, &leaf).is_err());
        }
    }

    #[test]
    fn consistency_with_one_bit_changed((new, old) in new_and_old(), bit in 0..256_usize, other in 0..=MAX) {
        let (new, old) = (LOG.tree(new), LOG.tree(old));
        let proof = prove_consistency(new.size, old.size, &*LOG).unwrap();
        for at in 0..proof.len() {
            let mut changed = proof.clone();
            changed[at] = flip(&changed[at], bit);
            prop_assert!(check_consistency(&changed, &new, &old).is_err());
        }
        let changed = Tree { root: flip(&new.root, bit), ..new };
        prop_assert!(check_consistency(&proof, &changed, &old).is_err());
        let changed = Tree { root: flip(&old.root, bit), ..old };
        prop_assert!(check_consistency(&proof, &new, &changed).is_err());
        let shape = consistency_shape(new.size, old.size);
        let sizes = (0..64).map(|size_bit| 1 << size_bit).chain([other]);
        for change in sizes {
            let size = new.size ^ change;
            if size <= MAX || size > i64::MAX as u64 {
                let accepted = check_consistency(&proof, &Tree { size, ..new }, &old).is_ok();
                prop_assert_eq!(accepted, consistency_shape(size, old.size) == shape);
            }
            let size = old.size ^ change;
            let accepted = check_consistency(&proof, &new, &Tree { size, ..old }).is_ok();
            prop_assert_eq!(accepted, consistency_shape(new.size, size) == shape);
        }
    }

    #[test]
    fn consistency_with_a_hash_more_or_less((new, old) in new_and_old(), at in 0..12_usize) {
        let (new, old) = (LOG.tree(new), LOG.tree(old));
        let mut proof = prove_consistency(new.size, old.size, &*LOG).unwrap();
        let at = at.min(proof.len());
        proof.insert(at, old.root);
        prop_assert!(check_consistency(&proof, &new, &old).is_err());
        proof.remove(at);
        if proof.pop().is_some() {
            prop_assert!(check_consistency(&proof, &new, &old).is_err());
        }
    }

    /// A reader makes proofs to hand on from tiles that it authenticated.
    #[test]
    fn proofs_from_tiles((new, old) in new_and_old(), leaf in 0..MAX) {
        let (tree, index) = (LOG.tree(new), leaf % new);
        let mut wanted = inclusion_nodes(new, index).unwrap();
        wanted.extend(consistency_nodes(new, old).unwrap());
        wanted.push(Node::leaf(index).unwrap());
        let plan = TilePlan::new(&tree, &wanted).unwrap();
        let hashes = plan.authenticate(&LOG.bodies(plan.tiles())).unwrap();
        let proof = prove_inclusion(new, index, &hashes).unwrap();
        prop_assert_eq!(check_inclusion(&proof, &tree, index, &LOG.leaf(index)), Ok(()));
        let proof = prove_consistency(new, old, &hashes).unwrap();
        prop_assert_eq!(check_consistency(&proof, &tree, &LOG.tree(old)), Ok(()));
    }

    #[test]
    fn hostile_numbers_are_errors(size in any::<u64>(), index in any::<u64>(), proof in 0..70_usize) {
        let tree = Tree { size, root: Hash::EMPTY_TREE };
        let old = Tree { size: index, root: Hash::EMPTY_TREE };
        let proof = vec![Hash::EMPTY_TREE; proof];
        prop_assert!(check_inclusion(&proof, &tree, index, &Hash::EMPTY_TREE).is_err());
        if size != index {
            prop_assert!(check_consistency(&proof, &tree, &old).is_err());
        }
        let possible = index < size && size <= i64::MAX as u64;
        prop_assert_eq!(inclusion_nodes(size, index).is_ok(), possible);
        prop_assert_eq!(consistency_nodes(size, index).is_ok(), 0 < index && possible);
    }
}

#[test]
fn out_of_range() {
    let (one, tree) = (LOG.tree(1), LOG.tree(7));
    let max = Tree { size: i64::MAX as u64, ..tree };
    let over = Tree { size: max.size + 1, ..tree };
    let leaf = LOG.leaf(0);
    assert_eq!(check_inclusion(&[], &tree, 7, &leaf), Err(ProofError::OutOfRange));
    assert_eq!(check_inclusion(&[], &Tree { size: 0, ..tree }, 0, &leaf), Err(ProofError::OutOfRange));
    assert_eq!(check_inclusion(&[], &over, 0, &leaf), Err(ProofError::OutOfRange));
    assert_eq!(check_inclusion(&[leaf; 63], &max, 0, &leaf), Err(ProofError::Failed));
    assert_eq!(check_consistency(&[], &tree, &LOG.tree(0)), Err(ProofError::OutOfRange));
    assert_eq!(check_consistency(&[], &tree, &LOG.tree(8)), Err(ProofError::OutOfRange));
    assert_eq!(check_consistency(&[], &over, &tree), Err(ProofError::OutOfRange));
    assert_eq!(check_consistency(&[], &one, &one), Ok(()));
    assert_eq!(prove_inclusion(7, 7, &*LOG), Err(ReadError::OutOfRange));
    assert_eq!(prove_consistency(7, 0, &*LOG), Err(ReadError::OutOfRange));
    assert_eq!(prove_consistency(7, 8, &*LOG), Err(ReadError::OutOfRange));
    assert_eq!(tree_root(over.size, &*LOG), Err(ReadError::OutOfRange));
}
