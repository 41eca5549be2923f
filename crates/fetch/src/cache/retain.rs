//! Making room: zips that were not used for long are removed, as far as they can be had again.
//!
//! Only zips are: the small files, the marks and with them the hashes stay, so a zip that is fetched again must be the one
//! that was here. Never removed is what might be the only copy: what was published here or upstream does not have any more,
//! what no mark says was admitted, and what [`Admit`](super::Admit) does not call replaceable; and upstream is asked for
//! each zip just before. The removal of a name is one step: a crash leaves the zip or takes it, and whoever reads it while
//! it is removed reads on.

use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use quipu_module::{ModulePath, ModuleVersion, Query, Version};

use super::Shared;
use super::in_use::now;
use super::survey::Modules;
use super::tree::{FileKind, Name};
use crate::error::{Error, ErrorKind, Result};

/// After making room so much of the quota is in use, in hundredths, so that it is not made for each zip anew.
const FILLED: u64 = 90;

/// Most zips that are looked at in one go: the ones that were not used for the longest time.
pub(super) const MAX_CANDIDATES: usize = 100_000;

/// What was used in the last seconds stays: somebody waits for it.
const MIN_AGE: u64 = 600;

/// After so many faults of upstream in a row the rest stays, to be tried later.
const MAX_FAULTS: usize = 5;

/// What became of the zips.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Zips removed.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Zips that would have been next, and stayed as they might be the only copy.
    pub kept: u64,
}

/// A zip that may have to go. Ordered by its last use.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    /// In seconds since 1970.
    pub(super) used: u64,
    pub(super) version: ModuleVersion,
    pub(super) length: u64,
}

impl Shared {
    /// Bytes of the zips of a module, and those of them that this cache has admitted and may remove.
    pub(super) fn zips(&self, path: &ModulePath, mut found: impl FnMut(ModuleVersion, u64, Option<u64>)) {
        for entry in self.tree.list(Some(&Name::versions(path))).unwrap_or_default() {
            let version = entry.name.strip_suffix(".zip").and_then(|name| Version::unescape(name).ok());
            let version = version.and_then(|version| ModuleVersion::new(path.clone(), version).ok());
            let Some(version) = version else { continue };
            let zip = Name::file(&version, FileKind::Zip);
            let facts = |name: &Name| self.tree.inspect(name).ok().flatten();
            let only_copy =
                [Name::published(&version), Name::kept(&version)].iter().any(|it| facts(it).is_some());
            let used = (!only_copy).then(|| facts(&zip.mark())).flatten().map(|facts| facts.modified);
            found(version, facts(&zip).map_or(0, |facts| facts.length), used);
        }
    }

    /// Bytes of all zips, and those to remove first if they have to. Blocks, perhaps for minutes.
    fn candidates(&self) -> io::Result<(u64, Vec<Candidate>)> {
        let (mut all, mut heap) = (0u64, BinaryHeap::new());
        let latest = now().saturating_sub(MIN_AGE);
        for path in Modules::of(&self.tree) {
            self.zips(&path, |version, length, used| {
                all = all.saturating_add(length);
                if let Some(used) = used.filter(|used| *used < latest) {
                    heap.push(Candidate { used, version, length });
                    if heap.len() > MAX_CANDIDATES {
                        heap.pop();
                    }
                }
            });
        }
        Ok((all, heap.into_sorted_vec()))
    }

    /// Bytes of the zips of one module.
    pub(super) fn bytes_of(&self, path: &ModulePath) -> u64 {
        let mut bytes = 0u64;
        self.zips(path, |_, length, _| bytes = bytes.saturating_add(length));
        bytes
    }

    pub(super) async fn make_room(self: &Arc<Self>) -> Result<Evicted> {
        let quota = self.options.quota;
        if quota == 0 || self.counters.zip_bytes.load(Relaxed) <= quota {
            return Ok(Evicted::default());
        }
        let (all, candidates) = self.on_disk(Self::candidates).await?;
        self.counters.zip_bytes.store(all, Relaxed);
        if all <= quota {
            return Ok(Evicted::default());
        }
        self.evict_all(candidates, all.saturating_sub(quota / 100 * FILLED)).await
    }

