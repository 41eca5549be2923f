//! The suite that every implementation of [`Store`] must pass; [`run`] panics at the first failure.
//!
//! Rounds are made by [`build`], so the suite also shows that what the engine writes comes back as the engine needs
//! it. What it cannot show is durability against a power cut; that is for a test of the implementation.
#![expect(clippy::expect_used, reason = "a suite fails by panicking")]

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use quipu_tlog::{Hash, leaf_hash, node_hash};

use crate::round::{State, build};
use crate::store::{CommitError, Entry, Most, Notes, ReadError, Round, Store};

/// A place where a store can be opened, closed (by dropping it) and opened again.
pub trait Subject {
    /// The store under test.
    type Store: Store;

    /// Opens the store of this place: empty the first time, afterwards with all that was committed. Never called
    /// while an earlier one is still open.
    fn open(&self) -> Arc<Self::Store>;
}

/// A subject whose store stays in memory and is never really closed.
#[derive(Debug, Default)]
pub struct Kept<S>(Arc<S>);

impl<S: Store> Subject for Kept<S> {
    type Store = S;

    fn open(&self) -> Arc<S> {
        Arc::clone(&self.0)
    }
}

/// Runs every case, each on a fresh place.
pub fn run<S: Subject>(fresh: impl Fn() -> S) {
    new_stores_are_empty(&fresh());
    founding_is_a_round_without_records(&fresh());
    rounds_come_back(&fresh());
    refused_commits_leave_nothing(&fresh());
    keys_are_found_exactly(&fresh());
    groups_come_in_order(&fresh());
    records_outside_are_corrupt(&fresh());
    tiles_grow_across_boundaries(&fresh());
    notes_are_kept(&fresh());
    longest_records_and_odd_bytes(&fresh());
    readers_see_whole_rounds(&fresh());
}

fn new_stores_are_empty<S: Subject>(subject: &S) {
    for _ in 0..2 {
        let store = subject.open();
        assert_eq!(store.head().expect("head"), None);
        assert_eq!(store.find(b"key ").expect("find"), None);
        assert_eq!(store.tile(0, 0).expect("tile"), None);
        assert_eq!(store.notes(0).expect("notes"), None);
        assert_eq!(store.records(0..0).expect("records"), vec![]);
    }
}

fn founding_is_a_round_without_records<S: Subject>(subject: &S) {
    let mut log = Log::found(subject);
    log.check();
    log.reopen();
    log.check();
    assert_eq!(log.store().tile(0, 0).expect("tile"), None);
    log.append(1);
    log.check();
}

fn rounds_come_back<S: Subject>(subject: &S) {
    let mut log = Log::found(subject);
    for count in [1, 2, 3, 1, 10, 100, 1, 200] {
        log.append(count);
        log.check();
        log.reopen();
        log.check();
    }
}

fn refused_commits_leave_nothing<S: Subject>(subject: &S) {
    let mut log = Log::found(subject);
    log.append(5);
    let (round, next) = log.next(3);
    for expected in [0, 4, 6, 8, u64::MAX] {
        let refused = log.store().commit(expected, &round);
        let right =
            matches!(refused, Err(CommitError::Conflict { stored: 5, expected: said }) if said == expected);
        assert!(right, "commit onto {expected} of 5: {refused:?}");
        log.check();
    }
    let (_, entry) = round.records.first().expect("a record");
    assert_eq!(log.store().find(entry.key()).expect("find"), None);
    log.reopen();
    log.check();
    log.commit(&round, next);
    log.check();
}

fn keys_are_found_exactly<S: Subject>(subject: &S) {
    let mut log = Log::found(subject);
    log.append(300);
    log.reopen();
    for absent in
        ["example.com/m", "example.com/m v1.0.1", "example.com/m v1.0.10000 ", "example.com/M v1.0.1 ", "x"]
    {
        assert_eq!(log.store().find(absent.as_bytes()).expect("find"), None, "{absent}");
    }
    // Keys that are neighbours in every order: each finds its own record.
    let texts = [
        "a v1 x\n",
        "a v1/go.mod x\n",
        "a v10 x\n",
        "a\u{0} v1 x\n",
        "aa v1 x\n",
        "A v1 x\n",
        "a v1\u{ff} x\n",
    ];
    let keyed =
        texts.map(|text| Entry::new(Bytes::from(text), text.rfind('x').expect("an x")).expect("an entry"));
    let (round, next) = build(&log.state, keyed.to_vec(), 0).expect("a round");
    log.commit(&round, next);
    log.check();
}

fn groups_come_in_order<S: Subject>(subject: &S) {
    let mut log = Log::found(subject);
    log.append(70);
    // Groups whose names begin alike, in turns and over several rounds; one key without a space is a group of its own.
    let names = ["a ", "a/b ", "aa ", "A ", "a"];
    for round in 0..30 {
        let key = |name: &&str| {
            if name.ends_with(' ') { format!("{name}v1.{round}.0 ") } else { format!("{name}{round}") }
        };
        let texts = names.iter().map(key).map(|key| Entry::new(Bytes::from(format!("{key}h1\n")), key.len()));
        let entries = texts.map(|entry| entry.expect("an entry")).collect();
        let (round, next) = build(&log.state, entries, 0).expect("a round");
        log.commit(&round, next);
        if log.size() == 145 {
            log.reopen();
        }
    }
    for name in ["a ", "a/b ", "aa ", "A ", "a0", "a29", "example.com/m ", "a", "b ", "example.com/m", ""] {
        log.check_group(name.as_bytes());
    }
    log.reopen();
    log.check_group(b"a ");
}

