//! Fetching ahead: what a go.mod requires is fetched before the client that loads its module graph asks for it.
//!
//! It is fetched as for a client, from the same sources and by the same policy; but no zips, of which a graph needs none. What
//! an older go.mod requires is followed in turn, since the go command reads that too: only from go 1.17 on does a go.mod name
//! all that its packages need (graph pruning in the Go Modules Reference). Nobody waits for what is fetched ahead, and what
//! goes wrong is left to whoever asks for it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use quipu_fetch::storage::Stored;
use quipu_fetch::{BoxFuture, Cache, FileKind, Hops, Result};
use quipu_module::{GoMod, ModuleVersion};
use tokio::sync::Semaphore;
use tracing::debug;

use crate::filter::Filter;

/// Most versions that wait or are being fetched; further ones are left to whoever asks for them.
const MAX_WAITING: usize = 1024;

/// Most versions that are remembered as looked at. Beyond it all are forgotten; what is stored is not fetched again anyway.
const MAX_SEEN: usize = 50_000;

/// How far requirements of requirements are followed.
const MAX_DEPTH: u8 = 8;

/// While more than this is being fetched for others, that has precedence...
const CROWD: u64 = 64;

/// ... but for no longer than so many times this.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSES: u32 = 100;

/// The go version from which on a go.mod names all that its packages need.
const PRUNED: (u32, u32) = (1, 17);

/// Fetches requirements ahead.
pub(crate) struct Requirements {
    shared: Arc<Shared>,
}

impl Requirements {
    /// So many `at_once`; with zero nothing is fetched.
    pub(crate) fn new(modules: Cache, filter: Arc<Filter>, at_once: u16) -> Self {
        let shared = Shared {
            modules,
            filter,
            places: Semaphore::new(usize::from(at_once)),
            at_once,
            waiting: AtomicUsize::new(0),
            seen: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Has what this go.mod requires fetched.
    pub(crate) fn follow(&self, go_mod: &[u8]) {
        if self.shared.at_once > 0
            && let Ok(go_mod) = GoMod::parse_lax(go_mod)
        {
            self.shared.follow(&go_mod, MAX_DEPTH);
        }
    }

    /// Begins nothing any more, and gives up what waits.
    pub(crate) fn stop(&self) {
        self.shared.places.close();
    }
}

struct Shared {
    modules: Cache,
    filter: Arc<Filter>,
    /// One for each that may be fetched at once. Closed when nothing is to be fetched any more.
    places: Semaphore,
    at_once: u16,
    waiting: AtomicUsize,
    /// Held for a look or a change, never while waiting.
    seen: Mutex<HashSet<ModuleVersion>>,
}

/// What became of a requirement.
enum Outcome {
    /// Its go.mod was fetched; these are its bytes, unless there are very many.
    Fetched(Option<Bytes>),
    /// It was here.
    Here,
    /// It is not offered.
    Refused,
}

impl Shared {
    /// A task for each requirement that was not looked at yet, as far as there is room.
    fn follow(self: &Arc<Self>, go_mod: &GoMod, depth: u8) {
        for required in &go_mod.require {
            let Ok(version) = ModuleVersion::parse(&required.path, &required.version) else { continue };
            if self.places.is_closed() || !self.is_new(&version) {
                continue;
            }
            let place = Waiting::new(self);
            if self.waiting.load(Ordering::SeqCst) > MAX_WAITING {
                self.seen().remove(&version);
                count("left");
                continue;
            }
            let hops = Hops::current();
            tokio::spawn(async move { hops.scope(place.bring(version, depth)).await });
        }
    }

    /// Follows a go.mod that was fetched ahead, if the go command would read what it requires.
    fn lead_on(self: &Arc<Self>, go_mod: &[u8], depth: u8) {
        if let Ok(go_mod) = GoMod::parse_lax(go_mod)
            && let Some(depth) = depth.checked_sub(1)
            && !is_pruned(&go_mod)
        {
            self.follow(&go_mod, depth);
        }
    }

    /// Whether the version was not looked at yet; from now on it was.
    fn is_new(&self, version: &ModuleVersion) -> bool {
        let mut seen = self.seen();
        if seen.len() >= MAX_SEEN {
            seen.clear();
        }
        seen.insert(version.clone())
    }

    fn seen(&self) -> MutexGuard<'_, HashSet<ModuleVersion>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until not too much is being fetched for clients.
    async fn give_way(&self) {
        let crowd = CROWD + u64::from(self.at_once);
        for _ in 0..PAUSES {
            if self.modules.stats().under_way <= crowd || self.places.is_closed() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn fetch(&self, version: &ModuleVersion) -> Result<Outcome> {
        if self.modules.open(version, FileKind::GoMod)?.is_some() {
            return Ok(Outcome::Here);
        }
        if !self.filter.would_offer(version).await? {
            return Ok(Outcome::Refused);
        }
        match self.modules.file(version, FileKind::GoMod).await?.body {
            Stored::Bytes(bytes) => Ok(Outcome::Fetched(Some(bytes))),
            Stored::File(_) => Ok(Outcome::Fetched(None)),
        }
    }
}

/// A place among those that wait or are being fetched.
struct Waiting(Arc<Shared>);

impl Waiting {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.waiting.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }

    /// Fetches the version, and what it requires in turn. Boxed, as that is more of the same kind.
    fn bring(self, version: ModuleVersion, depth: u8) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let shared = &self.0;
            let Ok(_place) = shared.places.acquire().await else { return };
            shared.give_way().await;
            match shared.fetch(&version).await {
                Ok(Outcome::Fetched(go_mod)) => {
                    shared.lead_on(go_mod.as_deref().unwrap_or_default(), depth);
                    let info = shared.modules.file(&version, FileKind::Info).await;
                    debug!(%version, info = info.is_ok(), "fetched ahead, as another module requires it");
                    count("fetched");
                }
                Ok(Outcome::Here) => {}
                Ok(Outcome::Refused) => count("refused"),
                Err(error) => {
                    // It may be there when the next one requires it.
                    shared.seen().remove(&version);
                    debug!(%version, %error, "not fetched ahead");
                    count("failed");
                }
            }
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether the go.mod names all that its packages need.
fn is_pruned(go_mod: &GoMod) -> bool {
    let mut numbers = go_mod.language().unwrap_or_default().split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= PRUNED,
        _ => false,
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("quipu_ahead_total", "outcome" => outcome).increment(1);
}

#[cfg(test)]
mod tests;
