//! The log as everybody else sees it: a cheap handle to append and to read.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use quipu_note::SignerKey;
use quipu_tlog::Hash;
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::{Clock, SystemClock};
use crate::durable::{Disk, RealDisk, sibling};
use crate::error::Error;
use crate::file_sealer::FileSealer;
use crate::head::{Published, SignedHead};
use crate::open::{Setup, Vouch, start};
use crate::queue::{Limits, MOST_RECORDS, Pulse, Request, Run, SHUT_DOWN, Stopped};
use crate::refusal::OpenError;
use crate::round::{WIDTH, entries_at};
use crate::space::Room;
use crate::store::{Entry, Micros, Most, Notes, Record, Store};
use crate::writer::{Receipt, RoundStats, Writer};

/// How a log is opened. [`OpenOptions::new`] fills in the usual values; change the fields as needed.
pub struct OpenOptions {
    /// Storage, freshly opened. One that stopped working has to be opened anew.
    pub store: Arc<dyn Store>,
    /// The data directory; it must exist. The log keeps three small files there, and the disk reserve.
    pub data: PathBuf,
    /// The guard file: usually beside the data directory, so that restoring that one does not restore the guard; best
    /// on another volume. Its directory must exist.
    pub guard: PathBuf,
    /// At least one signer, all of one name: the name of the log.
    pub signers: Vec<SignerKey>,
    /// Random bytes, used only when the log is founded.
    pub random: [u8; 16],
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The file system of the data directory and the guard.
    pub disk: Arc<dyn Disk>,
    /// Bounds of queue and rounds.
    pub limits: Limits,
    /// How much room to keep on the disk.
    pub room: Room,
    /// What the operator vouches for.
    pub vouch: Vouch,
}

impl OpenOptions {
    /// The usual: guard beside the data directory (`<data>.guard`), the machine's clock and file system, default limits.
    pub fn new(store: Arc<dyn Store>, data: &Path, signers: Vec<SignerKey>, random: [u8; 16]) -> Self {
        Self {
            store,
            data: data.to_owned(),
            guard: default_guard(data),
            signers,
            random,
            clock: Arc::new(SystemClock::new()),
            disk: Arc::new(RealDisk),
            limits: Limits::default(),
            room: Room::default(),
            vouch: Vouch::Nothing,
        }
    }
}

/// The guard file of a data directory unless another is named: its sibling `<data>.guard`.
pub fn default_guard(data: &Path) -> PathBuf {
    // A trailing slash must not put the guard inside.
    let plain: PathBuf = data.components().collect();
    sibling(&plain, "guard")
}

/// A handle to a log, cheap to clone. When the last one is dropped, the writer finishes what waits and ends, which is
/// waited for: nothing writes to the store any more after that. [`Ledger::shutdown`] waits without blocking a thread.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    published: Arc<Published>,
    requests: mpsc::Sender<Request>,
    limits: Limits,
    pulse: Arc<Mutex<Pulse>>,
    stopped: Stopped,
    closing: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Without the sender that it waits for, the writer ends.
        self.requests = mpsc::channel(1).0;
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        join(thread);
    }
}

/// How the writer is doing.
#[derive(Clone, Debug)]
pub struct Status {
    /// Why nothing can be appended any more in this process, if so. After a fault (not after a shutdown) the process has
    /// to end: the next start finds out what is durable.
    pub stopped: Option<Arc<str>>,
    /// Why the last round found no room, if so. Goes away with the first round that does, and soon after a
    /// [`Ledger::status`] when there is room again.
    pub full: Option<Arc<str>>,
    /// Requests waiting for a round.
    pub queued: usize,
    /// Rounds since the start.
    pub rounds: u64,
    /// The last round, if there was one since the start.
    pub last_round: Option<RoundStats>,
}

impl Status {
    /// Whether new records can be signed now.
    pub fn can_sign(&self) -> bool {
        self.stopped.is_none() && self.full.is_none()
    }
}

impl Ledger {
    /// Opens a log, or founds it where nothing is. Blocks: reads, hashes, syncs and signs.
    ///
    /// # Errors
    /// See [`OpenError`]: each says what happened and what to do.
    pub fn open(options: OpenOptions) -> Result<Self, OpenError> {
        let guard = options.guard.display().to_string();
        let (disk, clock) = (Arc::clone(&options.disk), Arc::clone(&options.clock));
        let sealer = FileSealer::open(disk, &options.guard, options.signers, clock)
            .map_err(|error| OpenError::of_seal(error, &guard))?;
        let limits = options.limits;
        let setup = Setup {
            store: options.store,
            sealer: Box::new(sealer),
            data: options.data,
            guard,
            random: options.random,
            clock: options.clock,
            disk: options.disk,
            room: options.room,
            vouch: options.vouch,
        };
        Self::open_sealed(setup, limits)
    }

