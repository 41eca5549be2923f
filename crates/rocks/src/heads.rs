//! Reading the signed heads that a store keeps, all of them.

use quipu_ledger::{Notes, ReadError};
use rocksdb::ReadOptions;

use crate::row::{self, Malformed};
use crate::store::{RocksStore, corrupt, read_error};
use crate::tuning::NOTE;

impl RocksStore {
    /// Shows `visit` every pair of notes kept, in the order of their sizes, read past the block cache and with every
    /// checksum compared. Notes of sizes past the head are none and are left out.
    ///
    /// # Errors
    /// The first damage met.
    pub fn each_notes(&self, mut visit: impl FnMut(Notes)) -> Result<(), ReadError> {
        let size = self.size();
        let mut options = ReadOptions::default();
        options.set_verify_checksums(true);
        options.fill_cache(false);
        let mut rows = self.db.raw_iterator_cf_opt(self.family(NOTE)?, options);
        rows.seek_to_first();
        while let Some((key, value)) = rows.item() {
            let key: [u8; 8] = key.try_into().map_err(|_| corrupt(Malformed("note")))?;
            let at = u64::from_be_bytes(key);
            if at > size {
                break;
            }
            visit(row::parse_notes(at, value).map_err(corrupt)?);
            rows.next();
        }
        rows.status().map_err(read_error)
    }
}
