//! Answers from storage alone, for clients that must not cause a fetch.

use std::sync::Arc;

use quipu_module::{ModulePath, ModuleVersion, Query, Version};

use super::answers::{canonical, refuse_word};
use super::latest::highest;
use super::tree::{FileKind, Name};
use super::{Cache, Shared};
use crate::error::{Error, Result};
use crate::info::Info;

/// A version is offered only if everything of it can be served.
const COMPLETE: [FileKind; 3] = [FileKind::Info, FileKind::GoMod, FileKind::Zip];

impl Cache {
    /// As [`Upstream::list`](crate::Upstream::list), from storage alone: the versions of which all three files are here.
    ///
    /// # Errors
    /// None is.
    pub async fn held_list(&self, path: &ModulePath) -> Result<Vec<Version>> {
        self.shared.held_list(path).await
    }

    /// As [`Cache::held_list`], with pseudo-versions.
    ///
    /// # Errors
    /// None is.
    pub async fn held_versions(&self, path: &ModulePath) -> Result<Vec<Version>> {
        self.shared.held_versions(path).await
    }

    /// As [`Upstream::info`](crate::Upstream::info), from storage alone.
    ///
    /// # Errors
    /// It is not here.
    pub async fn held_info(&self, path: &ModulePath, query: &Query) -> Result<Info> {
        self.shared.held_info(path, query).await
    }

    /// As [`Upstream::latest`](crate::Upstream::latest), from storage alone: the highest release of which all three files are here, else the
    /// highest pre-release, else the latest pseudo-version; of those that are not retracted, as far as there are any, by the
    /// highest version whose go.mod is here.
    ///
    /// # Errors
    /// No version is here.
    pub async fn held_latest(&self, path: &ModulePath) -> Result<Info> {
        self.shared.held_latest(path).await
    }

    /// The versions whose go.mod is here, ascending, pseudo-versions among them. None may be.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn held_go_mods(&self, path: &ModulePath) -> Result<Vec<Version>> {
        self.shared.held_go_mods(path).await
    }

    /// As [`Cache::unretracted`], from storage alone: by the highest of `versions` whose go.mod is here. All of them if that is
    /// none.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn held_unretracted(&self, path: &ModulePath, versions: Vec<Version>) -> Result<Vec<Version>> {
        self.shared.held_unretracted(path, versions).await
    }
}

impl Shared {
    pub(super) async fn held_list(self: &Arc<Self>, path: &ModulePath) -> Result<Vec<Version>> {
        let versions = self.held_versions(path).await?;
        Ok(versions.into_iter().filter(|version| !version.is_pseudo()).collect())
    }

    pub(super) async fn held_info(self: &Arc<Self>, path: &ModulePath, query: &Query) -> Result<Info> {
        let held = match canonical(path, query) {
            Some(version) => match self.open(&version, FileKind::Info)? {
                Some(file) => Some(Info::parse(path, &file.bytes().await?)?),
                None => None,
            },
            None => {
                refuse_word(path, query)?;
                self.stored_info(path, &Name::query(path, query)).await?
            }
        };
        held.ok_or_else(not_held)
    }

    pub(super) async fn held_latest(self: &Arc<Self>, path: &ModulePath) -> Result<Info> {
        let versions = self.held_versions(path).await?;
        let standing = self.held_unretracted(path, self.held_go_mods(path).await?).await?;
        let offered: Vec<_> =
            versions.iter().filter(|version| standing.binary_search(version).is_ok()).cloned().collect();
        let version = highest(&offered).or_else(|| highest(&versions)).ok_or_else(not_held)?.clone();
        let version = ModuleVersion::new(path.clone(), version).map_err(|_| not_held())?;
        let file = self.open(&version, FileKind::Info)?.ok_or_else(not_held)?;
        Info::parse(path, &file.bytes().await?)
    }

    pub(super) async fn held_versions(self: &Arc<Self>, path: &ModulePath) -> Result<Vec<Version>> {
        let path = path.clone();
        let versions = self.on_disk(move |shared| shared.tree.versions(&path, &COMPLETE)).await?;
        if versions.is_empty() { Err(not_held()) } else { Ok(versions) }
    }

    pub(super) async fn held_go_mods(self: &Arc<Self>, path: &ModulePath) -> Result<Vec<Version>> {
        let path = path.clone();
        self.on_disk(move |shared| shared.tree.versions(&path, &[FileKind::GoMod])).await
    }
}

/// The text that other proxies answer with, so that clients can match it.
fn not_held() -> Error {
    Error::not_found("temporarily unavailable")
}
