//! `audit` of databases on loopback and in files.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use quipu_tlog::{Tile, TileLevel, format_checkpoint, join_entries, new_tiles};
use tempfile::{TempDir, tempdir};

use crate::log::{Log, key, record, signed};
use crate::run::{Ran, run};
use crate::site::{Reply, Site, honest};

pub(crate) fn audit(state: &TempDir, place: &str, more: &[&str]) -> Ran {
    let database = format!("{} {place}", key());
    run(state.path(), &[&["audit", "--db", &database, "--timeout", "2"], more].concat())
}

fn tiles(size: u64) -> impl Iterator<Item = Tile> {
    let data = move |n| Tile::widest(TileLevel::Data, n, size);
    new_tiles(0, size).chain((0..size.div_ceil(256)).filter_map(data))
}

pub(crate) fn put(dir: &Path, path: &str, body: impl AsRef<[u8]>) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, body).unwrap();
}

/// The first `size` records of a log as files.
pub(crate) fn write_sumdb(log: &Log, size: u64, dir: &Path) {
    put(dir, "latest", log.note(size));
    tiles(size).for_each(|tile| put(dir, &tile.sumdb_path(), log.tile(&tile).unwrap()));
}

pub(crate) fn write_tlog_tiles(log: &Log, size: u64, dir: &Path) {
    put(dir, "checkpoint", signed(&format_checkpoint("sum.example.test", &log.tree(size))));
    for tile in tiles(size) {
        let first = usize::try_from(tile.first()).unwrap();
        let body = match tile.level() {
            TileLevel::Data => {
                let records = &log.records[first..first + usize::from(tile.width())];
                join_entries(records.iter().map(String::as_bytes)).unwrap()
            }
            TileLevel::Hashes(_) => log.tile(&tile).unwrap(),
        };
        put(dir, &tile.c2sp_path(), body);
    }
}

#[test]
fn a_good_log_is_one_line_and_the_next_time_only_what_is_new() {
    let (state, log) = (tempdir().unwrap(), Arc::new(Log::filler(900)));
    let site = |size| {
        let log = log.clone();
        Site::new(move |path| honest(&log, size, path))
    };
    let first =
        audit(&state, &site(600).url(), &[]).ends(0).prints("good: sum.example.test: 600 records, every");
    assert_eq!((first.out.lines().count(), first.err.as_str()), (1, ""));
    let site = site(900);
    let json = audit(&state, &site.url(), &["--json"]).ends(0).json();
    assert_eq!((&json["verdict"], &json["known"], &json["new"]), (&"good".into(), &600.into(), &300.into()));
    assert!(!site.requests().iter().any(|path| path == "/tile/8/data/000" || path == "/tile/8/data/001"));
    audit(&state, &site.url(), &["--full", "--threads", "3"]).ends(0).prints("900 records, every");
    // The head is shared with lookups: what the audit has seen no lookup lets the log take back.
    assert!(state.path().join("state/sum.example.test/latest").exists());
}

#[test]
fn logs_in_directories_of_both_layouts_are_audited() {
    let (state, log) = (tempdir().unwrap(), Log::filler(600));
    for (name, write) in [("sumdb", write_sumdb as fn(&Log, u64, &Path)), ("tiles", write_tlog_tiles)] {
        let dir = state.path().join(name);
        for (size, words) in [(300, "300 records, every"), (600, "600 records (300 new), every")] {
            write(&log, size, &dir);
            audit(&state, dir.to_str().unwrap(), &[]).ends(0).prints(words);
        }
        audit(&state, &format!("file://{}", dir.display()), &["--offline"]).ends(0).prints("(0 new)");
    }
    audit(&state, state.path().to_str().unwrap(), &[]).ends(1).says("want a file `latest` or `checkpoint`");
}

#[test]
fn what_is_wrong_is_named() {
    let (state, log) = (tempdir().unwrap(), Log::filler(600));
    let dir = state.path().join("log");
    write_sumdb(&log, 600, &dir);
    let mut tile = fs::read(dir.join("tile/8/0/001")).unwrap();
    tile[64] ^= 1;
    put(&dir, "tile/8/0/001", &tile);
    let place = dir.to_str().unwrap();
    let ran = audit(&state, place, &[]).ends(4).prints("FAULTY: sum.example.test: 1 fault in the log of 600");
    ran.says("tile/8/0/001: entry 2 (record 258) is not what was signed");
    let json = audit(&state, place, &["--json"]).ends(4).json();
    assert_eq!(
        (&json["verdict"], &json["faults"][0]["tiles"][0]),
        (&"differs".into(), &"tile/8/0/001".into())
    );
    write_sumdb(&log, 600, &dir);
    audit(&state, place, &[]).ends(0);
}

#[test]
fn a_log_that_shrank_or_forked_is_told() {
    let (state, log) = (tempdir().unwrap(), Arc::new(Log::filler(600)));
    let at = |size| {
        let log = log.clone();
        Site::new(move |path| honest(&log, size, path))
    };
    audit(&state, &at(600).url(), &[]).ends(0);
    audit(&state, &at(500).url(), &[])
        .ends(4)
        .prints("ROLLED BACK: sum.example.test shows a head of 500 records after one of 600");
    let json = audit(&state, &at(500).url(), &["--json"]).ends(4).json();
    assert_eq!((&json["rollback"]["seen"], &json["rollback"]["served"]), (&600.into(), &500.into()));
    let fork = Site::honest(Log::new((0..700).map(|i| record(&format!("fork.test/m{i}"), 'f'))), 700);
    let ran = audit(&state, &fork.url(), &[]).ends(3).says("MISBEHAVIOUR PROVEN, the evidence is in ");
    let file = ran.err.lines().find_map(|line| line.split("the evidence is in ").nth(1)).unwrap();
    assert!(fs::read_to_string(file).unwrap().starts_with("quipu evidence v"));
}

#[test]
fn a_proxy_that_passes_on_no_data_tiles_is_told_at_once() {
    let (state, log) = (tempdir().unwrap(), Log::filler(5000));
    let site = Site::new(move |path| match path.contains("/data/") {
        true => Reply::Status(403, String::new(), b"no data tiles here".to_vec()),
        false => honest(&log, 5000, path),
    });
    audit(&state, &site.url(), &[])
        .ends(1)
        .says("403 Forbidden: no data tiles here: hash tiles are served, but the records are not");
    assert!(site.requests().len() < 12, "{:?}", site.requests());
}

#[test]
fn a_server_that_fails_now_and_then_is_asked_again() {
    let (state, log) = (tempdir().unwrap(), Log::filler(900));
    let asked = std::sync::Mutex::new(std::collections::HashSet::new());
    let site = Site::new(move |path| {
        // Every other file fails the first time.
        let fails = path.len() % 2 == 0 && asked.lock().unwrap().insert(path.to_owned());
        if fails { Reply::Status(503, String::new(), b"busy".to_vec()) } else { honest(&log, 900, path) }
    });
    audit(&state, &site.url(), &[]).ends(0).prints("900 records, every");
}

#[test]
fn arguments_without_sense_are_wrong_usage() {
    let state = tempdir().unwrap();
    audit(&state, "http://127.0.0.1:9", &["--threads", "0"]).ends(2);
    run(state.path(), &["audit", "--db", "nonsense"]).ends(2);
}
