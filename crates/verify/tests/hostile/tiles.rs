//! Tiles: lengths, fallbacks, what is kept, and handing them on.

use std::sync::Arc;

use bytes::Bytes;
use quipu_tlog::{Tile, join_records, new_tiles, split_records};
use quipu_verify::{DirState, MemoryState, State, TransportError};

use crate::log::{Log, record};
use crate::server::{Server, client, filler, fresh_lookup, kind};

fn tile(path: &str) -> Tile {
    Tile::parse_sumdb(path).unwrap()
}

/// What a lookup comes to if a tile has this body.
async fn lookup_with_tile(path: &'static str, change: fn(Vec<u8>) -> Vec<u8>) -> &'static str {
    let lie = move |asked: &str, honest: Result<Bytes, _>| {
        if asked == path { honest.map(|body| change(body.into()).into()) } else { honest }
    };
    kind(fresh_lookup(Server::lying(Log::filler(301), lie), 300).await)
}

#[tokio::test]
async fn tiles_must_have_their_length() {
    for path in ["/tile/8/0/001.p/45", "/tile/8/1/000.p/1"] {
        assert_eq!(lookup_with_tile(path, |body| body).await, "good");
        assert_eq!(lookup_with_tile(path, |body| body[..body.len() - 1].into()).await, "malformed");
        assert_eq!(lookup_with_tile(path, |body| body[32..].into()).await, "malformed");
        assert_eq!(lookup_with_tile(path, |body| [body, vec![0]].concat()).await, "malformed");
        assert_eq!(lookup_with_tile(path, |body| [body, vec![0; 32]].concat()).await, "malformed");
        assert_eq!(lookup_with_tile(path, |_| Vec::new()).await, "malformed");
    }
}

#[tokio::test]
async fn a_full_tile_stands_in_for_its_partial_states() {
    let lie = |path: &str, honest| {
        if path.contains("/8/0/001.p/") { Err(TransportError::NotFound("404".to_owned())) } else { honest }
    };
    let server = Arc::new(Server::lying(Log::filler(601), lie).at(301));
    let client = client(&server, &Arc::new(MemoryState::new()));
    client.lookup(&filler(300)).await.unwrap();
    let mut requests = server.requests();
    requests.sort();
    let wanted =
        ["/lookup/filler.test/m300@v1.0.0", "/tile/8/0/001", "/tile/8/0/001.p/45", "/tile/8/1/000.p/1"];
    assert_eq!(requests, wanted);
}

#[tokio::test]
async fn the_first_error_is_reported_if_both_fail() {
    let lie = |path: &str, honest| match path {
        "/tile/8/0/001.p/45" => Err(TransportError::Unavailable("500 boom".to_owned())),
        "/tile/8/0/001" => Err(TransportError::NotFound("404".to_owned())),
        _ => honest,
    };
    let error = fresh_lookup(Server::lying(Log::filler(301), lie), 300).await.unwrap_err();
    let wanted = "/lookup/filler.test/m300@v1.0.0: reading tile/8/0/001.p/45: 500 boom";
    assert_eq!(error.to_string(), wanted);
    assert_eq!(kind::<()>(Err(error)), "unavailable");
}

#[tokio::test]
async fn what_was_kept_is_not_fetched_again() {
    let server = Arc::new(Server::honest(Log::filler(70_000)));
    let state = Arc::new(MemoryState::new());
    client(&server, &state).lookup(&filler(0)).await.unwrap();
    let before = server.requests().len();
    client(&server, &state).lookup(&filler(0)).await.unwrap();
    assert_eq!(server.requests().len(), before, "all of it was kept");
    client(&server, &state).lookup(&filler(1)).await.unwrap();
    assert_eq!(server.requests()[before..], ["/lookup/filler.test/m1@v1.0.0"]);
}

#[tokio::test]
async fn damaged_tiles_are_fetched_again() {
    let server = Arc::new(Server::honest(Log::filler(601)));
    for path in ["tile/8/0/000", "tile/8/0/002.p/89", "tile/8/1/000.p/2"] {
        let state = Arc::new(MemoryState::new());
        client(&server, &state).lookup(&filler(0)).await.unwrap();
        let body = state.tile(&tile(path)).unwrap();
        let mut damaged = body.to_vec();
        damaged[40] ^= 1;
        state.keep_tile(&tile(path), &damaged.into()).unwrap();
        assert_eq!(client(&server, &state).lookup(&filler(1)).await.unwrap().id, 1);
        assert_eq!(state.tile(&tile(path)).unwrap(), body);
    }
}

#[tokio::test]
async fn damaged_answers_are_fetched_again() {
    let server = Arc::new(Server::honest(Log::filler(5)));
    let state = Arc::new(MemoryState::new());
    let body = client(&server, &state).lookup(&filler(1)).await.unwrap().body;
    let damaged = body.slice(1..);
    state.keep_lookup(&filler(1), &damaged).unwrap();
    assert_eq!(client(&server, &state).lookup(&filler(1)).await.unwrap().body, body);
    assert_eq!(state.lookup(&filler(1)).unwrap(), body);
}

#[tokio::test]
async fn every_tile_of_a_log_can_be_handed_on() {
    let log = Log::filler(66_000);
    let server = Arc::new(Server::honest(log.clone()));
    let client = client(&server, &Arc::new(MemoryState::new()));
    client.latest().await.unwrap();
    for wanted in new_tiles(0, 66_000).filter(|tile| tile.n() % 50 == 7 || !tile.is_full()) {
        assert_eq!(client.tile(wanted).await.unwrap(), log.tile(&wanted).unwrap(), "{wanted}");
    }
    for path in ["tile/8/data/000", "tile/8/data/257.p/208", "tile/8/data/257.p/7", "tile/8/0/000.p/3"] {
        assert_eq!(client.tile(tile(path)).await.unwrap(), log.tile(&tile(path)).unwrap(), "{path}");
    }
}

#[tokio::test]
async fn tiles_beyond_the_signed_tree_are_not_found() {
    let server = Arc::new(Server::honest(Log::filler(601)).at(301));
    let client = client(&server, &Arc::new(MemoryState::new()));
    for path in
        ["tile/8/0/001.p/46", "tile/8/0/001", "tile/8/1/000.p/2", "tile/8/2/000.p/1", "tile/8/data/002"]
    {
        assert_eq!(kind(client.tile(tile(path)).await), "not found", "{path}");
    }
    assert_eq!(kind(client.tile(tile("tile/8/0/001.p/45")).await), "good");
}

#[tokio::test]
async fn poisoned_tiles_are_not_handed_on() {
    for path in ["tile/8/0/000", "tile/8/0/001.p/45", "tile/8/1/000.p/1"] {
        let lie = move |asked: &str, honest: Result<Bytes, _>| {
            honest.map(|body| {
                let mut body = body.to_vec();
                if asked[1..] == *path {
                    body[3] ^= 1;
                }
                body.into()
            })
        };
        let server = Arc::new(Server::lying(Log::filler(301), lie));
        let state = Arc::new(MemoryState::new());
        assert_eq!(kind(client(&server, &state).tile(tile(path)).await), "unproven", "{path}");
        assert_eq!(state.tile(&tile(path)), None, "{path}");
    }
}

#[tokio::test]
async fn data_tiles_must_hold_exactly_the_records_of_the_log() {
    let log = Log::filler(301);
    let honest = log.tile(&tile("tile/8/data/000")).unwrap();
    let records = split_records(&honest, 256).unwrap();
    let extra = record("filler.test/m256", 'z');
    let mut swapped = records.clone();
    swapped.swap(3, 4);
    let mut altered = honest.clone();
    altered[100] ^= 1;
    for (what, body, expected) in [
        ("as it is", honest.clone(), "good"),
        ("terminated", [&honest[..], b"\n"].concat(), "good"),
        ("257 records", join_records(&[&records[..], &[extra.as_str()]].concat()), "malformed"),
        ("255 records", join_records(&records[..255]), "malformed"),
        ("nothing", Vec::new(), "malformed"),
        ("two in another order", join_records(&swapped), "unproven"),
        ("a bit", altered, "unproven"),
    ] {
        let served = Bytes::from(body.clone());
        let lie =
            move |path: &str, honest| if path == "/tile/8/data/000" { Ok(served.clone()) } else { honest };
        let server = Arc::new(Server::lying(log.clone(), lie));
        let outcome = client(&server, &Arc::new(MemoryState::new())).tile(tile("tile/8/data/000")).await;
        assert_eq!(kind(outcome.clone()), expected, "{what}");
        if let Ok(handed_on) = outcome {
            assert_eq!(handed_on, body, "handed on as it came");
        }
    }
}

#[tokio::test]
async fn a_full_data_tile_stands_in_for_a_partial_one() {
    let lie = |path: &str, honest| {
        if path.contains("/data/001.p/") { Err(TransportError::NotFound("404".to_owned())) } else { honest }
    };
    let log = Log::filler(601);
    let server = Arc::new(Server::lying(log.clone(), lie).at(301));
    let client = client(&server, &Arc::new(MemoryState::new()));
    let partial = tile("tile/8/data/001.p/45");
    assert_eq!(client.tile(partial).await.unwrap(), log.tile(&partial).unwrap());
}

#[tokio::test]
async fn tiles_are_handed_on_while_the_database_is_away() {
    let log = Log::filler(601);
    let directory = tempfile::tempdir().unwrap();
    let paths =
        ["tile/8/0/000", "tile/8/0/002.p/89", "tile/8/1/000.p/2", "tile/8/data/000", "tile/8/data/002.p/89"];
    {
        let state = Arc::new(DirState::open(directory.path()).unwrap());
        let client = client(&Arc::new(Server::honest(log.clone())), &state);
        client.lookup(&filler(5)).await.unwrap();
        for path in paths {
            client.tile(tile(path)).await.unwrap();
        }
    }
    let away = Server::lying(log.clone(), |_, _| Err(TransportError::Unavailable("no route".to_owned())));
    let client = client(&Arc::new(away), &Arc::new(DirState::open(directory.path()).unwrap()));
    for path in paths {
        assert_eq!(client.tile(tile(path)).await.unwrap(), log.tile(&tile(path)).unwrap(), "{path}");
    }
    assert_eq!(kind(client.tile(tile("tile/8/0/001")).await), "unavailable");
    assert_eq!(client.lookup(&filler(5)).await.unwrap().id, 5);
    assert_eq!(kind(client.lookup(&filler(6)).await), "unavailable");
    assert_eq!(kind(client.latest().await), "unavailable");
}

#[tokio::test]
async fn however_many_ask_at_once_it_is_fetched_once() {
    let server = Arc::new(Server::honest(Log::filler(70_000)));
    let client = client(&server, &Arc::new(MemoryState::new()));
    let tasks: Vec<_> = (0..500)
        .map(|i| {
            let client = client.clone();
            tokio::spawn(async move { client.lookup(&filler(i % 5)).await.unwrap().id })
        })
        .collect();
    for (i, task) in (0..).zip(tasks) {
        assert_eq!(task.await.unwrap(), i % 5);
    }
    let mut requests = server.requests();
    requests.sort();
    let all = requests.len();
    requests.dedup();
    assert_eq!(requests.len(), all, "something was fetched twice");
    assert_eq!(requests.iter().filter(|path| path.starts_with("/lookup/")).count(), 5);
}
