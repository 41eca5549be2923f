//! The thread around the writer: requests wait in a bounded queue, a round takes what is there.
//!
//! Natural batching: a round closes when the commit before it ends, and under load the rounds grow by themselves. With
//! one refinement: those who were answered just now often come back at once, and a round without them would make them
//! wait for all of it. So the next round waits for them, for an eighth of a round at most.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::decide::MAX_ROUND;
use crate::error::Error;
use crate::store::Entry;
use crate::writer::{Receipt, RoundStats, Writer};

/// How much waits, and how much goes into a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests waiting for a round (1 or more). One more is refused.
    pub queue: usize,
    /// Records after which a round takes no further request; at most 32,768.
    pub round_records: usize,
    /// Bytes of record text after which a round takes no further request.
    pub round_bytes: usize,
    /// Records in one piece of [`crate::Ledger::append_all`]: what a round of an import has; at most 32,768.
    pub bulk_records: usize,
}

impl Default for Limits {
    /// 4,096 requests; 1,024 records or 1 MiB a round; 8,192 records in a piece of an import.
    fn default() -> Self {
        Self { queue: 4096, round_records: 1024, round_bytes: 1 << 20, bulk_records: 8192 }
    }
}

/// What a round may have before its last request, and what that one may bring: half of [`MAX_ROUND`] each.
pub(crate) const MOST_RECORDS: usize = 32_768;
const _: () = assert!(2 * MOST_RECORDS as u64 <= MAX_ROUND);

/// The answer to one entry.
pub(crate) type Answer = Result<Receipt, Error>;

/// What waits in the queue.
pub(crate) enum Request {
    One(Entry, oneshot::Sender<Answer>),
    Many(Vec<Entry>, oneshot::Sender<Vec<Answer>>),
    /// Look whether there is room again.
    Probe,
    /// Take nothing more, finish what waits, end.
    Stop,
}

/// What the thread tells about itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulse {
    pub(crate) rounds: u64,
    pub(crate) last_round: Option<RoundStats>,
    pub(crate) full: Option<Arc<str>>,
}

/// Told when the writer stops for good, with the reason.
pub(crate) type Stopped = watch::Receiver<Option<Arc<str>>>;

/// The writer's thread, until the queue is closed and empty.
pub(crate) struct Run {
    pub(crate) writer: Writer,
    pub(crate) limits: Limits,
    pub(crate) pulse: Arc<Mutex<Pulse>>,
    pub(crate) stopped: watch::Sender<Option<Arc<str>>>,
}

impl Run {
    pub(crate) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut last = Last::default();
        while let Some(first) = requests.blocking_recv() {
            let mut batch = Batch::default();
            batch.add(first);
            loop {
                while !batch.is_full(&self.limits)
                    && let Ok(request) = requests.try_recv()
                {
                    batch.add(request);
                }
                if batch.is_full(&self.limits) || !last.nap(batch.waiters.len()) {
                    break;
                }
            }
            if batch.stop {
                requests.close();
            }
            let answers =
                if batch.entries.is_empty() { Vec::new() } else { self.writer.step(&batch.entries) };
            if batch.probe {
                self.writer.probe();
            }
            self.tell();
            last = Last::new(batch.waiters.len() + requests.len(), self.writer.last_round());
            batch.answer(answers);
        }
        // The locks go before anybody is told that the end has come.
        let Self { writer, stopped, .. } = self;
        drop(writer);
        stopped.send_if_modified(|reason| {
            let running = reason.is_none();
            reason.get_or_insert_with(|| SHUT_DOWN.into());
            running
        });
    }

    fn tell(&self) {
        let last_round = self.writer.last_round();
        let mut pulse = self.pulse.lock().unwrap_or_else(PoisonError::into_inner);
        pulse.rounds += u64::from(last_round != pulse.last_round);
        pulse.last_round = last_round;
        pulse.full = self.writer.full().cloned();
        drop(pulse);
        if let Some(reason) = self.writer.poisoned()
            && self.stopped.borrow().is_none()
        {
            self.stopped.send_replace(Some(Arc::clone(reason)));
        }
    }
}

/// How long the writer looks away while it waits for requests: little, but a sleep takes [`SLEPT`] at least.
const NAP: Duration = Duration::from_micros(10);
/// What a nap comes to with the slack of the system's timers.
const SLEPT: Duration = Duration::from_micros(60);
/// However long rounds take, nobody is waited for longer than some milliseconds.
const MOST_NAPS: u128 = 50;

/// What the last round says about the next one.
#[derive(Default)]
struct Last {
    /// Requests that were answered or waiting when it ended.
    around: usize,
    /// How often the writer looks away for them.
    naps: u128,
}

impl Last {
    fn new(around: usize, round: Option<RoundStats>) -> Self {
        let took = round.map(|round| round.building + round.commit + round.guarding + round.signing);
        let naps = (took.unwrap_or_default() / 8).as_micros().div_ceil(SLEPT.as_micros());
        Self { around, naps: naps.min(MOST_NAPS) }
    }

    /// Looks away for a moment if more requests than those that are here may come; false if there is no reason to.
    fn nap(&mut self, here: usize) -> bool {
        let worth = here < self.around && self.naps > 0;
        if worth {
            self.naps -= 1;
            std::thread::sleep(NAP);
        }
        worth
    }
}

pub(crate) const SHUT_DOWN: &str = "it was shut down";

/// The requests of one round.
#[derive(Default)]
struct Batch {
    entries: Vec<Entry>,
    bytes: usize,
    waiters: Vec<Waiter>,
    probe: bool,
    stop: bool,
}

enum Waiter {
    One(oneshot::Sender<Answer>),
    Many(usize, oneshot::Sender<Vec<Answer>>),
}

impl Batch {
    fn add(&mut self, request: Request) {
        match request {
            Request::One(entry, waiter) => {
                self.bytes += entry.text().len();
                self.entries.push(entry);
                self.waiters.push(Waiter::One(waiter));
            }
            Request::Many(entries, waiter) => {
                self.bytes += entries.iter().map(|entry| entry.text().len()).sum::<usize>();
                self.waiters.push(Waiter::Many(entries.len(), waiter));
                self.entries.extend(entries);
            }
            Request::Probe => self.probe = true,
            Request::Stop => self.stop = true,
        }
    }

    fn is_full(&self, limits: &Limits) -> bool {
        self.stop
            || self.entries.len() >= limits.round_records.min(MOST_RECORDS)
            || self.bytes >= limits.round_bytes
    }

    /// Answers all waiters. One that has gone away is no fault: its record is in the log all the same.
    fn answer(self, answers: Vec<Answer>) {
        let mut answers = answers.into_iter();
        for waiter in self.waiters {
            match waiter {
                Waiter::One(waiter) => {
                    let answer = answers.next().unwrap_or_else(|| Err(Error::Stopped(SHUT_DOWN.into())));
                    let _ = waiter.send(answer);
                }
                Waiter::Many(count, waiter) => {
                    let _ = waiter.send(answers.by_ref().take(count).collect());
                }
            }
        }
    }
}
