//! Proofs of many records and of subtrees: against single proofs, for size, and with anything changed.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use crate::common::{LOG, cases, hash, hashes, number};
use proptest::collection::btree_set;
use proptest::prelude::*;
use quipu_tlog::{
    Hash, Node, ProofError, ReadError, TilePlan, Tree, check_records, check_subtree, prove_inclusion,
    prove_records, prove_subtree, records_nodes, subtree_nodes,
};

const MAX: u64 = 2000;

/// The subtrees beside the way to a leaf, as PATH of RFC 6962, section 2.1.1, has them, from the leaf upwards.
fn beside(index: u64, start: u64, end: u64) -> Vec<(u64, u64)> {
    if end - start == 1 {
        return Vec::new();
    }
    let middle = start + (end - start).next_power_of_two() / 2;
    if index < middle {
        [beside(index, start, middle), vec![(middle, end)]].concat()
    } else {
        [beside(index, middle, end), vec![(start, middle)]].concat()
    }
}

/// The hashes that every proof of these records must hold: what stands beside the way to one of them and has none below.
fn needed(size: u64, indexes: &BTreeSet<u64>) -> BTreeMap<(u64, u64), Hash> {
    let single = |index| {
        let hashes = prove_inclusion(size, index, &*LOG).unwrap();
        beside(index, 0, size).into_iter().zip(hashes)
    };
    let all = indexes.iter().flat_map(|index| single(*index));
    all.filter(|((start, end), _)| indexes.range(start..end).next().is_none()).collect()
}

fn records(indexes: &[u64]) -> Vec<(u64, Hash)> {
    indexes.iter().map(|index| (*index, LOG.leaf(*index))).collect()
}

fn flip(hash: &Hash, bit: usize) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    Hash::from_bytes(bytes)
}

/// A size, and indexes close together or far apart.
fn question() -> impl Strategy<Value = (u64, BTreeSet<u64>)> {
    (1..=MAX).prop_flat_map(|size| {
        let near = (0..size, btree_set(0..40_u64, 1..30)).prop_map(move |(first, set)| {
            set.into_iter().map(|offset| (first + offset) % size).collect::<BTreeSet<_>>()
        });
        (Just(size), prop_oneof![btree_set(0..size, 1..30), near])
    })
}

/// The reference's own proofs of single records, in the order that it gives them.
#[test]
fn one_record_has_its_audit_path() {
    let file = include_str!("../../../../testdata/vectors/tlog.json");
    for case in cases(file, "inclusion", 14) {
        let (size, index) = (number(&case, "tree_size"), number(&case, "record"));
        let proof = hashes(&case, "proof");
        assert_eq!(prove_records(size, &[index], &*LOG).unwrap(), proof, "{size} {index}");
        let tree = Tree { size, root: hash(&case, "tree_hash") };
        assert_eq!(check_records(&proof, &tree, &[(index, hash(&case, "record_hash"))]), Ok(()));
    }
}

/// Every set of leaves of every tree of up to 10.
#[test]
fn all_sets_of_small_trees() {
    for size in 1..=10_u64 {
        for set in 1..1_u64 << size {
            let indexes: Vec<u64> = (0..size).filter(|index| set >> index & 1 == 1).collect();
            let proof = prove_records(size, &indexes, &*LOG).unwrap();
            let needed = needed(size, &indexes.iter().copied().collect());
            assert_eq!(
                proof.iter().collect::<BTreeSet<_>>(),
                needed.values().collect(),
                "{size} {indexes:?}"
            );
            assert_eq!(proof.len(), needed.len());
            assert_eq!(check_records(&proof, &LOG.tree(size), &records(&indexes)), Ok(()));
        }
    }
}

