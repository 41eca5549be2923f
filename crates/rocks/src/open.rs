//! Opening a store: for writing, or read-only beside the process that writes.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::{fs, io, thread, time::Duration};

use quipu_ledger::ReadError;
use rocksdb::{Cache, DB, ErrorKind};

use crate::row::{FORMAT, FORMAT_KEY};
use crate::store::read_error;
use crate::tuning::{self, Options};

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no store in the directory.
    #[error("{0}: no store here")]
    Missing(String),
    /// Another process has the store open for writing.
    #[error("the store is open in another process: {0}")]
    Busy(String),
    /// The store was written by a version of this program that this one does not know.
    #[error("the store has a format this version does not know: {0}")]
    Format(String),
    /// The store changed too often while a read-only opening looked at it; trying again later may help.
    #[error("the store changed while it was being opened, {0} times in a row")]
    Moving(u32),
    /// The store is damaged, or the medium failed.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// How often a read-only opening looks again after the writer changed the set of files under it.
const READ_ONLY_TRIES: u32 = 20;

/// Opens for writing, creating what is missing.
pub(crate) fn open(path: &Path, options: &Options, cache: &Cache) -> Result<DB, OpenError> {
    let db =
        DB::open_cf_descriptors(&tuning::database(options, false), path, tuning::families(options, cache))
            .map_err(open_error)?;
    match db.get(FORMAT_KEY).map_err(read_error)? {
        Some(format) => check_format(&format)?,
        None if db.latest_sequence_number() == 0 => {
            let mut sync = rocksdb::WriteOptions::default();
            sync.set_sync(true);
            db.put_opt(FORMAT_KEY, FORMAT, &sync).map_err(read_error)?;
        }
        None => return Err(OpenError::Format("rows, but no format row".into())),
    }
    Ok(db)
}

/// Opens without writing anything and without the lock, also while another process writes.
///
/// RocksDB then reads the manifest and replays the write-ahead log into memory. Between the two the writer may have
/// moved rows from the log into a new table: the opened view would have a hole. So the set of files must be the
/// same before and after; else it is done again. Once open, every table is held by an open file and the view stays
/// good whatever the writer deletes.
pub(crate) fn open_read_only(path: &Path, options: &Options, cache: &Cache) -> Result<DB, OpenError> {
    let mut last = OpenError::Moving(READ_ONLY_TRIES);
    for attempt in 0..READ_ONLY_TRIES {
        let before = data_files(path)?;
        let opened = DB::open_cf_descriptors_read_only(
            &tuning::database(options, true),
            path,
            tuning::families(options, cache),
            false,
        );
        if before == data_files(path)? {
            let db = opened.map_err(open_error)?;
            return match db.get(FORMAT_KEY).map_err(read_error)? {
                Some(format) => check_format(&format).map(|()| db),
                None => Err(OpenError::Missing(path.display().to_string())),
            };
        }
        if let Err(error) = opened {
            last = open_error(error);
        }
        thread::sleep(Duration::from_millis(u64::from(attempt + 1) * 10));
    }
    Err(last)
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
    let text = error.to_string();
    // RocksDB has no kind of its own for these two.
    if text.contains("lock hold") || text.contains("While lock file") {
        return OpenError::Busy(text);
    }
    if error.kind() == ErrorKind::InvalidArgument && text.contains("Column families not opened") {
        return OpenError::Format(text);
    }
    read_error(error).into()
}
