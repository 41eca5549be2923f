//! Tests of round building and of its second path.

use proptest::prelude::*;

use super::*;
use crate::recheck::recheck;

fn entries(from: u64, count: u64) -> Vec<Entry> {
    let text = |index| Bytes::from(format!("key{index} text of record {index}\n"));
    (from..from + count).map(|index| Entry::new(text(index), format!("key{index} ").len()).unwrap()).collect()
}

fn grown(counts: &[u64]) -> State {
    let mut state = State::founded(5);
    for &count in counts {
        let (round, next) = build(&state, entries(state.head.size, count), 0).unwrap();
        recheck(&state, &round).unwrap();
        state = next;
    }
    state
}

/// The root as RFC 6962 §2.1 defines it.
fn naive(texts: &[Bytes]) -> Hash {
    match texts {
        [] => Hash::EMPTY_TREE,
        [one] => leaf_hash(one),
        _ => {
            let (left, right) = texts.split_at(texts.len().next_power_of_two() / 2);
            quipu_tlog::node_hash(&naive(left), &naive(right))
        }
    }
}

#[test]
fn roots_are_those_of_the_definition_however_the_rounds_are_cut() {
    for counts in [&[1][..], &[2, 1], &[255, 1, 1], &[256, 256, 1], &[1000, 7], &[65_535, 1, 1, 300]] {
        let state = grown(counts);
        let texts: Vec<Bytes> =
            entries(0, state.head.size).iter().map(|entry| entry.text().clone()).collect();
        assert_eq!(state.head.root, naive(&texts), "{counts:?}");
    }
}

#[test]
fn times_increase_whatever_the_clock_says() {
    let mut state = State::founded(1000);
    let mut last = 1000;
    for now in [5000, 5000, 0, 4999, u64::MAX, 1, 0] {
        let (round, next) = build(&state, entries(state.head.size, 3), now).unwrap();
        for (time, _) in &round.records {
            assert!(*time > last);
            last = *time;
        }
        assert_eq!(round.head.time, last);
        state = next;
    }
    assert!(last < LAST_TIME + 100);
}

#[test]
fn the_ends_of_sizes_and_times_are_errors() {
    let mut state = State::founded(Micros::MAX);
    build(&state, entries(0, 5), 0).unwrap();
    state.head.time = Micros::MAX - 3;
    build(&state, entries(0, 2), 0).unwrap();
    assert_eq!(build(&state, entries(0, 5), 0).unwrap_err(), AtTheEnd);
    state.head.time = Micros::MAX;
    assert_eq!(build(&state, entries(0, 1), 0).unwrap_err(), AtTheEnd);
    let mut state = State::founded(1);
    state.head.size = MAX_SIZE - 1;
    assert_eq!(build(&state, entries(0, 1), 0).unwrap_err(), AtTheEnd);
}

#[test]
fn a_round_writes_exactly_the_tiles_it_changes() {
    let places = |round: &Round| -> Vec<(u8, u64, usize)> {
        let mut tiles: Vec<_> =
            round.tiles.iter().map(|tile| (tile.level, tile.n, tile.hashes.len() / 32)).collect();
        tiles.sort_unstable();
        tiles
    };
    let round = |before: &[u64], count| {
        let state = grown(before);
        places(&build(&state, entries(state.head.size, count), 0).unwrap().0)
    };
    assert_eq!(round(&[], 1), [(0, 0, 1)]);
    assert_eq!(round(&[255], 1), [(0, 0, 256), (1, 0, 1)]);
    assert_eq!(round(&[256], 1), [(0, 1, 1)]);
    assert_eq!(round(&[200], 400), [(0, 0, 256), (0, 1, 256), (0, 2, 88), (1, 0, 2)]);
    assert_eq!(round(&[65_535], 1), [(0, 255, 256), (1, 0, 256), (2, 0, 1)]);
}

/// A way to spoil a round.
fn spoil(round: &mut Round, kind: usize, at: usize) {
    let flip = |bytes: &Bytes, at: usize| {
        let mut bytes = bytes.to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 1 << (at % 8);
        Bytes::from(bytes)
    };
    let tile = at % round.tiles.len();
    let record = at % round.records.len();
    match kind {
        0 => round.head.size += 1,
        1 => {
            let mut root = *round.head.root.as_bytes();
            root[at % 32] ^= 1;
            round.head.root = Hash::from_bytes(root);
        }
        2 => round.tiles[tile].hashes = flip(&round.tiles[tile].hashes, at * 7),
        3 => drop(round.tiles.remove(tile)),
        4 => round.tiles[tile].n += 1,
        5 => {
            let text = flip(round.records[record].1.text(), at * 3);
            round.records[record].1 = Entry::new(text, 1).unwrap();
        }
        6 => drop(round.records.remove(record)),
        7 => round.records[record].0 = 0,
        8 => round.head.time = 0,
        9 => round.tiles.push(round.tiles[tile].clone()),
        _ => round.tiles[tile].level += 1,
    }
}

proptest! {
    #[test]
    fn the_second_path_agrees_with_the_first(counts in prop::collection::vec(1_u64..400, 1..8)) {
        grown(&counts);
    }

    #[test]
    fn the_second_path_notices_whatever_is_spoiled(
        before in 0_u64..700,
        count in 1_u64..400,
        kind in 0_usize..11,
        at in 0_usize..10_000,
    ) {
        let state = if before == 0 { State::founded(5) } else { grown(&[before]) };
        let (mut round, _) = build(&state, entries(before, count), 0).unwrap();
        spoil(&mut round, kind, at);
        prop_assert!(recheck(&state, &round).is_err());
    }

    #[test]
    fn the_second_path_notices_a_spoiled_state(before in 1_u64..700, count in 1_u64..400, at in 0_usize..10_000) {
        let mut state = grown(&[before]);
        let edge = state.edge.iter_mut().rfind(|edge| !edge.is_empty()).unwrap();
        let at = at % edge.len();
        edge[at] ^= 1;
        let (round, _) = build(&state, entries(before, count), 0).unwrap();
        prop_assert!(recheck(&state, &round).is_err());
    }
}