fn records_outside_are_corrupt<S: Subject>(subject: &S) {
    let mut log = Log::found(subject);
    log.append(7);
    for range in [0..8, 7..8, 6..9, 100..101] {
        let read = log.store().records(range.clone());
        assert!(matches!(read, Err(ReadError::Corrupt(_))), "{range:?}: {read:?}");
    }
    for start in 0..7 {
        for end in start..=7 {
            log.check_range(start..end);
        }
    }
}

fn tiles_grow_across_boundaries<S: Subject>(subject: &S) {
    let mut log = Log::found(subject);
    for count in [255, 1, 1, 254, 1, 1, 700, 64_000, 300, 2000] {
        log.append(count);
        log.check_tiles();
    }
    assert!(log.size() > 65_536 + 512, "a tile of the third level");
    log.check();
    log.reopen();
    log.check_tiles();
    log.append(1);
    log.check_tiles();
}

fn notes_are_kept<S: Subject>(subject: &S) {
    let mut log = Log::found(subject);
    let mut signed = Vec::new();
    for count in [3, 1, 300] {
        let (mut round, next) = log.next(count);
        let size = log.size();
        round.notes = vec![notes(size)];
        signed.push(size);
        log.commit(&round, next);
        if count == 1 {
            log.reopen();
        }
    }
    // Several at once, and one size signed again (with another key): the newest counts.
    let (mut round, next) = log.next(1);
    let again = Notes { sumdb: Bytes::from_static(b"again"), ..notes(3) };
    round.notes = vec![notes(log.size()), again.clone()];
    log.commit(&round, next);
    log.reopen();
    for size in 0..log.size() + 2 {
        let want = match size {
            3 => Some(again.clone()),
            0 | 4 | 304 => Some(notes(size)),
            _ => None,
        };
        assert_eq!(log.store().notes(size).expect("notes"), want, "size {size}");
    }
}

fn longest_records_and_odd_bytes<S: Subject>(subject: &S) {
    let mut log = Log::found(subject);
    let odd: Vec<u8> = (0..=255).collect();
    let long = |first: u8| Bytes::from([&[first; 1][..], &vec![b'x'; Entry::MAX_TEXT - 1]].concat());
    let entries = vec![
        Entry::new(Bytes::from(odd.clone()), 100).expect("an entry"),
        Entry::new(long(b'1'), 1).expect("an entry"),
        Entry::new(long(b'2'), Entry::MAX_TEXT).expect("an entry"),
        Entry::new(Bytes::from_static(b"k"), 1).expect("an entry"),
    ];
    let (round, next) = build(&log.state, entries, 0).expect("a round");
    log.commit(&round, next);
    log.check();
    log.reopen();
    log.check();
}

fn readers_see_whole_rounds<S: Subject>(subject: &S) {
    let mut log = Log::found(subject);
    let done = AtomicBool::new(false);
    let store = Arc::clone(log.store());
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0;
            while !done.load(Ordering::Acquire) {
                let head = store.head().expect("head").expect("a head");
                assert!(head.size >= seen, "heads never go back");
                seen = head.size;
                if let Some(last) = seen.checked_sub(1) {
                    assert_eq!(store.records(last..seen).expect("the last record").len(), 1);
                    let (found, _) = store.find(entry(last).key()).expect("find").expect("the last record");
                    assert_eq!(found, last);
                    let tile = store.tile(0, last / 256).expect("tile").expect("the last tile");
                    assert!(tile.len() as u64 >= (last % 256 + 1) * 32);
                }
            }
        });
        for count in (1..60).cycle().take(120) {
            log.append(count);
        }
        done.store(true, Ordering::Release);
        reader.join().expect("the reader");
    });
    drop(store);
    log.check();
}

/// A store under test, and a model of what it must hold.
struct Log<'a, S: Subject> {
    subject: &'a S,
    store: Option<Arc<S::Store>>,
    state: State,
    entries: Vec<Entry>,
    times: Vec<u64>,
}

impl<'a, S: Subject> Log<'a, S> {
    fn found(subject: &'a S) -> Self {
        let state = State::founded(1_700_000_000_000_000);
        let store = Some(subject.open());
        let log = Self { subject, store, state, entries: Vec::new(), times: Vec::new() };
        let head = *log.state.head();
        let round = Round { records: vec![], tiles: vec![], head, notes: vec![] };
        log.store().commit(0, &round).expect("the first commit");
        log
    }

    fn store(&self) -> &Arc<S::Store> {
        self.store.as_ref().expect("an open store")
    }

    fn size(&self) -> u64 {
        self.state.head().size
    }

