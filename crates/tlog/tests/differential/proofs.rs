//! Inclusion and consistency proofs: made by both, and checked after something in them was changed.

use quipu_oracle::{Args, Comparison, Rng};
use quipu_tlog::{
    Hash, Tree, check_consistency, check_inclusion, consistency_nodes, inclusion_nodes, prove_consistency,
    prove_inclusion,
};

use crate::log::{Log, MOST, size, stored, tree};
use crate::{bytes_or, hash, hashes, joined, number, numbers, verdict};

/// A size, and an index or older size that mostly fits it.
fn pair(rng: &mut Rng) -> [u64; 2] {
    let size = size(rng);
    let other = match rng.below(8) {
        0 => size,
        1 => size + rng.between(1, 3) as u64,
        2 => size.saturating_sub(rng.between(1, 3) as u64),
        3 => rng.below(4) as u64,
        4 => 1 << size.ilog2(),
        _ => rng.word64() % size,
    };
    [size, other.min(MOST)]
}

/// The leaf at `index` of the log that a tree of `size` is about.
fn leaf(size: u64, index: u64) -> Hash {
    use quipu_tlog::{HashReader as _, Node};
    let node = Node::leaf(if index < size { index } else { 0 }).unwrap();
    if size <= crate::log::LARGEST { stored(node) } else { Log(size).read_hashes(&[node]).unwrap()[0] }
}

#[test]
fn inclusion() {
    Comparison::of("tlog.prove-record").run(
        |rng| numbers(pair(rng)),
        |args| {
            let (size, index) = (number(args, 0), number(args, 1));
            let proof = prove_inclusion(size, index, &Log(size));
            assert_eq!(proof.is_ok(), inclusion_nodes(size, index).is_ok());
            bytes_or(proof.map(|p| joined(&p)))
        },
    );
}

#[test]
fn consistency() {
    Comparison::of("tlog.prove-tree").run(
        |rng| numbers(pair(rng)),
        |args| {
            let (new, old) = (number(args, 0), number(args, 1));
            let proof = prove_consistency(new, old, &Log(new));
            assert_eq!(proof.is_ok(), consistency_nodes(new, old).is_ok());
            bytes_or(proof.map(|p| joined(&p)))
        },
    );
}

#[test]
fn checking_inclusion() {
    let case = |rng: &mut Rng| {
        let [size, index] = pair(rng);
        let proof = prove_inclusion(size, index, &Log(size)).unwrap_or_default();
        let leaf = leaf(size, index);
        let mut args = vec![joined(&proof)];
        args.extend(statement(tree(size)));
        args.extend([index.to_string().into_bytes(), leaf.as_bytes().to_vec()]);
        maybe_spoil(rng, &mut args);
        args
    };
    Comparison::of("tlog.check-record").run(case, |args| {
        let tree = Tree { size: number(args, 1), root: hash(args, 2) };
        verdict(check_inclusion(&hashes(&args[0]), &tree, number(args, 3), &hash(args, 4)))
    });
}

#[test]
fn checking_consistency() {
    let case = |rng: &mut Rng| {
        let [new, old] = pair(rng);
        let proof = prove_consistency(new, old, &Log(new)).unwrap_or_default();
        let older = quipu_tlog::tree_root(old.min(new), &Log(new)).unwrap();
        let mut args = vec![joined(&proof)];
        args.extend(statement(tree(new)));
        args.extend(statement(Tree { size: old, root: older }));
        maybe_spoil(rng, &mut args);
        args
    };
    Comparison::of("tlog.check-tree").run(case, |args| {
        let new = Tree { size: number(args, 1), root: hash(args, 2) };
        let old = Tree { size: number(args, 3), root: hash(args, 4) };
        verdict(check_consistency(&hashes(&args[0]), &new, &old))
    });
}

fn statement(tree: Tree) -> [Vec<u8>; 2] {
    [tree.size.to_string().into_bytes(), tree.root.as_bytes().to_vec()]
}

/// In half of the cases changes one thing: a bit, a number, or which hashes the proof has.
fn maybe_spoil(rng: &mut Rng, args: &mut Args) {
    const HASH: usize = Hash::SIZE;
    if rng.one_in(2) {
        return;
    }
    match rng.below(8) {
        0 => args[1] = near(rng, &args[1]),
        1 => args[3] = near(rng, &args[3]),
        2 => flip(rng, &mut args[2]),
        3 => flip(rng, &mut args[4]),
        4 => {
            let more = rng.bytes(HASH);
            let at = rng.below(args[0].len() / HASH + 1) * HASH;
            drop(args[0].splice(at..at, more));
        }
        5 if !args[0].is_empty() => {
            let at = rng.below(args[0].len() / HASH) * HASH;
            drop(args[0].drain(at..at + HASH));
        }
        6 if args[0].len() > HASH => args[0].rotate_left(HASH),
        _ => flip(rng, &mut args[0]),
    }
}

fn flip(rng: &mut Rng, bytes: &mut [u8]) {
    if !bytes.is_empty() {
        bytes[rng.below(bytes.len())] ^= 1 << rng.below(8);
    }
}

fn near(rng: &mut Rng, number: &[u8]) -> Vec<u8> {
    let number: u64 = String::from_utf8_lossy(number).parse().unwrap();
    let other = match rng.below(5) {
        0 => number + 1,
        1 => number.saturating_sub(1),
        2 => number * 2 % MOST,
        3 => number / 2,
        _ => rng.number() as u64,
    };
    other.min(MOST).to_string().into_bytes()
}
