//! The audit log: who did what to this server, in a file that is only ever added to and whose every line vouches for all
//! before it.
//!
//! A line is the SHA-256 (in hexadecimal) of the hash of the line before and of the JSON object that follows after a
//! space. Nothing can be changed, taken out or put in without every later hash being another one; so whoever has noted
//! one hash elsewhere can tell whether what stood before it still does.

mod check;
mod decisions;
mod ended;
mod event;
mod file;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use tokio::sync::oneshot;
use tracing::error;

pub use check::{AuditFault, AuditReport, check_audit_log};
pub use decisions::AuditDecisions;
pub use ended::last_run_ended;
pub use event::{Event, EventKind};
use file::AuditFile;

use crate::scribe::Scribe;

/// Entries waiting to be written; further ones are lost, and the log says how many.
const QUEUE: usize = 4096;

/// Entries written with one sync.
const BATCH: usize = 256;

/// A handle to an audit log, cheap to clone. Lines are written by a thread of its own, each batch synced.
#[derive(Clone, Default)]
pub struct AuditLog(Option<Arc<Inner>>);

struct Inner {
    scribe: Scribe<Message>,
    lost: Arc<AtomicU64>,
}

enum Message {
    Event(Box<Event>),
    /// Answered when all before it is on the disk.
    Sync(oneshot::Sender<()>),
    End,
}

impl AuditLog {
    /// Opens the log at `path`, or begins one. Other processes may write to it, too.
    ///
    /// # Errors
    /// The file cannot be used, or its last line is not one of an audit log.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = AuditFile::open(path)?;
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer { file, lost: Arc::clone(&lost) };
        let scribe = Scribe::start("audit", QUEUE, move |messages| writer.run(&messages))?;
        Ok(Self(Some(Arc::new(Inner { scribe, lost }))))
    }

    /// A log that forgets everything: for programs that embed the server and keep their own.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Notes what happened. Never waits; what finds no room is counted and said in the log.
    pub fn note(&self, event: Event) {
        let Some(inner) = &self.0 else { return };
        if !inner.scribe.try_send(Message::Event(Box::new(event))) {
            inner.lost.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("quipu_audit_lost_total").increment(1);
        }
    }

    /// Returns when all that was noted before is on the disk, or known to be lost.
    pub async fn sync(&self) {
        let Some(inner) = &self.0 else { return };
        let (done, written) = oneshot::channel();
        if inner.scribe.try_send(Message::Sync(done)) {
            // A writer that ended has nothing left to write.
            let _ = written.await;
        }
    }

    /// Writes what is left and ends. What is noted later is forgotten. Blocks.
    pub fn close(&self) {
        if let Some(inner) = &self.0 {
            inner.scribe.close(Message::End);
        }
    }
}

struct Writer {
    file: AuditFile,
    lost: Arc<AtomicU64>,
}

impl Writer {
    fn run(mut self, messages: &Receiver<Message>) {
        let mut end = false;
        while !end && let Ok(first) = messages.recv() {
            let (mut events, mut waiting) = (Vec::new(), Vec::new());
            let more = messages.try_iter().take(BATCH - 1);
            for message in std::iter::once(first).chain(more) {
                match message {
                    Message::Event(event) => events.push(*event),
                    Message::Sync(done) => waiting.push(done),
                    Message::End => end = true,
                }
            }
            self.write(events);
            // Who gave up waiting does not mind.
            for done in waiting {
                let _ = done.send(());
            }
        }
    }

    fn write(&mut self, mut events: Vec<Event>) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            events.insert(0, Event::new(EventKind::Lost).what(&format!("{lost} entries")));
        }
        if events.is_empty() {
            return;
        }
        if let Err(error) = self.file.append(&events) {
            error!(%error, entries = events.len(), "the audit log cannot be written");
            let lost = lost.saturating_add(events.len() as u64).saturating_sub(u64::from(lost > 0));
            self.lost.fetch_add(lost, Ordering::Relaxed);
            metrics::counter!("quipu_audit_lost_total").increment(events.len() as u64);
        }
    }
}

#[cfg(test)]
mod tests;
