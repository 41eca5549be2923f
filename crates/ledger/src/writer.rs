//! The one writer: a synchronous core that takes a batch through a round. No thread, no queue; see [`crate::queue`].
//!
//! Order of a round: find duplicates → build → hash again by the second path → commit (durable) → seal (guarded, then
//! signed) → publish → answer. A signature never exists for something that can be lost.
//!
//! The writer has a state only while it knows what is durable. Whatever leaves that unknown takes the state away, and
//! there is no way to give it another: the process has to end, and the next start reads everything from the disk.

use std::collections::HashMap;
use std::collections::hash_map;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::decide::MAX_ROUND;
use crate::durable::Lock;
use crate::error::Error;
use crate::head::{Published, SignedHead};
use crate::recheck::recheck;
use crate::round::{State, build};
use crate::seal::Sealer;
use crate::space::Space;
use crate::store::{CommitError, Entry, Micros, Notes, Record, Round, Store};

/// What an append is answered with: where the record is, and a signed head that covers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Index of the record.
    pub index: u64,
    /// When the record was committed.
    pub time: Micros,
    /// A signed head of a size above `index`.
    pub head: Arc<SignedHead>,
}

/// How long the parts of a round took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundStats {
    /// Size of the log after the round.
    pub size: u64,
    /// New records.
    pub records: u64,
    /// Finding duplicates, building and hashing again.
    pub building: Duration,
    /// The store's commit, with its sync.
    pub commit: Duration,
    /// The guard's advance, with its sync.
    pub guarding: Duration,
    /// The signatures.
    pub signing: Duration,
}

/// The writer of one log.
pub struct Writer {
    store: Arc<dyn Store>,
    parts: Parts,
    published: Arc<Published>,
    live: Result<Live, Arc<str>>,
    last_round: Option<RoundStats>,
    full: Option<Arc<str>>,
}

/// What the writer works with besides the store.
pub(crate) struct Parts {
    pub(crate) sealer: Box<dyn Sealer>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) space: Space,
    /// Keeps other processes away from the data directory; held, never looked at.
    pub(crate) _lock: Lock,
}

/// Known to be durable, guarded and signed.
struct Live {
    state: State,
    /// Signed since the last commit.
    unsaved: Vec<Notes>,
}

/// Why a round did not end well.
enum Failed {
    /// Nothing was written; the next round may fare better.
    Nothing(Box<Live>, Error),
    /// What is durable is unknown, or cannot be trusted.
    Poisoned(String),
}

impl Writer {
    /// A writer for a log in `state`, whose newest signed head is `published`.
    pub(crate) fn new(store: Arc<dyn Store>, parts: Parts, state: State, published: Arc<Published>) -> Self {
        let unsaved = vec![published.load().notes.clone()];
        Self { store, parts, published, live: Ok(Live { state, unsaved }), last_round: None, full: None }
    }

    /// Appends a batch of at most 65,536 entries in one round and answers in the order of the batch. Keys that are in the
    /// log, or twice in the batch, are answered with the record that is there.
    pub fn step(&mut self, batch: &[Entry]) -> Vec<Result<Receipt, Error>> {
        let started = self.parts.clock.elapsed();
        let live = match std::mem::replace(&mut self.live, Err(MIDWAY.into())) {
            Ok(live) => live,
            Err(reason) => {
                self.live = Err(Arc::clone(&reason));
                return vec![Err(Error::Stopped(reason)); batch.len()];
            }
        };
        let base = live.state.head.size;
        let (places, fresh) = sort(self.store.as_ref(), base, batch);
        let outcome =
            if fresh.is_empty() { Ok((live, Vec::new())) } else { self.round(live, &fresh, started) };
        let fresh = match outcome {
            Ok((live, times)) => {
                self.live = Ok(live);
                Ok(times.into_iter().zip(fresh).collect())
            }
            Err(Failed::Nothing(live, error)) => {
                self.live = Ok(*live);
                Err(error)
            }
            Err(Failed::Poisoned(reason)) => Err(Error::Stopped(self.poison(reason))),
        };
        let answer = Answer { base, fresh, head: self.published.load_full() };
        places.into_iter().map(|place| answer.to(place)).collect()
    }

