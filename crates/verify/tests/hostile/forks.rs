//! Two histories of one database.

use std::sync::Arc;

use quipu_verify::{Error, Evidence, MemoryState, State as _};

use crate::log::{Log, key, record};
use crate::server::{Server, client, filler, kind};

/// A log with the first `common` records of the filler log and others after that.
fn other_history(common: u64, size: u64) -> Log {
    let path = |i| format!("filler.test/m{i}");
    Log::new((0..size).map(|i| record(&path(i), if i < common { 'z' } else { 'y' })))
}

/// Looks up in a first log, then in a second one with what was kept.
async fn two_visits(first: Server, second: Server) -> (Arc<MemoryState>, Result<u64, Error>) {
    let state = Arc::new(MemoryState::new());
    client(&Arc::new(first), &state).lookup(&filler(0)).await.unwrap();
    let outcome = client(&Arc::new(second), &state).lookup(&filler(1)).await;
    (state, outcome.map(|verified| verified.id))
}

/// The evidence that a misbehaviour ended in; the error itself is one line.
fn evidence(outcome: Result<u64, Error>) -> Arc<Evidence> {
    let text = outcome.as_ref().map_err(Error::to_string).unwrap_err();
    assert!(text.contains("records with root") && !text.contains('\n'), "{text}");
    match outcome {
        Err(Error::Misbehaved(evidence)) => evidence,
        other => panic!("{}", kind(other)),
    }
}

#[tokio::test]
async fn growth_is_followed_at_every_size_up_to_100() {
    for old in 2..100 {
        for new in [old, old + 1, 100] {
            let (state, outcome) = two_visits(
                Server::honest(Log::filler(100)).at(old),
                Server::honest(Log::filler(100)).at(new),
            )
            .await;
            assert_eq!(outcome.unwrap(), 1, "{old} to {new}");
            assert_eq!(state.latest().unwrap().unwrap(), Log::filler(100).note(new));
        }
    }
}

#[tokio::test]
async fn a_rollback_is_accepted_and_forgotten() {
    let log = Log::filler(700);
    let (state, outcome) = two_visits(Server::honest(log.clone()), Server::honest(log.clone()).at(201)).await;
    assert_eq!(outcome.unwrap(), 1);
    assert_eq!(state.latest().unwrap().unwrap(), log.note(700));
    // Also when the latest head is asked for: what was seen stays the latest.
    let client = client(&Arc::new(Server::honest(log.clone()).at(201)), &state);
    assert_eq!(client.latest().await.unwrap().size(), 700);
    assert_eq!(client.head().unwrap().size(), 700);
}

#[tokio::test]
async fn a_fork_is_proven_at_every_size_up_to_100() {
    for old in 2..100 {
        for new in [old, old + 1, 100] {
            let (_, outcome) =
                two_visits(Server::honest(Log::filler(old)), Server::honest(other_history(old - 1, new)))
                    .await;
            let fork = *evidence(outcome).check(&[key()]).unwrap().fork().unwrap();
            let histories = [Log::filler(old).tree(old), other_history(old - 1, new).tree(new)];
            // Of two trees of one size the one seen last counts as the older.
            let seen = if old == new { [fork.newer, fork.older] } else { [fork.older, fork.newer] };
            assert_eq!(seen, histories);
        }
    }
}

/// Tiles kept from the first history contradict the second: they are not taken for its tiles.
#[tokio::test]
async fn a_larger_fork_is_proven_although_tiles_of_the_first_history_are_kept() {
    let first = Log::filler(301);
    let (state, outcome) =
        two_visits(Server::honest(first.clone()), Server::honest(other_history(200, 401))).await;
    let fork = *evidence(outcome).check(&[key()]).unwrap().fork().unwrap();
    assert_eq!((fork.older.size, fork.newer.size), (301, 401));
    // What is kept still belongs to the first history, which goes on.
    assert_eq!(state.latest().unwrap().unwrap(), first.note(301));
    let client = client(&Arc::new(Server::honest(first)), &state);
    assert_eq!(client.lookup(&filler(2)).await.unwrap().id, 2);
}

#[tokio::test]
async fn a_smaller_fork_is_proven_by_tiles_of_the_first_history() {
    let first = Log::filler(301);
    let second = other_history(100, 201);
    let note = second.note(201);
    let body = crate::server::answer(1, &second.records[1], &note);
    let lie = move |path: &str, honest| {
        if path.starts_with("/lookup/") { Ok(body.clone().into()) } else { honest }
    };
    let (_, outcome) = two_visits(Server::honest(first.clone()), Server::lying(first, lie)).await;
    let evidence = evidence(outcome);
    let fork = *evidence.check(&[key()]).unwrap().fork().unwrap();
    assert_eq!((fork.older.size, fork.newer.size), (201, 301));
    assert_eq!(evidence.notes()[0], &note);
}

/// The server of the second history withholds the tiles of the first: nothing can be proven, nothing is believed.
#[tokio::test]
async fn a_smaller_fork_without_tiles_is_refused() {
    let state = Arc::new(MemoryState::new());
    // This leaves the client without the tile of the records 0 to 255, which it needs for the comparison.
    client(&Arc::new(Server::honest(Log::filler(301))), &state).lookup(&filler(300)).await.unwrap();
    let second = client(&Arc::new(Server::honest(other_history(50, 101))), &state);
    assert_eq!(kind(second.lookup(&filler(1)).await), "unavailable");
}

#[tokio::test]
async fn a_fork_between_lookups_of_one_client_is_proven() {
    let (first, second) = (Log::filler(301), other_history(299, 302));
    let body = crate::server::answer(1, &second.records[1], &second.note(302));
    let lie = move |path: &str, honest| {
        if path.contains("/m1@") { Ok(body.clone().into()) } else { honest }
    };
    let server = Arc::new(Server::lying(first, lie));
    let client = client(&server, &Arc::new(MemoryState::new()));
    client.lookup(&filler(0)).await.unwrap();
    // The tiles served are those of the first history: the second cannot even be shown to exist.
    assert_ne!(kind(client.lookup(&filler(1)).await), "good");
    assert_eq!(client.lookup(&filler(2)).await.unwrap().id, 2);
}

#[tokio::test]
async fn a_head_kept_under_another_key_is_not_passed_over() {
    let state = Arc::new(MemoryState::new());
    let note = Log::filler(5).note(5).replace("sum.example.test", "sum.other.test");
    state.replace_latest(None, note.as_bytes()).unwrap();
    let server = Arc::new(Server::honest(Log::filler(5)));
    let outcome = quipu_verify::Client::new(vec![key()], server, state, quipu_verify::Limits::default());
    assert_eq!(kind(outcome), "state");
}

#[tokio::test]
async fn two_clients_of_one_state_share_one_timeline() {
    let log = Log::filler(700);
    let state = Arc::new(MemoryState::new());
    let ahead = client(&Arc::new(Server::honest(log.clone())), &state);
    let behind = client(&Arc::new(Server::honest(log.clone()).at(300)), &state);
    ahead.lookup(&filler(0)).await.unwrap();
    // This one has not seen 700 yet; on writing down 300 it does.
    behind.lookup(&filler(1)).await.unwrap();
    assert_eq!(behind.head().unwrap().size(), 700);
    assert_eq!(state.latest().unwrap().unwrap(), log.note(700));
    let forked = client(&Arc::new(Server::honest(other_history(100, 800))), &state);
    assert_eq!(kind(forked.latest().await), "misbehaved");
}
