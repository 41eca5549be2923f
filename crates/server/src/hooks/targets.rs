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
    /// What `is_private` is asked of no proxy, so that may be fetched. All else would tell others the tag, and with it what
    /// directories there are, so it is fetched only of modules that are named like the repository, and of no repository that
    /// is private itself, or has a private module. Where other modules live is only what their own host says, and that may
    /// be any repository.
    ///
    /// A name of the repository may be a module path too, but that is a guess: a private repository may hold modules under
    /// other names alone, and its own is not to be told to a proxy. So what is guessed is fetched only if it is private.
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
        let is_closed = is_closed(repositories, known, &is_private);
        for housed in known.iter().take(MAX_MODULES) {
            let is_open = !is_closed && is_named_like(repositories, &housed.path);
            targets.add(housed, version_of(housed), |path| is_open || is_private(path));
        }
        for guess in repositories.iter().filter_map(|repository| guessed(repository, known)) {
            let mut private = known.iter().filter(|housed| is_private(&housed.path));
            let is_likely = private.all(|housed| lies_in(housed.path.as_str(), guess.path.as_str()));
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

/// Whether the repository is not to be spoken of: it is private by one of its names, or one of them is none of the public
/// internet, or a private module lives in it.
fn is_closed(repositories: &[RepoName], known: &[Housed], is_private: impl Fn(&ModulePath) -> bool) -> bool {
    let is_hidden = |name: &RepoName| ModulePath::parse(name.as_str()).map_or(true, |path| is_private(&path));
    repositories.iter().any(is_hidden) || known.iter().any(|housed| is_private(&housed.path))
}

/// Whether the path itself says that the module lives in the repository.
fn is_named_like(repositories: &[RepoName], path: &ModulePath) -> bool {
    let path = path.as_str().to_lowercase();
    repositories.iter().any(|name| lies_in(&path, &name.as_str().to_lowercase()))
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
        // Whoever has a host can say that a module of theirs lives here.
        let stranger: &[_] = &[("evil.example/m", "")];
        let both: &[_] = &[("corp.example/tool", ""), ("evil.example/m", "")];
        let inside: &[_] = &[("evil.example/m", ""), ("git.example/team/tool", "")];
        for (known, private, forgotten, fetched) in [
            (stranger, "git.example", "evil.example/m git.example/Team/tool", "git.example/Team/tool@v1.0.0"),
            (stranger, "corp.example", "evil.example/m git.example/Team/tool", ""),
            (stranger, "", "evil.example/m git.example/Team/tool", ""),
            (
                both,
                "corp.example",
                "corp.example/tool evil.example/m git.example/Team/tool",
                "corp.example/tool@v1.0.0",
            ),
            (
                both,
                "*.example/Team,corp.example",
                "corp.example/tool evil.example/m git.example/Team/tool",
                "corp.example/tool@v1.0.0",
            ),
            (inside, "", "evil.example/m git.example/team/tool", "git.example/team/tool@v1.0.0"),
            (inside, "git.example/Team", "evil.example/m git.example/team/tool", ""),
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

    /// The directories of a private repository are no business of whoever says that a module lives in it.
    #[test]
    fn a_stranger_hears_no_directory() {
        let known: &[_] = &[("evil.example/m", ""), ("evil.example/m/billing", "billing")];
        for private in ["git.example", "git.example/team/tool", ""] {
            let (_, fetched) =
                targets("https://git.example/team/tool", known, Some("billing/v1.2.3"), private);
            let own = if private.is_empty() { "" } else { "git.example/team/tool/billing@v1.2.3" };
            assert_eq!(fetched, own, "private {private:?}");
        }
        // A host that is not one of the public internet is nobody's but the operator's.
        let known: &[_] = &[("forge.example/team/tool", "")];
        let addresses = ["https://forge.example/team/tool", "git@forge:team/tool.git"];
        let names = addresses.map(|address| RepoName::parse(address).unwrap());
        let housed = known.iter().map(|(path, directory)| Housed {
            path: ModulePath::parse(path).unwrap(),
            directory: (*directory).to_owned(),
        });
        let housed: Vec<_> = housed.collect();
        let fetched =
            |names: &[RepoName]| Targets::of(names, &housed, Some("v1.0.0"), |_| false).versions.len();
        assert_eq!((fetched(&names[..1]), fetched(&names)), (1, 0));
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
