//! The logs that both sides know: one of numbers, and one of the same record over and over, as large as any.

use std::convert::Infallible;
use std::sync::LazyLock;

use quipu_oracle::{Answer, Comparison, Rng};
use quipu_tlog::{
    Frontier, Hash, HashReader, Node, OutOfRange, Tree, leaf_hash, node_hash, stored_hash_count, tree_root,
};

use crate::{number, numbers};

/// The largest tree that the log of numbers is grown to.
pub(crate) const LARGEST: u64 = 70_000;

/// The largest size that Go can be asked about: beyond, its search for a power of two never ends.
pub(crate) const MOST: u64 = (1 << 62) - 1;

/// Up to this size questions are about the log of numbers, beyond about the uniform one.
const UNIFORM_BEYOND: u64 = 1 << 20;

/// The log whose record n is the decimal text of n, by stored index.
static STORED: LazyLock<Vec<Hash>> = LazyLock::new(|| {
    let mut frontier = Frontier::new();
    let mut stored = Vec::new();
    for n in 0..LARGEST {
        frontier.push_with(leaf_hash(n.to_string().as_bytes()), |node, hash| {
            assert_eq!(node.stored_index(), stored.len() as u64);
            stored.push(*hash);
        });
    }
    stored
});

/// The hash of each level in the log in which every record is `0`.
static UNIFORM: LazyLock<Vec<Hash>> = LazyLock::new(|| {
    std::iter::successors(Some(leaf_hash(b"0")), |below| Some(node_hash(below, below))).take(64).collect()
});

/// The log that questions about a tree of this size are about.
pub(crate) struct Log(pub(crate) u64);

impl HashReader for Log {
    type Error = Infallible;

    fn read_hashes(&self, nodes: &[Node]) -> Result<Vec<Hash>, Infallible> {
        let of = |node: &Node| {
            if self.0 > UNIFORM_BEYOND { UNIFORM[usize::from(node.level())] } else { stored(*node) }
        };
        Ok(nodes.iter().map(of).collect())
    }
}

/// A hash of the log of numbers.
pub(crate) fn stored(node: Node) -> Hash {
    STORED[usize::try_from(node.stored_index()).unwrap()]
}

/// The tree of that size.
pub(crate) fn tree(size: u64) -> Tree {
    Tree { size, root: tree_root(size, &Log(size)).unwrap() }
}

/// A size with its neighbourhood of powers of two preferred, small as a rule.
pub(crate) fn size(rng: &mut Rng) -> u64 {
    match rng.below(8) {
        0 => edge(rng, 61).clamp(UNIFORM_BEYOND + 1, MOST),
        1 => rng.between(UNIFORM_BEYOND as usize + 1, MOST as usize) as u64,
        _ => small(rng),
    }
}

/// A size of the log of numbers.
pub(crate) fn small(rng: &mut Rng) -> u64 {
    match rng.below(4) {
        0 => edge(rng, 16).min(LARGEST),
        1 => rng.between(1, LARGEST as usize) as u64,
        _ => rng.between(1, 600) as u64,
    }
}

fn edge(rng: &mut Rng, bits: usize) -> u64 {
    ((1 << rng.between(1, bits)) + rng.below(7) as u64).saturating_sub(3).max(1)
}

#[test]
fn stored_hashes() {
    const STEP: usize = 1000;
    let firsts = (0..STORED.len() / STEP).map(|i| numbers([(i * STEP) as u64, STEP as u64]));
    Comparison::of("tlog.stored").over(firsts.collect(), |args| {
        let first = number(args, 0) as usize;
        Answer::Ok(vec![crate::joined(&STORED[first..first + STEP])])
    });
}

#[test]
fn leaves() {
    let record = |rng: &mut Rng| {
        let length = rng.below(300);
        vec![rng.bytes(length)]
    };
    Comparison::of("tlog.leaf")
        .without_verdict()
        .run(record, |args| Answer::ok([leaf_hash(&args[0]).as_bytes()]));
}

#[test]
fn nodes() {
    Comparison::of("tlog.node").without_verdict().run(
        |rng| vec![rng.bytes(32), rng.bytes(32)],
        |args| Answer::ok([node_hash(&crate::hash(args, 0), &crate::hash(args, 1)).as_bytes()]),
    );
}

#[test]
fn roots() {
    Comparison::of("tlog.root")
        .without_verdict()
        .run(|rng| numbers([size(rng)]), |args| Answer::ok([tree(number(args, 0)).root.as_bytes()]));
}

/// The frontier, pushed to or restored, against the tree hash made of stored hashes.
#[test]
fn frontiers() {
    let sizes = (0..2000).chain((2000..LARGEST).step_by(997)).map(|n| numbers([n]));
    Comparison::of("tlog.root").over(sizes.collect(), |args| {
        let size = number(args, 0);
        let mut frontier = Frontier::restore(size.saturating_sub(3), &Log(size)).unwrap();
        for n in frontier.size()..size {
            frontier.push(leaf_hash(n.to_string().as_bytes()));
        }
        Answer::ok([frontier.root().as_bytes()])
    });
}

#[test]
fn stored_indexes() {
    let place = |rng: &mut Rng| {
        // Go's numbers overflow beyond this.
        let level = rng.below(40);
        let n = (rng.number() as u64 >> 1) >> level;
        numbers([level as u64, n.min((1 << 61 >> level) - 1)])
    };
    Comparison::of("tlog.index").without_verdict().run(place, |args| {
        let (level, n) = (number(args, 0) as u8, number(args, 1));
        let index = Node::new(level, n).ok_or(OutOfRange).unwrap().stored_index();
        Answer::ok([index.to_string().as_bytes(), stored_hash_count(n).to_string().as_bytes()])
    });
}

#[test]
fn splitting_stored_indexes() {
    Comparison::of("tlog.split").without_verdict().run(
        |rng| numbers([rng.number() as u64 >> 1]),
        |args| {
            let node = Node::from_stored_index(number(args, 0)).unwrap();
            Answer::ok([node.level().to_string().as_bytes(), node.index().to_string().as_bytes()])
        },
    );
}
