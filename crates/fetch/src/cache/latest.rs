//! What `latest` stands for when upstream's word on it goes back or away: computed from what is listed, which never
//! shrinks, without the versions that their author has retracted.

use std::sync::Arc;

use bytes::Bytes;
use quipu_module::{GoMod, ModulePath, ModuleVersion, Query, Retraction, Version};

use super::Shared;
use super::tree::{FileKind, Name};
use crate::error::{Error, ErrorKind, Result};
use crate::info::Info;

/// So many of the highest versions are asked for their go.mod, which says what is retracted; the first that has one
/// counts.
const MAX_ASKED: usize = 5;

impl Shared {
    /// Upstream's word on `latest`, unless a higher version is listed that is not retracted, or upstream knows of none
    /// any more.
    pub(super) async fn not_backwards(
        self: &Arc<Self>,
        path: &ModulePath,
        answer: Result<Info>,
    ) -> Result<Info> {
        let gone = |error: &Error| error.kind() == ErrorKind::NotFound;
        if answer.as_ref().is_err_and(|error| !gone(error)) {
            return answer;
        }
        let listed = self.listed(path).await?;
        let went_back = match (&answer, highest(&listed)) {
            (_, None) => false,
            (Err(_), Some(_)) => true,
            (Ok(info), Some(highest)) => precedes(info.version(), highest),
        };
        if !went_back {
            return answer;
        }
        let Some(offered) = self.unretracted(path, listed).await else { return answer };
        let Some(highest) = highest(&offered) else { return answer };
        match answer {
            Ok(info) if !precedes(info.version(), highest) => Ok(info),
            answer => self.info(path, &Query::from(highest.clone())).await.or(answer),
        }
    }

    /// The versions that may be listed, as far as they are known here, and the one that was the latest so far.
    async fn listed(self: &Arc<Self>, path: &ModulePath) -> Result<Vec<Version>> {
        let name = Name::list(path);
        let mut listed = match self.made.get(name.as_str()) {
            Some(made) => made.to_vec(),
            None => self.stored_list(path, &name).await?.all(path).unwrap_or_default(),
        };
        let latest = self.stored_info(path, &Name::latest(path)).await?;
        listed.extend(latest.map(|info| info.version().clone()).filter(|version| !version.is_pseudo()));
        listed.sort_unstable();
        Ok(listed)
    }

    /// The versions that the highest one does not retract; `None` if that cannot be known now. Those that cannot be had
    /// any more are left out.
    pub(super) async fn unretracted(
        self: &Arc<Self>,
        path: &ModulePath,
        mut listed: Vec<Version>,
    ) -> Option<Vec<Version>> {
        for _ in 0..MAX_ASKED {
            let highest = highest(&listed)?.clone();
            let version = ModuleVersion::new(path.clone(), highest.clone()).ok()?;
            match self.look_at_go_mod(&version).await {
                Ok(text) => {
                    let retracted = GoMod::parse_lax(&text).ok()?.retract;
                    listed.retain(|version| !covered(&retracted, version));
                    return Some(listed);
                }
                Err(error) if error.kind() == ErrorKind::NotFound => listed.retain(|it| *it != highest),
                Err(_) => return None,
            }
        }
        None
    }

    /// The go.mod of a version, for a look at it: one that is not here is not taken in, since nobody has asked for that
    /// version, and perhaps nobody may have it.
    async fn look_at_go_mod(self: &Arc<Self>, version: &ModuleVersion) -> Result<Bytes> {
        match self.open(version, FileKind::GoMod)? {
            Some(file) => file.bytes().await,
            None => self.upstream.go_mod(version).await,
        }
    }
}

/// The highest release, else the highest pre-release, else the latest pseudo-version of an ascending list. A version
/// with `+incompatible` is taken only where there is no other.
pub fn highest(versions: &[Version]) -> Option<&Version> {
    // Of equals, the last one: the list ascends.
    versions.iter().max_by_key(|version| class(version))
}

/// What is preferred whatever its number: higher is better.
fn class(version: &Version) -> (bool, u8) {
    let kind = match (version.is_pseudo(), version.is_prerelease()) {
        (true, _) => 0,
        (false, true) => 1,
        (false, false) => 2,
    };
    (!version.is_incompatible(), kind)
}

/// Whether `version` would be a step back from `highest`. Whether one with `+incompatible` comes first depends on go.mod
/// files, so that is left to upstream.
fn precedes(version: &Version, highest: &Version) -> bool {
    !version.is_incompatible() && (class(version), version) < (class(highest), highest)
}

fn covered(retracted: &[Retraction], version: &Version) -> bool {
    retracted.iter().any(|retraction| retraction.covers(version.as_str()))
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
            assert_eq!(highest(&versions).map(Version::as_str), expected, "{list}");
        }
    }
}
