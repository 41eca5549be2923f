//! Reading every row of a store once, from the disk and with every checksum compared.

use quipu_ledger::ReadError;
use rocksdb::ReadOptions;

use crate::row::{self, Malformed};
use crate::store::{RocksStore, corrupt, read_error};
use crate::tuning::{DEFAULT, FAMILIES, KEY, NOTE, RECORD, TILE};

/// How far a scrub has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Rows read so far.
    pub rows: u64,
    /// Bytes of keys and values read so far.
    pub bytes: u64,
}

/// What a scrub read without finding damage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scrubbed {
    /// Rows read.
    pub rows: u64,
    /// Bytes of keys and values read.
    pub bytes: u64,
    /// Records under the head.
    pub records: u64,
}

/// Rows between two reports of progress.
const REPORT_EVERY: u64 = 4096;

/// Bytes the reader asks of the system at once.
const READ_AHEAD: usize = 2 << 20;

impl RocksStore {
    /// Reads every row of every family past the block cache, compares the checksum of every block, and parses every
    /// row. That records, tiles and notes fit together is not looked at: the log's own checker does that.
    ///
    /// # Errors
    /// The first damage met.
    pub fn scrub(&self, mut progress: impl FnMut(Progress)) -> Result<Scrubbed, ReadError> {
        let mut done = Scrubbed { records: self.size(), ..Scrubbed::default() };
        for name in FAMILIES {
            let mut options = ReadOptions::default();
            options.set_verify_checksums(true);
            options.fill_cache(false);
            options.set_readahead_size(READ_AHEAD);
            let mut rows = self.db.raw_iterator_cf_opt(self.family(name)?, options);
            rows.seek_to_first();
            while let Some((key, value)) = rows.item() {
                check_row(name, key, value).map_err(corrupt)?;
                done.rows += 1;
                done.bytes += (key.len() + value.len()) as u64;
                if done.rows.is_multiple_of(REPORT_EVERY) {
                    progress(Progress { rows: done.rows, bytes: done.bytes });
                }
                rows.next();
            }
            rows.status().map_err(read_error)?;
        }
        Ok(done)
    }
}

fn check_row(family: &str, key: &[u8], value: &[u8]) -> Result<(), Malformed> {
    match family {
        RECORD => row::slots(value).try_for_each(|slot| slot.map(drop)),
        KEY => row::parse_chain(value).map(drop),
        TILE => row::check_tile(value).map(drop),
        NOTE => row::parse_notes(0, value).map(drop),
        DEFAULT => match key {
            row::HEAD_KEY => row::parse_head(value).map(drop),
            row::FORMAT_KEY => Ok(()),
            _ => Err(Malformed("default")),
        },
        _ => Err(Malformed("unknown")),
    }
}
