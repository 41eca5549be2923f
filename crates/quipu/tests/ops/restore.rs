//! `quipu backup` and `quipu restore`: what comes back is the log that was signed, or nothing.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::Http;
use crate::{Place, append, quipu, stderr, stdout};

fn good(place: &Place, args: &[&str]) -> String {
    let output = quipu(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
    let fsck = quipu(&["fsck", &place.text("data")]);
    assert_eq!(fsck.status.code(), Some(0), "{}", stderr(&fsck));
    stdout(&output)
}

/// Loses the log, but not the key.
fn lose_log(place: &Place) {
    fs::rename(place.path("data/log"), place.path("lost")).unwrap();
}

#[test]
fn a_backup_taken_while_serving_is_restored_with_times_and_notes() {
    let place = Place::new();
    let mut server = place.serve();
    append(&server, 0..300);
    let (data, backup) = (place.text("data"), place.text("backup"));
    let said = good(&place, &["backup", &backup, "--data", &data]);
    assert!(said.starts_with("backed up sum.ops.test: 300 records"), "{said}");
    server.kill();
    assert!(!place.path("backup/signer.key").exists());
    let fsck = quipu(&["fsck", &backup]);
    assert_eq!(fsck.status.code(), Some(0), "{}", stderr(&fsck));
    let again = quipu(&["backup", &backup, "--data", &data]);
    assert!(stderr(&again).contains("is there already"), "{}", stderr(&again));
    lose_log(&place);
    let refused = place.try_serve("data").err().unwrap();
    assert!(refused.contains("quipu restore"), "{refused}");
    let said = good(&place, &["restore", &backup, "--data", &data]);
    assert!(said.contains("holds the log of 300 records"), "{said}");
    // The very tables of times: another backup is the same, row by row.
    good(&place, &["backup", &place.text("second"), "--data", &data]);
    let mark = |name: &str| fs::read_to_string(place.path(name).join("backup")).unwrap();
    assert_eq!(mark("second"), mark("backup"));
    append(&place.serve(), 298..303);
}

#[test]
fn an_old_backup_needs_a_newer_copy_or_the_log_is_closed() {
    let place = Place::new();
    let mut server = place.serve();
    append(&server, 0..280);
    let (data, backup) = (place.text("data"), place.text("backup"));
    good(&place, &["backup", &backup, "--data", &data]);
    append(&server, 280..600);
    let newer = place.text("newer");
    good(&place, &["backup", &newer, "--data", &data]);
    append(&server, 600..610);
    server.kill();
    lose_log(&place);
    for args in [vec![&*backup], vec![&*backup, "--newer", &newer]] {
        let output = quipu(&[&["restore", "--data", &data], &args[..]].concat());
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
        let text = stderr(&output);
        assert!(
            text.contains("NOT RESTORED") && text.contains("closed for ever") && text.contains("successor"),
            "{text}"
        );
        assert!(!place.path("data/log").exists() && !place.path("data/log.restoring").exists());
    }
    let said = good(
        &place,
        &["restore", &backup, "--newer", &newer, "--newer", &place.text("whole"), "--data", &data]
            .map(|arg| if arg.ends_with("whole") { lost_as_directory(&place) } else { arg.to_owned() })
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    );
    assert!(said.contains("holds the log of 610 records"), "{said}");
    append(&place.serve(), 605..615);
}

/// The lost store, found again as somebody's copy of the data directory.
fn lost_as_directory(place: &Place) -> String {
    let dir = place.path("whole");
    if !dir.exists() {
        fs::create_dir(&dir).unwrap();
        fs::copy(place.path("data/vkey"), dir.join("vkey")).unwrap();
        fs::rename(place.path("lost"), dir.join("log")).unwrap();
    }
    dir.to_str().unwrap().to_owned()
}

/// The other server is a copy of the data directory at another address, which serves the log but must never sign again.
#[test]
fn records_come_back_over_http() {
    let place = Place::new();
    let mut server = place.serve();
    append(&server, 0..260);
    let (data, backup) = (place.text("data"), place.text("backup"));
    good(&place, &["backup", &backup, "--data", &data]);
    append(&server, 260..530);
    let (moved, guard) = (place.text("elsewhere"), place.path("data.guard"));
    server.kill();
    let mut mirror = place.serve();
    let latest = Http::new(&mirror.url).get("/latest").unwrap();
    // While the old server still answers, another place is made from the backup and what it serves.
    fs::create_dir(&moved).unwrap();
    fs::copy(place.path("data/signer.key"), place.path("elsewhere/signer.key")).unwrap();
    fs::copy(&guard, place.path("elsewhere.guard")).unwrap();
    let output = quipu(&["restore", &backup, "--newer", &mirror.url, "--data", &moved]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("do not know their times"), "{}", stderr(&output));
    mirror.kill();
    let fsck = quipu(&["fsck", &moved]);
    assert_eq!(fsck.status.code(), Some(0), "{}", stderr(&fsck));
    let server = place.try_serve("elsewhere").unwrap();
    assert_eq!(Http::new(&server.url).get("/latest").unwrap(), latest);
}

#[test]
fn a_moved_directory_and_a_lost_guard_need_a_word() {
    let place = Place::new();
    let mut server = place.serve();
    append(&server, 0..5);
    server.kill();
    let copy = place.text("data.copy");
    let copied = std::process::Command::new("cp").args(["-a", &place.text("data"), &copy]).status().unwrap();
    assert!(copied.success());
    fs::remove_dir_all(place.path("data")).unwrap();
    fs::rename(place.path("data.copy"), place.path("data")).unwrap();
    let refused = place.try_serve("data").err().unwrap();
    assert!(refused.contains("quipu restore --moved"), "{refused}");
    good(&place, &["restore", "--moved", "--data", &place.text("data")]);
    append(&place.serve(), 4..7);

    fs::remove_file(place.path("data.guard")).unwrap();
    let refused = place.try_serve("data").err().unwrap();
    assert!(refused.contains("quipu restore --new-guard"), "{refused}");
    good(&place, &["restore", "--new-guard", "--data", &place.text("data")]);
    append(&place.serve(), 6..8);
}

#[test]
fn a_log_that_is_there_is_not_overwritten_and_a_missing_key_not_replaced() {
    let place = Place::new();
    let mut server = place.serve();
    append(&server, 0..2);
    let (data, backup) = (place.text("data"), place.text("backup"));
    good(&place, &["backup", &backup, "--data", &data]);
    server.kill();
    let output = quipu(&["restore", &backup, "--data", &data]);
    assert!(stderr(&output).contains("move it away"), "{}", stderr(&output));
    lose_log(&place);
    fs::remove_file(place.path("data/signer.key")).unwrap();
    let output = quipu(&["restore", &backup, "--data", &data]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("a backup holds none"), "{}", stderr(&output));
    assert!(!place.path("data/signer.key").exists());
}

#[test]
fn a_start_refused_for_want_of_a_log_leaves_nothing_behind() {
    let place = Place::new();
    let mut server = place.serve();
    append(&server, 0..2);
    server.kill();
    lose_log(&place);
    let refused = |data: &str, why: &str| {
        let before = files(&place.path(""));
        let (data, key) = (place.text(data), place.text("data/signer.key"));
        let args = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--key",
            &key,
            "--guard",
            &place.text("data.guard"),
            "--data",
        ];
        let output = quipu(&[&args[..], &[&*data]].concat());
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
        assert_eq!(files(&place.path("")), before, "{why}");
    };
    refused("data", "knows a signed head of 2 records");
    refused("wrong", "knows a signed head of 2 records");
    let guard = fs::read(place.path("data.guard")).unwrap();
    fs::write(place.path("data.guard"), &guard[1..]).unwrap();
    refused("data", "is damaged");
    refused("wrong", "is damaged");
    fs::remove_file(place.path("data.guard")).unwrap();
    refused("data", "there is no guard");
}

/// Every path below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}