    /// Why the writer can no longer write, if so.
    pub fn poisoned(&self) -> Option<&Arc<str>> {
        self.live.as_ref().err()
    }

    /// Looks whether there is room again, if the last round found none.
    pub fn probe(&mut self) {
        if self.full.is_some() && self.parts.space.check().is_ok() {
            self.full = None;
        }
    }

    /// Why the last round found no room, if so.
    pub fn full(&self) -> Option<&Arc<str>> {
        self.full.as_ref()
    }

    /// How the last successful round went.
    pub fn last_round(&self) -> Option<RoundStats> {
        self.last_round
    }

    /// The newest signed head.
    pub fn published(&self) -> Arc<SignedHead> {
        self.published.load_full()
    }

    /// Where the writer puts the newest signed head.
    pub(crate) fn publishes(&self) -> Arc<Published> {
        Arc::clone(&self.published)
    }

    fn round(
        &mut self,
        live: Live,
        fresh: &[Entry],
        started: Duration,
    ) -> Result<(Live, Vec<Micros>), Failed> {
        if fresh.len() as u64 > MAX_ROUND {
            let why = format!("{} records are too many for one round", fresh.len());
            return Err(Failed::Nothing(Box::new(live), Error::Full(why.into())));
        }
        if let Err(why) = self.parts.space.check() {
            return Err(self.no_room(live, &why));
        }
        let clock = Arc::clone(&self.parts.clock);
        let built = build(&live.state, fresh.to_vec(), clock.now());
        let (mut round, next) = match built {
            Ok(built) => built,
            Err(end) => return Err(Failed::Nothing(Box::new(live), Error::Full(end.to_string().into()))),
        };
        round.notes.clone_from(&live.unsaved);
        recheck(&live.state, &round).map_err(|why| {
            Failed::Poisoned(format!("a round was computed wrongly, is the memory sound? {why}"))
        })?;
        let built = clock.elapsed();
        if let Err(error) = self.store.commit(live.state.head.size, &round) {
            return Err(self.not_committed(live, error));
        }
        self.full = None;
        let committed = clock.elapsed();
        self.seal(&live.state, next, &round).map(|(live, guarding, signing)| {
            self.last_round = Some(RoundStats {
                size: round.head.size,
                records: fresh.len() as u64,
                building: built.saturating_sub(started),
                commit: committed.saturating_sub(built),
                guarding,
                signing,
            });
            (live, round.records.iter().map(|(time, _)| *time).collect())
        })
    }

    /// Guards and signs what was committed, and shows it to readers.
    fn seal(
        &mut self,
        old: &State,
        next: State,
        round: &Round,
    ) -> Result<(Live, Duration, Duration), Failed> {
        let sealed = self.parts.sealer.seal(&old.head, &round.head);
        let sealed = sealed.map_err(|error| Failed::Poisoned(error.to_string()))?;
        if sealed.notes.size != round.head.size {
            return Err(Failed::Poisoned(format!(
                "notes of size {} instead of {}",
                sealed.notes.size, round.head.size
            )));
        }
        let notes = sealed.notes;
        self.published.store(Arc::new(SignedHead { head: round.head, notes: notes.clone() }));
        Ok((Live { state: next, unsaved: vec![notes] }, sealed.guarding, sealed.signing))
    }

    fn not_committed(&mut self, live: Live, error: CommitError) -> Failed {
        match error {
            CommitError::Full(why) => {
                self.parts.space.release();
                self.no_room(live, &why)
            }
            // Nothing was written, but somebody else writes to this store.
            CommitError::Conflict { .. } | CommitError::Unknown(_) => Failed::Poisoned(error.to_string()),
        }
    }

    fn no_room(&mut self, live: Live, why: &str) -> Failed {
        tracing::warn!(why, "no room for new records");
        let why: Arc<str> = why.into();
        self.full = Some(Arc::clone(&why));
        Failed::Nothing(Box::new(live), Error::Full(why))
    }

    fn poison(&mut self, reason: String) -> Arc<str> {
        tracing::error!(
            reason,
            "the log has stopped: the process has to end and read everything from the disk again"
        );
        let reason: Arc<str> = reason.into();
        self.live = Err(Arc::clone(&reason));
        reason
    }
}

