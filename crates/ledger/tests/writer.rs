//! The writer and its thread when something goes wrong: what is answered, and what stops.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;
use common::{Passing, Then};
use quipu_ledger::{
    CommitError, Entry, Error, FileSealer, Head, Ledger, Limits, MemoryStore, Most, Notes, ReadError,
    RealDisk, Record, Room, Round, SealError, Sealed, Setup, Store, SystemClock, Vouch,
};
use quipu_note::SignerKey;
use tempfile::TempDir;

type Found = Result<Option<(u64, Record)>, ReadError>;

/// A store and a sealer that do what the test says.
#[derive(Default)]
struct Faults {
    commit: Option<fn() -> CommitError>,
    find: Option<fn() -> Found>,
    seal: Option<fn() -> Result<Sealed, SealError>>,
    /// Commits wait while this is set.
    held: bool,
    /// A commit waits.
    waiting: bool,
    panics: bool,
}

#[derive(Clone, Default)]
struct Switch(Arc<(Mutex<Faults>, Condvar)>);

impl Switch {
    fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }
}

struct TestStore {
    memory: MemoryStore,
    switch: Switch,
}

impl Store for TestStore {
    fn head(&self) -> Result<Option<Head>, ReadError> {
        self.memory.head()
    }

    fn commit(&self, expected: u64, round: &Round) -> Result<(), CommitError> {
        let (faults, changed) = &*self.switch.0;
        let hold = |faults: &mut Faults| {
            faults.waiting = faults.held;
            faults.held
        };
        let faults = changed.wait_while(faults.lock().unwrap(), hold).unwrap();
        let (commit, panics) = (faults.commit, faults.panics);
        drop(faults);
        assert!(!panics, "a fault in the program");
        commit.map_or_else(|| self.memory.commit(expected, round), |error| Err(error()))
    }

    fn find(&self, key: &[u8]) -> Result<Option<(u64, Record)>, ReadError> {
        let find = self.switch.0.0.lock().unwrap().find;
        find.map_or_else(|| self.memory.find(key), |answer| answer())
    }

    fn records(&self, range: Range<u64>) -> Result<Vec<Record>, ReadError> {
        self.memory.records(range)
    }

    fn group(&self, group: &[u8], range: Range<u64>, most: Most) -> Result<Vec<(u64, Record)>, ReadError> {
        self.memory.group(group, range, most)
    }

    fn tile(&self, level: u8, n: u64) -> Result<Option<Bytes>, ReadError> {
        self.memory.tile(level, n)
    }

    fn notes(&self, size: u64) -> Result<Option<Notes>, ReadError> {
        self.memory.notes(size)
    }
}

impl Then for Switch {
    fn signed(&self, sealed: Sealed) -> Result<Sealed, SealError> {
        let seal = self.0.0.lock().unwrap().seal;
        seal.map_or(Ok(sealed), |answer| answer())
    }
}

struct Case {
    dir: TempDir,
    store: Arc<TestStore>,
    switch: Switch,
    ledger: Ledger,
}

impl Case {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let switch = Switch::default();
        let store = Arc::new(TestStore { memory: MemoryStore::new(), switch: switch.clone() });
        let ledger = open(&dir, &store, &switch, Limits::default());
        Self { dir, store, switch, ledger }
    }

    fn reopen(&mut self) {
        self.ledger = open(&self.dir, &self.store, &self.switch, Limits::default());
    }

    /// Holds the commits, and waits until that of one record is held.
    async fn hold_one(&self, n: u32) -> tokio::task::JoinHandle<Result<u64, Error>> {
        self.switch.set(|faults| faults.held = true);
        let ledger = self.ledger.clone();
        let task = tokio::spawn(async move { ledger.append(entry(n)).await.map(|receipt| receipt.index) });
        while !self.switch.0.0.lock().unwrap().waiting {
            tokio::task::yield_now().await;
        }
        task
    }

    async fn append(&self, n: u32) -> Result<u64, Error> {
        self.ledger.append(entry(n)).await.map(|receipt| receipt.index)
    }
}

