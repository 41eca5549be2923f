//! Import paths that say by themselves where their repository is: those of a few hosts, and those with an element
//! such as `name.git` (`go help importpath`).

use crate::error::Error;
use crate::govcs::Vcs;
use crate::path::ModulePath;
use crate::quote::quote;

/// The repository of a path, known without asking anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRoot {
    /// The import path of the repository root: the path, or leading elements of it.
    pub root: String,
    /// The version control system, never [`Vcs::Mod`].
    pub vcs: Vcs,
    /// Host and path of the repository, without a scheme.
    pub repository: String,
    /// Whether the scheme is not known to be `https` and has to be tried out.
    pub any_scheme: bool,
}

impl KnownRoot {
    /// Whether repositories at this host, in lower case, are known from their paths alone.
    #[must_use]
    pub fn is_at(host: &str) -> bool {
        HOSTS.iter().any(|known| known.prefix.split('/').next() == Some(host))
    }

    /// The repository of `path`, or `None` if its host has to be asked.
    ///
    /// # Errors
    /// The path cannot be one of the well-known host that it names.
    pub fn of(path: &ModulePath) -> Result<Option<Self>, Error> {
        let elements: Vec<&str> = path.as_str().split('/').collect();
        let host = HOSTS.iter().find(|host| starts_with(&elements, host.prefix));
        match host {
            Some(host) => host.root(path, &elements).map(Some),
            None => Ok(by_qualifier(&elements)),
        }
    }
}

/// A host whose paths all have one form.
struct Host {
    prefix: &'static str,
    vcs: Vcs,
    /// What each element of the root is after the prefix.
    elements: &'static [fn(&str) -> bool],
    /// Whether the path may go on after the root.
    deeper: bool,
    /// Whether names with the qualifier of a system are a mistake.
    unqualified: bool,
}

const HOSTS: [Host; 6] = [
    Host { unqualified: true, ..Host::git("github.com", &[is_word, is_word]) },
    Host { unqualified: true, ..Host::git("bitbucket.org", &[is_word, is_word]) },
    Host { unqualified: true, ..Host::git("hub.jazz.net/git", &[is_lower, is_word]) },
    Host::git("git.apache.org", &[is_lower_git]),
    Host::git("git.openstack.org", &[is_word, is_word]),
    Host {
        vcs: Vcs::Fossil,
        deeper: false,
        ..Host::git("chiselapp.com", &[|e| e == "user", is_alphanumeric, |e| e == "repository", is_word])
    },
];

impl Host {
    const fn git(prefix: &'static str, elements: &'static [fn(&str) -> bool]) -> Self {
        Self { prefix, vcs: Vcs::Git, elements, deeper: true, unqualified: false }
    }

    fn root(&self, path: &ModulePath, elements: &[&str]) -> Result<KnownRoot, Error> {
        let leading = self.prefix.split('/').count();
        let own = elements.get(leading..).unwrap_or_default();
        let (own, deeper) = own.split_at_checked(self.elements.len()).unwrap_or((&[], own));
        let matches = own.iter().zip(self.elements).filter(|(element, is)| is(element)).count();
        if matches != self.elements.len()
            || !deeper.iter().all(|e| is_word(e))
            || !(self.deeper || deeper.is_empty())
        {
            let text = format!("invalid {} import path {}", self.prefix, quote(path.as_str()));
            return Err(Error::malformed(text));
        }
        let root = elements.get(..leading.saturating_add(own.len())).unwrap_or_default().join("/");
        if self.unqualified && split_qualifier(&root).is_some() {
            let text = format!("invalid version control suffix in {}/ path", self.prefix);
            return Err(Error::malformed(text));
        }
        Ok(KnownRoot { repository: root.clone(), root, vcs: self.vcs, any_scheme: false })
    }
}

/// The longest root that ends in a qualifier: systems may be nested.
fn by_qualifier(elements: &[&str]) -> Option<KnownRoot> {
    let (_, rest) = elements.split_first()?;
    if !rest.iter().all(|element| is_word(element.strip_prefix('~').unwrap_or(element))) {
        return None;
    }
    let qualified =
        |element: &&str| split_qualifier(element).is_some_and(|(name, _)| !matches!(name, "" | "~"));
    let at = rest.iter().rposition(qualified)?;
    let root = elements.get(..at.saturating_add(2))?.join("/");
    let (repository, vcs) = split_qualifier(&root)?;
    Some(KnownRoot { repository: repository.to_owned(), vcs, any_scheme: true, root })
}

/// What stands before `.git` and the like.
fn split_qualifier(text: &str) -> Option<(&str, Vcs)> {
    let (name, qualifier) = text.rsplit_once('.')?;
    let vcs = Vcs::parse(qualifier).filter(|vcs| *vcs != Vcs::Mod)?;
    Some((name, vcs))
}

fn starts_with(elements: &[&str], prefix: &str) -> bool {
    prefix.split('/').enumerate().all(|(at, element)| elements.get(at) == Some(&element))
}

fn is_word(element: &str) -> bool {
    !element.is_empty() && element.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn is_lower(element: &str) -> bool {
    element.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

fn is_lower_git(element: &str) -> bool {
    let name = element.strip_suffix(".git").unwrap_or_default();
    is_word(name) && !name.bytes().any(|b| b.is_ascii_uppercase())
}

fn is_alphanumeric(element: &str) -> bool {
    element.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_known_whole() {
        for host in ["github.com", "bitbucket.org", "hub.jazz.net", "chiselapp.com"] {
            assert!(KnownRoot::is_at(host), "{host}");
        }
        for host in ["", "git", "x.github.com", "github.com.evil.example", "hub.jazz.net/git", "gopkg.in"] {
            assert!(!KnownRoot::is_at(host), "{host}");
        }
    }
}
