//! From a revision to the version that it is, or that the query for it asked for.

use std::cmp::Ordering;
use std::sync::Arc;

use quipu_module::{GoMod, Version, check_path_major, format_pseudo, is_pseudo, semver};

use crate::error::{Error, ErrorKind, Result};

use super::history::{History, Refs};
use super::locate::{Files, Located, locate};
use super::place::Place;
use super::pseudo;
use super::resolver::is_retracted;
use super::revision::Revision;
use super::tags::{self, TagVersion};

/// A revision as a version of the module.
pub(super) struct Converted {
    pub(super) version: Version,
    pub(super) revision: Revision,
    pub(super) located: Located,
}

/// One conversion under way.
pub(super) struct Conversion<'a, H> {
    history: &'a H,
    place: &'a Place,
    refs: Arc<Refs>,
    revision: Revision,
    files: Files<'a, H>,
    retractions: Option<GoMod>,
}

/// What the tags on a commit make of it.
enum OnCommit {
    /// This version.
    Version(String),
    /// No version, but one that a pseudo-version may follow.
    Base(String),
    Nothing,
}

const INCOMPATIBLE: &str = "+incompatible";

impl<'a, H: History> Conversion<'a, H> {
    pub(super) fn new(history: &'a H, place: &'a Place, refs: Arc<Refs>, revision: Revision) -> Self {
        let files = Files::new(history, revision.commit.id.clone());
        Self { history, place, refs, revision, files, retractions: None }
    }

    /// The version that the revision is, asked for as `query` (empty: by no name).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], worded as the `go` command does, if it is no version of the module, or not the one that
    /// the query names; faults of the history.
    pub(super) async fn convert(mut self, query: &str) -> Result<Converted> {
        let (version, located) = self.choose(query).await?;
        // What the rules made canonical is so; a path and its versions agree by them, too.
        let version = Version::parse(&version).map_err(|error| Error::not_found(error.to_string()))?;
        Ok(Converted { version, revision: self.revision, located })
    }

    async fn choose(&mut self, query: &str) -> Result<(String, Located)> {
        if is_pseudo(query) {
            let version = self.check_canonical(query, query).await?;
            pseudo::check(self.history, self.place, &self.refs, (&self.revision, query)).await?;
            return Ok(version);
        }
        if let Some(version) = self.named_tag(query).await? {
            return Ok(version);
        }
        let base = match self.tags_on_commit(query).await? {
            OnCommit::Version(version) => return self.check_canonical(&version, query).await,
            OnCommit::Base(base) => base,
            OnCommit::Nothing => self.highest_before(query).await?.unwrap_or_default(),
        };
        let major = self.place.path_major().trim_start_matches(['/', '.']);
        let major = major.strip_suffix("-unstable").unwrap_or(major);
        let commit = &self.revision.commit;
        let version = format_pseudo(major, &base, commit.time, commit.id.short())
            .map_err(|error| Error::not_found(error.to_string()).about(self.place.module()))?;
        self.check_canonical(&version, query).await
    }