fn open(dir: &TempDir, store: &Arc<TestStore>, switch: &Switch, limits: Limits) -> Ledger {
    let signer = SignerKey::from_seed("sum.example.com".parse().unwrap(), &[1; 32].into());
    let guard = dir.path().join("guard");
    let clock = Arc::new(SystemClock::new());
    let inner = FileSealer::open(Arc::new(RealDisk), &guard, vec![signer], clock.clone()).unwrap();
    let setup = Setup {
        store: Arc::clone(store) as Arc<dyn Store>,
        sealer: Box::new(Passing { inner: Box::new(inner), then: switch.clone() }),
        data: dir.path().to_owned(),
        guard: guard.display().to_string(),
        random: [1; 16],
        clock,
        disk: Arc::new(RealDisk),
        room: Room { reserve: 4096, floor: 0 },
        vouch: Vouch::Nothing,
    };
    Ledger::open_sealed(setup, limits).unwrap()
}

fn entry(n: u32) -> Entry {
    let key = format!("m{n} ");
    Entry::new(Bytes::from(format!("{key}text\n")), key.len()).unwrap()
}

/// After whatever stopped the writer: all appends say so, reads go on, and the status says that the process has to end.
async fn check_stopped(case: &Case, why: &str) {
    let size = case.ledger.head().size();
    for n in [1, 50] {
        let Err(Error::Stopped(reason)) = case.append(n).await else { panic!("append {n} goes on") };
        assert!(reason.contains(why), "{reason}");
    }
    assert_eq!(case.ledger.head().size(), size);
    assert_eq!(case.ledger.records(0..size).unwrap().unwrap().len() as u64, size);
    assert!(case.ledger.find(b"m1 ").unwrap().is_some());
    assert!(!case.ledger.status().can_sign());
    assert!(case.ledger.stopped().await.contains(why));
}

#[tokio::test]
async fn an_unknown_outcome_stops_the_writer_until_a_new_start() {
    let mut case = Case::new();
    assert_eq!(case.append(1).await, Ok(0));
    case.switch.set(|faults| faults.commit = Some(|| CommitError::Unknown("the sync failed".to_owned())));
    assert!(matches!(case.append(2).await, Err(Error::Stopped(_))));
    // That it would work again is no reason to go on.
    case.switch.set(|faults| faults.commit = None);
    check_stopped(&case, "the sync failed").await;
    case.ledger.shutdown().await;
    case.reopen();
    assert_eq!(case.append(2).await, Ok(1));
    case.ledger.shutdown().await;
}

#[tokio::test]
async fn another_writer_on_the_store_stops_this_one() {
    let case = Case::new();
    case.append(1).await.unwrap();
    case.switch.set(|faults| faults.commit = Some(|| CommitError::Conflict { stored: 9, expected: 1 }));
    assert!(matches!(case.append(2).await, Err(Error::Stopped(_))));
    check_stopped(&case, "store holds 9 records").await;
    case.ledger.shutdown().await;
}

#[tokio::test]
async fn a_full_disk_stops_appends_only_as_long_as_it_is_full() {
    let case = Case::new();
    case.append(1).await.unwrap();
    assert!(case.dir.path().join("reserve").exists());
    case.switch.set(|faults| faults.commit = Some(|| CommitError::Full("no room".to_owned())));
    assert!(matches!(case.append(2).await, Err(Error::Full(_))));
    assert!(!case.dir.path().join("reserve").exists());
    assert_eq!(case.append(1).await, Ok(0), "what is in the log is answered");
    let status = case.ledger.status();
    assert!(!status.can_sign() && status.full.unwrap().contains("no room") && status.stopped.is_none());
    // Room again is noticed without any append.
    while !case.ledger.status().can_sign() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(case.append(2).await, Err(Error::Full(_))), "the store still finds none");
    case.switch.set(|faults| faults.commit = None);
    assert_eq!(case.append(2).await, Ok(1));
    assert!(case.ledger.status().can_sign());
    assert!(case.dir.path().join("reserve").exists());
    case.ledger.shutdown().await;
}

#[tokio::test]
async fn a_guarded_head_whose_signing_failed_is_signed_at_the_next_start() {
    let mut case = Case::new();
    case.append(1).await.unwrap();
    case.switch.set(|faults| faults.seal = Some(|| Err(SealError::Sign("no key".to_owned()))));
    assert!(matches!(case.append(2).await, Err(Error::Stopped(_))));
    assert_eq!(case.ledger.find(b"m2 ").unwrap(), None, "durable, but not signed: not shown");
    assert_eq!(case.ledger.records(0..2).unwrap(), None);
    assert_eq!(case.ledger.tile(0, 0, 2).unwrap(), None);
    check_stopped(&case, "no key").await;
    case.ledger.shutdown().await;
    case.switch.set(|faults| faults.seal = None);
    case.reopen();
    assert_eq!(case.ledger.head().size(), 2);
    assert_eq!(case.append(2).await, Ok(1), "the record appears once");
    case.ledger.shutdown().await;
}