    /// The next round of `count` entries, and the state after it.
    fn next(&self, count: u64) -> (Round, State) {
        let entries = (self.size()..self.size() + count).map(entry).collect();
        build(&self.state, entries, 0).expect("a round")
    }

    fn append(&mut self, count: u64) {
        let (round, next) = self.next(count);
        self.commit(&round, next);
    }

    fn commit(&mut self, round: &Round, next: State) {
        self.store().commit(self.size(), round).expect("a commit");
        self.times.extend(round.records.iter().map(|(time, _)| *time));
        self.entries.extend(round.records.iter().map(|(_, entry)| entry.clone()));
        self.state = next;
    }

    fn reopen(&mut self) {
        self.store = None;
        self.store = Some(self.subject.open());
    }

    /// Compares all that the store says with the model.
    fn check(&self) {
        assert_eq!(self.store().head().expect("the head").as_ref(), Some(self.state.head()));
        self.check_range(0..self.size());
        for (index, entry) in (0..).zip(&self.entries) {
            let (found, record) = self.store().find(entry.key()).expect("a find").expect("a record");
            assert_eq!((found, &record.text), (index, entry.text()));
        }
        self.check_many();
        self.check_tiles();
    }

    /// Many keys at once, known and unknown in turns and some of them twice, are found like each by itself.
    fn check_many(&self) {
        let store = self.store();
        let known = self.entries.iter().chain(self.entries.iter().take(3)).map(Entry::key);
        let keys: Vec<&[u8]> = known.flat_map(|key| [key, &key[..key.len() - 1]]).collect();
        let found = store.find_many(&keys).expect("many finds");
        let one_by_one: Vec<_> = keys.iter().map(|key| store.find(key).expect("a find")).collect();
        assert_eq!(found, one_by_one);
    }

    /// Some ranges and bounds of a group.
    fn check_group(&self, group: &[u8]) {
        let all: Vec<u64> = (0..)
            .zip(&self.entries)
            .filter(|(_, entry)| entry.group() == group)
            .map(|(index, _)| index)
            .collect();
        let past = self.size() + 1000;
        for range in [0..past, 0..self.size(), 71..past, 90..101, 100..100, 3..4, past..past] {
            let within: Vec<u64> = all.iter().copied().filter(|index| range.contains(index)).collect();
            for count in [0, 1, 2, 7, 1000] {
                let first = &within[..count.min(within.len())];
                let last = &within[within.len().saturating_sub(count)..];
                for (most, want) in [(Most::First(count), first), (Most::Last(count), last)] {
                    let found = self.store().group(group, range.clone(), most).expect("a group");
                    let indices: Vec<u64> = found.iter().map(|(index, _)| *index).collect();
                    assert_eq!(indices, want, "{most:?} of {range:?}");
                    for (index, record) in found {
                        let one = self.store().records(index..index + 1).expect("a record");
                        assert_eq!(one, [record]);
                    }
                }
            }
        }
    }

    fn check_range(&self, range: Range<u64>) {
        let records = self.store().records(range.clone()).expect("records");
        let place = |index| usize::try_from(index).expect("a small log");
        let places = place(range.start)..place(range.end);
        assert_eq!(records.len(), places.len());
        let model = self.times.iter().zip(&self.entries).skip(places.start);
        for (record, (time, entry)) in records.iter().zip(model) {
            assert_eq!((record.time, &record.text), (*time, entry.text()));
        }
    }

    /// Every tile of every level, made from the texts in the plainest way, is the beginning of the stored one.
    fn check_tiles(&self) {
        let mut hashes: Vec<Hash> = self.entries.iter().map(|entry| leaf_hash(entry.text())).collect();
        for level in 0.. {
            for (n, tile) in (0..).zip(hashes.chunks(256)) {
                let want: Vec<u8> = tile.iter().flat_map(|hash| hash.as_bytes()).copied().collect();
                let stored = self.store().tile(level, n).expect("a tile").unwrap_or_default();
                assert!(stored.starts_with(&want), "tile {n} of level {level}");
                assert!(stored.len() <= 256 * 32, "tile {n} of level {level} is too long");
            }
            if hashes.is_empty() {
                break;
            }
            hashes = hashes.chunks_exact(256).map(subtree).collect();
        }
    }
}

fn subtree(hashes: &[Hash]) -> Hash {
    let (left, right) = hashes.split_at(hashes.len() / 2);
    match hashes {
        [one] => *one,
        _ => node_hash(&subtree(left), &subtree(right)),
    }
}

/// The entry that the suite appends at an index.
fn entry(index: u64) -> Entry {
    let key = format!("example.com/m v1.0.{index} ");
    let text = format!("{key}h1:{index:043}=\n{}/go.mod h1:{index:043}=\n", key.trim_end());
    Entry::new(Bytes::from(text), key.len()).expect("an entry")
}

fn notes(size: u64) -> Notes {
    let text = |kind: &str| Bytes::from(format!("{kind}\n{size}\n\nsignature\n"));
    Notes { size, sumdb: text("tree"), checkpoint: text("origin") }
}
