//! How fast a log in memory is checked, against bare SHA-256 over the same bytes on as many threads.
//!
//! `cargo run --release -p quipu-verify --example check_speed [records]`
#![expect(clippy::print_stdout, reason = "prints what it measures")]
#![expect(clippy::disallowed_methods, reason = "measures time")]

use std::convert::Infallible;
use std::ops::Range;
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use quipu_tlog::{Frontier, Hash, Tile, TileLevel, Tree, leaf_hash, node_hash};
use quipu_verify::check::{GoSum, LogSource, Options, StoredRecord, check_log};

struct Memory {
    texts: Vec<Bytes>,
    /// The hashes of tree level 8 · i.
    levels: Vec<Vec<u8>>,
}

impl LogSource for Memory {
    type Error = Infallible;

    fn records(&self, range: Range<u64>) -> Result<Vec<StoredRecord>, Infallible> {
        let records = self.texts.get(index(range.start)..index(range.end)).unwrap_or_default();
        let time = |i| Some(range.start + i);
        Ok((1..).zip(records).map(|(i, text)| StoredRecord { text: text.clone(), time: time(i) }).collect())
    }

    fn tile(&self, tile: &Tile) -> Result<Option<Bytes>, Infallible> {
        let TileLevel::Hashes(level) = tile.level() else { return Ok(None) };
        let from = index(tile.first()) * Hash::SIZE;
        let hashes = self.levels.get(usize::from(level)).and_then(|hashes| hashes.get(from..));
        Ok(hashes.and_then(|hashes| hashes.get(..tile.hash_bytes())).map(Bytes::copy_from_slice))
    }
}

fn main() {
    let size: u64 = std::env::args().nth(1).and_then(|size| size.parse().ok()).unwrap_or(1_000_000);
    let threads = Options::default().threads;
    let (log, tree) = build(size);
    let bytes: usize = log.texts.iter().map(Bytes::len).sum();
    println!("{size} records of {} bytes on average, {threads} threads", bytes / log.texts.len().max(1));
    for _ in 0..3 {
        let bare = timed(|| bare_hashing(&log.texts, threads));
        let report = timed(|| {
            let report = check_log(&log, &tree, GoSum, Options { threads }, |_| {});
            assert!(report.is_ok_and(|report| report.is_good()));
        });
        let rate = |seconds: f64| size as f64 / seconds / 1e6;
        println!(
            "bare SHA-256 {:.2} M records/s, check {:.2} M records/s, ratio {:.2}",
            rate(bare),
            rate(report),
            bare / report
        );
    }
}

/// As many hashes as the tree has: one for each record and one for each pair.
fn bare_hashing(texts: &[Bytes], threads: usize) {
    thread::scope(|scope| {
        for part in texts.chunks(texts.len().div_ceil(threads).max(1)) {
            scope.spawn(move || {
                let hash = part.iter().map(|text| leaf_hash(text)).reduce(|a, b| node_hash(&a, &b));
                assert!(hash.is_some());
            });
        }
    });
}

fn build(size: u64) -> (Memory, Tree) {
    let (mut frontier, mut levels) = (Frontier::new(), vec![Vec::new(); 8]);
    let texts: Vec<Bytes> = (0..size).map(|i| text(i).into()).collect();
    for text in &texts {
        frontier.push_with(leaf_hash(text), |node, hash| {
            if node.level() % 8 == 0
                && let Some(level) = levels.get_mut(usize::from(node.level() / 8))
            {
                level.extend_from_slice(hash.as_bytes());
            }
        });
    }
    (Memory { texts, levels }, Tree { size, root: frontier.root() })
}

/// A record of the shape and length of real ones.
fn text(i: u64) -> String {
    let (path, version) =
        (format!("github.com/example{}/module{i}", i % 977), "v0.0.0-20240102150405-0123456789ab");
    let (zip, go_mod) = (leaf_hash(&i.to_be_bytes()), leaf_hash(path.as_bytes()));
    format!("{path} {version} h1:{zip}\n{path} {version}/go.mod h1:{go_mod}\n")
}

fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn index(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
