//! What the rounds, the feed and the metrics have in common: the watch, its file, and the word to stop.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use quipu_verify::Error;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use super::event::{Alert, Event, Kind};
use super::memory::MemoryFile;
use super::watch::{Outcome, Watch};
use crate::database::Database;
use crate::report;

/// One for a monitor.
pub(super) struct Shared {
    database: Database,
    watch: Mutex<Watch>,
    file: MemoryFile,
    /// Rung when there is something new to be reported.
    news: Notify,
    stop: watch::Sender<bool>,
    /// Pieces of evidence kept so far.
    kept: AtomicU32,
}

impl Shared {
    pub(super) fn new(database: Database, watch: Watch, file: MemoryFile) -> Self {
        let (stop, _) = watch::channel(false);
        Self { database, watch: Mutex::new(watch), file, news: Notify::new(), stop, kept: AtomicU32::new(0) }
    }

    /// Looks at the watch or changes it. It is locked only as long as this takes; nothing in it waits.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Watch) -> T) -> T {
        work(&mut self.lock())
    }

    /// Keeps what is to be remembered.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn save(&self) -> Result<()> {
        // The lock is held meanwhile, so that an older state never replaces a newer one.
        self.file.save(self.lock().memory())
    }

    /// Takes in what a place answered, and says on stderr what is new about it.
    pub(super) fn take(&self, from: &str, outcome: Outcome) {
        let was_good = self.with(|watch| watch.seen().get(from).is_none_or(|seen| seen.bad.is_none()));
        let text = match &outcome {
            Outcome::Bad { text, .. } if was_good => Some(text.clone()),
            _ => None,
        };
        let alerts = self.with(|watch| watch.take(now(), from, outcome));
        if let Some(text) = text.filter(|_| alerts.is_empty()) {
            eprintln!("quipu-verify: {from}: {text}");
        }
        self.say(alerts);
    }

    /// Takes in that a place gave no good answer. What can be shown of it is kept in a file.
    pub(super) fn refuse(&self, from: &str, error: &Error) {
        let kind = match error {
            Error::NotFound(_) | Error::Unavailable(_) => Kind::Unreachable,
            Error::Malformed(_) => Kind::Malformed,
            Error::Unproven(_) => Kind::Unproven,
            Error::Misbehaved(_) => Kind::Fork,
            Error::State(_) => Kind::State,
        };
        // One file for each time that it begins: what is wrong again and again must not fill the disk.
        let known = self.with(|watch| watch.trouble(from)) == Some(kind);
        let full =
            !known && error.evidence().is_some() && self.kept.fetch_add(1, Ordering::Relaxed) >= MAX_EVIDENCE;
        let evidence = if known || full { None } else { report::keep_evidence(&self.database, error) };
        self.take(from, Outcome::Bad { kind, text: error.to_string(), evidence });
    }

    /// Looks at the time, and says on stderr if it has become too long.
    pub(super) fn tick(&self) {
        self.say(self.with(|watch| watch.tick(now())));
    }

    /// Rings for whoever waits in [`Shared::wait`].
    pub(super) fn ring(&self) {
        self.news.notify_one();
    }

    /// Waits until there is something new, or it is time to stop.
    pub(super) async fn wait(&self) {
        tokio::select! {
            () = self.news.notified() => {}
            () = self.stopped() => {}
        }
    }

    /// Says that everybody should stop.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub(super) fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits for the word to stop.
    pub(super) async fn stopped(&self) {
        // The sender is here, so the word can come as long as this waits.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Lets some time pass, less if it is time to stop.
    pub(super) async fn pause(&self, time: Duration) {
        tokio::select! {
            () = sleep(time) => {}
            () = self.stopped() => {}
        }
    }

    fn say(&self, alerts: impl IntoIterator<Item = Alert>) {
        for alert in alerts {
            eprintln!("quipu-verify: {}", Event::Alert(alert));
            self.ring();
        }
    }

    /// A panic elsewhere leaves at worst an answer half counted.
    fn lock(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// Pieces of evidence that one run keeps.
const MAX_EVIDENCE: u32 = 1000;
