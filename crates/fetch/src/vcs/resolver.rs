//! The versions of a module in a repository: which there are, and what a query stands for.

use std::sync::Arc;

use bytes::Bytes;
use quipu_module::{GoMod, ModuleVersion, Version, synthesize_go_mod};

use crate::error::{Error, ErrorKind, Result};
use crate::info::{Info, Origin};

use super::convert::{Conversion, Converted};
use super::history::{History, Oid, Refs};
use super::locate::revision_name;
use super::place::Place;
use super::revision::Revision;
use super::tags;

/// Answers what can be asked about a module from the repository that it lies in, as the `go` command does where
/// GOPROXY is `direct`.
///
/// [`ErrorKind::NotFound`] is a definite answer: the repository was read, and there is no such version by its rules.
#[derive(Clone, Copy, Debug)]
pub struct Resolver<'a, H> {
    history: &'a H,
    place: &'a Place,
}

/// What a version consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The version.
    pub version: ModuleVersion,
    /// The commit.
    pub commit: Oid,
    /// The directory of the module in it; empty: the root of the repository.
    pub directory: String,
    /// The go.mod there, as it is in the repository; `None` if there is none.
    pub go_mod: Option<Bytes>,
}

impl<'a, H: History> Resolver<'a, H> {
    /// For the module at `place`, in the repository that `history` knows.
    pub fn new(history: &'a H, place: &'a Place) -> Self {
        Self { history, place }
    }

    /// The tagged versions, ascending. They need not be good ones: [`Resolver::info`] decides about each.
    ///
    /// # Errors
    /// The path is not that of a module in this repository: no version is tagged, and the default branch is none.
    pub async fn list(&self) -> Result<Vec<Version>> {
        let refs = self.history.refs().await?;
        let versions = tags::list(self.history, &refs, self.place).await?;
        if versions.is_empty() {
            self.latest().await?;
        }
        Ok(versions)
    }

    /// What `query` stands for: a version, a tag, a branch, `HEAD`, or a commit. `latest`, `upgrade` and `patch` stand
    /// for nothing here: whoever asks makes a choice of the list.
    ///
    /// # Errors
    /// There is no such revision, or it is no version of this module.
    pub async fn info(&self, query: &str) -> Result<Info> {
        self.resolve(query).await?.info(self.place)
    }

    /// The version that `latest` stands for: the highest release that is not retracted, else the highest pre-release,
    /// else the head of the default branch.
    ///
    /// # Errors
    /// There is none, or it is no good version.
    pub async fn latest(&self) -> Result<Info> {
        let refs = self.history.refs().await?;
        let versions = tags::list(self.history, &refs, self.place).await?;
        let retracted = self.retractions_in_latest(&refs, &versions).await?;
        let allowed = |version: &&Version| !is_retracted(&retracted, version.as_str());
        let mut candidates: Vec<&Version> = versions.iter().filter(allowed).collect();
        let compatible = candidates.partition_point(|version| !version.is_incompatible());
        if let Some(last) = compatible.checked_sub(1).and_then(|last| candidates.get(last))
            && compatible < candidates.len()
            && self.go_mod_at(&refs, last).await?.is_some()
        {
            candidates.truncate(compatible);
        }
        if let Some(version) = choose_latest(&candidates) {
            return self.info(version.as_str()).await;
        }
        match self.resolve_head(&refs).await {
            Ok(head) if !is_retracted(&retracted, head.version.as_str()) => head.info(self.place),
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Err(self.no_latest()),
        }
    }

    /// The bytes of go.mod, or what stands for a missing one.
    ///
    /// # Errors
    /// There is no such version.
    pub async fn go_mod(&self, version: &Version) -> Result<Bytes> {
        let go_mod = self.contents(version).await?.go_mod;
        Ok(go_mod.unwrap_or_else(|| synthesize_go_mod(self.place.module()).into()))
    }

