//! `quipu fsck`: good beside a running server and after it; whatever bit is flipped is found, or nothing hangs on it.

use std::fs;
use std::path::Path;

use quipu_ledger::{Notes, Round, Store as _};
use quipu_note::{Note, SignerKey, sign};
use quipu_rocks::RocksStore;
use quipu_tlog::{Hash, Tree, format_checkpoint, format_tree};
use quipu_verify::{Evidence, Finding};

use crate::{Place, append, quipu, stderr, stdout};

#[test]
fn a_good_log_is_good_while_it_is_written_and_after_a_kill() {
    let place = Place::new();
    let mut server = place.serve();
    append(&server, 0..300);
    let output = quipu(&["fsck", &place.text("data")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("good: sum.ops.test has 300 records, root "), "{}", stdout(&output));
    server.kill();
    let output = quipu(&["fsck", &place.text("data"), "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let verdict: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&verdict["verdict"], &verdict["size"]), (&"good".into(), &300.into()));
    assert_eq!(verdict["guard"]["size"], 300);
    assert!(verdict["heads"].as_u64().unwrap() > 100, "{verdict}");
}

#[test]
fn a_directory_without_a_log_cannot_be_checked() {
    let place = Place::new();
    let output = quipu(&["fsck", &place.text("nowhere")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("holds no log"), "{}", stderr(&output));
}

#[test]
fn an_older_copy_is_behind_its_guard_and_a_lost_guard_is_missed() {
    let place = Place::new();
    let mut server = place.serve();
    append(&server, 0..3);
    server.kill();
    copy(&place.path("data"), &place.path("old"));
    let mut server = place.serve();
    append(&server, 3..6);
    server.kill();
    let output = quipu(&["fsck", &place.text("old"), "--guard", &place.text("data.guard")]);
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("ends at record 3, but a head of 6 was guarded"), "{}", stderr(&output));
    let output = quipu(&["fsck", &place.text("old")]);
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("there is no guard"), "{}", stderr(&output));
}

/// RocksDB would turn in a circle in such a manifest, without a word and without an end.
#[test]
fn a_manifest_that_cannot_be_read_to_its_end_is_told_at_once() {
    let place = Place::new();
    let mut server = place.serve();
    append(&server, 0..3);
    server.kill();
    let current = fs::read_to_string(place.path("data/log/CURRENT")).unwrap();
    let manifest = place.path("data/log").join(current.trim_end());
    let mut bytes = fs::read(&manifest).unwrap();
    // The kind of the first fragment, before its payload.
    assert_eq!(bytes[6], 1);
    bytes[6] ^= 4;
    fs::write(&manifest, bytes).unwrap();
    let damage = format!("{}: what begins at byte 0 belongs to no manifest", manifest.display());
    let (data, copy) = (place.text("data"), place.text("copy"));
    for (command, code, advice) in [
        (&["fsck", &data][..], 4, ""),
        (&["backup", &copy, "--data", &data], 1, "`quipu restore` brings the log back"),
        (&["serve", "--data", &data, "--listen", "127.0.0.1:0"], 1, "`quipu restore` brings the log back"),
    ] {
        let output = quipu(command);
        assert_eq!(output.status.code(), Some(code), "{command:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(&damage), "{command:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(advice), "{command:?}: {}", stderr(&output));
    }
}

/// Has the log's own key sign another tree of `size` records, and keeps that among the signed heads of the store.
fn sign_twice(place: &Place, size: u64) -> SignerKey {
    let text = fs::read_to_string(place.path("data/signer.key")).unwrap();
    let key: SignerKey = text.trim().parse().unwrap();
    let tree = Tree { size, root: Hash::from_bytes([7; 32]) };
    let signed = |text: String| sign(&Note::new(text), &[&key]).unwrap().into();
    let sumdb = signed(format_tree(&tree));
    let checkpoint = signed(format_checkpoint("sum.ops.test", &tree));
    let store = RocksStore::open(place.path("data/log"), &quipu_rocks::Options::default()).unwrap();
    let head = store.head().unwrap().unwrap();
    let notes = vec![Notes { size, sumdb, checkpoint }];
    store.commit(head.size, &Round { records: Vec::new(), tiles: Vec::new(), head, notes }).unwrap();
    key
}

#[test]
fn two_signed_histories_are_proven() {
    let place = Place::new();
    let mut server = place.serve();
    append(&server, 0..300);
    server.kill();
    // The notes of the last head are stored by the round or the start after it.
    place.serve().kill();
    let key = sign_twice(&place, 3);
    let output = quipu(&["fsck", &place.text("data")]);
    assert_eq!(output.status.code(), Some(3), "{}{}", stdout(&output), stderr(&output));
    assert!(stderr(&output).contains("signed two histories: 3 records with root "), "{}", stderr(&output));
    let kept = fs::read_dir(place.path("data/evidence")).unwrap().next().unwrap().unwrap().path();
    let told = format!("MISBEHAVIOUR PROVEN, the evidence is in {}: ", kept.display());
    assert!(stdout(&output).contains(&told), "{}", stdout(&output));
    let evidence: Evidence = fs::read_to_string(&kept).unwrap().parse().unwrap();
    let finding = evidence.check(&[key.verifier().clone()]).unwrap();
    let Finding::Fork(fork) = finding else { panic!("{finding}") };
    assert_eq!((fork.older.size, fork.older.root), (3, Hash::from_bytes([7; 32])));
    assert!(fork.newer.size > 3);

    let output = quipu(&["fsck", &place.text("data"), "--json"]);
    assert_eq!(output.status.code(), Some(3));
    let verdict: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verdict["verdict"], "misbehaviour");
    assert_eq!(verdict["evidence"], kept.to_str().unwrap());
}

/// Nothing that was signed later tells how the longer tree began: a difference, and no proof.
#[test]
fn a_head_of_another_tree_at_the_end_proves_nothing() {
    let place = Place::new();
    let mut server = place.serve();
    append(&server, 0..3);
    server.kill();
    sign_twice(&place, 3);
    let output = quipu(&["fsck", &place.text("data")]);
    assert_eq!(output.status.code(), Some(4), "{}{}", stdout(&output), stderr(&output));
    assert!(stderr(&output).contains("signed head of 3: its database note has the root "));
    assert!(!place.path("data/evidence").exists());
}

/// Without a place for the evidence it is printed.
#[test]
fn evidence_that_cannot_be_kept_is_printed() {
    let place = Place::new();
    let mut server = place.serve();
    append(&server, 0..5);
    server.kill();
    place.serve().kill();
    let key = sign_twice(&place, 2);
    fs::write(place.path("data/evidence"), "in the way").unwrap();
    let output = quipu(&["fsck", &place.text("data")]);
    assert_eq!(output.status.code(), Some(3), "{}{}", stdout(&output), stderr(&output));
    let said = stderr(&output);
    let (_, text) = said.split_once("this is it:\n").unwrap();
    let (text, _) = text.split_once("signed head of 2: ").unwrap();
    text.parse::<Evidence>().unwrap().check(&[key.verifier().clone()]).unwrap();
}

/// One bit in every few hundred bytes of every file, one at a time. What passes must still serve all that was signed:
/// the check itself read all of it, so only bytes that nothing hangs on are left (the text of RocksDB's own options, for one).
#[test]
fn flipped_bits_are_found_or_harmless() {
    let place = Place::new();
    let mut server = place.serve();
    append(&server, 0..40);
    server.kill();
    // A second start writes what was in the write-ahead log out to tables.
    let mut server = place.serve();
    append(&server, 40..60);
    server.kill();
    let honest = stdout(&quipu(&["fsck", &place.text("data")]));
    assert!(honest.starts_with("good: "), "{honest}");
    let root = |line: &str| line.split(", ").nth(1).unwrap_or_default().to_owned();
    let (mut found, mut harmless) = (0, 0);
    for file in files(&place.path("data/log")) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let live = name.ends_with(".sst") || name.ends_with(".log") || name.starts_with("MANIFEST");
        let bytes = fs::read(&file).unwrap();
        let step = bytes.len() / if live { 12 } else { 2 } + 1;
        for at in (0..bytes.len()).step_by(step) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            fs::write(&file, &damaged).unwrap();
            let output = quipu(&["fsck", &place.text("data")]);
            match output.status.code() {
                Some(4) => found += 1,
                Some(0) => {
                    assert_eq!(root(&stdout(&output)), root(&honest), "{name} at {at}");
                    harmless += 1;
                }
                code => assert!(!live, "{name} at {at}: {code:?} {}", stderr(&output)),
            }
        }
        fs::write(&file, &bytes).unwrap();
    }
    assert!(found > harmless && found > 10, "{found} found, {harmless} harmless");
    assert!(stdout(&quipu(&["fsck", &place.text("data")])).starts_with("good: "));
}

#[test]
fn flipped_bits_in_the_small_files_are_found() {
    let place = Place::new();
    let mut server = place.serve();
    append(&server, 0..3);
    server.kill();
    for (name, at) in
        [("data/ledger.id", 30), ("data.guard", 30), ("data.guard", 2 * 4096 + 20), ("data/name", 2)]
    {
        let file = place.path(name);
        let honest = fs::read(&file).unwrap();
        let mut damaged = honest.clone();
        damaged[at] ^= 4;
        write(&file, &damaged);
        let output = quipu(&["fsck", &place.text("data")]);
        assert_eq!(output.status.code(), Some(4), "{name} at {at}: {}{}", stdout(&output), stderr(&output));
        write(&file, &honest);
    }
    assert_eq!(quipu(&["fsck", &place.text("data")]).status.code(), Some(0));
}

/// Also over a file that its owner has made read-only.
fn write(file: &Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(file, bytes).unwrap();
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for path in files(from) {
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