/// Shown only if a round panicked.
const MIDWAY: &str = "a round was broken off";

/// What becomes of one entry of a batch.
enum Place {
    /// In the log with this very text.
    Known(u64, Micros),
    /// The key is in the log with another text.
    Taken(u64, Record),
    /// The n-th new record of the round.
    Fresh(usize),
    /// The key is that of the n-th new record of the round, the text is not.
    Clash(usize),
    /// Storage could not say.
    Unknown(Error),
}

/// Sorts a batch into what is known and what is new, in order and without any key twice.
fn sort(store: &dyn Store, size: u64, batch: &[Entry]) -> (Vec<Place>, Vec<Entry>) {
    let mut known = look_up(store, size, batch).into_iter();
    let mut pending: HashMap<&[u8], usize> = HashMap::with_capacity(batch.len());
    let mut fresh: Vec<Entry> = Vec::with_capacity(batch.len());
    let mut places = Vec::with_capacity(batch.len());
    for entry in batch {
        let place = known.next().flatten().unwrap_or_else(|| match pending.entry(entry.key()) {
            hash_map::Entry::Occupied(first) => {
                let n = *first.get();
                let same = fresh.get(n).is_some_and(|first| first.text() == entry.text());
                if same { Place::Fresh(n) } else { Place::Clash(n) }
            }
            hash_map::Entry::Vacant(vacant) => {
                let n = *vacant.insert(fresh.len());
                fresh.push(entry.clone());
                Place::Fresh(n)
            }
        });
        places.push(place);
    }
    (places, fresh)
}

/// The places of the entries whose keys are in the log, or whose places could not be found; `None` for the others.
fn look_up(store: &dyn Store, size: u64, batch: &[Entry]) -> Vec<Option<Place>> {
    let keys: Vec<&[u8]> = batch.iter().map(Entry::key).collect();
    match store.find_many(&keys) {
        Ok(found) => batch
            .iter()
            .zip(found)
            .map(|(entry, found)| found.map(|found| place(size, entry, found)))
            .collect(),
        // One key that cannot be looked up does not keep the others out.
        Err(_) => batch.iter().map(|entry| look_up_one(store, size, entry)).collect(),
    }
}

fn look_up_one(store: &dyn Store, size: u64, entry: &Entry) -> Option<Place> {
    match store.find(entry.key()) {
        Ok(found) => found.map(|found| place(size, entry, found)),
        Err(error) => Some(Place::Unknown(error.into())),
    }
}

/// The place of an entry for whose key the store has a record.
fn place(size: u64, entry: &Entry, (index, record): (u64, Record)) -> Place {
    if index >= size || !record.text.starts_with(entry.key()) {
        Place::Unknown(Error::Corrupt(format!("the key of record {index} leads astray").into()))
    } else if record.text == *entry.text() {
        Place::Known(index, record.time)
    } else {
        Place::Taken(index, record)
    }
}

/// What the answers of a batch are made from.
struct Answer {
    /// Index of the first new record.
    base: u64,
    /// The new records, or why there are none.
    fresh: Result<Vec<(Micros, Entry)>, Error>,
    head: Arc<SignedHead>,
}

impl Answer {
    fn to(&self, place: Place) -> Result<Receipt, Error> {
        let (index, time) = match place {
            Place::Known(index, time) => (index, time),
            Place::Taken(index, record) => return Err(Error::Conflict { index, record }),
            Place::Unknown(error) => return Err(error),
            Place::Fresh(n) => {
                let (index, (time, _)) = self.fresh(n)?;
                (index, *time)
            }
            Place::Clash(n) => {
                let (index, (time, entry)) = self.fresh(n)?;
                return Err(Error::Conflict {
                    index,
                    record: Record { time: *time, text: entry.text().clone() },
                });
            }
        };
        Ok(Receipt { index, time, head: Arc::clone(&self.head) })
    }

    fn fresh(&self, n: usize) -> Result<(u64, &(Micros, Entry)), Error> {
        let fresh = self.fresh.as_ref().map_err(Error::clone)?;
        let record = fresh.get(n).ok_or_else(|| Error::Stopped(MIDWAY.into()))?;
        Ok((self.base.saturating_add(n as u64), record))
    }
}
