//! Many kept answers at once: the truth in one go, and no lie that one by one would not have passed.

use std::sync::Arc;

use quipu_module::ModuleVersion;
use quipu_verify::{MemoryState, State as _};

use crate::log::{Log, record};
use crate::server::{Server, answer, client, filler};

fn modules(ids: impl IntoIterator<Item = u64>) -> Vec<ModuleVersion> {
    ids.into_iter().map(filler).collect()
}

/// The state of a client that has looked these up while the log had `size` records.
async fn warm(log: &Log, size: u64, modules: &[ModuleVersion]) -> Arc<MemoryState> {
    let state = Arc::new(MemoryState::new());
    let client = client(&Arc::new(Server::honest(log.clone()).at(size)), &state);
    for module in modules {
        client.lookup(module).await.unwrap();
    }
    state
}

#[tokio::test]
async fn all_are_proven_with_no_request() {
    let (log, wanted) = (Log::filler(70_000), modules((0..70_000).step_by(997)));
    let state = warm(&log, 70_000, &wanted).await;
    let server = Arc::new(Server::lying(log.clone(), |_, _| panic!("asked")));
    let verified = client(&server, &state).lookup_kept(&wanted).await;
    for (i, verified) in verified.into_iter().enumerate() {
        let verified = verified.unwrap();
        assert_eq!((verified.id, verified.head.size()), (997 * i as u64, 70_000));
        assert_eq!(verified.record.text(), log.records[997 * i]);
    }
}

#[tokio::test]
async fn what_was_kept_long_ago_is_proven_in_the_latest_tree() {
    let (log, wanted) = (Log::filler(70_000), modules([0, 255, 256, 299]));
    let state = warm(&log, 300, &wanted).await;
    let server = Arc::new(Server::honest(log));
    let client = client(&server, &state);
    client.latest().await.unwrap();
    let verified = client.lookup_kept(&wanted).await;
    assert!(verified.iter().all(|v| v.as_ref().is_some_and(|v| v.head.size() == 70_000)), "{verified:?}");
    assert!(!server.requests().iter().any(|path| path.starts_with("/lookup")), "{:?}", server.requests());
}

#[tokio::test]
async fn what_is_not_kept_or_not_so_is_left_out() {
    let (log, wanted) = (Log::filler(300), modules([1, 2, 3, 4, 5]));
    let state = warm(&log, 300, &wanted[1..]).await;
    let lies = [
        (1, answer(2, &record("filler.test/m2", 'y'), "")),
        (2, answer(7, &log.records[3], "")),
        (3, answer(u64::MAX / 2, &log.records[4], "")),
    ];
    for (place, lie) in lies {
        state.keep_lookup(&wanted[place], &lie.into()).unwrap();
    }
    let client = client(&Arc::new(Server::honest(log)), &state);
    let kept = |kept: Vec<Option<_>>| kept.iter().map(Option::is_some).collect::<Vec<_>>();
    assert_eq!(kept(client.lookup_kept(&wanted).await), [false, false, false, false, true]);
    // One by one they are asked for again.
    client.lookup(&wanted[1]).await.unwrap();
    assert_eq!(kept(client.lookup_kept(&wanted).await), [false, true, false, false, true]);
}

#[tokio::test]
async fn no_tile_of_another_tree_counts() {
    let (log, wanted) = (Log::filler(70_000), modules([5, 60_000]));
    let state = warm(&log, 70_000, &wanted).await;
    let forged = Log::new((0..70_000).map(|i| record(&format!("filler.test/m{i}"), 'y')));
    for (i, module) in [5, 60_000].into_iter().zip(&wanted) {
        state.keep_lookup(module, &answer(i as u64, &forged.records[i], "").into()).unwrap();
    }
    let client = client(&Arc::new(Server::honest(forged)), &state);
    assert!(client.lookup_kept(&wanted).await.iter().all(Option::is_none));
}

#[tokio::test]
async fn a_head_smaller_than_the_latest_is_told() {
    let log = Log::filler(700);
    let state = warm(&log, 700, &modules([1])).await;
    let refreshed = client(&Arc::new(Server::honest(log).at(201)), &state).refresh().await.unwrap();
    assert_eq!((refreshed.served.size(), refreshed.latest.size()), (201, 700));
}
