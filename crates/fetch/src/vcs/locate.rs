//! Which directory of a commit holds a module, as far as its go.mod files tell.
//!
//! A path ending in `/vN` may lie in a directory `vN` or in the one above, and the go.mod files there have to claim that
//! suffix. Only the suffix is compared, not the path, because copies of a module are used under other paths.

use std::collections::HashMap;

use bytes::Bytes;
use quipu_module::{Pseudo, quick_module_path, semver, split_path_version};

use crate::error::{Error, Result};
use crate::upstream::MAX_GO_MOD;

use super::history::{History, Oid};
use super::place::Place;

/// The files of a commit that were asked for, each read once.
pub(super) struct Files<'a, H> {
    history: &'a H,
    commit: Oid,
    known: HashMap<String, Option<Bytes>>,
}

impl<'a, H: History> Files<'a, H> {
    pub(super) fn new(history: &'a H, commit: Oid) -> Self {
        Self { history, commit, known: HashMap::new() }
    }

    /// The go.mod at `path`, if there is a file.
    pub(super) async fn go_mod(&mut self, path: &str) -> Result<Option<Bytes>> {
        if let Some(content) = self.known.get(path) {
            return Ok(content.clone());
        }
        let content = self.history.file(&self.commit, path, MAX_GO_MOD).await?;
        self.known.insert(path.to_owned(), content.clone());
        Ok(content)
    }
}

/// Where a module is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Located {
    /// Its directory; empty: the root of the repository.
    pub(super) directory: String,
    /// Its go.mod; `None` if it has none and needs none.
    pub(super) go_mod: Option<Bytes>,
}

/// Finds the directory of the module at `place` for `version`.
///
/// # Errors
/// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound), worded as the `go` command does, if the module is not in this
/// commit; faults of the history.
pub(super) async fn locate<H: History>(
    place: &Place,
    files: &mut Files<'_, H>,
    version: &str,
) -> Result<Located> {
    let revision = revision_name(place, version);
    let missing = |why: String| Error::not_found(format!("{why} at revision {revision}"));
    let plain = Claim::read(files, place, place.join("go.mod")).await?;
    let mut remark = String::new();
    if let Some(major) = place.major_directory() {
        let below = Claim::read(files, place, place.join(&format!("{major}/go.mod"))).await?;
        match below.judge_major_directory(place, &plain).map_err(missing)? {
            Some(go_mod) => return Ok(Located { directory: place.join(major), go_mod: Some(go_mod) }),
            None => remark = format!(" (and .../{major}/go.mod does not exist)"),
        }
    }
    let directory = place.directory().to_owned();
    match plain.content {
        Some(go_mod) if plain.fits => Ok(Located { directory, go_mod: Some(go_mod) }),
        Some(_) => Err(missing(plain.refusal(place, version) + &remark)),
        None if directory.is_empty() && !place.path_major().starts_with('/') => {
            Ok(Located { directory, go_mod: None })
        }
        None => Err(missing(match place.major_directory() {
            Some(major) => format!("missing {}/go.mod and .../{major}/go.mod", place.path_prefix()),
            None => format!("missing {}/go.mod", place.path_prefix()),
        })),
    }
}

/// What a version is called in the repository: the commit of a pseudo-version, the tag of any other.
pub(super) fn revision_name(place: &Place, version: &str) -> String {
    if let Ok(pseudo) = Pseudo::parse(version) {
        return pseudo.revision().to_owned();
    }
    if semver::Semver::parse(version).is_none() {
        return version.to_owned();
    }
    place.join(version.strip_suffix("+incompatible").unwrap_or(version))
}

/// A go.mod and whose it says it is.
struct Claim {
    /// Where it is looked for.
    path: String,
    content: Option<Bytes>,
    /// The module path in it; empty if there is none.
    module: String,
    /// Whether that has the major version that is asked for.
    fits: bool,
}

impl Claim {
    async fn read<H: History>(files: &mut Files<'_, H>, place: &Place, path: String) -> Result<Self> {
        let content = files.go_mod(&path).await?;
        let module = content.as_deref().map(quick_module_path).unwrap_or_default();
        let fits = has_major(&module, place.path_major())
            // Such paths were once taken for unversioned ones, and go on being (https://go.dev/issue/34254).
            || (place.path_major().is_empty() && module.starts_with("gopkg.in/"));
        Ok(Self { path, content, module, fits })
    }

    /// Judges the go.mod of a major-version directory beside the `plain` one above it; `None` if it does not exist.
    fn judge_major_directory(
        self,
        place: &Place,
        plain: &Self,
    ) -> std::result::Result<Option<Bytes>, String> {
        let Self { path, content, module, fits } = self;
        let Some(content) = content else { return Ok(None) };
        let (root, major) = (place.root(), place.path_major());
        if fits && plain.fits {
            let prefix = place.path_prefix();
            return Err(format!(
                "{prefix}/{} and ...{major}/go.mod both have ...{major} module paths",
                plain.path
            ));
        }
        match module.as_str() {
            _ if fits => Ok(Some(content)),
            "" => Err(format!("{root}/{path} is missing module path")),
            _ => Err(format!("{root}/{path} has non-...{major} module path \"{}\"", module.escape_debug())),
        }
    }

    /// Why a go.mod that does not fit is refused.
    fn refusal(&self, place: &Place, version: &str) -> String {
        let Self { path, module, .. } = self;
        let quoted = module.escape_debug();
        if module.is_empty() {
            return format!("{path} is missing module path");
        }
        if !place.path_major().is_empty() {
            return format!("{path} has non-...{} module path \"{quoted}\"", place.path_major());
        }
        if split_path_version(module).is_none() {
            return format!("{path} has malformed module path \"{quoted}\"");
        }
        let major = semver::Semver::parse(version).map_or("", |version| version.major());
        format!("{path} has post-{major} module path \"{quoted}\"")
    }
}

/// Whether the versions of the module path that a go.mod claims are those of `path_major`.
fn has_major(module: &str, path_major: &str) -> bool {
    let Some((_, claimed)) = split_path_version(module).filter(|_| !module.is_empty()) else { return false };
    if path_major.is_empty() {
        return matches!(claimed.strip_suffix("-unstable").unwrap_or(claimed), "" | ".v0" | ".v1");
    }
    !claimed.is_empty() && path_major.get(1..) == claimed.get(1..)
}
