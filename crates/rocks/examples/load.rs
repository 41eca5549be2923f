//! Loads and measures a store: `load append DIR RECORDS [ROUND]`, `load read DIR [ONLY]`, `load start DIR`, `load die DIR`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measuring tool fails by panicking and prints"
)]

#[path = "load/random.rs"]
mod random;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quipu_ledger::{Entry, Head, Notes, Round, Store, TileState};
use quipu_rocks::{Options, RocksStore};
use quipu_tlog::Hash;
use random::Random;
use sha2::{Digest, Sha256};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["append", dir, records] => append(Path::new(dir), records.parse().unwrap(), 10_000),
        ["append", dir, records, round] => {
            append(Path::new(dir), records.parse().unwrap(), round.parse().unwrap());
        }
        ["read", dir] => read(Path::new(dir), ""),
        ["read", dir, only] => read(Path::new(dir), only),
        ["start", dir] => drop(start(Path::new(dir))),
        ["die", dir] => die(Path::new(dir)),
        _ => panic!("usage: load append DIR RECORDS [ROUND] | read DIR [ONLY] | start DIR | die DIR"),
    }
}

/// Opens the store and says how long that took and what it holds.
fn start(dir: &Path) -> RocksStore {
    let begun = Instant::now();
    let store = RocksStore::open(dir, &Options::default()).unwrap();
    let size = store.head().unwrap().map_or(0, |head| head.size);
    println!("start: {size} records in {:.3} s, {}", begun.elapsed().as_secs_f64(), memory());
    store
}

/// Appends until the store holds `records`, reporting on each million and on what a second of this machine is worth.
fn append(dir: &Path, records: u64, round: u64) {
    let store = start(dir);
    let mut tree = Tree::default();
    let mut size = store.head().unwrap().map_or(0, |head| head.size);
    assert!(size.is_multiple_of(256), "continue at a whole tile only");
    let mut clock = Phases::default();
    while size < records {
        let end = records.min(size + round);
        let round = clock.time("make", || (size..end).map(|i| (i + 1, entry(i))).collect::<Vec<_>>());
        let absent = clock.time("find", || {
            round.iter().filter(|(_, entry)| store.find(entry.key()).unwrap().is_none()).count()
        });
        assert_eq!(absent as u64, end - size);
        let round = clock.time("hash", || tree.round(size, round));
        clock.time("commit", || store.commit(size, &round).unwrap());
        if size / 1_000_000 != end / 1_000_000 || end == records {
            clock.report(end);
        }
        size = end;
    }
    println!("{} {:?}", memory(), store.stats().unwrap());
    let begun = Instant::now();
    drop(store);
    println!("close: {:.3} s", begun.elapsed().as_secs_f64());
}

/// Appends one-record rounds until the process is killed; for measuring a start after that.
fn die(dir: &Path) {
    let store = start(dir);
    let mut size = store.head().unwrap().map_or(0, |head| head.size);
    let mut tree = Tree::default();
    let begun = Instant::now();
    let first = size;
    loop {
        store.commit(size, &tree.round(size, vec![(size + 1, entry(size))])).unwrap();
        size += 1;
        if (size - first).is_multiple_of(5000) {
            println!("{:.0} single commits a second", (size - first) as f64 / begun.elapsed().as_secs_f64());
        }
    }
}

/// Measures every kind of read whose name contains `only`, one thread.
fn read(dir: &Path, only: &str) {
    let store = start(dir);
    let size = store.head().unwrap().unwrap().size;
    let mut random = Random(7);
    let mut any = move |end: u64| random.below(end);
    let measure = |name: &str, once: &mut dyn FnMut()| {
        if name.contains(only) {
            measure(name, once);
        }
    };
    measure("hash alone (leaf of 190 bytes)", &mut || assert!(Sha256::digest([7_u8; 191])[0] > 0));
    for warm in ["cold", "warm"] {
        measure(&format!("find, uniform, {warm}"), &mut || {
            let i = any(size);
            assert_eq!(store.find(entry(i).key()).unwrap().unwrap().0, i);
        });
    }
    measure("find, absent", &mut || assert!(store.find(entry(size + any(1 << 40)).key()).unwrap().is_none()));
    for _ in 0..2 {
        measure("find, hot 1000", &mut || assert!(store.find(entry(any(1000)).key()).unwrap().is_some()));
    }
    for _ in 0..2 {
        measure("record by index, uniform", &mut || {
            let i = any(size);
            assert_eq!(store.records(i..i + 1).unwrap().len(), 1);
        });
    }
    for (name, tiles) in [("uniform", size / 256), ("hot 100", 100)] {
        measure(&format!("hash tile, {name}"), &mut || {
            assert_eq!(store.tile(0, any(tiles)).unwrap().unwrap().len(), 8192);
        });
        measure(&format!("data tile, {name}"), &mut || {
            let n = any(tiles);
            assert_eq!(store.records(n * 256..n * 256 + 256).unwrap().len(), 256);
        });
    }
    println!("{} {:?}", memory(), store.stats().unwrap());
    let begun = Instant::now();
    let scrubbed = store.scrub(|_| ()).unwrap();
    println!("scrub: {:.2} s {scrubbed:?}", begun.elapsed().as_secs_f64());
}

