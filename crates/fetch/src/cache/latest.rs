//! What `latest` stands for when upstream's word on it goes back or away: computed from what is listed, which never
//! shrinks, without the versions that their author has retracted.

use std::sync::Arc;
use std::time::Duration;

use quipu_module::{GoMod, ModulePath, ModuleVersion, Query, Retraction, Version};

use super::Shared;
use super::forget::Asked;
use super::tree::{FileKind, Name};
use crate::error::{Error, ErrorKind, Result};
use crate::info::Info;

/// So many of the highest versions are asked for their go.mod, which says what is retracted; the first that has one
/// counts.
const MAX_ASKED: usize = 5;

/// How long it counts what was seen in a go.mod that is not stored.
const LOOKED_FOR: Duration = Duration::from_secs(60);

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
        let Ok(Some(offered)) = self.unretracted(path, listed).await else { return answer };
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

    /// The versions that the highest one does not retract; `None` if nobody says what that is. Those that cannot be had any
    /// more are left out.
    pub(super) async fn unretracted(
        self: &Arc<Self>,
        path: &ModulePath,
        mut listed: Vec<Version>,
    ) -> Result<Option<Vec<Version>>> {
        for _ in 0..MAX_ASKED {
            let Some(highest) = highest(&listed).cloned() else { return Ok(None) };
            let Ok(version) = ModuleVersion::new(path.clone(), highest.clone()) else { return Ok(None) };
            match self.retracted_by(&version).await {
                Ok(Some(retracted)) => {
                    listed.retain(|version| !covered(&retracted, version));
                    return Ok(Some(listed));
                }
                Err(error) if error.kind() == ErrorKind::NotFound => listed.retain(|it| *it != highest),
                Err(error) if is_fault(&error) => return Err(error),
                Ok(None) | Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }

    /// As [`Shared::unretracted`], from storage alone; all of them if nobody who is here says what is retracted.
    pub(super) async fn held_unretracted(
        self: &Arc<Self>,
        path: &ModulePath,
        mut versions: Vec<Version>,
    ) -> Result<Vec<Version>> {
        let mut left = versions.clone();
        for _ in 0..MAX_ASKED {
            let Some(highest) = highest(&left).cloned() else { break };
            let Ok(version) = ModuleVersion::new(path.clone(), highest.clone()) else { break };
            if let Some(file) = self.open(&version, FileKind::GoMod)? {
                let retracted = retracted(&file.bytes().await?).unwrap_or_default();
                versions.retain(|version| !covered(&retracted, version));
                break;
            }
            left.retain(|it| *it != highest);
        }
        Ok(versions)
    }

    /// What the go.mod of a version retracts. One that is not here is looked at and not taken in, since nobody has asked for
    /// that version, and perhaps nobody may have it; what it said is remembered.
    async fn retracted_by(self: &Arc<Self>, version: &ModuleVersion) -> Result<Retracted> {
        if let Some(file) = self.open(version, FileKind::GoMod)? {
            return Ok(retracted(&file.bytes().await?));
        }
        let name = Name::file(version, FileKind::GoMod);
        if let Some(error) = self.absence(&name) {
            return Err(error);
        }
        let known = self.looks.get(name.as_str());
        let is_young = |asked: Asked| asked.at.elapsed() < LOOKED_FOR && !self.is_outdated(&name, asked);
        if let Some((_, known)) = known.as_ref().filter(|(asked, _)| is_young(*asked)) {
            return Ok(known.clone());
        }
        let look = || self.clone().look_at_go_mod(version.clone());
        match (self.looking.join(name.as_str(), look).await, known) {
            // What a version retracts never changes.
            (Err(error), Some((_, known))) if is_fault(&error) => Ok(known),
            (looked, _) => looked,
        }
    }

    async fn look_at_go_mod(self: Arc<Self>, version: ModuleVersion) -> Result<Retracted> {
        let (name, asked) = (Name::file(&version, FileKind::GoMod), self.asking());
        let text = self.upstream.go_mod(&version).await;
        self.note_absence(&name, asked, &text);
        let retracted = retracted(&text?);
        let bytes = retracted.iter().flat_map(|all| all.iter()).map(size_of_retraction).sum();
        self.looks.insert(&name.key(), (asked, retracted.clone()), bytes);
        Ok(retracted)
    }
}

/// What a go.mod retracts; `None` if it is none.
pub(super) type Retracted = Option<Arc<[Retraction]>>;

fn retracted(go_mod: &[u8]) -> Retracted {
    GoMod::parse_lax(go_mod).ok().map(|go_mod| go_mod.retract.into())
}

fn size_of_retraction(retraction: &Retraction) -> usize {
    let Retraction { low, high, rationale } = retraction;
    size_of::<Retraction>() + low.len() + high.len() + rationale.len()
}

/// Whether nothing was said just because of a fault that will pass.
fn is_fault(error: &Error) -> bool {
    error.kind().is_transient() && !error.kind().is_wrong()
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