#[tokio::test]
async fn notes_of_another_size_are_not_published() {
    let case = Case::new();
    case.append(1).await.unwrap();
    case.switch.set(|faults| {
        faults.seal = Some(|| {
            let notes = Notes { size: 7, sumdb: Bytes::new(), checkpoint: Bytes::new() };
            Ok(Sealed { notes, guarding: Default::default(), signing: Default::default() })
        });
    });
    assert!(matches!(case.append(2).await, Err(Error::Stopped(_))));
    check_stopped(&case, "notes of size 7").await;
    case.ledger.shutdown().await;
}

#[tokio::test]
async fn failing_reads_fail_their_entry_alone() {
    let case = Case::new();
    case.append(1).await.unwrap();
    case.switch.set(|faults| faults.find = Some(|| Err(ReadError::Io("bad block".to_owned()))));
    assert_eq!(case.append(2).await, Err(Error::Unavailable("bad block".into())));
    assert_eq!(case.ledger.find(b"m1 "), Err(Error::Unavailable("bad block".into())));
    case.switch.set(|faults| faults.find = Some(|| Err(ReadError::Corrupt("rotten".to_owned()))));
    assert_eq!(case.append(2).await, Err(Error::Corrupt("rotten".into())));
    // A row beyond the head, or another record than the key's, is damage and no answer.
    for index in [0, 1] {
        case.switch.set(|faults| {
            faults.find = Some(match index {
                0 => || Ok(Some((0, Record { time: 1, text: Bytes::from_static(b"m3 text\n") }))),
                _ => || Ok(Some((1, Record { time: 1, text: Bytes::from_static(b"m2 text\n") }))),
            });
        });
        assert!(matches!(case.append(2).await, Err(Error::Corrupt(_))));
    }
    case.switch.set(|faults| faults.find = None);
    assert_eq!(case.append(2).await, Ok(1));
    case.ledger.shutdown().await;
}

#[tokio::test]
async fn a_fault_in_the_program_stops_the_log_and_is_told() {
    let case = Case::new();
    case.append(1).await.unwrap();
    case.switch.set(|faults| faults.panics = true);
    assert!(matches!(case.append(2).await, Err(Error::Stopped(_))));
    assert!(case.ledger.stopped().await.contains("fault in the program"));
    assert!(matches!(case.append(3).await, Err(Error::Stopped(_))));
    assert!(!case.ledger.status().can_sign());
    case.ledger.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_takes_what_came_during_the_one_before() {
    let case = Case::new();
    let first = case.hold_one(1000).await;
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            let ledger = case.ledger.clone();
            tokio::spawn(async move { ledger.append(entry(n)).await.unwrap().index })
        })
        .collect();
    while case.ledger.status().queued < 100 {
        tokio::task::yield_now().await;
    }
    case.switch.set(|faults| faults.held = false);
    assert_eq!(first.await.unwrap(), Ok(0));
    for task in tasks {
        task.await.unwrap();
    }
    let status = case.ledger.status();
    assert_eq!((status.rounds, status.last_round.unwrap().records, status.queued), (2, 100, 0));
    assert_eq!(case.ledger.head().size(), 101);
    case.ledger.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_at_once_and_a_bulk_append_waits() {
    let mut case = Case::new();
    case.ledger.shutdown().await;
    let limits = Limits { queue: 4, bulk_records: 10, ..Limits::default() };
    case.ledger = open(&case.dir, &case.store, &case.switch, limits);
    let first = case.hold_one(500).await;
    let waiting: Vec<_> = (0..4)
        .map(|n| {
            let ledger = case.ledger.clone();
            tokio::spawn(async move { ledger.append(entry(n)).await.unwrap().index })
        })
        .collect();
    while case.ledger.status().queued < 4 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(case.append(99).await, Err(Error::Full(_))));
    let bulk = {
        let ledger = case.ledger.clone();
        tokio::spawn(async move { ledger.append_all((1000..1100).map(entry).collect()).await })
    };
    tokio::task::yield_now().await;
    case.switch.set(|faults| faults.held = false);
    assert!(bulk.await.unwrap().iter().all(Result::is_ok));
    assert_eq!(first.await.unwrap(), Ok(0));
    for task in waiting {
        task.await.unwrap();
    }
    assert_eq!(case.ledger.head().size(), 105);
    case.ledger.shutdown().await;
}