    /// Opens a log whose guard and signers are somewhere else than in a file and in this process.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_sealed(setup: Setup, limits: Limits) -> Result<Self, OpenError> {
        let store = Arc::clone(&setup.store);
        let writer = start(setup)?;
        Self::spawn(store, writer, limits)
    }

    fn spawn(store: Arc<dyn Store>, writer: Writer, limits: Limits) -> Result<Self, OpenError> {
        let (requests, queue) = mpsc::channel(limits.queue.max(1));
        let (tell, stopped) = watch::channel(None);
        let published = writer.publishes();
        let pulse = Arc::new(Mutex::new(Pulse::default()));
        let run = Run { writer, limits, pulse: Arc::clone(&pulse), stopped: tell };
        let thread =
            std::thread::Builder::new().name("quipu-writer".to_owned()).spawn(move || run.run(queue));
        let thread = Mutex::new(Some(thread.map_err(|error| OpenError::io("starting the writer", &error))?));
        let closing = AtomicBool::new(false);
        let inner = Inner { store, published, requests, limits, pulse, stopped, closing, thread };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Appends a record, or finds that it is there already; answers once a signed head covers it. The record is
    /// appended even if the caller stops waiting.
    ///
    /// # Errors
    /// See [`Error`]; `Full` at once if the queue is full.
    pub async fn append(&self, entry: Entry) -> Result<Receipt, Error> {
        self.check_open()?;
        let (waiter, answer) = oneshot::channel();
        self.inner.requests.try_send(Request::One(entry, waiter)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Full("too many requests are waiting".into()),
            mpsc::error::TrySendError::Closed(_) => self.stopped_error(),
        })?;
        answer.await.map_err(|_| self.stopped_error())?
    }

    /// Appends many records in big rounds and waits for room in the queue; the answers come in the order of the
    /// entries. Some may be in the log even if others are not.
    pub async fn append_all(&self, entries: Vec<Entry>) -> Vec<Result<Receipt, Error>> {
        let mut answers = Vec::with_capacity(entries.len());
        let mut waiting = Vec::new();
        let most = self.inner.limits.bulk_records.clamp(1, MOST_RECORDS);
        let mut entries = entries.into_iter();
        loop {
            let piece = piece_of(&mut entries, most);
            if piece.is_empty() {
                break;
            }
            let count = piece.len();
            let (waiter, answer) = oneshot::channel();
            let sent = self.check_open().is_ok()
                && self.inner.requests.send(Request::Many(piece, waiter)).await.is_ok();
            waiting.push((count, sent.then_some(answer)));
        }
        for (count, answer) in waiting {
            match answer {
                Some(answer) => match answer.await {
                    Ok(some) => answers.extend(some),
                    Err(_) => answers.extend(std::iter::repeat_n(Err(self.stopped_error()), count)),
                },
                None => answers.extend(std::iter::repeat_n(Err(self.stopped_error()), count)),
            }
        }
        answers
    }

    /// The newest signed head, from memory.
    pub fn head(&self) -> Arc<SignedHead> {
        self.inner.published.load_full()
    }

    /// The record with this key and its index, if a signed head covers it.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn find(&self, key: &[u8]) -> Result<Option<(u64, Record)>, Error> {
        let found = self.inner.store.find(key)?;
        if found.as_ref().is_some_and(|(_, record)| !record.text.starts_with(key)) {
            return Err(Error::Corrupt("a key leads to another record".into()));
        }
        // The head is taken after the record: one that covers it may have come between.
        Ok(found.filter(|(index, _)| *index < self.head().size()))
    }

    /// The records of a half-open range of at most a few thousand; `None` if the signed head does not cover it.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn records(&self, range: Range<u64>) -> Result<Option<Vec<Record>>, Error> {
        if range.end > self.head().size() {
            return Ok(None);
        }
        if range.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let records = self.inner.store.records(range.clone())?;
        if records.len() as u64 == range.end - range.start {
            return Ok(Some(records));
        }
        Err(Error::Corrupt(
            format!("storage has not all records from {} to {}", range.start, range.end).into(),
        ))
    }

    /// The index of the first record whose time is not below `time`: the number of records under the signed head if there
    /// is none. Times increase with the index, so this takes as many reads as that number has binary digits.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn first_since(&self, time: Micros) -> Result<u64, Error> {
        let mut range = 0..self.head().size();
        while !range.is_empty() {
            let middle = range.start + (range.end - range.start) / 2;
            let record = self.records(middle..middle + 1)?.and_then(|records| records.into_iter().next());
            if record.is_some_and(|record| record.time < time) {
                range.start = middle + 1;
            } else {
                range.end = middle;
            }
        }
        Ok(range.start)
    }

    /// The records of a group ([`crate::group_of`]) at or past the index `from` that the signed head covers, ascending,
    /// at most so many: the versions of one module.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn group(&self, group: &[u8], from: u64, most: Most) -> Result<Vec<(u64, Record)>, Error> {
        let found = self.inner.store.group(group, from..self.head().size(), most)?;
        if found.iter().any(|(_, record)| !record.text.starts_with(group)) {
            return Err(Error::Corrupt("a group leads to another record".into()));
        }
        Ok(found)
    }

    /// The first `width` hashes (1 to 256) of hash tile `n` of `level`, 32 bytes each; `None` if the signed head does not
    /// cover them.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn tile(&self, level: u8, n: u64, width: u16) -> Result<Option<Bytes>, Error> {
        let width = u64::from(width);
        let first = n.checked_mul(WIDTH);
        let end = first.and_then(|first| first.checked_add(width));
        if width == 0 || width > WIDTH || end.is_none_or(|end| end > entries_at(level, self.head().size())) {
            return Ok(None);
        }
        let len = usize::try_from(width).unwrap_or(0) * Hash::SIZE;
        let tile = self.inner.store.tile(level, n)?.filter(|tile| tile.len() >= len);
        let short = || {
            Error::Corrupt(
                format!("storage has less than {width} hashes of tile {n} of level {level}").into(),
            )
        };
        tile.map(|tile| Some(tile.slice(..len))).ok_or_else(short)
    }

    /// The notes signed at exactly `size`, if that size was ever signed.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn notes(&self, size: u64) -> Result<Option<Notes>, Error> {
        let head = self.head();
        match size.cmp(&head.size()) {
            std::cmp::Ordering::Greater => Ok(None),
            std::cmp::Ordering::Equal => Ok(Some(head.notes.clone())),
            std::cmp::Ordering::Less => Ok(self.inner.store.notes(size)?),
        }
    }

    /// How the writer is doing, from memory.
    pub fn status(&self) -> Status {
        let pulse = self.inner.pulse.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let requests = &self.inner.requests;
        if pulse.full.is_some() {
            // Whoever asks may be the one who keeps appends away as long as there is no room. A full queue will see.
            let _ = requests.try_send(Request::Probe);
        }
        Status {
            stopped: self.stop_reason(),
            full: pulse.full,
            queued: requests.max_capacity().saturating_sub(requests.capacity()),
            rounds: pulse.rounds,
            last_round: pulse.last_round,
        }
    }

    /// Waits until the writer stops, by a fault or a shutdown, and says why. A program that did not shut the log down
    /// itself has to end then.
    pub async fn stopped(&self) -> Arc<str> {
        let mut stopped = self.inner.stopped.clone();
        let _ = stopped.wait_for(Option::is_some).await;
        self.stop_reason().unwrap_or_else(|| PANICKED.into())
    }

    /// Takes no new records, finishes those that wait, and ends the writer. Reads go on.
    pub async fn shutdown(&self) {
        self.inner.closing.store(true, Ordering::Release);
        let _ = self.inner.requests.send(Request::Stop).await;
        let mut stopped = self.inner.stopped.clone();
        // The channel closes when the thread ends.
        while stopped.changed().await.is_ok() {}
        let thread = self.inner.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        join(thread);
    }

    fn check_open(&self) -> Result<(), Error> {
        if self.inner.closing.load(Ordering::Acquire) {
            Err(Error::Stopped(SHUT_DOWN.into()))
        } else {
            Ok(())
        }
    }

    fn stop_reason(&self) -> Option<Arc<str>> {
        let reason = self.inner.stopped.borrow().clone();
        let ended = self.inner.stopped.has_changed().is_err();
        reason.or_else(|| ended.then(|| PANICKED.into()))
    }

    fn stopped_error(&self) -> Error {
        Error::Stopped(self.stop_reason().unwrap_or_else(|| SHUT_DOWN.into()))
    }
}

/// Waits for the writer's thread, if there is one.
fn join(thread: Option<JoinHandle<()>>) {
    if thread.is_some_and(|thread| thread.join().is_err()) {
        tracing::error!("the log's writer panicked");
    }
}

/// The next entries of an import, as many as go into one round.
fn piece_of(entries: &mut std::vec::IntoIter<Entry>, most: usize) -> Vec<Entry> {
    let mut piece = Vec::new();
    let mut bytes = 0_usize;
    while piece.len() < most
        && bytes < BULK_BYTES
        && let Some(entry) = entries.next()
    {
        bytes = bytes.saturating_add(entry.text().len());
        piece.push(entry);
    }
    piece
}

/// Bytes of text after which a piece of an import ends.
const BULK_BYTES: usize = 16 << 20;

/// The thread ended without saying why.
const PANICKED: &str = "the writer ended by a fault in the program";
