//! What is done beside the requests to keep the module cache in order.

use std::time::Duration;

use quipu_fetch::{Cache, Evicted};
use tracing::{info, warn};

/// How often it is looked for versions without a licence, in minutes.
const LICENCES_EVERY: u8 = 60;

/// Finishes what a crash left half done in the module cache.
pub(super) async fn recover(modules: Cache) {
    let finished = modules.recover().await;
    if finished > 0 {
        info!(finished, "files that an earlier run had fetched are in the cache now");
    }
}

/// Finds out what the module cache holds, and removes from it what is more than it should hold, or longer there than it should.
pub(super) async fn keep(modules: Cache) {
    if let Err(error) = modules.survey().await {
        warn!(%error, "the module cache cannot be looked through");
    }
    let mut minute = tokio::time::interval(Duration::from_secs(60));
    minute.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for nth in (0..LICENCES_EVERY).cycle() {
        minute.tick().await;
        match modules.make_room().await {
            Ok(Evicted { files: 0, kept: 0, .. }) => {}
            Ok(Evicted { files, bytes, kept }) => info!(files, bytes, kept, "made room in the module cache"),
            Err(error) => warn!(%error, "no room can be made in the module cache"),
        }
        if nth > 0 {
            continue;
        }
        match modules.expire_unlicensed().await {
            Ok(Evicted { files: 0, .. }) => {}
            Ok(Evicted { files, bytes, .. }) => {
                info!(files, bytes, "removed zips of modules without a licence")
            }
            Err(error) => warn!(%error, "the licences of modules cannot be looked for"),
        }
    }
}
