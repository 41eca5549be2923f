//! Forgetting what upstream said of a module, because somebody knows that it has changed.
//!
//! What upstream said carries the count of news that were known when it was asked; a module that is forgotten takes the
//! next count, and whatever was asked for earlier counts no more, also if the answer comes later.

use std::sync::atomic::Ordering::SeqCst;

use quipu_module::ModulePath;
use tokio::time::Instant;

use super::Shared;
use super::tree::Name;

/// When upstream was asked for something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// When.
    pub(super) at: Instant,
    /// How often anything had been forgotten by then.
    news: u64,
}

impl Shared {
    /// To be taken before upstream is asked.
    pub(super) fn asking(&self) -> Asked {
        Asked { at: Instant::now(), news: self.news.load(SeqCst) }
    }

    /// Whether the module of this name was forgotten after upstream was asked.
    pub(super) fn is_outdated(&self, name: &Name, asked: Asked) -> bool {
        self.forgotten.get(name.module()).is_some_and(|news| asked.news < news)
    }

    /// Whether what was absent when upstream was asked may have come up since.
    pub(super) fn is_absence_outdated(&self, name: &Name, asked: Asked) -> bool {
        asked.news < self.absences.load(SeqCst) || self.is_outdated(name, asked)
    }

    pub(super) fn forget_absences(&self) {
        let news = self.news.fetch_add(1, SeqCst).saturating_add(1);
        self.absences.fetch_max(news, SeqCst);
    }

    pub(super) fn forget(&self, path: &ModulePath) {
        let news = self.news.fetch_add(1, SeqCst).saturating_add(1);
        self.forgotten.insert(&path.escaped().into(), news, 0);
        self.upstream.forget(path);
    }
}
