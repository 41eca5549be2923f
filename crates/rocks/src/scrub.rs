//! Reading every row of a store once, from the disk and with every checksum compared.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use quipu_ledger::{ReadError, group_of};
use rocksdb::ReadOptions;
use rocksdb::statistics::Ticker;

use crate::framing;
use crate::row::{self, KeyHash, Malformed, RUN};
use crate::store::{RocksStore, corrupt, missing, read_error};
use crate::tuning::{DEFAULT, FAMILIES, GROUP, KEY, NOTE, RECORD, TILE};

/// How far a scrub has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Rows read so far.
    pub rows: u64,
    /// Bytes of keys and values read so far.
    pub bytes: u64,
}

/// What a scrub read without finding damage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scrubbed {
    /// Rows read.
    pub rows: u64,
    /// Bytes of keys and values read.
    pub bytes: u64,
    /// Records under the head, each of which was found by its key as well.
    pub records: u64,
    /// A sentence for the manifest or log that ends in the middle of a record. RocksDB drops such an end without a
    /// word: a power cut leaves it behind, but so does damage. Whether anything acknowledged was lost with it is
    /// for the guard of the log to say. A store that was opened for writing since has none.
    pub torn: Vec<String>,
}

impl RocksStore {
    /// Reads every row past the block cache, compares the checksum of every block, parses every row, and checks that
    /// the records are all there and that the `key` and `group` rows lead to each of them and to nothing else. Whether records,
    /// tiles, notes and head fit together is for the log's own checker.
    ///
    /// On a store opened read-only also damage that RocksDB works around (in a filter) is found. `progress` is called
    /// every few thousand rows. Takes about 30 MB of memory.
    ///
    /// # Errors
    /// The first damage met.
    pub fn scrub(&self, progress: impl FnMut(Progress)) -> Result<Scrubbed, ReadError> {
        let mut scrub = Scrub {
            store: self,
            size: self.size(),
            progress,
            done: Scrubbed::default(),
            next: 0,
            indexed: 0,
            grouped: Sum::default(),
            members: Sum::default(),
            keys: Vec::new(),
        };
        FAMILIES.iter().try_for_each(|family| scrub.family(family))?;
        scrub.finish()
    }

    /// Blocks whose checksum did not match since the store was opened; counted for read-only stores only.
    fn mismatches(&self) -> u64 {
        self.settings.get_ticker_count(Ticker::BlockChecksumMismatchCount)
    }
}

/// Rows between two reports of progress.
const REPORT_EVERY: u64 = 4096;

/// Bytes the reader asks of the system at once.
const READ_AHEAD: usize = 2 << 20;

/// Keys that are gathered and sorted before they are looked up, so that neighbours share a block.
const KEYS_AT_ONCE: usize = 1 << 20;

/// Keys in one call of RocksDB.
const KEYS_A_CALL: usize = 1024;

struct Scrub<'a, P> {
    store: &'a RocksStore,
    size: u64,
    progress: P,
    done: Scrubbed,
    /// The next record expected.
    next: u64,
    /// Indices under the head seen in `key` rows.
    indexed: u64,
    /// The `group` rows of records under the head, and what they have to be.
    grouped: Sum,
    members: Sum,
    /// Hashes of keys seen in `record` rows and not looked up yet.
    keys: Vec<(KeyHash, u64)>,
}

