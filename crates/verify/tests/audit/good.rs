//! Honest logs of all small sizes and around the edges of tiles, in both layouts and as files.

use std::fs;
use std::path::Path;

use quipu_tlog::{Tile, TileLevel, new_tiles};
use quipu_verify::TransportError;
use quipu_verify::audit::{AuditState, FileTree, Layout, Options, Report, audit};
use quipu_verify::check::GoSum;

use crate::log::{Log, key};
use crate::server::{Server, audit_in, for_each, fresh};

#[track_caller]
pub(crate) fn assert_good(report: &Report, known: u64, size: u64) {
    assert!(report.is_good(), "{report:?}");
    assert_eq!((report.known, report.head.size()), (known, size));
}

#[test]
fn logs_of_all_small_sizes_pass() {
    let log = Log::filler(770);
    for_each((0..=300).chain([511, 512, 513, 767, 768, 769, 770]), |size| {
        assert_good(&fresh(&Server::honest(&log).at(size)).unwrap(), 0, size);
    });
}

#[test]
fn logs_around_a_full_tile_of_level_1_pass() {
    let log = Log::filler(65_537 + 256);
    for_each([65_535, 65_536, 65_537, 65_792, 65_793], |size| {
        assert_good(&fresh(&Server::honest(&log).at(size)).unwrap(), 0, size);
    });
}

#[test]
fn the_layout_of_tlog_tiles_passes() {
    let log = Log::filler(600);
    for size in [0, 1, 255, 256, 257, 600] {
        let server = Server::honest(&log).at(size).in_layout(Layout::TlogTiles);
        assert_good(&fresh(&server).unwrap(), 0, size);
    }
}

#[test]
fn data_tiles_with_a_blank_line_at_the_end_pass() {
    let log = Log::filler(300);
    let server = Server::lying(&log, |path, answer| {
        let mut body = answer?.to_vec();
        if path.contains("/data/") {
            body.push(b'\n');
        }
        Ok(body.into())
    });
    assert_good(&fresh(&server).unwrap(), 0, 300);
}

/// A server may drop partial tiles that have become full.
#[test]
fn full_tiles_do_for_partial_ones() {
    let log = Log::filler(512);
    let server = Server::lying(&log, |path, answer| match Tile::parse_sumdb(path) {
        // A tile of level 1 has no full state yet.
        Ok(tile) if path.starts_with("tile/8/1/") || !tile.is_full() => match tile.level() {
            TileLevel::Hashes(1) => answer,
            _ => Err(TransportError::NotFound("dropped".to_owned())),
        },
        Ok(tile) => Ok(log.tile(&tile).unwrap().into()),
        Err(_) => answer,
    });
    // Two records into the second tile.
    assert_good(&fresh(&server.at(258)).unwrap(), 0, 258);
}

/// Writes a log as a tree of files.
pub(crate) fn write_files(log: &Log, size: u64, dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("latest"), log.note(size)).unwrap();
    let data = |n| Tile::widest(TileLevel::Data, n, size);
    for tile in new_tiles(0, size).chain((0..size.div_ceil(256)).filter_map(data)) {
        let path = dir.join(tile.sumdb_path());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, log.tile(&tile).unwrap()).unwrap();
    }
}

#[test]
fn a_log_in_files_passes() {
    let (log, dir) = (Log::filler(1000), tempfile::tempdir().unwrap());
    let tree = dir.path().join("log");
    assert!(FileTree::open(&tree).is_err());
    for size in [700, 1000] {
        write_files(&log, size, &tree);
        let mut state = AuditState::open(dir.path().join("state")).unwrap();
        let source = FileTree::open(&tree).unwrap();
        let report = audit(&source, (&[key()], &GoSum), &mut state, &Options::default(), &|_| {}).unwrap();
        assert_good(&report, if size == 700 { 0 } else { 700 }, size);
    }
    fs::remove_file(tree.join("tile/8/data/003.p/232")).unwrap();
    let mut state = AuditState::open(dir.path().join("state")).unwrap();
    state.start_over();
    let source = FileTree::open(&tree).unwrap();
    let error = audit(&source, (&[key()], &GoSum), &mut state, &Options::default(), &|_| {}).unwrap_err();
    assert_eq!(error.to_string(), "tile/8/data/003.p/232: not found: no such file");
}

#[test]
fn one_state_is_for_one_audit_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let _state = AuditState::open(dir.path()).unwrap();
    let error = AuditState::open(dir.path()).err().unwrap().to_string();
    assert!(error.contains("another audit is using it"), "{error}");
}

#[test]
fn a_damaged_state_is_not_believed() {
    let (log, dir) = (Log::filler(300), tempfile::tempdir().unwrap());
    audit_in(dir.path(), &Server::honest(&log), 1).unwrap();
    let file = dir.path().join("state");
    let text = fs::read_to_string(&file).unwrap();
    for damaged in [text.replace("done", "dome"), text.replace("\t300\n", "\tmany\n"), String::new()] {
        assert_ne!(damaged, text);
        fs::write(&file, damaged).unwrap();
        assert!(AuditState::open(dir.path()).is_err());
    }
    fs::write(&file, text.replace("go.sum database tree\n\t300", "go.sum database tree\n\t301")).unwrap();
    let mut state = AuditState::open(dir.path()).unwrap();
    let outcome = audit(&Server::honest(&log), (&[key()], &GoSum), &mut state, &Options::default(), &|_| {});
    assert!(matches!(outcome, Err(quipu_verify::Error::State(_))), "{outcome:?}");
}
