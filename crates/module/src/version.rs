//! Module versions: canonical ones, pairs of path and version, and the queries a proxy is asked.

use std::{cmp::Ordering, fmt, str::FromStr};

use crate::{
    error::Error,
    escape::{escape, unescape},
    path::{ModulePath, check_file_element},
    pseudo::is_pseudo,
    quote::quote,
    semver::{INCOMPATIBLE, Semver, canonical_version, compare_total},
};

/// A canonical module version: `vX.Y.Z[-pre][+incompatible]`.
///
/// Ordered by semantic-version precedence, then by bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(String);

impl Version {
    /// Takes `text` if it is canonical as it stands.
    ///
    /// # Errors
    /// `text` is not a semantic version, or not its canonical form.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match canonical_version(text) {
            None => Err(Error::malformed(format!("version {} invalid: not a semantic version", quote(text)))),
            Some(canonical) if canonical == text => Ok(Self(canonical)),
            Some(canonical) => Err(Error::malformed(format!(
                "version {} is not canonical (should be {})",
                quote(text),
                quote(canonical)
            ))),
        }
    }

    /// Reads the escaped form, in which an upper-case letter is `!` and its lower-case letter.
    ///
    /// # Errors
    /// The text is not an escaped string, or does not stand for a canonical version.
    pub fn unescape(escaped: &str) -> Result<Self, Error> {
        Self::parse(Query::unescape(escaped)?.as_str())
    }

    /// The escaped form, for URLs and file names. Inverse of [`Version::unescape`].
    #[must_use]
    pub fn escaped(&self) -> String {
        escape(&self.0)
    }

    /// The plain version.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it ends in `+incompatible`.
    #[must_use]
    pub fn is_incompatible(&self) -> bool {
        self.0.ends_with(INCOMPATIBLE)
    }

    /// Whether it has a pre-release part (pseudo-versions have one).
    #[must_use]
    pub fn is_prerelease(&self) -> bool {
        Semver::parse(&self.0).is_some_and(|v| !v.prerelease().is_empty())
    }

    /// Whether it is a pseudo-version, naming a commit without a tag.
    #[must_use]
    pub fn is_pseudo(&self) -> bool {
        is_pseudo(&self.0)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_total(&self.0, &other.0)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Version {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

/// What may be asked of a proxy in place of a version: a branch, a tag, a commit, a version.
/// One valid file-path element of ASCII characters without `!`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Query(String);

impl Query {
    /// Takes `text` if it can be escaped.
    ///
    /// # Errors
    /// It has a slash, `!`, a character outside ASCII or one that file names may not have.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let good = text.is_ascii() && !text.contains('!') && check_file_element(text).is_ok();
        if good {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::malformed(format!("version {} invalid: disallowed version string", quote(text))))
    }

    /// Reads the escaped form, in which an upper-case letter is `!` and its lower-case letter.
    ///
    /// # Errors
    /// The text is not an escaped string, or does not stand for a valid query.
    pub fn unescape(escaped: &str) -> Result<Self, Error> {
        let context = |text: &str| format!("invalid escaped version {}", quote(text));
        let text = unescape(escaped).ok_or_else(|| Error::malformed(context(escaped)))?;
        check_file_element(&text).map_err(|reason| Error::malformed(reason).within(context(&text)))?;
        Ok(Self(text))
    }

    /// The escaped form, for URLs and file names. Inverse of [`Query::unescape`].
    #[must_use]
    pub fn escaped(&self) -> String {
        escape(&self.0)
    }

    /// The plain text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The query as a version, if it is a canonical one.
    #[must_use]
    pub fn as_version(&self) -> Option<Version> {
        Version::parse(&self.0).ok()
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Query {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<Version> for Query {
    /// Every canonical version is a valid query.
    fn from(version: Version) -> Self {
        Self(version.0)
    }
}

/// A module at a version, the two agreeing: `path/v2` has versions `v2.…` only.
///
/// Ordered by path, then by version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleVersion {
    path: ModulePath,
    version: Version,
}

impl ModuleVersion {
    /// Pairs `path` with `version`.
    ///
    /// # Errors
    /// The major versions of the two do not agree.
    pub fn new(path: ModulePath, version: Version) -> Result<Self, Error> {
        path_major_mismatch(version.as_str(), path.path_major()).map_or(Ok(()), |reason| {
            Err(Error::malformed(format!("{path}@{version}: invalid version: {reason}")))
        })?;
        Ok(Self { path, version })
    }

    /// Parses and pairs plain `path` and `version`.
    ///
    /// # Errors
    /// One of the two is not valid, the version is not canonical, or they do not agree.
    pub fn parse(path: &str, version: &str) -> Result<Self, Error> {
        let version = |path: &ModulePath| Version::parse(version).map_err(|e| e.within(path));
        let path = ModulePath::parse(path)?;
        let version = version(&path)?;
        Self::new(path, version)
    }

    /// Reads `<escaped path>@<escaped version>`, what a checksum database is asked for.
    ///
    /// # Errors
    /// The text has another form, cannot be unescaped, or names what [`ModuleVersion::parse`] refuses.
    pub fn parse_escaped(text: &str) -> Result<Self, Error> {
        let (path, version) = text
            .split_once('@')
            .filter(|(path, version)| !path.is_empty() && has_lookup_form(version))
            .ok_or_else(|| Error::malformed("invalid module@version syntax"))?;
        Self::new(ModulePath::unescape(path)?, Version::unescape(version)?)
    }

    /// `<escaped path>@<escaped version>`. Inverse of [`ModuleVersion::parse_escaped`].
    #[must_use]
    pub fn escaped(&self) -> String {
        format!("{}@{}", self.path.escaped(), self.version.escaped())
    }

    /// The module path.
    #[must_use]
    pub fn path(&self) -> &ModulePath {
        &self.path
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The two parts.
    #[must_use]
    pub fn into_parts(self) -> (ModulePath, Version) {
        (self.path, self.version)
    }
}

impl fmt::Display for ModuleVersion {
    /// `path@version`, plain.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.path, self.version)
    }
}

impl FromStr for ModuleVersion {
    type Err = Error;

    /// Parses plain `path@version`. Inverse of `Display`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let (path, version) = text
            .split_once('@')
            .ok_or_else(|| Error::malformed(format!("{}: missing @version", quote(text))))?;
        Self::parse(path, version)
    }
}

/// Checks that `version` may be a version of a module whose path has the major-version suffix
/// `path_major` (see [`ModulePath::path_major`]).
///
/// # Errors
/// Their major versions do not agree.
pub fn check_path_major(version: &str, path_major: &str) -> Result<(), Error> {
    path_major_mismatch(version, path_major).map_or(Ok(()), |reason| {
        Err(Error::malformed(format!("version {} invalid: {reason}", quote(version))))
    })
}

/// Checks path, version and their agreement, but not that the version is canonical
/// (`golang.org/x/mod/module.Check`).
///
/// # Errors
/// The path is not valid, the version is not a semantic version, or they do not agree.
pub fn check_module_version(path: &str, version: &str) -> Result<(), Error> {
    let path = ModulePath::parse(path)?;
    let mismatch = match Semver::parse(version) {
        Some(_) => path_major_mismatch(version, path.path_major()),
        None => Some("not a semantic version".into()),
    };
    mismatch.map_or(Ok(()), |reason| {
        Err(Error::malformed(format!("{path}@{version}: invalid version: {reason}")))
    })
}

fn path_major_mismatch(version: &str, path_major: &str) -> Option<String> {
    let semver = Semver::parse(version);
    let major = semver.map_or("", |v| v.major());
    let wanted = match path_major.strip_suffix("-unstable") {
        Some(stable) if path_major.starts_with(".v") => stable,
        _ => path_major,
    };
    // An old bug of the go command made such pseudo-versions for gopkg.in/….v1; they are in use.
    if wanted == ".v1" && version.starts_with("v0.0.0-") {
        return None;
    }
    let incompatible = semver.is_some_and(|v| v.build() == INCOMPATIBLE);
    let (agrees, wanted) = match wanted.strip_prefix(['/', '.']) {
        Some(number) => (major == number, number),
        None if wanted.is_empty() => (major == "v0" || major == "v1" || incompatible, "v0 or v1"),
        None => (false, wanted),
    };
    (!agrees).then(|| format!("should be {wanted}, not {major}"))
}

/// The form that a lookup demands of the part after `@`, before anything is unescaped:
/// `vN.N.N`, optionally `-` and anything but `@`, optionally `+incompatible`.
fn has_lookup_form(version: &str) -> bool {
    let Some(rest) = version.strip_prefix('v') else { return false };
    let (core, suffix) =
        rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len()));
    let numbers: Vec<&str> = core.split('.').collect();
    let good_suffix = suffix.is_empty() || suffix.starts_with('-') || suffix == INCOMPATIBLE;
    numbers.len() == 3 && numbers.iter().all(|n| !n.is_empty()) && good_suffix && !suffix.contains('@')
}
