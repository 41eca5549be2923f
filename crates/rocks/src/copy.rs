//! A consistent copy of a store that is being written.

use std::path::Path;

use quipu_ledger::ReadError;
use rocksdb::checkpoint::Checkpoint;

use crate::store::{RocksStore, read_error};

impl RocksStore {
    /// Makes a copy of the store as of the last commit in the new directory `target`, while commits go on.
    ///
    /// On the same volume the tables are hard links, so that this takes moments and hardly any space; elsewhere they
    /// are copied. `target` must not exist; its parent must.
    ///
    /// # Errors
    /// [`ReadError::Io`] when the copy cannot be written; RocksDB removes what it began.
    pub fn checkpoint(&self, target: impl AsRef<Path>) -> Result<(), ReadError> {
        Checkpoint::new(&self.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint(target))
            .map_err(read_error)
    }
}
