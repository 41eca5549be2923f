//! Pseudo-versions: whether one is true of its commit.

use quipu_module::{Pseudo, format_pseudo, semver};

use crate::error::{Error, ErrorKind, Result};

use super::history::{History, Refs};
use super::place::Place;
use super::revision::Revision;

/// Checks what `version` claims of the commit that it names: the digits, the time, and the tag that it follows. That tag
/// needs not be the best one: which tags there were when the version was first asked for is not known.
///
/// # Errors
/// [`ErrorKind::NotFound`], worded as the `go` command does, if a claim is not true; faults of the history.
pub(super) async fn check<H: History>(
    history: &H,
    place: &Place,
    refs: &Refs,
    (revision, version): (&Revision, &str),
) -> Result<()> {
    let invalid = |why: Error| match why.kind() {
        ErrorKind::NotFound => why.about(format!("{}@{version}: invalid pseudo-version", place.module())),
        _ => why,
    };
    let Some(base) = check_form(place, revision, version).map_err(|why| invalid(Error::not_found(why)))?
    else {
        return Ok(());
    };
    check_base(history, place, refs, (revision, &base)).await.map_err(invalid)
}

/// `yyyymmddhhmmss` of `time`, in seconds since 1970; `None` outside the years 0 to 9999.
pub(super) fn format_stamp(time: i64) -> Option<String> {
    let text = format_pseudo("", "", time, "0").ok()?;
    Pseudo::parse(&text).ok().map(|pseudo| pseudo.timestamp().to_owned())
}

/// Checks digits and time, and gives the version that is followed, if any.
fn check_form(
    place: &Place,
    revision: &Revision,
    version: &str,
) -> std::result::Result<Option<String>, String> {
    let reason = |error: quipu_module::Error| {
        // The reason alone: which version it is about is said by the caller.
        let text = error.to_string();
        text.split_once(" invalid: ").map_or(text.clone(), |(_, reason)| reason.to_owned())
    };
    let version = version.strip_suffix("+incompatible").unwrap_or(version);
    let pseudo = Pseudo::parse(version).map_err(reason)?;
    let (claimed, short) = (pseudo.revision(), revision.commit.id.short());
    if claimed != short {
        let what = match (claimed.starts_with(short), short.starts_with(claimed)) {
            (true, _) => "revision is longer than canonical",
            (_, true) => "revision is shorter than canonical",
            _ => "does not match short name of revision",
        };
        return Err(format!("{what} (expected {short})"));
    }
    if pseudo.time().map_err(reason)? != revision.commit.time {
        let stamp = format_stamp(revision.commit.time).unwrap_or_default();
        return Err(format!("does not match version-control timestamp (expected {stamp})"));
    }
    let base = pseudo.base().map_err(reason)?;
    let is_v1 = semver::Semver::parse(version).is_some_and(|version| version.major() == "v1");
    if base.is_none() && place.path_major().is_empty() && is_v1 {
        return Err("major version without preceding tag must be v0, not v1".into());
    }
    Ok(base)
}

/// Checks that a tag equal to `base` is on an ancestor, and that this commit has no such tag of its own.
async fn check_base<H: History>(
    history: &H,
    place: &Place,
    refs: &Refs,
    (revision, base): (&Revision, &str),
) -> Result<()> {
    let prefix = place.tag_prefix();
    let short = revision.commit.id.short();
    let behind_prefix = |tag: &'_ str| tag.strip_prefix(prefix.as_str()).unwrap_or(tag).to_owned();
    if let Some(tag) = revision.tags.iter().find(|tag| behind_prefix(tag) == base) {
        return Err(Error::not_found(format!(
            "tag ({tag}) found on revision {short} is already canonical, so should not be replaced with a \
             pseudo-version derived from that tag"
        )));
    }
    let first = format!("{prefix}{base}");
    let mut last_tag = None;
    for (tag, id) in refs.tags.range(first.clone()..).take_while(|(tag, _)| tag.starts_with(&first)) {
        if semver::compare(&behind_prefix(tag), base).is_ne() {
            continue;
        }
        if history.is_ancestor(id, &revision.commit.id).await? {
            return Ok(());
        }
        last_tag = Some(tag);
    }
    Err(Error::not_found(match last_tag {
        None => format!("preceding tag ({base}) not found"),
        Some(tag) => format!("revision {short} is not a descendent of preceding tag ({tag})"),
    }))
}
