//! The store against a plain list of what was committed.

use std::path::Path;

use bytes::Bytes;
use quipu_ledger::{CommitError, Entry, Head, Micros, Most, Notes, ReadError, Round, Store, TileState};
use quipu_tlog::Hash;

use rocksdb::Cache;

use crate::row::{self, KeyHash};
use crate::{OpenError, Options, RocksStore};
use crate::{open, tuning};

fn key(i: u64) -> String {
    format!("example.com/module/number{i} v1.{i}.0 ")
}

fn group(i: u64) -> String {
    format!("example.com/module/number{i} ")
}

fn entry(i: u64) -> Entry {
    let key = key(i);
    let text = format!("{key}h1:{i:043}=\n{key}/go.mod h1:{i:043}=\n");
    Entry::new(Bytes::from(text), key.len()).unwrap()
}

fn time(i: u64) -> Micros {
    1_000_000 + i
}

/// A round of records `from..to`, with something of everything in it.
fn round(from: u64, to: u64) -> Round {
    let note = |kind: &str| Bytes::from(format!("{kind} of {from}\n"));
    Round {
        records: (from..to).map(|i| (time(i), entry(i))).collect(),
        tiles: vec![TileState { level: 0, n: from / 256, hashes: Bytes::from(vec![from as u8; 32]) }],
        head: Head { size: to, root: Hash::from_bytes([to as u8; 32]), time: time(to) },
        notes: vec![Notes { size: from, sumdb: note("sumdb"), checkpoint: note("checkpoint") }],
    }
}

/// Small memory and no reserve, so that tests run anywhere.
fn options() -> Options {
    Options { cache_bytes: 4 << 20, wal_bytes: 1 << 20, reserve_bytes: 0, jobs: 1, ..Options::default() }
}

fn opened(path: &Path) -> RocksStore {
    RocksStore::open(path, &options()).unwrap()
}

/// Rounds of 1, 2, 3, … records, so that runs are cut in every way.
fn fill(store: &RocksStore, rounds: u64) -> u64 {
    let mut size = 0;
    for len in 0..rounds {
        store.commit(size, &round(size, size + len)).unwrap();
        size += len;
    }
    size
}

fn check(store: &RocksStore, size: u64) {
    assert_eq!(store.head().unwrap().map(|head| head.size), Some(size));
    let all = store.records(0..size).unwrap();
    assert_eq!(all.len() as u64, size);
    for (i, record) in (0..).zip(&all) {
        assert_eq!((record.time, &record.text), (time(i), entry(i).text()), "record {i}");
        assert_eq!(store.find(key(i).as_bytes()).unwrap(), Some((i, record.clone())));
    }
    for start in 0..size.min(40) {
        for end in start..size.min(40) {
            assert_eq!(store.records(start..end).unwrap(), all[start as usize..end as usize]);
        }
    }
    for i in [0, size / 2, size - 1] {
        let found = store.group(group(i).as_bytes(), 0..size, Most::First(9)).unwrap();
        assert_eq!(found, [(i, all[i as usize].clone())]);
    }
    assert_eq!(store.group(group(size).as_bytes(), 0..u64::MAX, Most::Last(9)).unwrap(), []);
    assert_eq!(store.find(key(size).as_bytes()).unwrap(), None);
    assert!(matches!(store.records(0..size + 1), Err(ReadError::Corrupt(_))));
    let scrubbed = store.scrub(|_| ()).unwrap();
    assert_eq!(scrubbed.records, size);
}

#[test]
fn what_was_committed_is_there_and_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    assert_eq!(store.head().unwrap(), None);
    assert_eq!(store.find(b"nothing ").unwrap(), None);
    let size = fill(&store, 25);
    check(&store, size);
    assert_eq!(store.tile(0, 0).unwrap().unwrap().len(), 32);
    assert_eq!(store.tile(0, 9).unwrap(), None);
    let notes = store.notes(3).unwrap().unwrap();
    assert_eq!((&notes.sumdb[..], &notes.checkpoint[..]), (&b"sumdb of 3\n"[..], &b"checkpoint of 3\n"[..]));
    assert_eq!(store.notes(2).unwrap(), None);
    let mut sizes = Vec::new();
    store.each_notes(|notes| sizes.push(notes.size)).unwrap();
    assert_eq!(sizes, (1..25).map(|i| i * (i - 1) / 2).collect::<Vec<u64>>());
    drop(store);

    let store = opened(dir.path());
    check(&store, size);
    store.commit(size, &round(size, size + 100)).unwrap();
    check(&store, size + 100);
}

