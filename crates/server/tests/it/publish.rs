//! Uploads whose senders do not wait, and those that a crash interrupted: nothing is published that is not noted.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::access::{Server, zip};

/// Uploads at once.
const PLACES: usize = 8;

/// Sends a whole upload; the answer comes later, if anybody waits for it.
async fn send(server: &Server, version: &str) -> TcpStream {
    let zip = zip(version, "package m\n");
    let head = format!(
        "PUT /corp.example/team/m/@v/{version}.zip HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\
         Authorization: Bearer {}\r\n\r\n",
        zip.len(),
        server.tokens["publish"].expose(),
    );
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(&[head.as_bytes(), &zip].concat()).await.unwrap();
    stream
}

/// How many uploads are whole and on the disk, and wait.
fn staged(server: &Server) -> usize {
    let entries = fs::read_dir(server.dir.path().join("modules/.staging")).unwrap();
    let lengths = entries.filter_map(|entry| {
        let entry = entry.unwrap();
        let is_part = entry.file_name().to_str().is_some_and(|name| name.ends_with(".part"));
        // It may just be gone.
        is_part.then(|| entry.metadata().map_or(0, |facts| facts.len()))
    });
    lengths.filter(|length| *length > 0).count()
}

#[tokio::test]
async fn whoever_goes_away_has_published_and_it_is_noted() {
    let server = Server::start("*").await;
    // The first of them waits for the audit log, and the others for the first.
    let audit = File::open(server.dir.path().join("audit.log")).unwrap();
    audit.lock().unwrap();
    let mut senders = Vec::new();
    for n in 0..PLACES {
        senders.push(send(&server, &format!("v1.0.{n}")).await);
    }
    while staged(&server) < PLACES || server.ledger.head().size() == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    drop(senders);
    sleep(Duration::from_millis(200)).await;

    let one_more =
        timeout(Duration::from_secs(2), server.put("v1.1.0", "publish", &zip("v1.1.0", "x"))).await;
    assert_eq!(one_more.map(|answer| answer.status), Ok(503), "as many as before are under way");
    let path = |n: usize| format!("/corp.example/team/m/@v/v1.0.{n}.zip");
    assert_eq!(server.get(&path(0), "").await.status, 404, "logged, not noted yet");

    // The end of the server waits for them, too.
    server.stop.send(true).unwrap();
    sleep(Duration::from_millis(200)).await;
    assert!(!server.serving.is_finished());
    audit.unlock().unwrap();
    let Server { serving, ledger, dir, .. } = server;
    assert_eq!(serving.await.unwrap(), 0);
    assert_eq!(ledger.head().size(), PLACES as u64);
    let audited = fs::read_to_string(dir.path().join("audit.log")).unwrap();
    for n in 0..PLACES {
        assert!(dir.path().join("modules").join(&path(n)[1..]).exists(), "{n}");
        let line = format!(
            "(publish)\",\"peer\":\"127.0.0.1\",\"what\":\"corp.example/team/m@v1.0.{n}\",\"detail\":\"h1:"
        );
        assert_eq!(audited.matches(&line).count(), 1, "{n}: {audited}");
    }
}

/// Leaves an upload behind, as a crash does.
fn leave(staging: &Path, name: &str, (version, zip, note): (&str, &[u8], &str)) {
    let sha256: String = Sha256::digest(zip).iter().map(|byte| format!("{byte:02x}")).collect();
    let note = format!("corp.example/team/m@{version}\n{sha256}\n{note}");
    fs::create_dir_all(staging).unwrap();
    fs::write(staging.join(format!("{name}.for")), note).unwrap();
    fs::write(staging.join(format!("{name}.part")), zip).unwrap();
}

#[tokio::test]
async fn what_a_crash_left_is_no_less_noted_where_it_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let staging = dir.path().join("modules/.staging");
    let by = |token: &str| format!("2026-11-22T10:00:00Z\n{token}\n192.0.2.7\n");
    let contents = [zip("v1.0.0", "package m\n"), zip("v1.0.0", "package m // other\n"), b"no zip".to_vec()];
    for (name, zip) in ["1", "2", "3"].iter().zip(&contents) {
        leave(&staging, name, ("v1.0.0", zip, &by(&format!("token {name}"))));
    }
    let server = Server::start_in(dir, "*").await;
    assert_eq!(server.modules.recover().await, 1);
    assert_eq!(server.ledger.head().size(), 1);
    assert_eq!(fs::read_dir(&staging).unwrap().count(), 0);
    let audited = server.audited();
    let served = server.get("/corp.example/team/m/@v/v1.0.0.zip", "").await.body;
    let published = contents[..2].iter().position(|zip| *zip == served).unwrap();
    for (name, event, why) in [
        (published + 1, "publish", "h1:"),
        (2 - published, "conflict", "corp.example/team/m@v1.0.0: the log has h1:"),
        (3, "publish-refused", "zip: not a valid zip file"),
    ] {
        let line = format!(
            "\"event\":\"{event}\",\"who\":\"token {name}\",\"peer\":\"192.0.2.7\",\
             \"what\":\"corp.example/team/m@v1.0.0\",\"detail\":\"{why}"
        );
        let told: Vec<&str> = audited.lines().filter(|audited| audited.contains(&line)).collect();
        assert_eq!(told.len(), 1, "{line}: {audited}");
        assert!(
            told[0].ends_with("; sent at 2026-11-22T10:00:00Z and left by an earlier run\"}"),
            "{}",
            told[0]
        );
    }
}

#[tokio::test]
async fn what_a_crash_left_is_published_in_the_name_of_who_sent_it() {
    let dir = tempfile::tempdir().unwrap();
    let staging = dir.path().join("modules/.staging");
    let notes = [
        // By whom was not noted once.
        ("v1.0.0", "2026-11-22T10:00:00Z\n", "\"event\":\"publish\",\"what\":"),
        (
            "v1.0.1",
            "2026-11-22T10:00:00Z\ntoken 3f1c9a0b7d52 (ci)\n192.0.2.7\n",
            "\"event\":\"publish\",\"who\":\"token 3f1c9a0b7d52 (ci)\",\"peer\":\"192.0.2.7\",\"what\":",
        ),
    ];
    for (version, note, _) in notes {
        leave(&staging, &version[5..], (version, &zip(version, "package m\n"), note));
    }
    let server = Server::start_in(dir, "*").await;
    assert_eq!(server.modules.recover().await, 2);
    let audited = server.audited();
    for (version, _, line) in notes {
        let path = format!("/corp.example/team/m/@v/{version}.zip");
        assert_eq!(server.get(&path, "").await.body, zip(version, "package m\n"));
        let line = format!("{line}\"corp.example/team/m@{version}\"");
        assert_eq!(audited.matches(&line).count(), 1, "{line}: {audited}");
    }
    assert!(audited.contains("; sent at 2026-11-22T10:00:00Z and left by an earlier run\"}"), "{audited}");
}
