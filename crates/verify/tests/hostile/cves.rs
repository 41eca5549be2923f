//! The three faults of the `go` command's client found in 2026, tried at every small tree size.

use std::sync::Arc;

use bytes::Bytes;
use quipu_tlog::{Hash, Tile, format_tree};
use quipu_verify::MemoryState;

use crate::log::{Log, record, signed};
use crate::server::{Answer, Server, answer, client, filler, fresh_lookup, kind, module};

/// CVE-2026-56865: a tile that was fetched for a proof but not itself checked.
#[tokio::test]
async fn every_hash_of_every_tile_counts_at_every_size_up_to_100() {
    for size in 1..=100 {
        let log = Arc::new(Log::filler(size));
        for flipped in 0..size {
            let flipped = usize::try_from(flipped).unwrap();
            let lie = move |path: &str, honest| flip(path, honest, "/tile/8/0/000.p/", flipped);
            for wanted in [0, size / 2, size - 1] {
                let outcome = fresh_lookup(Server::lying(log.clone(), lie), wanted).await;
                assert_eq!(kind(outcome), "unproven", "size {size}, hash {flipped}, record {wanted}");
            }
        }
    }
}

#[tokio::test]
async fn every_tile_of_a_proof_counts_at_sizes_with_several() {
    for size in [255, 256, 257, 300, 511, 512, 513, 767, 1025, 65_535, 65_536, 65_537, 65_900] {
        let log = Arc::new(Log::filler(size));
        for wanted in [0, size / 2, size - 1] {
            let honest = Arc::new(Server::honest(log.clone()));
            client(&honest, &Arc::new(MemoryState::new())).lookup(&filler(wanted)).await.unwrap();
            for tile in honest.requests().into_iter().filter(|path| path.starts_with("/tile/")) {
                let width = Tile::parse_sumdb(&tile[1..]).unwrap().width();
                for entry in [0, width / 2, width - 1] {
                    let poisoned = tile.clone();
                    let lie = move |path: &str, honest| flip(path, honest, &poisoned, entry.into());
                    let outcome = fresh_lookup(Server::lying(log.clone(), lie), wanted).await;
                    assert_eq!(
                        kind(outcome),
                        "unproven",
                        "size {size}, record {wanted}, {tile} entry {entry}"
                    );
                }
            }
        }
    }
}

/// CVE-2026-42501: an authentic answer about something else, taken as "verified, no hashes".
#[tokio::test]
async fn a_record_for_another_module_is_no_answer() {
    for size in 2..=100 {
        let log = Log::filler(size);
        let other = answer(0, &log.records[0], &log.note(size));
        let lie = move |path: &str, honest| replace(path, honest, "/lookup/", &other);
        let outcome = fresh_lookup(Server::lying(log, lie), size - 1).await;
        assert_eq!(kind(outcome), "unproven", "size {size}");
    }
}

#[tokio::test]
async fn an_empty_answer_is_no_answer() {
    for body in ["", "\n", "0\n", "0\n\n", "0\n\n\n"] {
        let lie = move |path: &str, honest| replace(path, honest, "/lookup/", body);
        let outcome = fresh_lookup(Server::lying(Log::filler(7), lie), 3).await;
        assert_ne!(kind(outcome), "good", "{body:?}");
    }
}

#[tokio::test]
async fn a_record_with_one_of_the_lines_is_no_answer() {
    let whole = record("example.test/m", 'z');
    for line in whole.lines() {
        let mut log = Log::filler(5);
        log.push(format!("{line}\n"));
        let half = answer(5, &log.records[5], &log.note(6));
        let lie = move |path: &str, honest| replace(path, honest, "/lookup/", &half);
        let server = Arc::new(Server::lying(log, lie));
        let client = client(&server, &Arc::new(MemoryState::new()));
        assert_eq!(kind(client.lookup(&module("example.test/m")).await), "misbehaved", "{line}");
    }
}

/// CVE-2026-56864: hash lines taken from outside the record, here from the (validly signed) note.
#[tokio::test]
async fn lines_outside_the_record_do_not_count() {
    for size in 1..=100 {
        let log = Log::filler(size);
        let smuggled = record("example.test/victim", 'x');
        let note = signed(&format!("{}{smuggled}", format_tree(&log.tree(size))));
        let body = answer(0, &log.records[0], &note);
        let lie = move |path: &str, honest| replace(path, honest, "/lookup/", &body);
        let server = Arc::new(Server::lying(log, lie));
        let client = client(&server, &Arc::new(MemoryState::new()));
        assert_eq!(kind(client.lookup(&module("example.test/victim")).await), "unproven", "size {size}");
    }
}

/// Flips a bit in entry `entry` of the tiles under `prefix`.
fn flip(path: &str, honest: Answer, prefix: &str, entry: usize) -> Answer {
    if !path.starts_with(prefix) {
        return honest;
    }
    let mut body = honest?.to_vec();
    body[entry * Hash::SIZE + 7] ^= 0x10;
    Ok(body.into())
}

fn replace(path: &str, honest: Answer, prefix: &str, body: &str) -> Answer {
    if path.starts_with(prefix) { Ok(Bytes::copy_from_slice(body.as_bytes())) } else { honest }
}
