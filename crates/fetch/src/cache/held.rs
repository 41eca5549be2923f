//! Answers from storage alone, for clients that must not cause a fetch.

use std::sync::Arc;

use quipu_module::{ModulePath, ModuleVersion, Query, Version};

use super::Shared;
use super::answers::{canonical, refuse_word};
use super::tree::{FileKind, Name};
use crate::error::{Error, Result};
use crate::info::Info;

/// A version is offered only if everything of it can be served.
const COMPLETE: [FileKind; 3] = [FileKind::Info, FileKind::GoMod, FileKind::Zip];

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
        let version = latest(&versions).ok_or_else(not_held)?.clone();
        let version = ModuleVersion::new(path.clone(), version).map_err(|_| not_held())?;
        let file = self.open(&version, FileKind::Info)?.ok_or_else(not_held)?;
        Info::parse(path, &file.bytes().await?)
    }

    async fn held_versions(self: &Arc<Self>, path: &ModulePath) -> Result<Vec<Version>> {
        let path = path.clone();
        let versions = self.on_disk(move |shared| shared.tree.versions(&path, &COMPLETE)).await?;
        if versions.is_empty() { Err(not_held()) } else { Ok(versions) }
    }
}

/// The text that other proxies answer with, so that clients can match it.
fn not_held() -> Error {
    Error::not_found("temporarily unavailable")
}

/// The highest release, else the highest pre-release, else the latest pseudo-version of an ascending list. A version
/// with `+incompatible` is taken only where there is no other.
fn latest(versions: &[Version]) -> Option<&Version> {
    let class = |version: &Version| {
        let kind = match (version.is_pseudo(), version.is_prerelease()) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 2,
        };
        (!version.is_incompatible(), kind)
    };
    // Of equals, the last one: the list ascends.
    versions.iter().max_by_key(|version| class(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_come_before_everything() {
        for (list, expected) in [
            ("", None),
            ("v0.1.0 v0.2.0 v0.10.0-rc.1", Some("v0.2.0")),
            ("v0.1.0-a v0.1.0-b", Some("v0.1.0-b")),
            (
                "v0.0.0-20200101000000-aaaaaaaaaaaa v0.0.0-20210101000000-aaaaaaaaaaaa",
                Some("v0.0.0-20210101000000-aaaaaaaaaaaa"),
            ),
            (
                "v0.0.0-20200101000000-aaaaaaaaaaaa v2.0.0+incompatible",
                Some("v0.0.0-20200101000000-aaaaaaaaaaaa"),
            ),
            ("v1.0.0 v2.0.0+incompatible", Some("v1.0.0")),
            ("v2.0.0+incompatible v3.0.0+incompatible", Some("v3.0.0+incompatible")),
        ] {
            let versions: Vec<_> =
                list.split_whitespace().map(|text| Version::parse(text).unwrap()).collect();
            assert_eq!(latest(&versions).map(Version::as_str), expected, "{list}");
        }
    }
}
