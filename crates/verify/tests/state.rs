//! What is kept between runs, in memory and in files, by the same rules.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use quipu_module::ModuleVersion;
use quipu_tlog::{Tile, join_records};
use quipu_verify::{DirState, MemoryState, State};

fn tile(path: &str) -> Tile {
    Tile::parse_sumdb(path).unwrap()
}

/// The body of a tile: entry i is 32 times the byte i.
fn body(tile: &Tile) -> Bytes {
    (0..tile.width()).flat_map(|i| [i.to_be_bytes()[1]; 32]).collect()
}

fn files_below(directory: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.push(path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

/// What every implementation of the trait has to do.
fn conforms(state: &dyn State) {
    assert_eq!(state.latest().unwrap(), None);
    assert!(!state.replace_latest(Some(b"something"), b"new").unwrap());
    assert!(state.replace_latest(None, b"one").unwrap());
    assert!(!state.replace_latest(None, b"two").unwrap());
    assert!(!state.replace_latest(Some(b"on"), b"two").unwrap());
    assert_eq!(state.latest().unwrap().unwrap(), "one");
    assert!(state.replace_latest(Some(b"one"), b"two").unwrap());
    assert_eq!(state.latest().unwrap().unwrap(), "two");

    let [narrow, wide, full] =
        ["tile/8/0/x001/234.p/5", "tile/8/0/x001/234.p/45", "tile/8/0/x001/234"].map(tile);
    assert_eq!(state.tile(&narrow), None);
    state.keep_tile(&narrow, &body(&narrow)).unwrap();
    assert_eq!(state.tile(&narrow).unwrap(), body(&narrow));
    assert_eq!(state.tile(&wide), None);
    state.keep_tile(&wide, &body(&wide)).unwrap();
    for kept in [narrow, wide] {
        assert_eq!(state.tile(&kept).unwrap(), body(&kept));
    }
    state.keep_tile(&full, &body(&full)).unwrap();
    for kept in [narrow, wide, full] {
        assert_eq!(state.tile(&kept).unwrap(), body(&kept));
    }
    for other in ["tile/8/1/x001/234", "tile/8/0/234", "tile/8/0/x001/235.p/1", "tile/8/data/x001/234"] {
        assert_eq!(state.tile(&tile(other)), None, "{other}");
    }

    let records: Vec<String> = (0..256).map(|i| format!("record {i}\n")).collect();
    let data = tile("tile/8/data/000");
    state.keep_tile(&data, &join_records(&records).into()).unwrap();
    let partial = tile("tile/8/data/000.p/7");
    assert_eq!(state.tile(&partial).unwrap(), join_records(&records[..7]));

    let module = ModuleVersion::parse("example.test/Hello", "v1.0.0-Pre").unwrap();
    assert_eq!(state.lookup(&module), None);
    state.keep_lookup(&module, &"answer".into()).unwrap();
    assert_eq!(state.lookup(&module).unwrap(), "answer");
    state.keep_lookup(&module, &"another".into()).unwrap();
    assert_eq!(state.lookup(&module).unwrap(), "another");
}

#[test]
fn memory_conforms() {
    conforms(&MemoryState::new());
}

#[test]
fn a_directory_conforms() {
    let directory = tempfile::tempdir().unwrap();
    conforms(&DirState::open(directory.path().join("made/on/demand")).unwrap());
}

#[test]
fn files_lie_where_the_go_command_has_them() {
    let directory = tempfile::tempdir().unwrap();
    conforms(&DirState::open(directory.path()).unwrap());
    let wanted = [
        "latest",
        "latest.lock",
        "lookup/example.test/!hello@v1.0.0-!pre",
        "tile/8/0/x001/234",
        "tile/8/data/000",
    ];
    assert_eq!(files_below(directory.path()), wanted);
    let partial = tile("tile/8/1/000.p/3");
    let state = DirState::open(directory.path()).unwrap();
    state.keep_tile(&partial, &body(&partial)).unwrap();
    assert!(directory.path().join("tile/8/1/000.p/3").is_file());
}

#[test]
fn what_is_kept_outlives_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let full = tile("tile/8/0/000");
    {
        let state = DirState::open(directory.path()).unwrap();
        state.replace_latest(None, b"note").unwrap();
        state.keep_tile(&full, &body(&full)).unwrap();
    }
    let state = DirState::open(directory.path()).unwrap();
    assert_eq!(state.latest().unwrap().unwrap(), "note");
    assert_eq!(state.tile(&full).unwrap(), body(&full));
}

#[test]
fn files_of_the_wrong_length_are_not_tiles() {
    let directory = tempfile::tempdir().unwrap();
    let state = DirState::open(directory.path()).unwrap();
    let full = tile("tile/8/0/000");
    for length in [0, 31, 8191, 8193] {
        state.keep_tile(&full, &vec![0; length].into()).unwrap();
        assert_eq!(state.tile(&full), None, "{length}");
        assert_eq!(state.tile(&tile("tile/8/0/000.p/1")), None, "{length}");
    }
}

/// A tile fetched anew takes the place of what was kept, which was wrong or it would not have been fetched.
#[test]
fn a_narrower_tile_takes_the_place_of_a_wider_one() {
    let directory = tempfile::tempdir().unwrap();
    let states: [Box<dyn State>; 2] =
        [Box::new(MemoryState::new()), Box::new(DirState::open(directory.path()).unwrap())];
    for state in states {
        let [narrow, wide, full] = ["tile/8/0/000.p/5", "tile/8/0/000.p/45", "tile/8/0/000"].map(tile);
        for damaged in [wide, full] {
            state.keep_tile(&damaged, &vec![7; damaged.hash_bytes()].into()).unwrap();
            state.keep_tile(&narrow, &body(&narrow)).unwrap();
            assert_eq!(state.tile(&narrow).unwrap(), body(&narrow));
            assert_eq!(state.tile(&damaged), None);
        }
    }
}

#[test]
fn of_many_writers_each_sees_the_head_it_replaces() {
    let directory = tempfile::tempdir().unwrap();
    DirState::open(directory.path()).unwrap().replace_latest(None, b"0").unwrap();
    let path = Arc::new(directory.path().to_owned());
    let add_one_100_times = || {
        let path = path.clone();
        move || {
            let state = DirState::open(&**path).unwrap();
            let mut added = 0;
            while added < 100 {
                let old = state.latest().unwrap().unwrap();
                let number: u64 = std::str::from_utf8(&old).unwrap().parse().unwrap();
                added +=
                    u64::from(state.replace_latest(Some(&old), (number + 1).to_string().as_bytes()).unwrap());
            }
        }
    };
    let writers: Vec<_> = (0..4).map(|_| thread::spawn(add_one_100_times())).collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(DirState::open(&**path).unwrap().latest().unwrap().unwrap(), "400");
}
