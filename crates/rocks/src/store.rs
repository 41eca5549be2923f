//! The store: how each question of the engine becomes reads of rows.

use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};

use bytes::Bytes;
use quipu_ledger::{CommitError, Head, Most, Notes, ReadError, Record, Round, Store};
use rocksdb::{Cache, ColumnFamily, DB, DBPinnableSlice, ErrorKind, FlushOptions, ReadOptions};

use crate::commit::Writer;
use crate::open::{self, Layout, OpenError};
use crate::row::{self, KeyHash, Malformed, RUN};
use crate::tuning::{self, Options};

/// A log's storage in one directory.
///
/// Opened for writing it holds RocksDB's lock on the directory; read-only it holds nothing and sees the store as it
/// was when it was opened.
pub struct RocksStore {
    pub(crate) db: DB,
    /// What the database was opened with; holds its counters.
    pub(crate) settings: rocksdb::Options,
    pub(crate) cache: Cache,
    pub(crate) options: Options,
    pub(crate) read: ReadOptions,
    /// For runs of records and for tiles: these large rows would push out the small ones that every lookup needs.
    pub(crate) read_large: ReadOptions,
    pub(crate) hash: fn(&[u8]) -> KeyHash,
    /// What readers see: the last commit that returned `Ok`. Taken for a moment only.
    pub(crate) head: RwLock<Option<Head>>,
    /// Held for the whole of a commit. `None` when read-only.
    pub(crate) writer: Option<Mutex<Writer>>,
}

impl RocksStore {
    /// Opens the store in the directory `path` for writing and creates it if there is none.
    ///
    /// What it shows is durable: RocksDB writes what it replays from its log into synced tables first.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Self, OpenError> {
        Self::open_hashed(path.as_ref(), options, row::key_hash)
    }

    /// Opens the store in the directory `path` read-only, also beside a process that writes: nothing is written, no
    /// lock is taken, and what is seen is one moment of the store. [`Store::commit`] always fails.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_read_only(path: impl AsRef<Path>, options: &Options) -> Result<Self, OpenError> {
        let (settings, cache) = (tuning::database(options, true), cache(options));
        let db = open::open_read_only(path.as_ref(), &settings, &cache, options)?;
        Self::loaded(db, settings, cache, options, row::key_hash)
    }

    pub(crate) fn open_hashed(
        path: &Path,
        options: &Options,
        hash: fn(&[u8]) -> KeyHash,
    ) -> Result<Self, OpenError> {
        let (settings, cache) = (tuning::database(options, false), cache(options));
        let (db, layout) = open::open(path, &settings, &cache, options)?;
        let mut store = Self::loaded(db, settings, cache, options, hash)?;
        open::check_cover(&store.db, store.size())?;
        if layout == Layout::WithoutGroups {
            store.add_groups()?;
        }
        store.writer = Some(Mutex::new(store.load_writer()?));
        Ok(store)
    }

    fn loaded(
        db: DB,
        settings: rocksdb::Options,
        cache: Cache,
        options: &Options,
        hash: fn(&[u8]) -> KeyHash,
    ) -> Result<Self, OpenError> {
        let head = match db.get(row::HEAD_KEY).map_err(read_error)? {
            Some(value) => Some(row::parse_head(&value).map_err(corrupt)?),
            None => None,
        };
        let mut read_large = ReadOptions::default();
        read_large.fill_cache(false);
        Ok(Self {
            db,
            settings,
            cache,
            options: options.clone(),
            read: ReadOptions::default(),
            read_large,
            hash,
            head: RwLock::new(head),
            writer: None,
        })
    }

    /// The number of records that readers may see.
    pub(crate) fn size(&self) -> u64 {
        self.head.read().unwrap_or_else(PoisonError::into_inner).map_or(0, |head| head.size)
    }

    pub(crate) fn family(&self, name: &str) -> Result<&ColumnFamily, ReadError> {
        self.db.cf_handle(name).ok_or_else(|| ReadError::Corrupt(format!("no column family {name}")))
    }

    pub(crate) fn get(&self, family: &str, key: &[u8]) -> Result<Option<DBPinnableSlice<'_>>, ReadError> {
        self.db.get_pinned_cf_opt(self.family(family)?, key, &self.read).map_err(read_error)
    }

    fn get_large(&self, family: &str, key: &[u8]) -> Result<Option<DBPinnableSlice<'_>>, ReadError> {
        self.db.get_pinned_cf_opt(self.family(family)?, key, &self.read_large).map_err(read_error)
    }

    /// The record with this key among those that a `key` row names, and its index.
    fn follow(&self, chain: &[u8], size: u64, key: &[u8]) -> Result<Option<(u64, Record)>, ReadError> {
        for index in row::parse_chain(chain).map_err(corrupt)?.filter(|index| *index < size) {
            if let Some(record) = self.record_with_key(index, key)? {
                return Ok(Some((index, record)));
            }
        }
        Ok(None)
    }

    /// The record of that index if its key is `key`.
    fn record_with_key(&self, index: u64, key: &[u8]) -> Result<Option<Record>, ReadError> {
        let run = self.get_large(tuning::RECORD, &row::run_key(index))?.ok_or_else(|| missing(index))?;
        let slot = row::slots(&run).nth(position(index)).ok_or_else(|| missing(index))?.map_err(corrupt)?;
        let found = slot.key == key;
        Ok(found.then(|| Record { time: slot.time, text: Bytes::copy_from_slice(slot.text) }))
    }
}

