//! The cases of `tlog.json`, which the Go reference made: hashes, storage indexes, proofs.

use crate::common::{LOG, cases, hash, hashes, number, record, sections_are, text};
use quipu_tlog::{
    Frontier, Hash, Node, Tree, check_consistency, check_inclusion, consistency_nodes, inclusion_nodes,
    leaf_hash, node_hash, prove_consistency, prove_inclusion, stored_hash_count, tree_nodes, tree_root,
};
use serde_json::Value;

const FILE: &str = include_str!("../../../../testdata/vectors/tlog.json");

#[test]
fn every_section_is_consumed() {
    let sections = [
        "consistency",
        "description",
        "first_records",
        "inclusion",
        "node_hash",
        "proof_order",
        "record_hash_of_empty",
        "stored_index",
        "tree_hashes",
    ];
    sections_are(FILE, &sections);
    let file: Value = serde_json::from_str(FILE).unwrap();
    assert_eq!(text(&file, "proof_order"), "as in RFC 6962: from the leaf upwards; hashes base64");
}

#[test]
fn hash_of_leaf_and_node() {
    let file: Value = serde_json::from_str(FILE).unwrap();
    assert_eq!(leaf_hash(b""), hash(&file, "record_hash_of_empty"));
    let node = &file["node_hash"];
    assert_eq!(node_hash(&hash(node, "left"), &hash(node, "right")), hash(node, "hash"));
}

#[test]
fn first_records() {
    for case in cases(FILE, "first_records", 9) {
        let id = number(&case, "id");
        assert_eq!(record(id), text(&case, "text"));
        assert_eq!(leaf_hash(record(id).as_bytes()), hash(&case, "record_hash"));

        let mut frontier = Frontier::restore(id, &*LOG).unwrap();
        let mut stored = Vec::new();
        frontier.push_with(leaf_hash(record(id).as_bytes()), |node, hash| stored.push((node, *hash)));
        assert_eq!(stored.iter().map(|(_, hash)| *hash).collect::<Vec<_>>(), hashes(&case, "stored_hashes"));
        let from = number(&case, "stored_hashes_from_index");
        for (at, (node, _)) in (from..).zip(&stored) {
            assert_eq!(node.stored_index(), at);
        }
    }
}

#[test]
fn stored_index() {
    for case in cases(FILE, "stored_index", 18) {
        let level = u8::try_from(number(&case, "level")).unwrap();
        let node = Node::new(level, number(&case, "n")).unwrap();
        assert_eq!(node.stored_index(), number(&case, "index"));
        assert_eq!(Node::from_stored_index(number(&case, "index")), Some(node));
    }
}

#[test]
fn tree_hashes() {
    for case in cases(FILE, "tree_hashes", 29) {
        let size = number(&case, "n");
        assert_eq!(stored_hash_count(size), number(&case, "stored_hash_count"));
        assert_eq!(tree_root(size, &*LOG).unwrap(), hash(&case, "hash"));
        assert_eq!(LOG.tree(size).root, hash(&case, "hash"));
        assert_eq!(Frontier::restore(size, &*LOG).unwrap().root(), hash(&case, "hash"));
        assert_eq!(tree_nodes(size).unwrap().len(), size.count_ones() as usize);
    }
    assert_eq!(Frontier::new().root(), Hash::EMPTY_TREE);
}

#[test]
fn inclusion() {
    for case in cases(FILE, "inclusion", 14) {
        let tree = Tree { size: number(&case, "tree_size"), root: hash(&case, "tree_hash") };
        let (index, leaf) = (number(&case, "record"), hash(&case, "record_hash"));
        let proof = prove_inclusion(tree.size, index, &*LOG).unwrap();
        assert_eq!(proof, hashes(&case, "proof"));
        assert_eq!(check_inclusion(&proof, &tree, index, &leaf), Ok(()));
        assert!(inclusion_nodes(tree.size, index).unwrap().len() >= proof.len());
    }
}

#[test]
fn consistency() {
    for case in cases(FILE, "consistency", 14) {
        let new = Tree { size: number(&case, "new_size"), root: hash(&case, "new_hash") };
        let old = Tree { size: number(&case, "old_size"), root: hash(&case, "old_hash") };
        let proof = prove_consistency(new.size, old.size, &*LOG).unwrap();
        assert_eq!(proof, hashes(&case, "proof"));
        assert_eq!(check_consistency(&proof, &new, &old), Ok(()));
        assert!(consistency_nodes(new.size, old.size).unwrap().len() >= proof.len());
    }
}
