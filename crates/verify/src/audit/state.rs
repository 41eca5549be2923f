//! What an audit remembers: the largest head seen, how far the log is checked, and the keys seen.
//!
//! ```text
//! quipu audit v1
//! secret
//!     <32 hex digits: the key with which keys of records are hashed>
//! done
//!     <number of records checked, from the first>
//! settled
//!     <file> <keys>
//! loose
//!     <file> <keys>
//! head
//!     <the signed note of the largest head seen, line by line>
//! ```

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::runs::{Run, Runs};
use super::siphash::Secret;
use crate::durable::{replace_file, sync_dir};
use crate::error::Error;
use crate::state::State;

/// The memory of the audits of one log, in a directory of its own. One process at a time has it.
///
/// The state changes in one step, by renaming a synced file into place: at whatever moment a process ends, the next one
/// goes on from the last such step.
pub struct AuditState {
    dir: PathBuf,
    /// Locked as long as the state is open.
    _lock: File,
    pub(super) secret: Secret,
    pub(super) done: u64,
    pub(super) runs: Runs,
    pub(super) head: Option<Bytes>,
    /// Where other work with the same log remembers its latest head.
    heads: Option<Arc<dyn State>>,
    saved: Saved,
}

/// What the file says, to return to.
#[derive(Clone, Debug)]
struct Saved {
    secret: Secret,
    done: u64,
    runs: Runs,
    head: Option<Bytes>,
}

impl AuditState {
    /// The state kept in `dir`, which is made if it does not exist.
    ///
    /// # Errors
    /// [`Error::State`] if it cannot be read or written, is damaged, or another process has it.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, Error> {
        let dir = dir.into();
        let failed = |e: io::Error| {
            let why = format_args!("{e} (without this directory the next audit begins anew)");
            Error::state(dir.display(), why)
        };
        fs::create_dir_all(&dir).map_err(failed)?;
        let lock = lock(&dir).map_err(failed)?;
        let kept = match fs::read_to_string(dir.join(FILE)) {
            Ok(text) => {
                Kept::parse(&text).ok_or_else(|| failed(io::Error::other("not a state of an audit")))?
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Kept::new(),
            Err(e) => return Err(failed(e)),
        };
        let runs = Runs::open(dir.join("keys"), kept.settled, kept.loose).map_err(failed)?;
        let (secret, done, head) = (kept.secret, kept.done, kept.head);
        let saved = Saved { secret, done, runs: runs.clone(), head: head.clone() };
        Ok(Self { dir, _lock: lock, secret, done, runs, head, heads: None, saved })
    }

    /// Shares the latest head with other work on the same log (lookups, say), in the layout of the checksum database: what
    /// either has seen the other does not let the log take back.
    #[must_use]
    pub fn with_heads(self, heads: Arc<dyn State>) -> Self {
        Self { heads: Some(heads), ..self }
    }

    /// Number of records, from the first, that are checked already.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// The signed note of the largest head seen.
    pub fn head(&self) -> Option<&Bytes> {
        self.head.as_ref()
    }

    /// Forgets what was checked, but not the head: the next audit looks at the whole log again. What is on the disk
    /// stays until that audit has made some progress.
    pub fn start_over(&mut self) {
        self.done = 0;
        self.runs.clear();
        self.secret = Kept::new().secret;
    }

    /// All heads that are remembered, as signed notes.
    pub(super) fn heads(&self) -> Result<Vec<Bytes>, Error> {
        let shared = self.heads.as_ref().map(|heads| heads.latest()).transpose();
        let shared = shared.map_err(|e| Error::state("head seen before", e))?.flatten();
        Ok(self.head.iter().cloned().chain(shared).collect())
    }

    /// Remembers a head that extends all others.
    pub(super) fn remember(&mut self, head: &Bytes) -> Result<(), Error> {
        if self.head.as_ref() != Some(head) {
            self.head = Some(head.clone());
            self.save()?;
        }
        let Some(heads) = &self.heads else { return Ok(()) };
        let failed = |e| Error::state("latest head", e);
        let latest = heads.latest().map_err(failed)?;
        if latest.as_ref() != Some(head) {
            // If another process changed it meanwhile, that one will be compared with this state the next time.
            heads.replace_latest(latest.as_deref(), head).map_err(failed)?;
        }
        Ok(())
    }