/// Rows looked up at once, so that a large round pins few blocks in memory.
pub(crate) const ROWS_AT_ONCE: usize = 1024;

impl Store for RocksStore {
    fn head(&self) -> Result<Option<Head>, ReadError> {
        Ok(*self.head.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn commit(&self, expected: u64, round: &Round) -> Result<(), CommitError> {
        self.commit_round(expected, round)
    }

    fn find(&self, key: &[u8]) -> Result<Option<(u64, Record)>, ReadError> {
        let size = self.size();
        match self.get(tuning::KEY, &(self.hash)(key))? {
            Some(chain) => self.follow(&chain, size, key),
            None => Ok(None),
        }
    }

    fn find_many(&self, keys: &[&[u8]]) -> Result<Vec<Option<(u64, Record)>>, ReadError> {
        let size = self.size();
        let mut hashes: Vec<(KeyHash, usize)> =
            keys.iter().enumerate().map(|(place, key)| ((self.hash)(key), place)).collect();
        hashes.sort_unstable();
        let mut found = vec![None; keys.len()];
        for some in hashes.chunks(ROWS_AT_ONCE) {
            let rows = some.iter().map(|(hash, _)| hash);
            let rows = self.db.batched_multi_get_cf_opt(self.family(tuning::KEY)?, rows, true, &self.read);
            for ((_, place), row) in some.iter().zip(rows) {
                if let (Some(chain), Some(key)) = (row.map_err(read_error)?, keys.get(*place)) {
                    found[*place] = self.follow(&chain, size, key)?;
                }
            }
        }
        Ok(found)
    }

    fn records(&self, range: Range<u64>) -> Result<Vec<Record>, ReadError> {
        let size = self.size();
        if range.end > size {
            return Err(ReadError::Corrupt(format!(
                "record {} asked of {size}",
                range.end.saturating_sub(1)
            )));
        }
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let runs = range.start / RUN..range.end.div_ceil(RUN);
        let keys: Vec<[u8; 8]> = runs.clone().map(u64::to_be_bytes).collect();
        let rows = self.db.batched_multi_get_cf_opt(
            self.family(tuning::RECORD)?,
            keys.iter(),
            true,
            &self.read_large,
        );
        let mut out = Vec::with_capacity(usize::try_from(range.end - range.start).unwrap_or(0));
        for (run, row) in runs.zip(rows) {
            let first = run * RUN;
            let row = row.map_err(read_error)?.ok_or_else(|| missing(first))?;
            let start = position(range.start.max(first));
            let end = usize::try_from(range.end.min(first + RUN) - first).unwrap_or(0);
            row::collect_slots(&row, start..end, &mut out).map_err(corrupt)?;
        }
        Ok(out)
    }

    fn group(&self, group: &[u8], range: Range<u64>, most: Most) -> Result<Vec<(u64, Record)>, ReadError> {
        self.records_of_group(group, range, most)
    }

    fn tile(&self, level: u8, n: u64) -> Result<Option<Bytes>, ReadError> {
        let Some(value) = self.get_large(tuning::TILE, &row::tile_key(level, n))? else { return Ok(None) };
        Ok(Some(Bytes::copy_from_slice(row::check_tile(&value).map_err(corrupt)?)))
    }

    fn notes(&self, size: u64) -> Result<Option<Notes>, ReadError> {
        let Some(value) = self.get(tuning::NOTE, &row::note_key(size))? else { return Ok(None) };
        row::parse_notes(size, &value).map(Some).map_err(corrupt)
    }
}

impl Drop for RocksStore {
    /// Writes the rows in memory out to tables, so that the next start has nothing to replay. They are in the log
    /// already: where this fails, nothing is lost. A writer that stopped leaves everything as it is on the disk.
    fn drop(&mut self) {
        let Some(writer) = &mut self.writer else { return };
        if writer.get_mut().is_ok_and(|writer| !writer.has_stopped()) {
            let families: Vec<&ColumnFamily> =
                tuning::FAMILIES.iter().filter_map(|name| self.db.cf_handle(name)).collect();
            let _ = self.db.flush_cfs_opt(&families, &FlushOptions::default());
        }
    }
}

impl std::fmt::Debug for RocksStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RocksStore")
            .field("path", &self.db.path())
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

fn cache(options: &Options) -> Cache {
    // An estimated charge of 0 lets the cache find the size of its entries by itself.
    Cache::new_hyper_clock_cache(options.cache_bytes, 0)
}

/// The position of a record in its run.
pub(crate) fn position(index: u64) -> usize {
    usize::try_from(index % RUN).unwrap_or(0)
}

pub(crate) fn missing(index: u64) -> ReadError {
    ReadError::Corrupt(format!("record {index} is missing"))
}

pub(crate) fn corrupt(error: Malformed) -> ReadError {
    ReadError::Corrupt(error.to_string())
}

pub(crate) fn read_error(error: rocksdb::Error) -> ReadError {
    match error.kind() {
        ErrorKind::Corruption => ReadError::Corrupt(error.into_string()),
        _ => ReadError::Io(error.into_string()),
    }
}
