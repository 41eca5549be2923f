//! The store as the verifier's checker reads it.

use std::ops::Range;

use bytes::Bytes;
use quipu_ledger::{ReadError, Store as _};
use quipu_rocks::RocksStore;
use quipu_tlog::{Tile, TileLevel};
use quipu_verify::check::{LogSource, StoredRecord};

/// A store to be checked.
pub(super) struct Source<'a>(pub(super) &'a RocksStore);

impl LogSource for Source<'_> {
    type Error = ReadError;

    fn records(&self, range: Range<u64>) -> Result<Vec<StoredRecord>, ReadError> {
        let records = self.0.records(range)?;
        Ok(records
            .into_iter()
            .map(|record| StoredRecord { text: record.text, time: Some(record.time) })
            .collect())
    }

    fn tile(&self, tile: &Tile) -> Result<Option<Bytes>, ReadError> {
        match tile.level() {
            TileLevel::Hashes(level) => self.0.tile(level, tile.n()),
            TileLevel::Data => Ok(None),
        }
    }
}
