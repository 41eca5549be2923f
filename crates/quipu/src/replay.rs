//! Writing a log anew from records that are there already, with their times: the same tree arithmetic as when they were
//! first logged, each round hashed a second time before it is stored.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use quipu_ledger::{Entry, Head, Micros, Notes, Round, State, Store as _, assemble, recheck};
use quipu_rocks::RocksStore;
use quipu_verify::check::{GoSum, Rules as _};

/// Records handed over at once.
pub(crate) const PIECE: u64 = 4096;

/// A store that is being written.
pub(crate) struct Replay {
    store: RocksStore,
    state: State,
}

impl Replay {
    /// Begins a store in a directory that does not exist.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn begin(dir: &Path, time: Micros, notes: Option<Notes>) -> Result<Self> {
        let store = RocksStore::open(dir, &crate::store::options())
            .with_context(|| format!("cannot make the store {}", dir.display()))?;
        let state = State::founded(time);
        let head = *state.head();
        let notes = notes.into_iter().collect();
        store.commit(0, &Round { records: Vec::new(), tiles: Vec::new(), head, notes })?;
        Ok(Self { store, state })
    }

    /// The head so far.
    pub(crate) fn head(&self) -> &Head {
        self.state.head()
    }

    /// Appends records, and the notes of heads up to the last of them.
    ///
    /// # Errors
    /// A record is malformed, its time is not after the one before it, or it cannot be stored.
    pub(crate) fn append(&mut self, records: Vec<(Micros, Bytes)>, notes: Vec<Notes>) -> Result<()> {
        let first = self.head().size;
        let records = (first..).zip(records).map(|(index, (time, text))| {
            let key = GoSum.key(&text).map_err(|why| anyhow!("record {index}: {why}"))?.len();
            let entry = Entry::new(text, key).with_context(|| format!("record {index} is too long"))?;
            Ok((time, entry))
        });
        let (mut round, next) = assemble(&self.state, records.collect::<Result<_>>()?)?;
        recheck(&self.state, &round).map_err(|why| anyhow!("records from {first} on: {why}"))?;
        round.notes = notes;
        self.store.commit(first, &round)?;
        self.state = next;
        Ok(())
    }
}