    /// Returns to what was saved last.
    pub(super) fn restore(&mut self) {
        let Saved { secret, done, runs, head } = self.saved.clone();
        (self.secret, self.done, self.head) = (secret, done, head);
        self.runs.return_to(runs);
    }

    /// Makes the present state the one that lasts.
    pub(super) fn save(&mut self) -> Result<(), Error> {
        let failed = |e| Error::state(self.dir.display(), e);
        self.write(self.format().as_bytes()).map_err(failed)?;
        let (secret, done, head) = (self.secret, self.done, self.head.clone());
        self.saved = Saved { secret, done, runs: self.runs.clone(), head };
        self.runs.clean().map_err(failed)
    }

    fn write(&self, content: &[u8]) -> io::Result<()> {
        // Runs must have their names on the disk before the state says that they are there.
        sync_dir(&self.dir.join("keys"))?;
        replace_file(&self.dir.join(FILE), content)
    }

    fn format(&self) -> String {
        let [a, b] = self.secret.0;
        let mut text = format!("{FIRST_LINE}\nsecret\n\t{a:016x}{b:016x}\ndone\n\t{}\n", self.done);
        for (heading, runs) in [("settled", &self.runs.settled), ("loose", &self.runs.loose)] {
            text += &format!("{heading}\n");
            runs.iter().for_each(|run| text += &format!("\t{} {}\n", run.number, run.keys));
        }
        text += "head\n";
        let head = self.head.as_deref().unwrap_or_default();
        for line in String::from_utf8_lossy(head).lines() {
            // Writing to a string does not fail.
            let _ = writeln!(text, "\t{line}");
        }
        text
    }
}

/// The content of the file.
struct Kept {
    secret: Secret,
    done: u64,
    settled: Vec<Run>,
    loose: Vec<Run>,
    head: Option<Bytes>,
}

impl Kept {
    fn new() -> Self {
        // Nobody else learns what these are: the standard library draws them for maps that hold hostile keys.
        let random = || RandomState::new().hash_one(0);
        let secret = Secret([random(), random()]);
        Self { secret, done: 0, settled: Vec::new(), loose: Vec::new(), head: None }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().peekable();
        let mut heading = |name: &str| {
            lines.next_if_eq(&name)?;
            let content = iter_while(&mut lines);
            Some(content)
        };
        heading(FIRST_LINE)?;
        let secret = heading("secret")?;
        let (a, b) = secret.first().filter(|hex| hex.len() == 32)?.split_at_checked(16)?;
        let number = |hex| u64::from_str_radix(hex, 16).ok();
        let secret = Secret([number(a)?, number(b)?]);
        let done = heading("done")?.first()?.parse().ok()?;
        let runs = |lines: Vec<&str>| lines.into_iter().map(parse_run).collect::<Option<Vec<_>>>();
        let (settled, loose) = (runs(heading("settled")?)?, runs(heading("loose")?)?);
        let head: String = heading("head")?.into_iter().flat_map(|line| [line, "\n"]).collect();
        let head = (!head.is_empty()).then(|| head.into());
        lines.next().is_none().then_some(Self { secret, done, settled, loose, head })
    }
}

fn iter_while<'a>(lines: &mut std::iter::Peekable<std::str::Lines<'a>>) -> Vec<&'a str> {
    let mut content = Vec::new();
    while let Some(line) = lines.peek().and_then(|line| line.strip_prefix('\t')) {
        content.push(line);
        lines.next();
    }
    content
}

fn parse_run(line: &str) -> Option<Run> {
    let (number, keys) = line.split_once(' ')?;
    // The sum of all must not overflow, nor their bytes.
    let keys = keys.parse().ok().filter(|keys| *keys < 1 << 48)?;
    Some(Run { number: number.parse().ok().filter(|number| *number < 1 << 48)?, keys, distinct: false })
}

fn lock(dir: &std::path::Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(dir.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            Err(io::Error::new(io::ErrorKind::WouldBlock, "another audit is using it"))
        }
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

const FIRST_LINE: &str = "quipu audit v1";
const FILE: &str = "state";
