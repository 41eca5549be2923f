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
    /// What a push with or without a tag means for the repository with these names, of which these modules are known.
    ///
    /// A name of the repository may be a module path too, but that is a guess: a private repository may hold modules under
    /// other names alone, and its own is not to be told to a proxy. So what is guessed is fetched only if `is_private` says
    /// that no proxy is asked for it.
    pub(crate) fn of(
        repositories: &[RepoName],
        known: &[Housed],
        tag: Option<&str>,
        is_private: impl Fn(&ModulePath) -> bool,
    ) -> Self {
        let (mut targets, tag) = (Self::default(), tag.and_then(split));
        let version_of = |housed: &Housed| {
            let (directory, version) = tag.as_ref()?;
            made(housed, directory, version)
        };
        for housed in known.iter().take(MAX_MODULES) {
            // Where only this module is private, others in its repository are not asked of a proxy either.
            let is_kept = is_private(&housed.path);
            let version = version_of(housed);
            targets.add(housed, version, |path| is_private(path) || !is_kept);
        }
        for guess in repositories.iter().filter_map(|repository| guessed(repository, known)) {
            let is_likely = known.iter().all(|housed| lies_in(housed.path.as_str(), guess.path.as_str()));
            let version = version_of(&guess);
            targets.add(&guess, version, |path| is_likely && is_private(path));
        }
        targets
    }

    /// The module, and the version that the tag makes of it: to be fetched if that may be.
    fn add(
        &mut self,
        housed: &Housed,
        version: Option<ModuleVersion>,
        may_fetch: impl Fn(&ModulePath) -> bool,
    ) {
        self.modules.insert(housed.path.clone());
        if let Some(version) = version {
            self.modules.insert(version.path().clone());
            if may_fetch(version.path()) {
                self.versions.insert(version);
            }
        }
    }
}

/// The module that the repository itself is named like, unless one is known, or it is known to be spelled otherwise.
fn guessed(repository: &RepoName, known: &[Housed]) -> Option<Housed> {
    let path = ModulePath::parse(repository.as_str()).ok()?;
    let lower = path.as_str().to_lowercase();
    let is_answered = |housed: &Housed| {
        let other = housed.path.as_str();
        other == path.as_str() || (!lies_in(other, path.as_str()) && lies_in(&other.to_lowercase(), &lower))
    };
    (!known.iter().any(is_answered)).then_some(Housed { path, directory: String::new() })
}

/// Whether the path is `base`, or below it.
fn lies_in(path: &str, base: &str) -> bool {
    path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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
    use quipu_module::Patterns;

    use super::*;

    fn targets(address: &str, known: &[(&str, &str)], tag: Option<&str>, private: &str) -> (String, String) {
        let repository = RepoName::parse(address).unwrap();
        let housed = |(path, directory): &(&str, &str)| Housed {
            path: ModulePath::parse(path).unwrap(),
            directory: (*directory).to_owned(),
        };
        let known: Vec<_> = known.iter().map(housed).collect();
        let private = Patterns::new(private);
        let targets = Targets::of(&[repository], &known, tag, |path| private.matches(path.as_str()));
        let modules: Vec<_> = targets.modules.iter().map(ModulePath::as_str).collect();
        let versions: Vec<_> = targets.versions.iter().map(ToString::to_string).collect();
        (modules.join(" "), versions.join(" "))
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
            (vanity, "v1.0.0", "corp.example/tool@v1.0.0"),
            (vanity, "v2.0.0", "corp.example/tool/v2@v2.0.0"),
            (vanity, "cli/v1.0.0", "corp.example/tool/cli@v1.0.0"),
            (majors, "v2.0.1", "git.example/team/tool/v2@v2.0.1"),
            (majors, "v3.0.0", "git.example/team/tool/v3@v3.0.0"),
            (majors, "cli/v3.1.0", "git.example/team/tool/cli/v3@v3.1.0"),
            (&[("gopkg.in/tool.v1", "")], "v2.0.0", "gopkg.in/tool.v2@v2.0.0"),
            (vanity, "v1.0", ""),
            (vanity, "release-7", ""),
            (vanity, "v0.0.0-20240102030405-abcdefabcdef", ""),
            (vanity, "../v1.0.0", ""),
            (vanity, "v1.0.0/x", ""),
            (vanity, "", ""),
        ] {
            let (_, versions) = targets("https://git.example/team/tool", known, Some(tag), "*");
            assert_eq!(versions, expected, "{tag} of {known:?}");
        }
    }

    #[test]
    fn what_is_only_guessed_is_fetched_from_no_proxy() {
        let tool: &[_] = &[("git.example/team/tool", "")];
        let later: &[_] = &[("git.example/team/tool/v2", "")];
        let vanity: &[_] = &[("corp.example/tool", "")];
        for (known, private, forgotten, fetched) in [
            (&[][..], "corp.example", "git.example/Team/tool", ""),
            (&[], "git.example/team", "git.example/Team/tool", ""),
            (&[], "git.example", "git.example/Team/tool", "git.example/Team/tool@v1.0.0"),
            (tool, "", "git.example/team/tool", "git.example/team/tool@v1.0.0"),
            (tool, "git.example/team", "git.example/team/tool", "git.example/team/tool@v1.0.0"),
            (tool, "git.example", "git.example/team/tool", "git.example/team/tool@v1.0.0"),
            (
                later,
                "git.example",
                "git.example/team/tool git.example/team/tool/v2",
                "git.example/team/tool@v1.0.0",
            ),
            // The module in the next directory is none of those that are private, and is not told to a proxy.
            (later, "git.example/team/tool/v2", "git.example/team/tool git.example/team/tool/v2", ""),
            (vanity, "corp.example", "corp.example/tool git.example/Team/tool", "corp.example/tool@v1.0.0"),
            (vanity, "*", "corp.example/tool git.example/Team/tool", "corp.example/tool@v1.0.0"),
        ] {
            assert_eq!(
                targets("https://git.example/Team/tool.git", known, Some("v1.0.0"), private),
                (forgotten.to_owned(), fetched.to_owned()),
                "{known:?}, private {private:?}"
            );
        }
        // As the forge spells it, too.
        let known: &[_] = &[("git.example/Team/tool/cli", "cli")];
        let (forgotten, fetched) =
            targets("git@git.example:Team/tool", known, Some("v1.0.0"), "git.example/team");
        assert_eq!(
            (forgotten.as_str(), fetched.as_str()),
            ("git.example/Team/tool git.example/Team/tool/cli", "")
        );
    }

    #[test]
    fn a_push_without_a_tag_is_about_all_modules() {
        let known: &[_] = &[("corp.example/tool", "")];
        let (modules, versions) = targets("git@git.example:team/tool.git", known, None, "*");
        assert_eq!((modules.as_str(), versions.as_str()), ("corp.example/tool git.example/team/tool", ""));
        let none = (String::new(), String::new());
        assert_eq!(targets("https://localhost/tool", &[], Some("v1.0.0"), "*"), none);
    }
}
