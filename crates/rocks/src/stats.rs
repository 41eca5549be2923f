//! Figures about a store for its operator.

use quipu_ledger::ReadError;

use crate::store::{RocksStore, read_error};
use crate::tuning::FAMILIES;

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
            background_errors: self
                .db
                .property_int_value("rocksdb.background-errors")
                .map_err(read_error)?
                .unwrap_or(0),
        })
    }

    fn sum(&self, property: &str) -> Result<u64, ReadError> {
        FAMILIES.iter().try_fold(0_u64, |sum, name| {
            let value = self.db.property_int_value_cf(self.family(name)?, property).map_err(read_error)?;
            Ok(sum.saturating_add(value.unwrap_or(0)))
        })
    }
}
