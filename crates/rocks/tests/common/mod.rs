//! A log with everything in it, and what was committed to it.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use quipu_ledger::{Entry, Head, Notes, Record, Round, State, Store, build};
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
    options.patience = Duration::from_secs(30);
    options
}
