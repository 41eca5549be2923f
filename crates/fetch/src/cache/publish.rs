//! Publishing: versions that come from here and from nowhere else.
//!
//! A published version goes the way of a fetched one: staged and synced, judged (more strictly), admitted, placed. What
//! differs is that it can be had nowhere again, so its note in staging is synced, too, and a file beside it says for ever
//! that this is the only copy. Paths that may be published are never asked of any upstream, whatever is missing here: who
//! could make the same path public elsewhere would otherwise choose what is built.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use quipu_module::{
    ErrorKind as ModuleErrorKind, H1, ModulePath, ModuleVersion, Query, Version, check_publish, hash_go_mod,
};
use tokio::task::spawn_blocking;

use super::admit::{Hashes, Recorded};
use super::files::refused;
use super::recover::Note;
use super::tree::{FileKind, Name, Placed};
use super::{Cache, Shared};
use crate::error::{Error, ErrorKind, Result};
use crate::info::Info;
use crate::staged::{Complete, Staged, disk_error};
use crate::upstream::{BoxFuture, MAX_ZIP, Upstream};

/// When, by whom and from where a version is published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publication {
    /// When: it becomes the time of the version. In the form of RFC 3339.
    pub time: String,
    /// By whom, in one line, for those who keep a record of it; may be empty.
    pub by: String,
    /// From where, if that is known.
    pub peer: Option<IpAddr>,
    /// Whether an earlier run began it, which may have got as far as the log.
    pub is_resumed: bool,
}

/// What became of a version that was to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// What the log holds for it, which is what was sent.
    pub recorded: Recorded,
}

/// Why a version was not published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The zip breaks a rule and always will: change it.
    #[error("{0}")]
    Broken(String),
    /// This version has other content here, for ever: publish another version.
    #[error("{version}: the log has {recorded}, and {offered} was sent")]
    Conflict {
        /// The version.
        version: Box<ModuleVersion>,
        /// The hash that is recorded: of the zip, or of go.mod where only that differs.
        recorded: H1,
        /// The hash of what was sent.
        offered: H1,
    },
    /// Something failed, or is not allowed; the error says what to do.
    #[error("{0}")]
    Failed(#[from] Error),
}

impl Cache {
    /// Whether this path is one that is published here, and so never asked of an upstream.
    pub fn publishes(&self, path: &ModulePath) -> bool {
        self.shared.is_ours(path)
    }

    /// Whether the version was published here: then these files are the only copy, and must not be removed to make room.
    ///
    /// # Errors
    /// The disk fails.
    pub fn is_only_copy(&self, version: &ModuleVersion) -> Result<bool> {
        self.shared.tree.has(&Name::published(version)).map_err(|error| disk_error(&error))
    }

    /// A place to write a zip to that is to be published.
    ///
    /// # Errors
    /// There is no room.
    pub async fn stage(&self, version: &ModuleVersion) -> Result<Staged> {
        self.shared.check_room(&Name::file(version, FileKind::Zip))?;
        self.shared.staging.create(MAX_ZIP).await
    }

    /// Publishes `zip` as `version`: judges it, takes it into the log, and serves it from then on. The first content counts
    /// for ever; the same content again changes nothing, not even where it is packed otherwise. Goes on when the caller
    /// leaves.
    ///
    /// # Errors
    /// See [`PublishError`]. After [`PublishError::Failed`] the version may or may not be in the log: sending the same
    /// zip again is safe.
    pub async fn publish(
        &self,
        version: ModuleVersion,
        zip: Staged,
        publication: Publication,
    ) -> std::result::Result<Published, PublishError> {
        if !self.publishes(version.path()) {
            let text = format!("{version}: this path is none of those that are published here");
            return Err(Error::new(ErrorKind::Forbidden, text).into());
        }
        let shared = self.shared.clone();
        let work = async move { shared.publish(&version, zip.finish().await?, &publication).await };
        let fault = |_| Err(Error::unavailable("internal error while publishing").into());
        tokio::spawn(work).await.unwrap_or_else(fault)
    }
}

