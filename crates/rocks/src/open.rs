//! Opening a store: for writing, or read-only beside the process that writes.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::{fs, io, thread, time::Duration};

use quipu_ledger::ReadError;
use rocksdb::{Cache, ColumnFamilyDescriptor, DB, ErrorKind, WriteOptions};

use crate::framing;
use crate::row::{self, FORMAT, FORMAT_KEY, FORMAT_WITHOUT_GROUPS};
use crate::store::{missing, read_error};
use crate::tuning::{self, Options, RECORD};
use crate::watch::watched;

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no store in the directory.
    #[error("{0}: no store here")]
    Missing(String),
    /// Another process has the store open for writing.
    #[error("the store is open in another process ({0}): stop that one first, one log has one writer")]
    Busy(String),
    /// The store was written by a version of this program that this one does not know.
    #[error("the store has a format this version does not read: {0}")]
    Format(String),
    /// The store changed too often while a read-only opening looked at it; trying again later may help.
    #[error("the store changed while it was being opened, {0} times in a row")]
    Moving(u32),
    /// Opening the store in this directory stands still: for so many seconds the process has read and written nothing. The
    /// thread that opens cannot be stopped and may hold the lock of the store, so the process should end.
    #[error(
        "opening {0} stands still, nothing was read or written for {1} s: a file there is damaged in a way that RocksDB does not survive (look at its MANIFEST first), or the disk hangs"
    )]
    Still(String, u64),
    /// The store is damaged, or the medium failed.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// How often a read-only opening looks again after the writer changed the set of files under it.
const READ_ONLY_TRIES: u32 = 20;

/// What a store that was opened for writing lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Nothing.
    Current,
    /// The `group` rows, see [`RocksStore::add_groups`](crate::RocksStore).
    WithoutGroups,
}

/// Opens for writing, creating what is missing.
pub(crate) fn open(
    path: &Path,
    settings: &rocksdb::Options,
    cache: &Cache,
    options: &Options,
) -> Result<(DB, Layout), OpenError> {
    refuse_remains(path)?;
    framing::refuse_endless(path)?;
    let work = opening(path, settings, cache, options, |settings, path, families| {
        DB::open_cf_descriptors(settings, path, families)
    });
    let db = watched(path, options, work)?.map_err(open_error)?;
    match db.get(FORMAT_KEY).map_err(read_error)? {
        Some(format) if format == FORMAT_WITHOUT_GROUPS => return Ok((db, Layout::WithoutGroups)),
        Some(format) => check_format(&format)?,
        None if db.latest_sequence_number() == 0 => {
            let mut sync = WriteOptions::default();
            sync.set_sync(true);
            db.put_opt(FORMAT_KEY, FORMAT, &sync).map_err(read_error)?;
        }
        None => return Err(OpenError::Format("rows, but no format row".into())),
    }
    Ok((db, Layout::Current))
}

/// RocksDB takes a directory without CURRENT for an empty one, begins a new store there and deletes the tables that it
/// finds. (A crash in the very first opening leaves a manifest without CURRENT, but neither tables nor logs.)
fn refuse_remains(path: &Path) -> Result<(), OpenError> {
    let rows = |name: &OsString| [".sst", ".log"].iter().any(|end| name.to_string_lossy().ends_with(end));
    let remains =
        !path.join("CURRENT").exists() && data_files(path).is_ok_and(|names| names.iter().any(rows));
    if remains {
        let what = format!("{}: tables or logs of a store, but no CURRENT", path.display());
        return Err(ReadError::Corrupt(what).into());
    }
    Ok(())
}

/// Opens without writing anything and without the lock, also while another process writes.
///
/// RocksDB then reads the manifest, opens the tables named there and replays the write-ahead logs into memory. What the
/// writer deletes meanwhile:
/// - a table: the opening fails, and is tried again because the files have changed;
/// - a log, whose rows are in a table by then that the manifest did not name when it was read: the opened view would
///   have a hole without a word. So every log that was there before must be there after.
///
/// Once open, every table is held by an open file and the view stays good whatever happens.
pub(crate) fn open_read_only(
    path: &Path,
    settings: &rocksdb::Options,
    cache: &Cache,
    options: &Options,
) -> Result<DB, OpenError> {
    for attempt in 0..READ_ONLY_TRIES {
        let before = data_files(path)?;
        framing::refuse_endless(path)?;
        let work = opening(path, settings, cache, options, |settings, path, families| {
            DB::open_cf_descriptors_read_only(settings, path, families, false)
        });
        let opened = watched(path, options, work)?;
        let after = data_files(path)?;
        let lost_log = before.difference(&after).any(|name| name.as_encoded_bytes().ends_with(b".log"));
        match opened {
            Ok(db) if !lost_log => {
                return match db.get(FORMAT_KEY).map_err(read_error)? {
                    Some(format) => check_format(&format).map(|()| db),
                    None => Err(OpenError::Missing(path.display().to_string())),
                };
            }
            Err(error) if before == after => return Err(open_error(error)),
            _ => thread::sleep(Duration::from_millis(u64::from(attempt + 1) * 10)),
        }
    }
    Err(OpenError::Moving(READ_ONLY_TRIES))
}

