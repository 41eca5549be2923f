//! Who downloaded what: which token got which module version on which day, so that after a bad release it is known whose
//! builds to look at.
//!
//! A file a day, a line for each holder, version and kind of file, at the first time on that day. Whoever answers a request
//! only compares a number: lines are written by a thread of their own within moments, so a process that is killed loses
//! none that was written, and synced every few seconds, so a power cut takes no more.

mod day;
mod file;
mod line;
mod read;
mod writer;

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;

use crate::access::Token;
use crate::scribe::Scribe;
use crate::wall_clock::now;
use day::Day;
use line::Line;
use writer::{Kept, Message, Writer};

pub use line::DownloadKind;
pub use read::{Download, DownloadReach, Downloader, read_downloads};

/// Lines waiting to be written; further ones are lost and counted.
const QUEUE: usize = 16_384;

/// Downloads remembered as written today. One that is forgotten is written once more, which changes nothing.
const TOLD: usize = 200_000;

/// A handle to the record of downloads, cheap to clone.
#[derive(Clone, Default)]
pub struct Downloads(Option<Arc<Inner>>);

struct Inner {
    scribe: Scribe<Message>,
    told: Arc<Told>,
}

/// A file of a module version that is being sent to somebody, as its URL names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent<'a> {
    /// Escaped module path.
    pub(crate) path: &'a str,
    /// Escaped version.
    pub(crate) version: &'a str,
    pub(crate) kind: DownloadKind,
}

impl Downloads {
    /// The record in this directory, which is made if it is not there. Files of more than `days` days ago are removed.
    ///
    /// # Errors
    /// The directory or the file of today cannot be used.
    pub fn open(directory: &Path, days: u16) -> io::Result<Self> {
        Self::open_at(directory, days, now())
    }

    fn open_at(directory: &Path, days: u16, now: u64) -> io::Result<Self> {
        let told = Arc::new(Told::new());
        let kept = Kept { directory: directory.to_owned(), days };
        let writer = Writer::open(kept, Day::of(now), Arc::clone(&told))?;
        let scribe = Scribe::start("downloads", QUEUE, move |messages| writer.run(&messages))?;
        Ok(Self(Some(Arc::new(Inner { scribe, told }))))
    }

    /// A record that forgets everything.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Notes that this file is being sent to `holder`, or to somebody without a token, at `now` (seconds since 1970). Never
    /// waits.
    pub(crate) fn note(&self, sent: Sent<'_>, holder: Option<&Token>, now: u64) {
        let Some(inner) = &self.0 else { return };
        let mark = inner.told.mark(Day::of(now), holder.map(Token::id), sent);
        if !inner.told.is_new(mark) {
            return;
        }
        let Some(line) = Line::new(sent, holder, now) else { return };
        if !inner.scribe.try_send(Message::Line(Box::new(line))) {
            inner.told.forget(mark);
            lost(1);
        }
    }

    /// Writes what is left and ends. What is noted later is forgotten. Blocks.
    pub fn close(&self) {
        if let Some(inner) = &self.0 {
            inner.scribe.close(Message::End);
        }
    }
}

/// Counts lines that are not in the record although they should be.
fn lost(lines: usize) {
    metrics::counter!("quipu_downloads_lost_total").increment(lines as u64);
}

/// What was written today, as hashes under a key of this process.
struct Told {
    marks: Cache<u64, ()>,
    key: RandomState,
    /// Told apart from all marks of before by this number: it grows when they are to count no more.
    round: AtomicU64,
}

impl Told {
    fn new() -> Self {
        Self { marks: Cache::new(TOLD), key: RandomState::new(), round: AtomicU64::new(0) }
    }

    fn mark(&self, day: Day, holder: Option<&str>, sent: Sent<'_>) -> u64 {
        let Sent { path, version, kind } = sent;
        self.key.hash_one((self.round.load(Ordering::Relaxed), day, holder, path, version, kind))
    }

    /// Whether it was not there; it is from now on.
    fn is_new(&self, mark: u64) -> bool {
        let is_new = self.marks.get(&mark).is_none();
        if is_new {
            self.marks.insert(mark, ());
        }
        is_new
    }

    fn forget(&self, mark: u64) {
        self.marks.remove(&mark);
    }

    /// Nothing counts as written any more.
    fn forget_all(&self) {
        self.round.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
