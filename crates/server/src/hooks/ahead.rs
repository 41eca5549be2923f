//! Fetching what was just tagged, before anybody asks for it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quipu_fetch::{Cache, ErrorKind, FileKind};
use quipu_module::ModuleVersion;
use tokio::sync::Semaphore;
use tracing::{debug, info};

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
    /// Held for a look or a change, never while waiting.
    waiting: Arc<Mutex<HashSet<ModuleVersion>>>,
    places: Arc<Semaphore>,
}

impl Ahead {
    pub(crate) fn new(modules: Cache) -> Self {
        Self { modules, waiting: Arc::default(), places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Has the version fetched, and with that logged; whether it will be: it is not where too many wait.
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
            if let Ok(_place) = ahead.places.acquire().await {
                ahead.try_often(&version).await;
            }
        });
        true
    }

    async fn try_often(&self, version: &ModuleVersion) {
        for pause in PAUSES {
            tokio::time::sleep(pause).await;
            match self.try_once(version).await {
                Ok(()) => return info!(%version, "fetched ahead, as a webhook told of it"),
                Err(error) if error.kind() == ErrorKind::NotFound || error.kind().is_transient() => {
                    debug!(%version, %error, "not there yet");
                    self.modules.forget(version.path());
                }
                Err(error) => return debug!(%version, %error, "not fetched ahead"),
            }
        }
        info!(%version, "a webhook told of it, and it cannot be had yet");
    }

    async fn try_once(&self, version: &ModuleVersion) -> quipu_fetch::Result<()> {
        if self.modules.open(version, FileKind::Info)?.is_some() {
            // Then it is no new tag: it may be one that was moved.
            self.modules.compare(version).await?;
        }
        for kind in [FileKind::Info, FileKind::GoMod, FileKind::Zip] {
            self.modules.file(version, kind).await?;
        }
        Ok(())
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
