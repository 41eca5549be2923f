//! What the client keeps of a lie: evidence that a third person can check.

use std::sync::Arc;

use bytes::Bytes;
use quipu_tlog::{Hash, Tile};
use quipu_verify::{Error, Kind, MemoryState};

use crate::log::{Log, key, record};
use crate::server::{Answer, Server, answer, client, filler, kind, module};

/// The kind of the evidence in an error, which must prove something; it is misbehaviour only if all of it is signed.
fn accused<T>(outcome: Result<T, Error>) -> Kind {
    let Err(error) = outcome else { panic!("good") };
    let evidence = error.evidence().unwrap_or_else(|| panic!("no evidence: {error}"));
    let finding = evidence.check(&[key()]).unwrap();
    assert_eq!(matches!(error, Error::Misbehaved(_)), finding.kind().is_signed(), "{error}");
    finding.kind()
}

fn flip(path: &str, honest: Answer, prefix: &str, at: usize) -> Answer {
    let mut body = honest?.to_vec();
    if path.starts_with(prefix) {
        body[at] ^= 1;
    }
    Ok(body.into())
}

/// Every tile that a lookup reads, in a tree of three levels of tiles.
#[tokio::test]
async fn a_flipped_bit_in_any_tile() {
    let log = Arc::new(Log::filler(70_000));
    for (prefix, expected) in [
        ("/tile/8/2/000", Kind::Tiles),
        ("/tile/8/1/001", Kind::Tiles),
        ("/tile/8/0/273", Kind::Tiles),
        ("/tile/8/1/000", Kind::Tile),
        ("/tile/8/0/000", Kind::Tile),
        ("/tile/8/data/000", Kind::Tile),
    ] {
        let lie = move |path: &str, honest| flip(path, honest, prefix, 9);
        let client = client(&Arc::new(Server::lying(log.clone(), lie)), &Arc::new(MemoryState::new()));
        if prefix.contains("data") {
            let tile = Tile::parse_sumdb("tile/8/data/000").unwrap();
            assert_eq!(accused(client.tile(tile).await), expected, "{prefix}");
        } else {
            assert_eq!(accused(client.lookup(&filler(5)).await), expected, "{prefix}");
        }
    }
}

#[tokio::test]
async fn at_every_small_size() {
    for size in 1..=100 {
        let lie = |path: &str, honest| flip(path, honest, "/tile/8/0/", 0);
        let client = client(&Arc::new(Server::lying(Log::filler(size), lie)), &Arc::new(MemoryState::new()));
        assert_eq!(accused(client.lookup(&filler(size / 2)).await), Kind::Tiles, "{size}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_in_the_tree() {
    let log = Log::filler(300);
    let body = answer(3, &record("filler.test/m3", 'y'), &log.note(300));
    let lie = move |path: &str, honest: Answer| {
        if path.starts_with("/lookup/") { Ok(Bytes::from(body.clone())) } else { honest }
    };
    let client = client(&Arc::new(Server::lying(log, lie)), &Arc::new(MemoryState::new()));
    assert_eq!(accused(client.lookup(&filler(3)).await), Kind::Answer);
}

#[tokio::test]
async fn a_signature_in_the_name_of_the_database() {
    let lie = |path: &str, honest: Answer| {
        let text = String::from_utf8(honest?.to_vec()).unwrap_or_default();
        Ok(if path == "/latest" { text.replace("\n300\n", "\n299\n") } else { text }.into())
    };
    let client = client(&Arc::new(Server::lying(Log::filler(300), lie)), &Arc::new(MemoryState::new()));
    assert_eq!(accused(client.latest().await), Kind::Signature);
}

#[tokio::test]
async fn a_record_against_the_rules_is_misbehaviour() {
    let mut log = Log::filler(299);
    let half = record("example.test/m", 'z').lines().next().unwrap().to_owned() + "\n";
    log.push(half.clone());
    let server = Server::honest(log);
    let client = client(&Arc::new(server), &Arc::new(MemoryState::new()));
    assert_eq!(accused(client.lookup(&module("example.test/m")).await), Kind::Record);
}

/// A record for another module is in the tree rightly: only the unsigned answer is wrong, and says so itself.
#[tokio::test]
async fn a_good_record_is_not_accused() {
    let log = Log::filler(300);
    let body = answer(3, &log.records[3], &log.note(300));
    let lie = move |path: &str, honest: Answer| {
        if path.starts_with("/lookup/") { Ok(Bytes::from(body.clone())) } else { honest }
    };
    let client = client(&Arc::new(Server::lying(log, lie)), &Arc::new(MemoryState::new()));
    let outcome = client.lookup(&filler(4)).await;
    assert!(outcome.as_ref().is_err_and(|error| error.evidence().is_none()));
    assert_eq!(kind(outcome), "unproven");
}

/// The honest tiles of a tree that is not the signed one.
#[tokio::test]
async fn a_tree_that_nobody_shows() {
    let other = Log::new((0..300).map(|i| record(&format!("other.test/m{i}"), 'y')));
    let body = answer(3, &other.records[3], &other.note(300));
    let lie = move |path: &str, honest: Answer| {
        if path.starts_with("/lookup/") { Ok(Bytes::from(body.clone())) } else { honest }
    };
    let client = client(&Arc::new(Server::lying(Log::filler(300), lie)), &Arc::new(MemoryState::new()));
    assert_eq!(accused(client.lookup(&module("other.test/m3")).await), Kind::Tiles);
    assert_ne!(other.tree(300).root, Hash::EMPTY_TREE);
}
