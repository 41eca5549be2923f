//! A log with everything in it, and the comparison of a store with what was committed to it.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use bytes::Bytes;
use quipu_ledger::{Entry, Head, Notes, ReadError, Record, Round, State, Store, build};
use quipu_rocks::{Options, RocksStore};

/// All that was committed, with the head after each round.
pub(crate) struct Model {
    pub(crate) state: State,
    pub(crate) heads: Vec<Head>,
    pub(crate) records: Vec<(Entry, Record)>,
    pub(crate) tiles: BTreeMap<(u8, u64), Bytes>,
    pub(crate) notes: BTreeMap<u64, Notes>,
}

impl Model {
    pub(crate) fn new() -> Self {
        let state = State::founded(1_700_000_000_000_000);
        let heads = vec![*state.head()];
        Self { state, heads, records: Vec::new(), tiles: BTreeMap::new(), notes: BTreeMap::new() }
    }

    /// Appends `count` records to the store and here.
    pub(crate) fn append(&mut self, store: &RocksStore, count: u64) {
        let size = self.state.head().size;
        let (mut round, state) = build(&self.state, (size..size + count).map(entry).collect(), 0).unwrap();
        if size > 0 {
            let text = |kind: &str| Bytes::from(format!("{kind} of {size}\n"));
            round.notes = vec![Notes { size, sumdb: text("sumdb"), checkpoint: text("checkpoint") }];
        }
        store.commit(size, &round).unwrap();
        self.apply(round);
        self.state = state;
    }

    fn apply(&mut self, round: Round) {
        self.heads.push(round.head);
        for (time, entry) in round.records {
            let record = Record { time, text: entry.text().clone() };
            self.records.push((entry, record));
        }
        self.tiles.extend(round.tiles.into_iter().map(|tile| ((tile.level, tile.n), tile.hashes)));
        self.notes.extend(round.notes.into_iter().map(|notes| (notes.size, notes)));
    }

    /// Asks the store for everything. `Ok(true)`: all is there. `Ok(false)`: the store is whole but of an earlier
    /// round, which the guard of the log notices. Panics where the store says something else than was committed.
    pub(crate) fn compare(&self, store: &RocksStore) -> Result<bool, ReadError> {
        let head = store.head()?;
        let size = head.map_or(0, |head| head.size);
        assert!(head.is_none_or(|head| self.heads.contains(&head)), "a head that never was: {head:?}");
        let (there, lost) = self.records.split_at(usize::try_from(size).unwrap());
        let mut at = 0;
        for piece in there.chunks(1000) {
            let read = store.records(at..at + piece.len() as u64)?;
            assert!(read.iter().eq(piece.iter().map(|(_, record)| record)), "records from {at} differ");
            at += piece.len() as u64;
        }
        for (index, (entry, record)) in (0..).zip(there) {
            assert_eq!(store.find(entry.key())?, Some((index, record.clone())), "record {index} by its key");
        }
        for (entry, _) in lost {
            assert_eq!(store.find(entry.key())?, None, "a record past the head");
        }
        self.compare_tiles_and_notes(store, size)?;
        Ok(head.as_ref() == self.heads.last())
    }

    fn compare_tiles_and_notes(&self, store: &RocksStore, size: u64) -> Result<(), ReadError> {
        for ((level, n), hashes) in &self.tiles {
            let span = 256_u64.pow(u32::from(*level));
            let need = (size / span).saturating_sub(n * 256).min(256) * 32;
            let read = store.tile(*level, *n)?.unwrap_or_default();
            assert!(read.len() as u64 >= need && hashes.starts_with(&read), "tile {n} of level {level}");
        }
        for (at, notes) in &self.notes {
            let read = store.notes(*at)?;
            assert!(read.as_ref() == Some(notes) || (*at >= size && read.is_none()), "notes of {at}");
        }
        Ok(())
    }
}

/// The record of an index.
pub(crate) fn entry(i: u64) -> Entry {
    let key = format!("example.com/module/number{i} v1.{i}.0 ");
    let text = format!("{key}h1:{i:043}=\n{key}/go.mod h1:{i:043}=\n");
    Entry::new(Bytes::from(text), key.len()).unwrap()
}

/// Small memory and no reserve, so that tests run anywhere and tables are many.
pub(crate) fn options() -> Options {
    let mut options = Options::default();
    options.cache_bytes = 4 << 20;
    options.wal_bytes = 256 << 10;
    options.reserve_bytes = 0;
    options.jobs = 1;
    options
}

/// Copies the files of a store as they are at this moment, as a crash would leave them. Waits until nothing is written
/// in the background, so that every table in the copy is in use.
pub(crate) fn crash_copy(from: &Path, to: &Path) {
    let names = || fs::read_dir(from).unwrap().map(|file| file.unwrap().file_name()).collect::<BTreeSet<_>>();
    let mut before = names();
    loop {
        thread::sleep(Duration::from_millis(300));
        let now = names();
        if now == before {
            break;
        }
        before = now;
    }
    copy_files(from, to);
}

/// Copies all files of a directory into a new one.
pub(crate) fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}
