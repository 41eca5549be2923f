//! A database served from memory, with a place for lies.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use quipu_module::ModuleVersion;
use quipu_tlog::Tile;
use quipu_verify::{Client, Error, Fetch, Limits, MemoryState, State, Transport, TransportError, Verified};

use crate::log::{Log, key};

pub(crate) type Answer = Result<Bytes, TransportError>;

/// What becomes of the honest answer to a request.
pub(crate) type Lie = dyn Fn(&str, Answer) -> Answer + Send + Sync;

/// Serves the first `size` records of a log, through a lie.
pub(crate) struct Server {
    pub(crate) log: Arc<Log>,
    pub(crate) size: u64,
    lie: Box<Lie>,
    requests: Mutex<Vec<String>>,
}

impl Server {
    pub(crate) fn honest(log: impl Into<Arc<Log>>) -> Self {
        Self::lying(log, |_, honest| honest)
    }

    pub(crate) fn lying(
        log: impl Into<Arc<Log>>,
        lie: impl Fn(&str, Answer) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let log = log.into();
        Self { size: log.size(), log, lie: Box::new(lie), requests: Mutex::default() }
    }

    /// The same log when it was smaller. Only lookup answers and the latest head know; all tiles are there.
    pub(crate) fn at(self, size: u64) -> Self {
        Self { size, ..self }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    fn answer(&self, path: &str) -> Answer {
        let not_found = || TransportError::NotFound("404".to_owned());
        let body = if path == "/latest" {
            self.log.note(self.size).into()
        } else if let Some(module) = path.strip_prefix("/lookup/") {
            self.lookup(module).ok_or_else(not_found)?
        } else {
            let tile = Tile::parse_sumdb(&path[1..]).unwrap();
            self.log.tile(&tile).ok_or_else(not_found)?
        };
        Ok(body.into())
    }

    fn lookup(&self, module: &str) -> Option<Vec<u8>> {
        let module = ModuleVersion::parse_escaped(module).unwrap();
        let wanted = format!("{} {} ", module.path(), module.version());
        let id = self.log.records.iter().position(|record| record.starts_with(&wanted))?;
        Some(answer(id as u64, &self.log.records[id], &self.log.note(self.size)).into())
    }
}

/// A lookup answer.
pub(crate) fn answer(id: u64, record: &str, note: &str) -> String {
    format!("{id}\n{record}\n{note}")
}

impl Transport for Server {
    fn get<'a>(&'a self, path: &'a str, max_bytes: usize) -> Fetch<'a> {
        Box::pin(async move {
            self.requests.lock().unwrap().push(path.to_owned());
            tokio::task::yield_now().await;
            let answer = (self.lie)(path, self.answer(path));
            answer.and_then(|body| {
                if body.len() > max_bytes { Err(TransportError::TooLarge(max_bytes)) } else { Ok(body) }
            })
        })
    }
}

pub(crate) fn client(server: &Arc<Server>, state: &Arc<impl State>) -> Client {
    Client::new(vec![key()], server.clone(), state.clone(), Limits::default()).unwrap()
}

/// Looks up record `i` of the filler log with a client that knows nothing yet.
pub(crate) async fn fresh_lookup(server: Server, i: u64) -> Result<Verified, Error> {
    client(&Arc::new(server), &Arc::new(MemoryState::new())).lookup(&filler(i)).await
}

pub(crate) fn filler(i: u64) -> ModuleVersion {
    module(&format!("filler.test/m{i}"))
}

pub(crate) fn module(path: &str) -> ModuleVersion {
    ModuleVersion::parse(path, "v1.0.0").unwrap()
}

/// The kind of an error, for comparing.
#[expect(clippy::needless_pass_by_value, reason = "asked of what a call returns")]
pub(crate) fn kind<T>(outcome: Result<T, Error>) -> &'static str {
    match outcome {
        Ok(_) => "good",
        Err(Error::NotFound(_)) => "not found",
        Err(Error::Unavailable(_)) => "unavailable",
        Err(Error::Malformed(_)) => "malformed",
        Err(Error::Unproven(_)) => "unproven",
        Err(Error::Misbehaved(_)) => "misbehaved",
        Err(Error::State(_)) => "state",
    }
}