#[test]
fn a_round_at_another_size_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let size = fill(&store, 8);
    for wrong in [0, size - 1, size + 1] {
        let error = store.commit(wrong, &round(wrong, wrong + 5)).unwrap_err();
        assert!(
            matches!(error, CommitError::Conflict { stored, expected } if (stored, expected) == (size, wrong))
        );
    }
    check(&store, size);
    store.commit(size, &round(size, size + 1)).unwrap();
    check(&store, size + 1);
}

#[test]
fn a_round_that_contradicts_itself_stops_the_writer_and_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let size = fill(&store, 8);
    let mut bad = round(size, size + 2);
    bad.head.size += 1;
    assert!(matches!(store.commit(size, &bad), Err(CommitError::Unknown(_))));
    assert!(matches!(store.commit(size, &round(size, size + 1)), Err(CommitError::Unknown(_))));
    check(&store, size);
    drop(store);
    let store = opened(dir.path());
    store.commit(size, &round(size, size + 1)).unwrap();
    check(&store, size + 1);
}

#[test]
fn a_full_volume_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let size = fill(&opened(dir.path()), 8);
    let store = RocksStore::open(dir.path(), &Options { reserve_bytes: u64::MAX, ..options() }).unwrap();
    assert!(matches!(store.commit(size, &round(size, size + 1)), Err(CommitError::Full(_))));
    check(&store, size);
    drop(store);
    let store = opened(dir.path());
    store.commit(size, &round(size, size + 1)).unwrap();
    check(&store, size + 1);
}

/// Four values for all keys: chains of hundreds, within a round and across rounds.
fn tiny_hash(key: &[u8]) -> KeyHash {
    let mut hash = row::key_hash(key);
    hash[0] &= 3;
    hash[1..].fill(0);
    hash
}

#[test]
fn keys_whose_hashes_collide_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let open = || RocksStore::open_hashed(dir.path(), &options(), tiny_hash).unwrap();
    let store = open();
    let size = fill(&store, 25);
    check(&store, size);
    drop(store);
    let store = open();
    check(&store, size);
    for i in size..size + 1000 {
        assert_eq!(store.find(key(i).as_bytes()).unwrap(), None);
    }
}

#[test]
fn rows_past_the_head_are_invisible_and_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let store = RocksStore::open_hashed(dir.path(), &options(), tiny_hash).unwrap();
    let size = fill(&store, 8);
    let head = store.head().unwrap().unwrap();
    store.commit(size, &round(size, size + 50)).unwrap();
    // As an interrupted load leaves it: the rows are there, the head is not.
    store.db.put(row::HEAD_KEY, row::format_head(&head)).unwrap();
    drop(store);

    let store = RocksStore::open_hashed(dir.path(), &options(), tiny_hash).unwrap();
    check(&store, size);
    // Other records take the same indices.
    let mut other = round(size, size + 20);
    other.records = (size..size + 20).map(|i| (time(i), entry(i + 1000))).collect();
    store.commit(size, &other).unwrap();
    assert_eq!(store.records(size..size + 20).unwrap()[7].text, *entry(size + 1007).text());
    assert_eq!(store.find(key(size + 1007).as_bytes()).unwrap().unwrap().0, size + 7);
    for i in size..size + 50 {
        assert_eq!(store.find(key(i).as_bytes()).unwrap(), None, "record {i} was never committed");
    }
    assert!(store.records(size..size + 21).is_err());
}

#[test]
fn a_second_writer_and_an_unknown_format_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let size = fill(&store, 8);
    assert!(matches!(RocksStore::open(dir.path(), &options()), Err(OpenError::Busy(_))));
    store.db.put(row::FORMAT_KEY, b"quipu rocks 3\n").unwrap();
    drop(store);
    let text = |error: OpenError| error.to_string();
    assert!(text(RocksStore::open(dir.path(), &options()).unwrap_err()).contains("quipu rocks 3"));
    assert!(text(RocksStore::open_read_only(dir.path(), &options()).unwrap_err()).contains("quipu rocks 3"));
    assert!(size > 0);
}

/// Makes of a store one of the layout before.
fn take_groups_away(store: &RocksStore) {
    let groups = store.db.cf_handle(tuning::GROUP).unwrap();
    store.db.delete_range_cf(groups, [0; 16], [255; 16]).unwrap();
    store.db.put(row::FORMAT_KEY, row::FORMAT_WITHOUT_GROUPS).unwrap();
}

