//! A store that is opened read-only again and again while another handle writes to it.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use common::{Model, entry, options};
use quipu_ledger::Store;
use quipu_rocks::{OpenError, RocksStore};

#[test]
fn every_opening_shows_one_whole_moment() {
    let dir = tempfile::tempdir().unwrap();
    let store = RocksStore::open(dir.path(), &options()).unwrap();
    let (done, acknowledged, rest) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(REST));
    thread::scope(|scope| {
        // Tables are written and merged, and logs deleted, every few rounds.
        scope.spawn(|| {
            let mut model = Model::new();
            for count in (1..100).cycle() {
                model.append(&store, count);
                acknowledged.store(model.records.len() as u64, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(rest.load(Ordering::SeqCst)));
                if done.load(Ordering::SeqCst) {
                    break;
                }
            }
        });
        let _stop = Stop(&done);
        for i in 0..100 {
            let mut tries = 0;
            while !open_and_check(dir.path(), &acknowledged, i % 10 == 0) {
                tries += 1;
                assert!(tries < 20, "opening {i} never found the store quiet for a moment");
                change(&rest, |rest| (rest * 2).min(1000));
            }
            change(&rest, |rest| (rest - rest / 4).max(REST));
        }
    });
}

/// Changes how long the writer rests: longer on a machine that is busy with other things, where an opening takes longer.
fn change(rest: &AtomicU64, how: impl Fn(u64) -> u64) {
    rest.store(how(rest.load(Ordering::SeqCst)), Ordering::SeqCst);
}

/// Milliseconds that the writer rests between rounds at least, so that a slow machine is not busy with writing alone.
const REST: u64 = 2;

/// Ends the writer, also when a check fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Whether it opened; then all that was acknowledged before must be there.
fn open_and_check(dir: &Path, acknowledged: &AtomicU64, scrub: bool) -> bool {
    let before = acknowledged.load(Ordering::SeqCst);
    let store = match RocksStore::open_read_only(dir, &options()) {
        Ok(store) => store,
        Err(OpenError::Moving(_) | OpenError::Missing(_)) => return false,
        Err(error) => panic!("{error}"),
    };
    let size = store.head().unwrap().map_or(0, |head| head.size);
    assert!(size >= before, "{before} records were acknowledged, {size} are seen");
    for start in (0..size).step_by(1000) {
        let record = store.records(start..start + 1).unwrap().remove(0);
        assert_eq!(record.text, *entry(start).text());
        assert_eq!(store.find(entry(start).key()).unwrap(), Some((start, record)));
    }
    // What a log that went away during the opening would have held.
    for (i, record) in
        (size.saturating_sub(4000)..).zip(store.records(size.saturating_sub(4000)..size).unwrap())
    {
        assert_eq!(record.text, *entry(i).text());
    }
    if scrub {
        assert_eq!(store.scrub(|_| ()).unwrap().records, size);
    }
    true
}