fn measure(name: &str, mut once: impl FnMut()) {
    let (begun, cpu) = (Instant::now(), cpu());
    let mut times = 0_u32;
    while begun.elapsed() < Duration::from_millis(1500) {
        (0..100).for_each(|_| once());
        times += 100;
    }
    let (wall, cpu) = (begun.elapsed().as_secs_f64(), (self::cpu() - cpu).as_secs_f64());
    let times = f64::from(times);
    println!(
        "{name:32} {:9.0}/s  {:7.2} us  cpu {:7.2} us  {}",
        times / wall,
        wall / times * 1e6,
        cpu / times * 1e6,
        memory()
    );
}

/// Wall and processor time by phase.
#[derive(Default)]
struct Phases {
    spent: BTreeMap<&'static str, (Duration, Duration)>,
    from: u64,
    all: Duration,
}

impl Phases {
    fn time<T>(&mut self, name: &'static str, run: impl FnOnce() -> T) -> T {
        let (begun, used) = (Instant::now(), cpu());
        let out = run();
        let sum = self.spent.entry(name).or_default();
        sum.0 += begun.elapsed();
        sum.1 += cpu() - used;
        out
    }

    fn report(&mut self, to: u64) {
        let records = (to - self.from) as f64;
        let work = |name: &str| name != "make";
        let wall: f64 = self.spent.iter().filter(|(n, _)| work(n)).map(|(_, s)| s.0.as_secs_f64()).sum();
        print!("{:9} {:8.0}/s ", to, records / wall);
        let us = |time: &Duration| time.as_secs_f64() / records * 1e6;
        for (name, (wall, cpu)) in &self.spent {
            print!(" {name} {:.2} (cpu {:.2})", us(wall), us(cpu));
        }
        let all = cpu_of_all();
        println!(" all threads {:.2} us/record, {}", us(&(all - self.all)), memory());
        *self = Self { from: to, all, spent: BTreeMap::new() };
    }
}

/// Hashes of the rounds, enough of a tree to cost what a real one costs.
#[derive(Default)]
struct Tree {
    edge: Vec<u8>,
    above: Vec<u8>,
}

impl Tree {
    fn round(&mut self, size: u64, records: Vec<(u64, Entry)>) -> Round {
        let mut tiles = Vec::new();
        let mut end = size;
        for (_, entry) in &records {
            self.edge.extend_from_slice(&Sha256::digest(entry.text()));
            end += 1;
            if end.is_multiple_of(256) {
                self.above.extend_from_slice(&root(&self.edge));
                tiles.push(state(0, (end - 1) / 256, &self.edge));
                self.edge.clear();
            }
            if end.is_multiple_of(65_536) {
                tiles.push(state(1, (end - 1) / 65_536, &self.above));
                self.above.clear();
            }
        }
        if !self.edge.is_empty() {
            tiles.push(state(0, end / 256, &self.edge));
        }
        if !self.above.is_empty() {
            tiles.push(state(1, end / 65_536, &self.above));
        }
        let head = Head { size: end, root: Hash::from_bytes([1; 32]), time: end };
        let note = Bytes::from_static(&[b'n'; 250]);
        let notes = vec![Notes { size, sumdb: note.clone(), checkpoint: note }];
        Round { records, tiles, head, notes }
    }
}

fn state(level: u8, n: u64, hashes: &[u8]) -> TileState {
    TileState { level, n, hashes: Bytes::copy_from_slice(&hashes[hashes.len().saturating_sub(8192)..]) }
}

fn root(hashes: &[u8]) -> Vec<u8> {
    let mut level = hashes.to_vec();
    while level.len() > 32 {
        level = level.chunks(64).flat_map(|pair| Sha256::digest(pair).to_vec()).collect();
    }
    level
}

/// Record `i`: a text of about 190 bytes as go.sum lines have it.
fn entry(i: u64) -> Entry {
    let mut random = Random(i);
    let mut hash =
        || -> String { (0..43).map(|_| LETTERS[(random.next() >> 58) as usize] as char).collect() };
    let (a, b) = (hash(), hash());
    let key = format!("example.com/{}/mod{i:x} v1.{}.{} ", &a[..4].to_lowercase(), i % 31, i % 7);
    let text = format!("{key}h1:{a}=\n{}/go.mod h1:{b}=\n", key.trim_end());
    Entry::new(Bytes::from(text), key.len()).unwrap()
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Processor time of all threads of this process so far, in steps of 10 ms.
fn cpu_of_all() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks: u64 = stat.split(' ').skip(13).take(2).filter_map(|text| text.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Processor time of the main thread so far.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0);
    Duration::from_nanos(nanos)
}

fn memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name| {
        let line = status.lines().find_map(|line: &str| line.strip_prefix(name));
        line.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1024
    };
    format!("rss {} MB (peak {})", of("VmRSS:"), of("VmHWM:"))
}
