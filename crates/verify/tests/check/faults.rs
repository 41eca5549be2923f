//! Logs with something wrong in them: the report says what, and nothing else.

use proptest::prelude::*;
use quipu_tlog::{Hash, Tile, TileLevel, Tree};
use quipu_verify::check::{AnyText, Fault, Report};

use crate::source::Source;

fn tile(level: u8, n: u64, width: u16) -> Tile {
    Tile::new(TileLevel::Hashes(level), n, width).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_flipped_bit_in_a_record_is_blamed_on_the_record(size in 1..1200_u64, at: u64, bit: usize) {
        let mut log = Source::numbered(size);
        log.flip_record(at % size, bit);
        prop_assert_eq!(log.check().faults, [Fault::Record { record: at % size }]);
    }

    #[test]
    fn a_flipped_bit_in_a_tile_is_blamed_on_the_entry(size in 1..1200_u64, which: usize, at: usize) {
        let mut log = Source::numbered(size);
        let which = which % log.tiles.len();
        let (&(level, n), hashes) = log.tiles.iter().nth(which).unwrap();
        let (bytes, width) = (hashes.len(), u16::try_from(hashes.len() / Hash::SIZE).unwrap());
        log.flip_tile((level, n), at % bytes);
        let entry = u16::try_from(at % bytes / Hash::SIZE).unwrap();
        prop_assert_eq!(log.check().faults, [Fault::Entry { tile: tile(level, n, width), entry }]);
    }

    #[test]
    fn a_flipped_bit_in_the_root_is_blamed_on_the_root(size in 0..600_u64, bit in 0..256_usize) {
        let log = Source::numbered(size);
        let mut root = *log.tree().root.as_bytes();
        root[bit / 8] ^= 1 << (bit % 8);
        let signed = Tree { size, root: Hash::from_bytes(root) };
        let report = log.check_against(&signed, AnyText);
        prop_assert_eq!(report.faults, [Fault::Root { computed: log.tree(), signed: signed.root }]);
    }
}

/// Three levels of tiles: damage anywhere, also below complete higher tiles.
#[test]
fn damage_in_a_large_log_is_blamed_on_what_is_damaged() {
    let log = Source::numbered(66_000);
    for record in [0, 255, 256, 40_000, 65_535, 65_536, 65_999] {
        let mut damaged = log.clone();
        damaged.flip_record(record, 11);
        assert_eq!(damaged.check().faults, [Fault::Record { record }]);
    }
    for (level, n, width, entry) in
        [(0, 0, 256, 0), (0, 256, 256, 9), (0, 257, 208, 207), (1, 0, 256, 255), (1, 1, 1, 0), (2, 0, 1, 0)]
    {
        let mut damaged = log.clone();
        damaged.flip_tile((level, n), usize::from(entry) * Hash::SIZE + 31);
        let fault = Fault::Entry { tile: tile(level, n, width), entry };
        assert_eq!(damaged.check().faults, [fault]);
    }
}

#[test]
fn several_damages_are_all_named() {
    let mut log = Source::numbered(66_000);
    log.flip_record(3, 0);
    log.flip_record(300, 0);
    log.flip_record(65_999, 0);
    let records = [3, 300, 65_999].map(|record| Fault::Record { record });
    assert_eq!(log.check().faults, records);
    log.flip_tile((1, 0), 100 * Hash::SIZE);
    let entry = Fault::Entry { tile: tile(1, 0, 256), entry: 100 };
    let mut faults = records.to_vec();
    faults.insert(2, entry);
    assert_eq!(log.check().faults, faults);
}

/// A record and a tile are damaged at different places: no hypothesis leads to the root, and both are shown.
#[test]
fn damage_on_both_sides_is_shown_without_blame() {
    let mut log = Source::numbered(600);
    let honest = log.tree();
    log.flip_record(3, 0);
    log.flip_tile((0, 1), 7 * Hash::SIZE);
    let report = log.check();
    let contradictions = [
        Fault::Contradiction { tile: tile(0, 0, 256), entry: 3 },
        Fault::Contradiction { tile: tile(0, 1, 256), entry: 7 },
        Fault::Contradiction { tile: tile(1, 0, 2), entry: 0 },
    ];
    assert_eq!(report.faults[1..], contradictions);
    assert!(matches!(report.faults[0], Fault::Root { signed, .. } if signed == honest.root));
}

/// Record and leaf hash were changed together, the tile above was not.
#[test]
fn a_changed_record_with_a_changed_hash_contradicts_the_tile_above() {
    let honest = Source::numbered(600);
    let word = |i| if i == 300 { "RECORD" } else { "record" };
    let changed = Source::new((0..600).map(|i| format!("{} {i} {i}\n", word(i))));
    let mut log = honest.clone();
    log.records = changed.records.clone();
    log.tiles.insert((0, 1), changed.tiles[&(0, 1)].clone());
    let contradiction = Fault::Contradiction { tile: tile(1, 0, 2), entry: 1 };
    assert_eq!(log.check().faults[1..], [contradiction]);
    // Everything changed together: only the signed root tells.
    let report = changed.check_against(&honest.tree(), AnyText);
    assert_eq!(report.faults, [Fault::Root { computed: changed.tree(), signed: honest.tree().root }]);
}

#[test]
fn missing_and_short_tiles_are_named() {
    let log = Source::numbered(600);
    for (level, n, width) in [(0, 0, 256), (0, 2, 88), (1, 0, 2)] {
        let mut damaged = log.clone();
        let bytes = damaged.tiles[&(level, n)].len() - 1;
        damaged.tiles.get_mut(&(level, n)).unwrap().truncate(bytes);
        assert_eq!(damaged.check().faults, [Fault::Short { tile: tile(level, n, width), bytes }]);
        damaged.tiles.remove(&(level, n));
        assert_eq!(damaged.check().faults, [Fault::Short { tile: tile(level, n, width), bytes: 0 }]);
    }
}

#[test]
fn a_key_that_is_there_twice_is_found_however_far_apart() {
    for (first, second) in [(0, 1), (5, 200), (255, 256), (0, 69_999), (3, 65_536)] {
        let texts = (0..70_000).map(|i| format!("record {}\n", if i == second { first } else { i }));
        let log = Source::new(texts);
        let key = format!("record {first}");
        assert_eq!(log.check().faults, [Fault::Duplicate { first, second, key }]);
    }
}

#[test]
fn times_must_increase() {
    let log = Source::numbered(600);
    for (record, time) in [(1, 1), (1, 0), (255, 255), (256, 256), (256, 3), (599, 599)] {
        let mut wrong = log.clone();
        wrong.records[usize::try_from(record).unwrap()].time = Some(time);
        assert_eq!(wrong.check().faults, [Fault::Time { record, time, before: record }]);
    }
    let mut unknown = log;
    unknown.records.iter_mut().for_each(|record| record.time = None);
    assert!(unknown.check().is_good());
}

#[test]
fn more_faults_than_anybody_reads_are_counted() {
    let mut log = Source::numbered(600);
    (0..600).for_each(|record| log.flip_record(record, 0));
    let report = log.check();
    assert_eq!(report.faults.len(), Report::MAX_FAULTS);
    assert_eq!(report.faults.len() as u64 + report.more, 600);
    assert!(!report.is_good());
}