proptest! {
    #[test]
    fn a_proof_holds_what_is_needed_and_no_more((size, set) in question()) {
        let indexes: Vec<u64> = set.iter().copied().collect();
        let proof = prove_records(size, &indexes, &*LOG).unwrap();
        let needed = needed(size, &set);
        prop_assert_eq!(proof.len(), needed.len());
        prop_assert_eq!(proof.iter().collect::<BTreeSet<_>>(), needed.values().collect());
        prop_assert_eq!(check_records(&proof, &LOG.tree(size), &records(&indexes)), Ok(()));
    }

    #[test]
    fn nothing_can_be_changed((size, set) in question(), bit in 0..256_usize, other in 0..MAX) {
        let indexes: Vec<u64> = set.iter().copied().collect();
        let (tree, records) = (LOG.tree(size), records(&indexes));
        let proof = prove_records(size, &indexes, &*LOG).unwrap();
        for at in 0..proof.len() {
            let mut changed = proof.clone();
            changed[at] = flip(&changed[at], bit);
            prop_assert!(check_records(&changed, &tree, &records).is_err());
            changed.remove(at);
            prop_assert!(check_records(&changed, &tree, &records).is_err());
        }
        for at in 0..=proof.len() {
            let mut changed = proof.clone();
            changed.insert(at, tree.root);
            prop_assert!(check_records(&changed, &tree, &records).is_err());
        }
        for at in 0..records.len() {
            let mut changed = records.clone();
            changed[at].1 = flip(&changed[at].1, bit);
            prop_assert!(check_records(&proof, &tree, &changed).is_err());
            let mut changed = records.clone();
            changed[at].0 = other;
            prop_assert_eq!(check_records(&proof, &tree, &changed).is_ok(), other == records[at].0);
            let mut changed = records.clone();
            changed.remove(at);
            prop_assert!(check_records(&proof, &tree, &changed).is_err());
        }
        let other_tree = Tree { root: flip(&tree.root, bit), ..tree };
        prop_assert!(check_records(&proof, &other_tree, &records).is_err());
    }

    /// A reader makes proofs to hand on from tiles that it authenticated.
    #[test]
    fn proofs_from_tiles((size, set) in question()) {
        let indexes: Vec<u64> = set.iter().copied().collect();
        let plan = TilePlan::new(&LOG.tree(size), &records_nodes(size, &indexes).unwrap()).unwrap();
        let hashes = plan.authenticate(&LOG.bodies(plan.tiles())).unwrap();
        prop_assert_eq!(prove_records(size, &indexes, &hashes), Ok(prove_records(size, &indexes, &*LOG).unwrap()));
    }

    #[test]
    fn subtrees((size, level, index) in (1..=MAX, 0..11_u8, 0..MAX), bit in 0..256_usize) {
        let node = Node::new(level, index % (size >> level).max(1)).unwrap();
        let tree = LOG.tree(size);
        if node.end() > size {
            prop_assert_eq!(prove_subtree(size, node, &*LOG), Err(ReadError::OutOfRange));
            prop_assert_eq!(check_subtree(&[], &tree, node, &tree.root), Err(ProofError::OutOfRange));
            return Ok(());
        }
        let (hash, mut proof) = (LOG.hash(node), prove_subtree(size, node, &*LOG).unwrap());
        prop_assert_eq!(check_subtree(&proof, &tree, node, &hash), Ok(()));
        // It is the upper end of the proof of any record below.
        let of_record = prove_inclusion(size, node.first_leaf(), &*LOG).unwrap();
        prop_assert_eq!(&of_record[usize::from(level)..], &proof);
        prop_assert!(check_subtree(&proof, &tree, node, &flip(&hash, bit)).is_err());
        for at in 0..proof.len() {
            proof[at] = flip(&proof[at], bit);
            prop_assert!(check_subtree(&proof, &tree, node, &hash).is_err());
            proof[at] = flip(&proof[at], bit);
        }
        let plan = TilePlan::new(&tree, &subtree_nodes(size, node).unwrap()).unwrap();
        let hashes = plan.authenticate(&LOG.bodies(plan.tiles())).unwrap();
        prop_assert_eq!(prove_subtree(size, node, &hashes), Ok(proof.clone()));
        proof.push(hash);
        prop_assert!(check_subtree(&proof, &tree, node, &hash).is_err());
    }

    #[test]
    fn hostile_numbers_are_errors(size in any::<u64>(), indexes in prop::collection::vec(any::<u64>(), 0..8), hashes in 0..300_usize) {
        let proof = vec![Hash::EMPTY_TREE; hashes];
        let tree = Tree { size, root: Hash::EMPTY_TREE };
        let records: Vec<_> = indexes.iter().map(|index| (*index, Hash::EMPTY_TREE)).collect();
        prop_assert!(check_records(&proof, &tree, &records).is_err());
        let rising = indexes.windows(2).all(|pair| pair[0] < pair[1]);
        let possible = rising && size <= i64::MAX as u64 && indexes.last().is_some_and(|last| *last < size);
        prop_assert_eq!(records_nodes(size, &indexes).is_ok(), possible);
    }
}

#[test]
fn out_of_range() {
    let (tree, leaf) = (LOG.tree(7), LOG.leaf(3));
    for records in [&[][..], &[(7, leaf)], &[(3, leaf), (3, leaf)], &[(4, leaf), (3, leaf)]] {
        assert_eq!(check_records(&[], &tree, records), Err(ProofError::OutOfRange));
        let indexes: Vec<u64> = records.iter().map(|(index, _)| *index).collect();
        assert_eq!(prove_records(7, &indexes, &*LOG), Err(ReadError::OutOfRange));
    }
    let over = Tree { size: i64::MAX as u64 + 1, ..tree };
    assert_eq!(check_records(&[], &over, &[(3, leaf)]), Err(ProofError::OutOfRange));
}
