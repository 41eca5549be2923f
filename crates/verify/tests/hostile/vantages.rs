//! One database seen from several places: mirrors that lag are fine, mirrors that disagree are evidence.

use std::sync::Arc;

use quipu_tlog::{Tile, TileLevel};
use quipu_verify::{Client, Error, Limits, MemoryState, State, Transport};

use crate::log::{Log, key, record};
use crate::server::{Server, filler, kind};

/// Two clients of one timeline.
fn two(here: Server, there: Server) -> [Client; 2] {
    let state: Arc<dyn State> = Arc::new(MemoryState::new());
    let ways: Vec<Arc<dyn Transport>> = vec![Arc::new(here), Arc::new(there)];
    Client::vantages(vec![key()], ways, state, Limits::default()).unwrap().try_into().ok().unwrap()
}

/// A log that has the first `common` records of the filler log and others after them.
fn other(common: u64, size: u64) -> Log {
    let salt = |i| if i < common { 'z' } else { 'y' };
    Log::new((0..size).map(|i| record(&format!("filler.test/m{i}"), salt(i))))
}

async fn sizes(client: &Client) -> (u64, u64) {
    let seen = client.refresh().await.unwrap();
    (seen.served.size(), seen.latest.size())
}

/// Neither of two places has the tiles of the other's size, and both orders of asking are fine.
#[tokio::test]
async fn a_place_may_be_ahead_or_behind_by_any_number() {
    let near = [(2, 3), (3, 255), (255, 256), (256, 257), (257, 513), (100, 700), (700, 70_000), (1, 66_000)];
    for (small, large) in near {
        let [behind, ahead] = two(Server::honest(Log::filler(small)), Server::honest(Log::filler(large)));
        assert_eq!(sizes(&behind).await, (small, small));
        assert_eq!(sizes(&ahead).await, (large, large), "{small} then {large}");
        assert_eq!(sizes(&behind).await, (small, large), "{large} then {small}");
        assert_eq!(behind.head().unwrap().size(), large);

        let [behind, ahead] = two(Server::honest(Log::filler(small)), Server::honest(Log::filler(large)));
        assert_eq!(sizes(&ahead).await, (large, large));
        assert_eq!(sizes(&behind).await, (small, large), "{large} first");
    }
}

#[tokio::test]
async fn what_one_place_does_not_have_yet_comes_from_the_other() {
    let log = Log::filler(700);
    let [behind, ahead] = two(Server::honest(Log::filler(300)), Server::honest(log.clone()));
    ahead.refresh().await.unwrap();
    for (n, width) in [(0, 256), (1, 256), (2, 188)] {
        let tile = Tile::new(TileLevel::Data, n, width).unwrap();
        assert_eq!(behind.tile(tile).await.unwrap(), log.tile(&tile).unwrap());
    }
    assert_eq!(behind.lookup(&filler(7)).await.unwrap().head.size(), 700);
}

/// A lie is not covered up by somebody who says the truth.
#[tokio::test]
async fn a_wrong_tile_is_refused_although_another_place_has_the_right_one() {
    for prefix in ["/tile/8/0/", "/tile/8/data/"] {
        let lie = move |path: &str, honest: crate::server::Answer| {
            let mut body = honest?.to_vec();
            if path.starts_with(prefix) {
                body[9] ^= 1;
            }
            Ok(body.into())
        };
        let [liar, honest] = two(Server::lying(Log::filler(300), lie), Server::honest(Log::filler(300)));
        liar.refresh().await.unwrap();
        let tile = Tile::new(TileLevel::Data, 0, 256).unwrap();
        assert_eq!(kind(liar.tile(tile).await), "unproven", "{prefix}");
        assert_eq!(kind(honest.tile(tile).await), "good", "{prefix}");
    }
}

/// Both directions: the other place is asked second and first.
#[tokio::test]
async fn a_split_view_is_proven_at_the_same_size_and_at_any_other() {
    for (here, there, common) in [
        (300, 300, 299),
        (300, 300, 0),
        (300, 301, 299),
        (300, 301, 0),
        (300, 900, 123),
        (301, 300, 299),
        (900, 300, 123),
        (900, 257, 256),
        (70_000, 66_000, 65_536),
        (66_000, 70_000, 65_536),
    ] {
        for first in [0, 1] {
            let places = two(Server::honest(Log::filler(here)), Server::honest(other(common, there)));
            assert_eq!(kind(places[first].refresh().await), "good");
            let outcome = places[1 - first].refresh().await;
            let Err(Error::Misbehaved(evidence)) = outcome else {
                panic!("{here} {there} {common} {first}: {}", kind(outcome))
            };
            let fork = *evidence.check(&[key()]).unwrap().fork().unwrap();
            assert_eq!((fork.older.size, fork.newer.size), (here.min(there), here.max(there)));
            // The timeline goes on where it began.
            assert_eq!(kind(places[first].refresh().await), "good");
        }
    }
}

/// Whoever withholds the tiles of a forked head cannot be convicted, and is not believed either.
#[tokio::test]
async fn a_larger_head_whose_tiles_are_withheld_is_not_believed() {
    let forked = Server::lying(other(100, 500), |path, honest| match path {
        "/latest" => honest,
        _ => Err(quipu_verify::TransportError::NotFound("404".to_owned())),
    });
    let [honest, liar] = two(Server::honest(Log::filler(300)), forked);
    assert_eq!(sizes(&honest).await, (300, 300));
    // The tiles that the honest place has are those of another history.
    assert_eq!(kind(liar.refresh().await), "unavailable");
    assert_eq!(honest.head().unwrap().size(), 300);
}

/// Tiles of the wrong history at the one place do not hide the fork that the other's prove.
#[tokio::test]
async fn a_smaller_fork_with_tiles_of_its_own_history_is_proven() {
    let forked = Server::honest(other(100, 900)).at(300);
    let [honest, liar] = two(Server::honest(Log::filler(600)), forked);
    // Nothing of the first history is kept but its edge.
    honest.refresh().await.unwrap();
    assert_eq!(kind(liar.refresh().await), "misbehaved");
}

#[tokio::test]
async fn a_database_that_went_back_is_seen_to_have_done_so() {
    let [now, before] = two(Server::honest(Log::filler(700)), Server::honest(Log::filler(700)).at(201));
    assert_eq!(sizes(&now).await, (700, 700));
    assert_eq!(sizes(&before).await, (201, 700));
}
