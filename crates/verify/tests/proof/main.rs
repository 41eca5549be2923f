//! Proof files: made by the client, checked without it, and worth nothing once anything in them is changed.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod go_sum;
#[path = "../hostile/log.rs"]
mod log;
#[path = "../hostile/server.rs"]
#[expect(dead_code, reason = "not every file that shares the server needs all of it")]
mod server;
mod tlog;
mod vectors;

use std::sync::Arc;

use quipu_module::SumLine;
use quipu_verify::MemoryState;
use quipu_verify::proof::ProvenRecords;

use crate::log::Log;
use crate::server::{Server, client, filler};

/// Records of a log, as a client that knows nothing proves them.
pub(crate) async fn proven(log: Log, ids: &[u64]) -> ProvenRecords {
    let client = client(&Arc::new(Server::honest(log)), &Arc::new(MemoryState::new()));
    let modules: Vec<_> = ids.iter().map(|id| filler(*id)).collect();
    client.prove(&modules).await.unwrap()
}

/// Lines of a log's records: of record `i` the zip's if `i` is even, the go.mod's if it is a multiple of three.
pub(crate) fn lines(log: &Log, ids: &[u64]) -> Vec<SumLine> {
    let of = |id: &u64| {
        let both: Vec<SumLine> =
            log.records[usize::try_from(*id).unwrap()].lines().map(|line| line.parse().unwrap()).collect();
        match (id % 2, id % 3) {
            (0, 0) => both,
            (0, _) => both[..1].to_vec(),
            _ => both[1..].to_vec(),
        }
    };
    ids.iter().flat_map(of).collect()
}
