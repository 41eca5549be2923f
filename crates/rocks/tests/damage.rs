//! What becomes of a store whose files are damaged: refused or noticed, never a wrong answer.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use common::{Model, options};
use quipu_ledger::{ReadError, Store};
use quipu_rocks::{OpenError, RocksStore};
use tempfile::TempDir;

/// What happened to a store with one damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// It did not open.
    Refused,
    /// It opened; a scrub or a read says that it is damaged.
    Noticed,
    /// It is whole, but of an earlier round: the guard notices.
    Behind,
    /// Nothing is missing, but the end of the manifest or a log is no whole record, and a scrub says so.
    Torn,
    /// Nothing is missing.
    Whole,
}

fn outcome(model: &Model, opened: Result<RocksStore, OpenError>) -> Outcome {
    let store = match opened {
        Ok(store) => store,
        Err(OpenError::Still(dir, _)) => panic!("opening {dir} comes to no end"),
        Err(_) => return Outcome::Refused,
    };
    let scrubbed = store.scrub(|_| ());
    match compare(model, &store) {
        Err(_) => Outcome::Noticed,
        Ok(_) if scrubbed.is_err() => Outcome::Noticed,
        Ok(true) if !scrubbed.unwrap().torn.is_empty() => Outcome::Torn,
        Ok(true) => Outcome::Whole,
        Ok(false) => Outcome::Behind,
    }
}

/// Asks the store for everything. `Ok(true)`: all is there. `Ok(false)`: the store is whole but of an earlier
/// round, which the guard of the log notices. Panics where the store says something else than was committed.
fn compare(model: &Model, store: &RocksStore) -> Result<bool, ReadError> {
    let head = store.head()?;
    let size = head.map_or(0, |head| head.size);
    assert!(head.is_none_or(|head| model.heads.contains(&head)), "a head that never was: {head:?}");
    let (there, lost) = model.records.split_at(usize::try_from(size).unwrap());
    let mut at = 0;
    for piece in there.chunks(1000) {
        let read = store.records(at..at + piece.len() as u64)?;
        assert!(read.iter().eq(piece.iter().map(|(_, record)| record)), "records from {at} differ");
        at += piece.len() as u64;
    }
    for (index, (entry, record)) in (0..).zip(there) {
        assert_eq!(store.find(entry.key())?, Some((index, record.clone())), "record {index} by its key");
    }
    for (entry, _) in lost {
        assert_eq!(store.find(entry.key())?, None, "a record past the head");
    }
    compare_tiles_and_notes(model, store, size)?;
    Ok(head.as_ref() == model.heads.last())
}

fn compare_tiles_and_notes(model: &Model, store: &RocksStore, size: u64) -> Result<(), ReadError> {
    for ((level, n), hashes) in &model.tiles {
        let span = 256_u64.pow(u32::from(*level));
        let need = (size / span).saturating_sub(n * 256).min(256) * 32;
        let read = store.tile(*level, *n)?.unwrap_or_default();
        assert!(read.len() as u64 >= need && hashes.starts_with(&read), "tile {n} of level {level}");
    }
    for (at, notes) in &model.notes {
        let read = store.notes(*at)?;
        assert!(read.as_ref() == Some(notes) || (*at >= size && read.is_none()), "notes of {at}");
    }
    Ok(())
}

/// A store with tables, rewritten tables and a log that holds several rounds, as a crash leaves it.
fn crashed() -> (TempDir, Model) {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model::new();
    let live = dir.path().join("live");
    let store = RocksStore::open(&live, &options()).unwrap();
    for count in (1..40).cycle().take(150) {
        model.append(&store, count);
    }
    crash_copy(&live, &dir.path().join("crashed"));
    drop(store);
    (dir, model)
}

/// Which part of the store a file is.
fn kind(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((_, "sst")) => "table",
        Some((_, "log")) => "log",
        _ => name.split('-').next().unwrap_or(name),
    }
}

/// The files of a store that have bytes, without RocksDB's own log of events, by kind.
fn files(dir: &Path) -> BTreeMap<String, Vec<String>> {
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in fs::read_dir(dir).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        if file.metadata().unwrap().len() > 0 && !name.starts_with("LOG") {
            files.entry(kind(&name).to_owned()).or_default().push(name);
        }
    }
    files.values_mut().for_each(|names| names.sort());
    files
}

/// Damages a copy of `crashed` and opens it, as `quipu fsck` would and as a server would.
fn try_both(model: &Model, crashed: &Path, hurt: impl Fn(&Path)) -> (Outcome, Outcome) {
    let copy = || {
        let copy = tempfile::tempdir().unwrap();
        copy_files(crashed, copy.path());
        hurt(copy.path());
        copy
    };
    let (reading, writing) = (copy(), copy());
    let read = outcome(model, RocksStore::open_read_only(reading.path(), &options()));
    (read, outcome(model, RocksStore::open(writing.path(), &options())))
}

fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

#[test]
fn flipped_bits() {
    let (dir, model) = crashed();
    let crashed = dir.path().join("crashed");
    assert_eq!(try_both(&model, &crashed, |_| ()), (Outcome::Whole, Outcome::Whole));
    let mut state = 1;
    let mut seen: BTreeMap<(&str, Outcome, Outcome), Vec<String>> = BTreeMap::new();
    let files = files(&crashed);
    for (kind, flips) in
        [("table", 60), ("log", 60), ("MANIFEST", 50), ("CURRENT", 10), ("OPTIONS", 10), ("IDENTITY", 10)]
    {
        let names = &files[kind];
        for flip in 0..flips {
            let name = &names[flip % names.len()];
            let len = fs::metadata(crashed.join(name)).unwrap().len();
            // Every other one close to the end, where a damage may look like a write that was torn.
            let reach = if flip % 2 == 0 { len } else { len.min(400) };
            let (at, bit) = (len - 1 - random(&mut state, reach), random(&mut state, 8));
            let outcome = try_both(&model, &crashed, |dir| {
                let mut bytes = fs::read(dir.join(name)).unwrap();
                bytes[usize::try_from(at).unwrap()] ^= 1 << bit;
                fs::write(dir.join(name), bytes).unwrap();
            });
            seen.entry((kind, outcome.0, outcome.1)).or_default().push(format!("{name}:{at}/{len}.{bit}"));
        }
    }
    for ((kind, read, write), places) in &seen {
        println!("{kind}: read-only {read:?}, for writing {write:?}: {}, as {}", places.len(), places[0]);
        let right = match *kind {
            // A filter that is hurt costs a server time, not truth; a scrub still counts it.
            "table" => matches!(read, Outcome::Refused | Outcome::Noticed),
            "log" => matches!(read, Outcome::Refused | Outcome::Noticed | Outcome::Behind),
            "MANIFEST" => !matches!(read, Outcome::Whole),
            "CURRENT" => matches!(read, Outcome::Refused),
            // Nothing reads these two to serve records.
            _ => matches!((read, write), (Outcome::Whole, Outcome::Whole)),
        };
        assert!(right, "{kind} read-only {read:?}, for writing {write:?}: {places:?}");
    }
}

#[test]
fn cut_and_missing_files() {
    let (dir, model) = crashed();
    let crashed = dir.path().join("crashed");
    let files = files(&crashed);
    let mut seen: BTreeMap<(&str, Outcome, Outcome), Vec<String>> = BTreeMap::new();
    for kind in ["log", "MANIFEST"] {
        let name = files[kind].last().unwrap();
        let len = fs::metadata(crashed.join(name)).unwrap().len();
        for cut in 0..40 {
            let keep = if cut < 20 { len * cut / 20 } else { len - (cut - 19) * 7 };
            let outcome = try_both(&model, &crashed, |dir| {
                fs::OpenOptions::new().write(true).open(dir.join(name)).unwrap().set_len(keep).unwrap();
            });
            seen.entry((kind, outcome.0, outcome.1)).or_default().push(format!("{name}:{keep}/{len}"));
        }
    }
    for (kind, names) in &files {
        for name in names {
            let outcome = try_both(&model, &crashed, |dir| fs::remove_file(dir.join(name)).unwrap());
            seen.entry((kind, outcome.0, outcome.1)).or_default().push(format!("no {name}"));
        }
    }
    for ((kind, read, write), places) in &seen {
        println!("{kind}: read-only {read:?}, for writing {write:?}: {}, as {}", places.len(), places[0]);
        let right = |outcome: &Outcome| match *kind {
            "table" | "CURRENT" => matches!(outcome, Outcome::Refused),
            "log" => matches!(outcome, Outcome::Refused | Outcome::Behind),
            // The logs make up for a lost end of the manifest, or the lost end is noticed.
            "MANIFEST" => !matches!(outcome, Outcome::Noticed),
            _ => matches!(outcome, Outcome::Whole),
        };
        assert!(right(read) && right(write), "{kind} {read:?} {write:?}: {places:?}");
    }
    // What RocksDB cannot know without help from outside: the log was longer.
    assert!(seen.contains_key(&("log", Outcome::Behind, Outcome::Behind)));
}

/// Copies the files of a store as they are at this moment, as a crash would leave them. Waits until nothing is written
/// in the background, so that every table in the copy is in use.
fn crash_copy(from: &Path, to: &Path) {
    let names = || fs::read_dir(from).unwrap().map(|file| file.unwrap().file_name()).collect::<BTreeSet<_>>();
    let mut before = names();
    loop {
        thread::sleep(Duration::from_millis(300));
        let now = names();
        if now == before {
            break;
        }
        before = now;
    }
    copy_files(from, to);
}

/// Copies all files of a directory into a new one.
fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}