#[test]
fn a_store_of_the_layout_before_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let size = fill(&store, 25);
    take_groups_away(&store);
    drop(store);
    let text = RocksStore::open_read_only(dir.path(), &options()).unwrap_err().to_string();
    assert!(text.contains("quipu rocks 1"), "{text}");
    let store = opened(dir.path());
    check(&store, size);
    store.commit(size, &round(size, size + 70)).unwrap();
    drop(store);
    check(&RocksStore::open_read_only(dir.path(), &options()).unwrap(), size + 70);
}

#[test]
fn rows_of_groups_that_are_missing_or_wrong_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let size = fill(&store, 25);
    let groups = store.db.cf_handle(tuning::GROUP).unwrap();
    let row = |i: u64, index: u64| row::group_key(row::key_hash(group(i).as_bytes()), index);
    store.db.delete_cf(groups, row(7, 7)).unwrap();
    assert!(store.scrub(|_| ()).unwrap_err().to_string().contains("groups"));
    store.db.put_cf(groups, row(7, 8), []).unwrap();
    assert!(store.scrub(|_| ()).unwrap_err().to_string().contains("groups"));
    assert_eq!(store.group(group(7).as_bytes(), 0..size, Most::First(1)).unwrap(), []);
    store.db.delete_cf(groups, row(7, 8)).unwrap();
    store.db.put_cf(groups, row(7, 7), []).unwrap();
    check(&store, size);
    store.db.put_cf(groups, [7; 15], []).unwrap();
    assert!(store.scrub(|_| ()).is_err());
}

#[test]
fn read_only_beside_a_writer_sees_one_moment_and_disturbs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(RocksStore::open_read_only(dir.path(), &options()), Err(OpenError::Missing(_))));
    let missing = dir.path().join("nowhere");
    assert!(matches!(RocksStore::open_read_only(&missing, &options()), Err(OpenError::Missing(_))));
    assert!(!missing.exists());

    let store = opened(dir.path());
    let size = fill(&store, 20);
    let names = || {
        let mut names: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let reader = RocksStore::open_read_only(dir.path(), &options()).unwrap();
    assert_eq!(before, names());
    check(&reader, size);
    assert!(matches!(reader.commit(size, &round(size, size + 1)), Err(CommitError::Unknown(_))));

    // The writer goes on until every table and log the reader opened has been replaced.
    let mut now = size;
    while now < size + 40_000 {
        store.commit(now, &round(now, now + 2000)).unwrap();
        now += 2000;
    }
    check(&reader, size);
    drop(reader);
    assert_eq!(
        RocksStore::open_read_only(dir.path(), &options()).unwrap().head().unwrap().unwrap().size,
        now
    );
}

/// As after a manifest lost its end: a table is not named any more, and the head is that of later rounds.
#[test]
fn a_gap_between_tables_is_refused() {
    for lost in [3, 0, 9] {
        let dir = tempfile::tempdir().unwrap();
        let settings = tuning::database(&options(), false);
        let (db, _) = open::open(dir.path(), &settings, &Cache::new_lru_cache(1 << 20), &options()).unwrap();
        let mut run = Vec::new();
        (0..row::RUN).for_each(|i| row::push_slot(&mut run, i, &entry(i)));
        for table in (0..10_u64).filter(|table| *table != lost) {
            for row in table * 5..table * 5 + 5 {
                db.put_cf(db.cf_handle(tuning::RECORD).unwrap(), row.to_be_bytes(), &run).unwrap();
            }
            db.flush_cf(db.cf_handle(tuning::RECORD).unwrap()).unwrap();
        }
        db.put(row::HEAD_KEY, row::format_head(&round(0, 50 * row::RUN).head)).unwrap();
        drop(db);
        let refused = RocksStore::open(dir.path(), &options()).unwrap_err().to_string();
        assert!(refused.contains(&format!("record {} is missing", lost * 5 * row::RUN)), "{refused}");
    }
}

#[test]
fn remains_of_a_store_are_not_taken_for_an_empty_directory() {
    let dir = tempfile::tempdir().unwrap();
    fill(&opened(dir.path()), 8);
    let tables = || {
        let names = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path());
        names.filter(|path| path.extension().is_some_and(|end| end == "sst")).count()
    };
    let before = tables();
    assert!(before > 0);
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let path = file.unwrap().path();
        if path.ends_with("CURRENT") || path.extension().is_some_and(|end| end == "log") {
            std::fs::remove_file(path).unwrap();
        }
    }
    assert!(matches!(RocksStore::open(dir.path(), &options()), Err(OpenError::Read(_))));
    assert_eq!(tables(), before);

    let interrupted = tempfile::tempdir().unwrap();
    std::fs::write(interrupted.path().join("MANIFEST-000001"), b"begun").unwrap();
    fill(&opened(interrupted.path()), 8);
}