/// A call of RocksDB with copies of all that it needs, for another thread.
fn opening<T>(
    path: &Path,
    settings: &rocksdb::Options,
    cache: &Cache,
    options: &Options,
    call: impl FnOnce(&rocksdb::Options, &Path, Vec<ColumnFamilyDescriptor>) -> T + Send + 'static,
) -> impl FnOnce() -> T + Send + 'static {
    let (path, settings, cache, options) =
        (path.to_owned(), settings.clone(), cache.clone(), options.clone());
    move || call(&settings, &path, tuning::families(&options, &cache))
}

/// Checks that the tables hold every `record` row from the first to that of record `size - 1`, by the ranges RocksDB
/// has in memory.
///
/// A manifest whose end is lost opens without a word: the tables named there are not missed, and the newer head comes
/// out of the write-ahead log. Tables are written out for all families together, so one that is lost leaves a gap
/// here.
pub(crate) fn check_cover(db: &DB, size: u64) -> Result<(), ReadError> {
    let row = |key: Option<Vec<u8>>| key.and_then(|key| key.try_into().ok()).map(u64::from_be_bytes);
    let mut ranges: Vec<(u64, u64)> = db
        .live_files()
        .map_err(read_error)?
        .into_iter()
        .filter(|file| file.column_family_name == RECORD)
        .map(|file| row(file.start_key).zip(row(file.end_key)))
        .collect::<Option<_>>()
        .ok_or_else(|| ReadError::Corrupt("malformed record row".into()))?;
    ranges.sort_unstable();
    let covered = ranges.iter().try_fold(0, |next, (start, end)| {
        if *start <= next { Ok(next.max(end.saturating_add(1))) } else { Err(missing(next * row::RUN)) }
    })?;
    if covered < size.div_ceil(row::RUN) { Err(missing(covered * row::RUN)) } else { Ok(()) }
}

fn check_format(format: &[u8]) -> Result<(), OpenError> {
    if format == FORMAT {
        return Ok(());
    }
    Err(OpenError::Format(String::from_utf8_lossy(format).trim_end().chars().take(64).collect()))
}

/// Names of the tables, logs and manifests in the directory.
fn data_files(path: &Path) -> Result<BTreeSet<OsString>, OpenError> {
    let list = || -> io::Result<BTreeSet<OsString>> {
        let mut names = BTreeSet::new();
        for file in fs::read_dir(path)? {
            let name = file?.file_name();
            let text = name.to_string_lossy();
            if text.ends_with(".sst") || text.ends_with(".log") || text.starts_with("MANIFEST-") {
                names.insert(name);
            }
        }
        Ok(names)
    };
    match list() {
        Ok(names) if names.is_empty() => Err(OpenError::Missing(path.display().to_string())),
        Ok(names) => Ok(names),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(OpenError::Missing(path.display().to_string()))
        }
        Err(error) => Err(ReadError::Io(format!("{}: {error}", path.display())).into()),
    }
}

fn open_error(error: rocksdb::Error) -> OpenError {
    let kind = error.kind();
    // RocksDB has no kind of its own for these two.
    let text = error.as_ref();
    if text.contains("lock hold") || text.contains("While lock file") {
        return OpenError::Busy(error.into_string());
    }
    if kind == ErrorKind::InvalidArgument && text.contains("Column families not opened") {
        return OpenError::Format(error.into_string());
    }
    if kind == ErrorKind::InvalidArgument && text.contains("Column family not found") {
        // Only that one was added later. Another one is lost with the end of the manifest.
        if !text.ends_with(tuning::GROUP) {
            return ReadError::Corrupt(error.into_string()).into();
        }
        let what = "it is older, and a server of this version brings it up to date when it starts";
        return OpenError::Format(what.to_owned());
    }
    read_error(error).into()
}
