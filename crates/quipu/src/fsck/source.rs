//! The store as the verifier's checker reads it, which also shows that every record is found by its key.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use quipu_ledger::{ReadError, Store as _};
use quipu_rocks::RocksStore;
use quipu_tlog::{Tile, TileLevel};
use quipu_verify::check::{GoSum, LogSource, Rules as _, StoredRecord};

use super::verdict::MAX_FAULTS;

/// A store to be checked.
pub(super) struct Source<'a> {
    store: &'a RocksStore,
    /// What is wrong with the index of keys.
    faults: Mutex<Vec<String>>,
}

impl<'a> Source<'a> {
    pub(super) const fn new(store: &'a RocksStore) -> Self {
        Self { store, faults: Mutex::new(Vec::new()) }
    }

    /// What was found wrong with the index of keys.
    pub(super) fn into_faults(self) -> Vec<String> {
        self.faults.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_key(&self, index: u64, text: &[u8]) {
        // A record without a key is reported by the checker.
        let Ok(key) = GoSum.key(text) else { return };
        let fault = match self.store.find(key) {
            Ok(Some((found, _))) if found == index => return,
            Ok(Some((found, _))) => format!("record {index}: its key leads to record {found}"),
            Ok(None) => format!("record {index}: its key leads nowhere"),
            Err(error) => format!("record {index}: its key cannot be looked up: {error}"),
        };
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.len() < MAX_FAULTS {
            faults.push(fault);
        }
    }
}

impl LogSource for Source<'_> {
    type Error = ReadError;

    fn records(&self, range: Range<u64>) -> Result<Vec<StoredRecord>, ReadError> {
        let records = self.store.records(range.clone())?;
        for (record, index) in records.iter().zip(range) {
            self.check_key(index, &record.text);
        }
        Ok(records
            .into_iter()
            .map(|record| StoredRecord { text: record.text, time: Some(record.time) })
            .collect())
    }

    fn tile(&self, tile: &Tile) -> Result<Option<Bytes>, ReadError> {
        match tile.level() {
            TileLevel::Hashes(level) => self.store.tile(level, tile.n()),
            TileLevel::Data => Ok(None),
        }
    }
}