impl Shared {
    pub(super) fn is_ours(&self, path: &ModulePath) -> bool {
        self.options.published.matches(path.as_str())
    }

    /// Also what recovery does with a zip that was left staged.
    pub(super) async fn publish(
        self: &Arc<Self>,
        version: &ModuleVersion,
        zip: Complete,
        publication: &Publication,
    ) -> std::result::Result<Published, PublishError> {
        let info = Info::new(version.version().clone(), Some(publication.time.clone()), None)?;
        let (hashes, go_mod) = self.judge(version, &zip).await?;
        // One at a time, so that of two versions that differ the second finds all of the first.
        let _turn = self.publishing.lock().await;
        if let Some(there) = self.open(version, FileKind::Zip)?.and_then(|file| file.h1) {
            agree(version, there, hashes.zip)?;
        }
        let note = Note::write_published(&self.tree, &zip, (version, publication)).await?;
        let recorded = self.admit.record(version, hashes, publication).await;
        let recorded = recorded.map_err(|refusal| PublishError::Failed(refused(&refusal)))?;
        agree(version, recorded.zip, hashes.zip)?;
        agree(version, recorded.go_mod, hashes.go_mod)?;
        self.settle_published(version, zip, hashes, (go_mod, info)).await?;
        drop(note);
        Ok(Published { recorded })
    }

    /// Hashes and go.mod of a zip that breaks no rule.
    async fn judge(
        &self,
        version: &ModuleVersion,
        zip: &Complete,
    ) -> std::result::Result<(Hashes, Bytes), PublishError> {
        let closed = |_| Error::unavailable("the cache is shut down");
        let _place = self.checks.acquire().await.map_err(closed)?;
        let (version, tree, name) = (version.clone(), self.tree.clone(), zip.name().clone());
        let work = move || {
            let file = tree.open_there(&name).map_err(|error| disk_error(&error))?;
            let report = check_publish(&version, file.reader());
            let report = report.map_err(|error| match error.kind() {
                ModuleErrorKind::Malformed => PublishError::Broken(error.to_string()),
                _ => PublishError::Failed(disk_error(&std::io::Error::other(error))),
            })?;
            let go_mod = Bytes::from(report.go_mod.unwrap_or_default());
            let h1 = hash_go_mod(&go_mod);
            Ok((Hashes { zip: report.hash, go_mod: h1, go_mod_in_zip: h1 }, go_mod))
        };
        let fault = |_| Err(Error::unavailable("internal error while checking a zip").into());
        spawn_blocking(work).await.unwrap_or_else(fault)
    }

    /// Places the files of a version that is in the log, as far as they are not there. The zip comes last: a version without
    /// it is not listed.
    async fn settle_published(
        self: &Arc<Self>,
        version: &ModuleVersion,
        zip: Complete,
        hashes: Hashes,
        (go_mod, info): (Bytes, Info),
    ) -> Result<()> {
        let go_mod = self.staging.write(go_mod).await?;
        self.settle_ours(version, FileKind::GoMod, (go_mod, hashes.go_mod)).await?;
        let info = self.staging.write(info.format().into()).await?;
        let _ = self.place(info, &Name::file(version, FileKind::Info)).await?;
        let only_copy = self.staging.write(format!("quipu-published 1\n{}\n", hashes.zip).into()).await?;
        let name = Name::published(version);
        self.on_disk(move |shared| shared.tree.replace(only_copy.name(), &name)).await?;
        self.settle_ours(version, FileKind::Zip, (zip, hashes.zip)).await?;
        for kind in [FileKind::Info, FileKind::GoMod, FileKind::Zip] {
            self.absent.remove(Name::file(version, kind).as_str());
        }
        Ok(())
    }

    /// Places and marks a file that the log vouches for. The same content that is there stays, byte for byte: it may have
    /// been served, and zips of the same files need not be alike. Another one, that nobody admitted or that was damaged since,
    /// gives way.
    async fn settle_ours(
        self: &Arc<Self>,
        version: &ModuleVersion,
        kind: FileKind,
        (staged, h1): (Complete, H1),
    ) -> Result<()> {
        let name = Name::file(version, kind);
        if self.has_sound(version, &name, h1).await? {
            return Ok(());
        }
        let (sha256, length, to) = (*staged.sha256(), staged.length(), name.clone());
        self.on_disk(move |shared| shared.put_in_place(&staged, &to)).await?;
        self.mark(&name, h1, sha256, length).await?;
        self.known.remove(name.as_str());
        Ok(())
    }

