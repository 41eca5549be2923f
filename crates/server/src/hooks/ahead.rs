//! Fetching what was just tagged, before anybody asks for it, if it would be offered to whoever asks.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quipu_fetch::{Cache, ErrorKind, FileKind};
use quipu_module::ModuleVersion;
use tokio::sync::Semaphore;
use tracing::{debug, info};

use crate::filter::Filter;

/// Most versions that wait or are being fetched.
const MAX_WAITING: usize = 256;

/// Most of them at once.
const AT_ONCE: usize = 4;

/// When it is tried again: a forge may send its webhook before it shows what it tells.
const PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(15)];

/// Versions to be fetched in the background.
#[derive(Clone)]
pub(crate) struct Ahead {
    modules: Cache,
    filter: Arc<Filter>,
    /// Held for a look or a change, never while waiting.
    waiting: Arc<Mutex<HashSet<ModuleVersion>>>,
    places: Arc<Semaphore>,
}

impl Ahead {
    pub(crate) fn new(modules: Cache, filter: Arc<Filter>) -> Self {
        Self { modules, filter, waiting: Arc::default(), places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Has the version fetched, and with that logged, if it is offered; whether it is seen to: not where too many wait.
    pub(crate) fn fetch(&self, version: &ModuleVersion) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.contains(version) {
            return true;
        }
        if waiting.len() >= MAX_WAITING {
            return false;
        }
        waiting.insert(version.clone());
        let (ahead, version) = (self.clone(), version.clone());
        tokio::spawn(async move {
            let _leaving = Leaving { ahead: &ahead, version: &version };
            ahead.try_often(&version).await;
        });
        true
    }

    async fn try_often(&self, version: &ModuleVersion) {
        for pause in PAUSES {
            tokio::time::sleep(pause).await;
            // Held while it is fetched alone, so that what is not there yet keeps nobody waiting.
            let Ok(place) = self.places.acquire().await else { return };
            let tried = self.try_once(version).await;
            drop(place);
            match tried {
                Ok(true) => return info!(%version, "fetched ahead, as a webhook told of it"),
                Ok(false) => return info!(%version, "a webhook told of it, and the policy does not offer it"),
                Err(error) if error.kind() == ErrorKind::NotFound || error.kind().is_transient() => {
                    debug!(%version, %error, "not there yet");
                    self.modules.forget(version.path());
                }
                Err(error) => return debug!(%version, %error, "not fetched ahead"),
            }
        }
        info!(%version, "a webhook told of it, and it cannot be had yet");
    }

    /// Whether it was fetched: it is not if it is not offered.
    async fn try_once(&self, version: &ModuleVersion) -> quipu_fetch::Result<bool> {
        if self.modules.open(version, FileKind::Info)?.is_some() {
            // Then it is no new tag: it may be one that was moved.
            self.modules.compare(version).await?;
        }
        if !self.filter.would_offer(version).await? {
            return Ok(false);
        }
        for kind in [FileKind::Info, FileKind::GoMod, FileKind::Zip] {
            self.modules.file(version, kind).await?;
        }
        Ok(true)
    }
}

/// Takes a version off the list when its task ends, also by a panic.
struct Leaving<'a> {
    ahead: &'a Ahead,
    version: &'a ModuleVersion,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.ahead.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(self.version);
    }
}
