//! What outlives the process: how far the log was reported, what was wrong last, what is still to be said.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use quipu_verify::replace_file;
use serde::{Deserialize, Serialize};

use super::event::{Alert, Kind};

/// The contents of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    /// Always [`FORMAT`].
    pub(super) format: String,
    pub(super) database: String,
    /// The record to be looked at next; none before the first head was seen.
    pub(super) position: Option<u64>,
    /// The largest head seen, and when it was first seen, in seconds since 1970.
    pub(super) size: u64,
    pub(super) advanced: u64,
    /// Whether a stall was reported that has not ended.
    pub(super) stalled: bool,
    /// How many alerts there were.
    pub(super) alerts: u64,
    /// Those that are not delivered yet, oldest first.
    pub(super) undelivered: VecDeque<Alert>,
    pub(super) places: BTreeMap<String, Place>,
}

/// What is remembered of a place where the database is served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    /// The largest head that it served.
    pub(super) high: u64,
    /// What was reported of it and has not ended.
    pub(super) trouble: Option<Kind>,
    /// How often in a row it did not answer.
    pub(super) silent: u32,
}

impl Memory {
    /// Of somebody who begins now, with the largest head that others have seen here.
    pub(super) fn new(database: &str, now: u64, size: u64) -> Self {
        Self {
            format: FORMAT.to_owned(),
            database: database.to_owned(),
            position: None,
            size,
            advanced: now,
            stalled: false,
            alerts: 0,
            undelivered: VecDeque::new(),
            places: BTreeMap::new(),
        }
    }
}

/// The file, locked against other monitors as long as this lives.
#[derive(Debug)]
pub(super) struct MemoryFile {
    path: PathBuf,
    _lock: File,
}

impl MemoryFile {
    /// The file in a directory, which is made if it does not exist.
    ///
    /// # Errors
    /// Another process has it, or the directory cannot be written.
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let cannot = || format!("cannot write in {}", dir.display());
        fs::create_dir_all(dir).with_context(cannot)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(dir.join("monitor.lock"))
            .with_context(cannot)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: dir.join("monitor.json"), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                bail!("another monitor of this database runs with the state in {}", dir.display())
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(cannot),
        }
    }

    /// What was remembered of `database`; none before the first time.
    ///
    /// # Errors
    /// There is a file that cannot be read or understood.
    pub(super) fn load(&self, database: &str) -> Result<Option<Memory>> {
        let text = match fs::read(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            outcome => outcome.with_context(|| format!("cannot read {}", self.path.display()))?,
        };
        let name = self.path.display();
        let hint = "remove it to begin anew at the present end of the log";
        let memory: Memory =
            serde_json::from_slice(&text).with_context(|| format!("{name} is damaged ({hint})"))?;
        if memory.format != FORMAT || memory.database != database {
            bail!("{name} is not {FORMAT:?} of {database} ({hint})");
        }
        Ok(Some(memory))
    }

    /// Replaces what is remembered, atomically and durably.
    ///
    /// # Errors
    /// It cannot be written; then the old contents may still be there.
    pub(super) fn save(&self, memory: &Memory) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(memory)?;
        text.push(b'\n');
        replace_file(&self.path, &text).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

const FORMAT: &str = "quipu monitor 1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_nothing_else_is_taken_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = MemoryFile::open(dir.path()).unwrap();
        assert_eq!(file.load("sum.test").unwrap(), None);
        let mut memory = Memory::new("sum.test", 7, 300);
        memory.position = Some(12);
        memory.places.insert("there".to_owned(), Place { high: 9, trouble: Some(Kind::Rollback), silent: 1 });
        file.save(&memory).unwrap();
        assert_eq!(file.load("sum.test").unwrap(), Some(memory));
        assert!(file.load("sum.other").unwrap_err().to_string().contains("of sum.other"));
        for text in ["", "{}", "{\"format\": 1}"] {
            fs::write(dir.path().join("monitor.json"), text).unwrap();
            assert!(file.load("sum.test").unwrap_err().to_string().contains("damaged"), "{text}");
        }
    }

    #[test]
    fn only_one_monitor_may_have_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = MemoryFile::open(dir.path()).unwrap();
        assert!(MemoryFile::open(dir.path()).unwrap_err().to_string().contains("another monitor"));
        drop(first);
        MemoryFile::open(dir.path()).unwrap();
    }
}
