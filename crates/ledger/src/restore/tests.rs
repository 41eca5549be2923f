//! Tests of the way back: what is restored and replayed is what the writer had.

use super::*;
use crate::memory::MemoryStore;
use crate::round::build;
use crate::store::{Entry, Round};

/// A store that went through rounds of these counts, and the states after each, the founding first.
fn grown(counts: &[u64]) -> (MemoryStore, Vec<State>) {
    let store = MemoryStore::new();
    let mut states = vec![State::founded(7)];
    store.commit(0, &Round { records: vec![], tiles: vec![], head: states[0].head, notes: vec![] }).unwrap();
    for &count in counts {
        let old = states.last().unwrap();
        let size = old.head.size;
        let entry = |n| Entry::new(Bytes::from(format!("key{n} text\n")), format!("key{n} ").len()).unwrap();
        let (round, next) = build(old, (size..size + count).map(entry).collect(), 0).unwrap();
        store.commit(size, &round).unwrap();
        states.push(next);
    }
    (store, states)
}

fn assert_same(a: &State, b: &State) {
    assert_eq!(a.head, b.head);
    assert_eq!(a.frontier, b.frontier);
    // A level without an incomplete tile may be empty or missing.
    let edge = |state: &State| -> Vec<(usize, Vec<u8>)> {
        state.edge.iter().cloned().enumerate().filter(|(_, hashes)| !hashes.is_empty()).collect()
    };
    assert_eq!(edge(a), edge(b));
}

#[test]
fn every_head_is_restored_and_the_rest_replayed() {
    for counts in
        [&[1, 1, 1][..], &[255, 1, 1], &[256, 256, 1], &[300, 700, 24], &[65_500, 36, 1], &[65_530, 600]]
    {
        let (store, states) = grown(counts);
        let last = states.last().unwrap();
        for state in &states {
            let restored = restore(&store, &state.head).unwrap();
            assert_same(&restored, state);
            assert_same(&replay(&store, restored, &last.head).unwrap(), last);
        }
    }
}

#[test]
fn a_head_that_is_not_of_this_tree_is_unfit() {
    let (store, states) = grown(&[300, 20]);
    let head = states[1].head;
    let other = Head { root: states[2].head.root, ..head };
    assert!(matches!(restore(&store, &other), Err(Unfit::Root { size: 300, stored }) if stored == head.root));
    assert!(matches!(restore(&store, &Head { size: 321, ..head }), Err(Unfit::Damaged(_))));
    assert!(matches!(restore(&store, &Head { time: 0, ..head }), Err(Unfit::Damaged(_))));
    let restored = || restore(&store, &head).unwrap();
    let last = states[2].head;
    assert!(matches!(
        replay(&store, restored(), &Head { root: head.root, ..last }),
        Err(Unfit::Root { size: 320, .. })
    ));
    assert!(matches!(replay(&store, restored(), &Head { size: 321, ..last }), Err(Unfit::Read(_))));
    assert!(matches!(replay(&store, restored(), &Head { time: 1, ..last }), Err(Unfit::Damaged(_))));
}