    /// Where the files of `version` are.
    ///
    /// # Errors
    /// There is no such version.
    pub async fn contents(&self, version: &Version) -> Result<Contents> {
        let module = ModuleVersion::new(self.place.module().clone(), version.clone())
            .map_err(|error| Error::not_found(error.to_string()))?;
        let resolved = self.resolve(version.as_str()).await?;
        if resolved.version != *version {
            let text = format!("{module}: invalid version: resolves to version {}", resolved.version);
            return Err(Error::not_found(text));
        }
        let (commit, located) = (resolved.revision.commit.id, resolved.located);
        Ok(Contents { version: module, commit, directory: located.directory, go_mod: located.go_mod })
    }

    async fn resolve(&self, query: &str) -> Result<Converted> {
        let refs = self.history.refs().await?;
        let invalid = |error: Error| match error.kind() {
            ErrorKind::NotFound => error.about(format!("{}@{query}: invalid version", self.place.module())),
            _ => error,
        };
        if matches!(query, "latest" | "upgrade" | "patch") {
            return Err(invalid(Error::not_found(format!("unknown revision {query}"))));
        }
        let name = revision_name(self.place, query);
        let revision = Revision::find(self.history, &refs, &name).await.map_err(invalid)?;
        Conversion::new(self.history, self.place, refs, revision).convert(query).await
    }

    async fn resolve_head(&self, refs: &Arc<Refs>) -> Result<Converted> {
        let revision = Revision::find_default(self.history, refs).await?;
        Conversion::new(self.history, self.place, refs.clone(), revision).convert("").await
    }

    /// The retractions that count for `latest`: those of the version that it would be without them.
    async fn retractions_in_latest(&self, refs: &Arc<Refs>, versions: &[Version]) -> Result<GoMod> {
        let candidates: Vec<&Version> = versions.iter().collect();
        let go_mod = match choose_latest(&candidates) {
            Some(version) => self.go_mod_at(refs, version).await,
            None => self.resolve_head(refs).await.map(|head| head.located.go_mod),
        };
        match go_mod {
            Ok(go_mod) => Ok(tags::parse_retractions(go_mod.as_deref())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(GoMod::default()),
            Err(error) => Err(error),
        }
    }

    /// The go.mod of a tagged version.
    async fn go_mod_at(&self, refs: &Refs, version: &Version) -> Result<Option<Bytes>> {
        let go_mod = tags::go_mod(self.history, refs, self.place, version.as_str()).await;
        go_mod.map_err(|error| error.about(format!("{}@{version}", self.place.module())))
    }

    fn no_latest(&self) -> Error {
        let module = self.place.module();
        Error::not_found(format!("module {module}: no matching versions for query \"latest\""))
    }
}

impl Converted {
    fn info(self, place: &Place) -> Result<Info> {
        let is_pseudo = self.version.is_pseudo();
        let origin = Origin {
            vcs: "git".into(),
            url: place.url().to_owned(),
            subdir: place.directory().to_owned(),
            hash: self.revision.commit.id.to_string(),
            // A pseudo-version is no nearer to one reference than to another.
            reference: self.revision.reference.filter(|_| !is_pseudo).unwrap_or_default(),
            ..Origin::default()
        };
        Info::new(self.version, format_time(self.revision.commit.time), Some(origin))
    }
}

/// The highest release, else the highest pre-release, of an ascending list.
fn choose_latest<'v>(versions: &[&'v Version]) -> Option<&'v Version> {
    let release = versions.iter().rev().find(|version| !version.is_prerelease());
    release.or(versions.last()).copied()
}

pub(super) fn is_retracted(go_mod: &GoMod, version: &str) -> bool {
    go_mod.retract.iter().any(|retraction| retraction.covers(version))
}

/// `time`, in seconds since 1970, in the form of RFC 3339; `None` outside the years 0 to 9999.
fn format_time(time: i64) -> Option<String> {
    let stamp = super::pseudo::format_stamp(time)?;
    let part = |from: usize, to: usize| stamp.get(from..to);
    let (date, clock) =
        ((part(0, 4)?, part(4, 6)?, part(6, 8)?), (part(8, 10)?, part(10, 12)?, part(12, 14)?));
    Some(format!("{}-{}-{}T{}:{}:{}Z", date.0, date.1, date.2, clock.0, clock.1, clock.2))
}