    /// Whether the file of this name is there with this hash. All of it is read: what its mark says, and what is remembered
    /// of it, held once.
    async fn has_sound(self: &Arc<Self>, version: &ModuleVersion, name: &Name, h1: H1) -> Result<bool> {
        let Some(found) = self.find_dropped(name).await? else { return Ok(false) };
        let mark = name.mark();
        let mark = self.on_disk(move |shared| shared.read_mark(&mark)).await?.filter(|mark| mark.h1 == h1);
        if mark.is_some_and(|mark| (mark.sha256, mark.length) == (found.sha256, found.length)) {
            return Ok(true);
        }
        if !name.is_zip() {
            return Ok(false);
        }
        // Its mark may be lost, as it is not synced.
        let is_sound = match self.check(version, name).await {
            Ok(there) => there.h1 == h1,
            Err(error) if error.kind() == ErrorKind::Rejected => false,
            Err(error) => return Err(error),
        };
        if is_sound {
            self.mark(name, h1, found.sha256, found.length).await?;
            self.known.remove(name.as_str());
        }
        Ok(is_sound)
    }

    /// Moves a file to its name, whatever is there. Blocks.
    fn put_in_place(&self, staged: &Complete, name: &Name) -> io::Result<()> {
        // Whoever opens the new file before it is marked must not find what was said of another one.
        self.tree.remove(&name.mark())?;
        self.known.remove(name.as_str());
        let before = self.tree.inspect(name)?.map_or(0, |facts| facts.length);
        if self.tree.place(staged.name(), name)? == Placed::Existed {
            self.tree.replace(staged.name(), name)?;
        }
        self.counters.stored(staged.length());
        if name.is_zip() {
            self.counters.stored_zip(staged.length());
            self.counters.removed_zip(before);
        }
        Ok(())
    }
}

/// What is recorded must be what was sent.
fn agree(version: &ModuleVersion, recorded: H1, offered: H1) -> std::result::Result<(), PublishError> {
    if recorded == offered {
        return Ok(());
    }
    Err(PublishError::Conflict { version: Box::new(version.clone()), recorded, offered })
}

/// An upstream that is not asked for what is published here. In front of all others, so that no way round it exists.
pub(super) struct Elsewhere {
    pub(super) upstream: Arc<dyn Upstream>,
    pub(super) published: quipu_module::Patterns,
}

impl Elsewhere {
    /// The upstream, for what is not published here.
    fn of(&self, path: &ModulePath) -> Result<&dyn Upstream> {
        if self.published.matches(path.as_str()) {
            return Err(not_published(path));
        }
        Ok(&*self.upstream)
    }
}

/// Definite absence: nobody else could have it.
pub(super) fn not_published(what: impl std::fmt::Display) -> Error {
    Error::not_found(format!("{what}: was not published here, and is not asked of anybody else"))
}

impl Upstream for Elsewhere {
    fn list<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Vec<Version>>> {
        Box::pin(async move { self.of(path)?.list(path).await })
    }

    fn info<'a>(&'a self, path: &'a ModulePath, query: &'a Query) -> BoxFuture<'a, Result<Info>> {
        Box::pin(async move { self.of(path)?.info(path, query).await })
    }

    fn latest<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Info>> {
        Box::pin(async move { self.of(path)?.latest(path).await })
    }

    fn forget(&self, path: &ModulePath) {
        if let Ok(upstream) = self.of(path) {
            upstream.forget(path);
        }
    }

    fn go_mod<'a>(&'a self, version: &'a ModuleVersion) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(async move { self.of(version.path())?.go_mod(version).await })
    }

    fn zip<'a>(&'a self, version: &'a ModuleVersion, zip: &'a mut Staged) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.of(version.path())?.zip(version, zip).await })
    }
}
