//! Which modules a push is about, and which versions a tag makes, by the rules of `go help modules`: a tag is the version,
//! behind the directory of the module and a slash; from major version 2 on the path of the module ends with it.

use std::collections::BTreeSet;

use quipu_fetch::{Housed, RepoName};
use quipu_module::{ModulePath, ModuleVersion, Version};

/// Most modules of one push.
const MAX_MODULES: usize = 1000;

/// What follows from a push.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Targets {
    /// Of these something may have changed.
    pub(crate) modules: BTreeSet<ModulePath>,
    /// These may be there now.
    pub(crate) versions: BTreeSet<ModuleVersion>,
}

impl Targets {
    /// What a push with or without a tag means for the repository, of which these modules are known.
    pub(crate) fn of(repository: &RepoName, known: Vec<Housed>, tag: Option<&str>) -> Self {
        let mut targets = Self::default();
        let named = ModulePath::parse(repository.as_str()).ok();
        let named = named.map(|path| Housed { path, directory: String::new() });
        for housed in known.into_iter().chain(named).take(MAX_MODULES) {
            if let Some((directory, version)) = tag.and_then(split) {
                targets.versions.extend(made(&housed, directory, &version));
            }
            targets.modules.insert(housed.path);
        }
        targets.modules.extend(targets.versions.iter().map(|version| version.path().clone()));
        targets
    }
}

/// A tag as directory and version.
fn split(tag: &str) -> Option<(&str, Version)> {
    let (directory, version) = tag.rsplit_once('/').unwrap_or(("", tag));
    let version = Version::parse(version).ok()?;
    (!version.is_pseudo() && !version.is_incompatible()).then_some((directory, version))
}

/// The version that a tag for `directory` makes, if it has to do with this module.
fn made(housed: &Housed, directory: &str, version: &Version) -> Option<ModuleVersion> {
    let (path, major) = (housed.path.prefix(), housed.path.path_major());
    let own = housed.directory.as_str();
    // A module for a later major version may lie in a directory of that name, which is no part of its tags.
    let own = own.strip_suffix(major).filter(|_| major.starts_with('/')).unwrap_or(own);
    let own = if format!("/{own}") == major { "" } else { own };
    let base = match directory.strip_prefix(own)? {
        "" => path.to_owned(),
        inside if own.is_empty() => format!("{path}/{inside}"),
        _ => return None,
    };
    let number = version.as_str().trim_start_matches('v').split('.').next()?;
    let path = match number {
        _ if base.starts_with("gopkg.in/") => format!("{base}.v{number}"),
        "0" | "1" => base,
        _ => format!("{base}/v{number}"),
    };
    ModuleVersion::parse(&path, version.as_str()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(known: &[(&str, &str)], tag: &str) -> String {
        let repository = RepoName::parse("https://git.example/team/tool").unwrap();
        let known = known
            .iter()
            .map(|(path, directory)| Housed {
                path: ModulePath::parse(path).unwrap(),
                directory: (*directory).to_owned(),
            })
            .collect();
        let targets = Targets::of(&repository, known, Some(tag));
        targets.versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn tags_are_versions_of_the_modules_they_name() {
        let vanity: &[_] = &[("corp.example/tool", ""), ("corp.example/tool/cli", "cli")];
        let majors: &[_] = &[("git.example/team/tool/v2", "v2"), ("git.example/team/tool/cli/v3", "cli/v3")];
        for (known, tag, expected) in [
            (&[][..], "v1.0.0", "git.example/team/tool@v1.0.0"),
            (&[], "v2.1.0", "git.example/team/tool/v2@v2.1.0"),
            (&[], "cli/v0.1.0", "git.example/team/tool/cli@v0.1.0"),
            (&[], "cli/v3.0.0-rc.1", "git.example/team/tool/cli/v3@v3.0.0-rc.1"),
            (vanity, "v1.0.0", "corp.example/tool@v1.0.0 git.example/team/tool@v1.0.0"),
            (vanity, "v2.0.0", "corp.example/tool/v2@v2.0.0 git.example/team/tool/v2@v2.0.0"),
            (vanity, "cli/v1.0.0", "corp.example/tool/cli@v1.0.0 git.example/team/tool/cli@v1.0.0"),
            (majors, "v2.0.1", "git.example/team/tool/v2@v2.0.1"),
            (majors, "v3.0.0", "git.example/team/tool/v3@v3.0.0"),
            (majors, "cli/v3.1.0", "git.example/team/tool/cli/v3@v3.1.0"),
            (
                &[("gopkg.in/tool.v1", "")],
                "v2.0.0",
                "git.example/team/tool/v2@v2.0.0 gopkg.in/tool.v2@v2.0.0",
            ),
            (vanity, "v1.0", ""),
            (vanity, "release-7", ""),
            (vanity, "v0.0.0-20240102030405-abcdefabcdef", ""),
            (vanity, "../v1.0.0", ""),
            (vanity, "v1.0.0/x", ""),
            (vanity, "", ""),
        ] {
            assert_eq!(versions(known, tag), expected, "{tag} of {known:?}");
        }
    }

    #[test]
    fn a_push_without_a_tag_is_about_all_modules() {
        let repository = RepoName::parse("git@git.example:team/tool.git").unwrap();
        let housed =
            Housed { path: ModulePath::parse("corp.example/tool").unwrap(), directory: String::new() };
        let targets = Targets::of(&repository, vec![housed], None);
        let modules: Vec<_> = targets.modules.iter().map(ModulePath::as_str).collect();
        assert_eq!(modules, ["corp.example/tool", "git.example/team/tool"]);
        assert!(targets.versions.is_empty());
        let no_path = RepoName::parse("https://localhost/tool").unwrap();
        assert_eq!(Targets::of(&no_path, Vec::new(), Some("v1.0.0")), Targets::default());
    }
}