    /// Removes candidates, the first first, as far as they can be had again, until so many bytes are gone.
    pub(super) async fn evict_all(
        self: &Arc<Self>,
        candidates: Vec<Candidate>,
        goal: u64,
    ) -> Result<Evicted> {
        let (mut evicted, mut faults) = (Evicted::default(), 0);
        for candidate in candidates {
            if evicted.bytes >= goal || faults >= MAX_FAULTS {
                break;
            }
            let may_go = self.can_be_had_again(&candidate.version).await;
            if let Ok(true) = may_go {
                faults = 0;
            }
            match may_go {
                Ok(true) if self.evict(&candidate).await? => {
                    evicted.files += 1;
                    evicted.bytes = evicted.bytes.saturating_add(candidate.length);
                }
                Ok(_) => evicted.kept += 1,
                Err(_) => faults += 1,
            }
        }
        Ok(evicted)
    }

    /// Whether the zip may be removed; what upstream does not have any more is kept for ever from here on.
    async fn can_be_had_again(self: &Arc<Self>, version: &ModuleVersion) -> Result<bool> {
        let (admit, asked) = (self.admit.clone(), version.clone());
        if !self.on_disk(move |_| Ok(admit.is_replaceable(&asked))).await? {
            return Ok(false);
        }
        let query = Query::from(version.version().clone());
        match self.upstream.info(version.path(), &query).await {
            Ok(info) => Ok(info.version() == version.version()),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.keep(version, "upstream does not have it any more").await.map(|()| false)
            }
            Err(error) if error.kind().is_transient() => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Removes the zip, if that may still be done: upstream may have taken its time to answer. Whether it was removed.
    async fn evict(self: &Arc<Self>, candidate: &Candidate) -> Result<bool> {
        let name = Name::file(&candidate.version, FileKind::Zip);
        let (version, used) = (candidate.version.clone(), candidate.used);
        let remove = move |shared: &Self| {
            let may_go = shared.may_go(&version, used)?;
            if may_go {
                shared.tree.remove(&Name::file(&version, FileKind::Zip))?;
            }
            Ok(may_go)
        };
        if !self.on_disk(remove).await? {
            return Ok(false);
        }
        self.known.remove(name.as_str());
        self.counters.evicted(candidate.length);
        tracing::debug!(version = %candidate.version, bytes = candidate.length, "removed from the cache");
        Ok(true)
    }

    /// Whether all is still as when it was decided to remove the zip: it may be the only copy or evidence by now, or in use.
    fn may_go(&self, version: &ModuleVersion, used: u64) -> io::Result<bool> {
        let mark = Name::file(version, FileKind::Zip).mark();
        Ok(self.admit.is_replaceable(version)
            && !self.tree.has(&Name::kept(version))?
            && !self.tree.has(&Name::published(version))?
            && self.tree.modified(&mark)? == Some(used))
    }

    /// Marks the files of a version as the only copy, for ever.
    pub(super) async fn keep(self: &Arc<Self>, version: &ModuleVersion, why: &str) -> Result<()> {
        let name = Name::kept(version);
        let there = name.clone();
        if self.on_disk(move |shared| shared.tree.has(&there)).await? {
            return Ok(());
        }
        tracing::warn!(%version, why, "from now on this is the only copy: it is kept");
        let staged = self.staging.write(format!("quipu-kept 1\n{why}\n").into()).await?;
        self.on_disk(move |shared| shared.tree.replace(staged.name(), &name)).await
    }

    /// Refuses a zip that was here before with another content.
    pub(super) async fn check_again(
        self: &Arc<Self>,
        version: &ModuleVersion,
        name: &Name,
        h1: quipu_module::H1,
    ) -> Result<()> {
        let mark = name.mark();
        let before = self.on_disk(move |shared| shared.read_mark(&mark)).await?.map(|mark| mark.h1);
        match before.filter(|before| *before != h1) {
            Some(before) => {
                Err(Error::rejected(format!("{version}: upstream sent {h1}, and {before} was here before")))
            }
            None => Ok(()),
        }
    }
}