impl<P: FnMut(Progress)> Scrub<'_, P> {
    fn family(&mut self, name: &str) -> Result<(), ReadError> {
        let mut options = cold_reads();
        options.set_readahead_size(READ_AHEAD);
        let mut rows = self.store.db.raw_iterator_cf_opt(self.store.family(name)?, options);
        rows.seek_to_first();
        while let Some((key, value)) = rows.item() {
            self.row(name, key, value)?;
            rows.next();
        }
        rows.status().map_err(read_error)
    }

    fn row(&mut self, family: &str, key: &[u8], value: &[u8]) -> Result<(), ReadError> {
        match family {
            RECORD => self.record_row(key, value)?,
            KEY => self.key_row(value).map_err(corrupt)?,
            GROUP => self.group_row(key).map_err(corrupt)?,
            TILE => row::check_tile(value).map(drop).map_err(corrupt)?,
            NOTE => row::parse_notes(0, value).map(drop).map_err(corrupt)?,
            DEFAULT if key == row::HEAD_KEY => row::parse_head(value).map(drop).map_err(corrupt)?,
            DEFAULT if key == row::FORMAT_KEY => {}
            _ => return Err(corrupt(Malformed("unknown"))),
        }
        self.done.rows += 1;
        self.done.bytes += (key.len() + value.len()) as u64;
        if self.done.rows.is_multiple_of(REPORT_EVERY) {
            (self.progress)(Progress { rows: self.done.rows, bytes: self.done.bytes });
        }
        Ok(())
    }

    /// Rows come in order; what lies at or past the head counts for nothing.
    fn record_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), ReadError> {
        if self.next >= self.size {
            return Ok(());
        }
        if key != row::run_key(self.next) {
            return Err(missing(self.next));
        }
        let last = self.size.min(self.next + RUN);
        let mut slots = row::slots(value);
        while self.next < last {
            let slot = slots.next().ok_or_else(|| missing(self.next))?.map_err(corrupt)?;
            self.keys.push(((self.store.hash)(slot.key), self.next));
            self.members.add((self.store.hash)(group_of(slot.key)), self.next);
            self.next += 1;
        }
        if self.keys.len() >= KEYS_AT_ONCE { self.look_up() } else { Ok(()) }
    }

    fn key_row(&mut self, value: &[u8]) -> Result<(), Malformed> {
        let indices = row::parse_chain(value)?;
        self.indexed += indices.filter(|index| *index < self.size).count() as u64;
        Ok(())
    }

    fn group_row(&mut self, key: &[u8]) -> Result<(), Malformed> {
        let (group, index) = row::parse_group_key(key)?;
        if index < self.size {
            self.grouped.add(group, index);
        }
        Ok(())
    }

    /// Finds each gathered key.
    fn look_up(&mut self) -> Result<(), ReadError> {
        let family = self.store.family(KEY)?;
        let options = cold_reads();
        self.keys.sort_unstable();
        for some in self.keys.chunks(KEYS_A_CALL) {
            let hashes = some.iter().map(|(hash, _)| hash);
            let rows = self.store.db.batched_multi_get_cf_opt(family, hashes, true, &options);
            for ((_, index), row) in some.iter().zip(rows) {
                let row = row.map_err(read_error)?.ok_or_else(|| unindexed(*index))?;
                if !row::parse_chain(&row).map_err(corrupt)?.any(|known| known == *index) {
                    return Err(unindexed(*index));
                }
            }
        }
        self.keys.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<Scrubbed, ReadError> {
        self.look_up()?;
        if self.next != self.size {
            return Err(missing(self.next));
        }
        if self.indexed != self.size {
            return Err(ReadError::Corrupt(format!("{} keys for {} records", self.indexed, self.size)));
        }
        if self.grouped != self.members {
            let Sum { count, .. } = self.grouped;
            let what =
                format!("{count} rows of groups for {} records, or not those of these records", self.size);
            return Err(ReadError::Corrupt(what));
        }
        let path = self.store.db.path();
        let torn = framing::torn_logs(path)
            .map_err(|error| ReadError::Io(format!("{}: {error}", path.display())))?;
        match self.store.mismatches() {
            0 => Ok(Scrubbed { records: self.size, torn, ..self.done }),
            blocks => Err(ReadError::Corrupt(format!("{blocks} blocks do not match their checksums"))),
        }
    }
}

/// A set of rows in a few bytes: equal for equal sets, in whatever order they come, and different for sets that differ by
/// damage. (Who can write rows on purpose can also write records.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    count: u64,
    sum: u64,
}

impl Sum {
    fn add(&mut self, group: KeyHash, index: u64) {
        let mut hasher = DefaultHasher::new();
        (group, index).hash(&mut hasher);
        self.count += 1;
        self.sum = self.sum.wrapping_add(hasher.finish());
    }
}

/// Reads that compare checksums and leave the cache to those who serve from it.
fn cold_reads() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    options.fill_cache(false);
    options
}

fn unindexed(index: u64) -> ReadError {
    ReadError::Corrupt(format!("record {index} is not found by its key"))
}