    /// The version of the tag by whose name the revision was found, if it can be one. That it is retracted does not
    /// matter: it was asked for.
    async fn named_tag(&mut self, query: &str) -> Result<Option<(String, Located)>> {
        let tag = self.revision.tag.as_deref().and_then(|tag| TagVersion::parse(self.place, tag));
        let Some(tag) = tag.filter(|tag| tag.is_canonical) else { return Ok(None) };
        match self.check_canonical(&tag.version, query).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            result => result.map(Some),
        }
    }

    /// What the tags on the commit say.
    async fn tags_on_commit(&mut self, query: &str) -> Result<OnCommit> {
        let tags: Vec<TagVersion> =
            self.revision.tags.iter().filter_map(|tag| TagVersion::parse(self.place, tag)).collect();
        let mut base = None;
        let mut highest = None;
        for TagVersion { version, is_canonical } in tags {
            let is_asked_for = !query.is_empty() && semver::compare(&version, query).is_eq();
            match (is_asked_for, is_canonical) {
                (true, true) => return Ok(OnCommit::Version(version)),
                // Others could be equal to it without being the same: good enough only as a base.
                (true, false) => base = Some(version),
                (false, true) => {
                    if is_higher(&version, highest.as_deref()) && self.allows(&version, query).await? {
                        highest = Some(version);
                    }
                }
                (false, false) => {}
            }
        }
        let base = || base.map_or(OnCommit::Nothing, OnCommit::Base);
        Ok(highest.map_or_else(base, OnCommit::Version))
    }

    /// The highest version tagged on the commit or before that a pseudo-version may follow.
    async fn highest_before(&mut self, query: &str) -> Result<Option<String>> {
        let tags = self.history.tags_before(&self.revision.commit.id).await?;
        let mut versions: Vec<TagVersion> =
            tags.iter().filter_map(|tag| TagVersion::parse(self.place, tag)).collect();
        versions.sort_by(|a, b| semver::compare_total(&b.version, &a.version));
        for tag in versions {
            if self.allows(&tag.version, query).await? {
                return Ok(Some(tag.version));
            }
        }
        Ok(None)
    }

    /// Whether a tag may be used without having been asked for: neither retracted nor of another major version.
    async fn allows(&mut self, version: &str, query: &str) -> Result<bool> {
        let agrees = check_path_major(version, self.place.path_major()).is_ok();
        if !agrees && !self.may_be_incompatible(version, query).await? {
            return Ok(false);
        }
        if self.retractions.is_none() {
            self.retractions = Some(tags::retractions(self.history, &self.refs, self.place).await?);
        }
        Ok(!self.retractions.as_ref().is_some_and(|go_mod| is_retracted(go_mod, version)))
    }

    /// Whether `version`, of major version 2 or more, may be had with `+incompatible`: nothing here is a module of its own.
    async fn may_be_incompatible(&mut self, version: &str, query: &str) -> Result<bool> {
        if !self.place.may_be_incompatible() || self.files.go_mod("go.mod").await?.is_some() {
            return Ok(false);
        }
        // Such versions were once given out without a look at the directory, and go on being when asked for by name
        // (https://go.dev/issue/51324).
        if query.ends_with(INCOMPATIBLE) {
            return Ok(true);
        }
        let major = semver::Semver::parse(version).map_or("", |version| version.major());
        Ok(self.files.go_mod(&format!("{major}/go.mod")).await?.is_none())
    }

    /// Checks that `version` can be one of the module, and completes it by `+incompatible`.
    async fn check_canonical(&mut self, version: &str, query: &str) -> Result<(String, Located)> {
        let module = self.place.module();
        let located = locate(self.place, &mut self.files, version).await;
        let located = located.map_err(|error| match error.kind() {
            ErrorKind::NotFound => error.about(format!("{module}@{version}: invalid version")),
            _ => error,
        })?;
        let version =
            if version == query.strip_suffix(INCOMPATIBLE).unwrap_or(query) { query } else { version };
        let base = version.strip_suffix(INCOMPATIBLE).unwrap_or(version);
        let judged = self.judge_major(version, query).await?;
        let named = judged.as_deref().unwrap_or(version);
        let asked = query.strip_suffix(INCOMPATIBLE).unwrap_or(query);
        if semver::canonical_version(query).as_deref() == Some(query) && asked != base {
            return Err(Error::not_found(format!(
                "{module}@{query}: invalid version: resolves to version {named} ({asked} is not a tag)"
            )));
        }
        match judged {
            Ok(version) => Ok((version, located)),
            Err(why) => Err(Error::not_found(format!("{module}@{version}: invalid version: {why}"))),
        }
    }

    /// `version` with or without `+incompatible`, as it has to be, or why it cannot be either.
    async fn judge_major(
        &mut self,
        version: &str,
        query: &str,
    ) -> Result<std::result::Result<String, String>> {
        let base = version.strip_suffix(INCOMPATIBLE).unwrap_or(version);
        let major = semver::Semver::parse(base).map_or("", |version| version.major());
        if check_path_major(base, self.place.path_major()).is_ok() {
            return Ok(if base == version {
                Ok(version.to_owned())
            } else {
                Err(format!("+incompatible suffix not allowed: major version {major} is compatible"))
            });
        }
        if self.may_be_incompatible(base, query).await? {
            return Ok(Ok(format!("{base}{INCOMPATIBLE}")));
        }
        Ok(Err(if self.place.path_major().is_empty() {
            let path = format!("{}/{major}", self.place.path_prefix());
            format!("module contains a go.mod file, so module path must match major version (\"{path}\")")
        } else {
            "module path includes a major version suffix, so major version must match".into()
        }))
    }
}

fn is_higher(version: &str, than: Option<&str>) -> bool {
    than.is_none_or(|than| semver::compare(than, version) == Ordering::Less)
}
