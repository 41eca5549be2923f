//! Figures about a store for its operator.

use std::collections::BTreeSet;

use quipu_ledger::ReadError;

use crate::store::{RocksStore, read_error};
use crate::tuning::{FAMILIES, KEY};

/// Figures of one moment. All sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Tables on disk that are in use.
    pub tables: u64,
    /// Rows in memory that are not in a table yet.
    pub memtables: u64,
    /// Blocks in the cache.
    pub cache: u64,
    /// Table indexes and filters held outside the cache.
    pub readers: u64,
    /// Tables still to be merged.
    pub pending_merge: u64,
    /// Sorted runs of the `key` family: how many filters a lookup asks at most.
    pub key_runs: u64,
    /// Errors of background work since the store was opened; more than 0 wants attention.
    pub background_errors: u64,
}

impl RocksStore {
    /// Figures for metrics.
    ///
    /// # Errors
    /// [`ReadError::Io`] when RocksDB does not answer.
    pub fn stats(&self) -> Result<Stats, ReadError> {
        Ok(Stats {
            tables: self.sum("rocksdb.live-sst-files-size")?,
            memtables: self.sum("rocksdb.cur-size-all-mem-tables")?,
            cache: self.cache.get_usage() as u64,
            readers: self.sum("rocksdb.estimate-table-readers-mem")?,
            pending_merge: self.sum("rocksdb.estimate-pending-compaction-bytes")?,
            key_runs: self.key_runs()?,
            background_errors: self
                .db
                .property_int_value("rocksdb.background-errors")
                .map_err(read_error)?
                .unwrap_or(0),
        })
    }

    /// Each table of level 0 is a run of its own, each level below is one.
    fn key_runs(&self) -> Result<u64, ReadError> {
        let files = self.db.live_files().map_err(read_error)?;
        let levels: Vec<i32> =
            files.iter().filter(|file| file.column_family_name == KEY).map(|file| file.level).collect();
        let deep: BTreeSet<i32> = levels.iter().copied().filter(|level| *level > 0).collect();
        Ok((levels.iter().filter(|level| **level == 0).count() + deep.len()) as u64)
    }

    fn sum(&self, property: &str) -> Result<u64, ReadError> {
        FAMILIES.iter().try_fold(0_u64, |sum, name| {
            let value = self.db.property_int_value_cf(self.family(name)?, property).map_err(read_error)?;
            Ok(sum.saturating_add(value.unwrap_or(0)))
        })
    }
}
