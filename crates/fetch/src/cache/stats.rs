//! Counters of the cache.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Shared;

/// What a cache did since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Files that were here when asked for.
    pub hits: u64,
    /// Files that had to be fetched; one for all who waited for the same.
    pub misses: u64,
    /// Files that were stored.
    pub stored: u64,
    /// Bytes of them.
    pub stored_bytes: u64,
    /// Lists and the like that were served although the last answer of upstream was older than
    /// [`CacheOptions::stale`](super::CacheOptions::stale), as it did not give another one.
    pub stale: u64,
    /// Files that contradicted what is recorded.
    pub refused: u64,
    /// Files that upstream sent broken.
    pub rejected: u64,
    /// Bytes of all zips that are stored, as far as they were counted.
    pub zip_bytes: u64,
    /// Zips that were removed to make room.
    pub evicted: u64,
    /// Bytes of them.
    pub evicted_bytes: u64,
    /// Versions that come under no known licence and could be removed for that, as of the last look.
    pub unlicensed: u64,
    /// Moves of tags that were noticed.
    pub moves: u64,
    /// Versions whose tags are moved now.
    pub moved: u64,
    /// Fetches under way now.
    pub under_way: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    stored: AtomicU64,
    stored_bytes: AtomicU64,
    stale: AtomicU64,
    refused: AtomicU64,
    rejected: AtomicU64,
    pub(super) zip_bytes: AtomicU64,
    evicted: AtomicU64,
    evicted_bytes: AtomicU64,
    pub(super) unlicensed: AtomicU64,
    moves: AtomicU64,
}

impl Counters {
    pub(super) fn hit(&self) {
        self.hits.fetch_add(1, Relaxed);
    }

    pub(super) fn miss(&self) {
        self.misses.fetch_add(1, Relaxed);
    }

    pub(super) fn stored(&self, bytes: u64) {
        self.stored.fetch_add(1, Relaxed);
        self.stored_bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn stale(&self) {
        self.stale.fetch_add(1, Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(super) fn rejected(&self) {
        self.rejected.fetch_add(1, Relaxed);
    }

    pub(super) fn stored_zip(&self, bytes: u64) {
        self.zip_bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn evicted(&self, bytes: u64) {
        self.evicted.fetch_add(1, Relaxed);
        self.evicted_bytes.fetch_add(bytes, Relaxed);
        self.removed_zip(bytes);
    }

    /// A zip of so many bytes is not in the tree any more.
    pub(super) fn removed_zip(&self, bytes: u64) {
        let less = |all: u64| Some(all.saturating_sub(bytes));
        let _ = self.zip_bytes.fetch_update(Relaxed, Relaxed, less);
    }

    pub(super) fn moved(&self) {
        self.moves.fetch_add(1, Relaxed);
    }
}

impl Shared {
    pub(super) fn stats(&self) -> CacheStats {
        let counters = &self.counters;
        let under_way = self.files.len() + self.lists.len() + self.infos.len();
        CacheStats {
            hits: counters.hits.load(Relaxed),
            misses: counters.misses.load(Relaxed),
            stored: counters.stored.load(Relaxed),
            stored_bytes: counters.stored_bytes.load(Relaxed),
            stale: counters.stale.load(Relaxed),
            refused: counters.refused.load(Relaxed),
            rejected: counters.rejected.load(Relaxed),
            zip_bytes: counters.zip_bytes.load(Relaxed),
            evicted: counters.evicted.load(Relaxed),
            evicted_bytes: counters.evicted_bytes.load(Relaxed),
            unlicensed: counters.unlicensed.load(Relaxed),
            moves: counters.moves.load(Relaxed),
            moved: self.moved.len() as u64,
            under_way: under_way as u64,
        }
    }
}
