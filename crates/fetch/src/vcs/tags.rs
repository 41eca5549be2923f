//! Which tags are versions of a module, and what the highest of them retracts.

use std::collections::BTreeMap;

use bytes::Bytes;
use quipu_module::{GoMod, Version, check_path_major, is_pseudo, semver::Semver};

use crate::error::{Error, ErrorKind, Result};

use super::history::{History, Oid, Refs};
use super::locate::{Files, locate, revision_name};
use super::place::Place;

/// What a tag says about the version of its commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TagVersion {
    /// `vX.Y.Z[-pre]`.
    pub(super) version: String,
    /// Whether the tag is that and nothing more.
    pub(super) is_canonical: bool,
}

impl TagVersion {
    /// Reads a tag of the module at `place`. Tags with further text behind the version count; those that look like
    /// pseudo-versions, are shorter than three numbers, or belong to another directory do not.
    pub(super) fn parse(place: &Place, tag: &str) -> Option<Self> {
        let text = tag.strip_prefix(place.tag_prefix().as_str()).filter(|_| !is_pseudo(tag))?;
        let version = Semver::parse(text)?.canonical();
        let is_canonical = version == text;
        text.starts_with(&version).then_some(Self { version, is_canonical })
    }
}

/// The tagged versions of the module at `place`, ascending. Those with `+incompatible` come only where nobody meant
/// to have modules of that major version: their highest, and the highest of all others, have no go.mod.
///
/// # Errors
/// A tag that decides about this points at no commit; faults of the history.
pub(super) async fn list<H: History>(history: &H, refs: &Refs, place: &Place) -> Result<Vec<Version>> {
    let mut versions = Vec::new();
    let mut candidates: BTreeMap<Number, Vec<(Version, &Oid)>> = BTreeMap::new();
    let mut highest: Option<(Version, &Oid)> = None;
    for (version, id) in canonical_tags(refs, place) {
        if check_path_major(version.as_str(), place.path_major()).is_ok() {
            if highest.as_ref().is_none_or(|(highest, _)| *highest < version) {
                highest = Some((version.clone(), id));
            }
            versions.push(version);
        } else if place.may_be_incompatible()
            && let Some(number) = Number::of(&version)
        {
            candidates.entry(number).or_default().push((version, id));
        }
    }
    versions.sort();
    let has_go_mod = async |(version, id): &(Version, &Oid)| {
        let files = files_at(history, id, version.as_str()).await;
        let mut files = files.map_err(|error| match error.kind() {
            ErrorKind::NotFound => error.about(format!("module {}", place.module())),
            _ => error,
        })?;
        Ok::<_, Error>(files.go_mod("go.mod").await?.is_some())
    };
    if candidates.is_empty() {
        return Ok(versions);
    }
    if let Some(highest) = &highest
        && has_go_mod(highest).await?
    {
        return Ok(versions);
    }
    for mut of_one_major in candidates.into_values() {
        of_one_major.sort_by(|(a, _), (b, _)| a.cmp(b));
        let Some(last) = of_one_major.last() else { continue };
        if !has_go_mod(last).await? {
            let named =
                of_one_major.iter().map(|(version, _)| Version::parse(&format!("{version}+incompatible")));
            versions.extend(named.filter_map(std::result::Result::ok));
        }
    }
    Ok(versions)
}

/// What the highest version says to be retracted, in a list as [`list`] gives it. Nothing if it cannot be read.
pub(super) async fn retractions<H: History>(history: &H, refs: &Refs, place: &Place) -> Result<GoMod> {
    let versions = match list(history, refs, place).await {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(GoMod::default()),
        versions => versions?,
    };
    let compatible = || versions.iter().rev().filter(|version| !version.is_incompatible());
    let highest = compatible().find(|version| !version.is_prerelease()).or_else(|| compatible().next());
    let Some(highest) = highest else { return Ok(GoMod::default()) };
    match go_mod(history, refs, place, highest.as_str()).await {
        Ok(go_mod) => Ok(parse_retractions(go_mod.as_deref())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(GoMod::default()),
        Err(error) => Err(error),
    }
}

/// Reads the retractions of a go.mod; none if there is none or it cannot be understood.
pub(super) fn parse_retractions(go_mod: Option<&[u8]>) -> GoMod {
    go_mod.and_then(|content| GoMod::parse_lax(content).ok()).unwrap_or_default()
}

/// The go.mod of a tagged version; `None` if it has none and needs none.
///
/// # Errors
/// The tag does not exist, or the module is not in its commit.
pub(super) async fn go_mod<H: History>(
    history: &H,
    refs: &Refs,
    place: &Place,
    version: &str,
) -> Result<Option<Bytes>> {
    let tag = revision_name(place, version);
    let id = refs.tags.get(&tag).ok_or_else(|| unknown(&tag))?;
    let mut files = files_at(history, id, &tag).await?;
    Ok(locate(place, &mut files, version).await?.go_mod)
}

/// The files of the commit that a tag points at. Tags may point at anything.
async fn files_at<'a, H: History>(history: &'a H, id: &Oid, tag: &str) -> Result<Files<'a, H>> {
    let commit = history.commit(id.as_str()).await?.ok_or_else(|| unknown(tag))?;
    Ok(Files::new(history, commit.id))
}

fn unknown(tag: &str) -> Error {
    Error::not_found(format!("unknown revision {tag}"))
}

/// The tags that are canonical versions behind the module's prefix, of any major version.
fn canonical_tags<'a>(refs: &'a Refs, place: &Place) -> impl Iterator<Item = (Version, &'a Oid)> {
    let prefix = place.tag_prefix();
    let path = place.module().as_str();
    // The tags are those of the stable path.
    let has_none = path.starts_with("gopkg.in/") && path.ends_with("-unstable");
    let tags = refs.tags.range(prefix.clone()..).take_while(move |(tag, _)| tag.starts_with(&prefix));
    let prefix = place.tag_prefix().len();
    tags.filter(move |_| !has_none).filter_map(move |(tag, id)| {
        let version = Version::parse(tag.get(prefix..)?).ok()?;
        (!version.is_incompatible() && !version.is_pseudo()).then_some((version, id))
    })
}

/// A major version that is no 0 or 1; by value.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Number {
    digits: usize,
    text: String,
}

impl Number {
    fn of(version: &Version) -> Option<Self> {
        let text = Semver::parse(version.as_str())?.major().strip_prefix('v')?.to_owned();
        Some(Self { digits: text.len(), text }).filter(|number| !matches!(number.text.as_str(), "0" | "1"))
    }
}
