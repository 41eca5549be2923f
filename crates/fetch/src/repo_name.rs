//! Names of repositories, by which addresses of one and the same are known to be that.

use std::fmt;

/// Host and path of a repository, taken from one of its addresses: `https://git.example/team/tool.git`,
/// `ssh://git@git.example:2222/team/tool` and `git@git.example:team/tool.git` are all `git.example/team/tool`.
///
/// Names are compared without regard to case, as the great forges do. That may take two repositories for one, so a name is
/// good for deciding what to ask for again, not for deciding what is true.
#[derive(Clone, Debug)]
pub struct RepoName {
    text: String,
    /// Where the path begins, the slash included.
    path: usize,
}

/// Longest address that is read, in bytes.
const MAX_ADDRESS: usize = 2048;

impl RepoName {
    /// Reads an address; `None` if it names no repository on a host.
    pub fn parse(address: &str) -> Option<Self> {
        if address.len() > MAX_ADDRESS || address.chars().any(|c| c.is_control() || c == ' ') {
            return None;
        }
        let (authority, path) = match address.split_once("://") {
            Some((scheme, rest)) => {
                let known = matches!(scheme, "https" | "http" | "ssh" | "git" | "git+ssh" | "git+https");
                rest.split_once('/').filter(|_| known)?
            }
            // As scp writes it.
            None => address.split_once(':')?,
        };
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = match host.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => host,
        };
        let path = path.split(['?', '#']).next().unwrap_or_default().trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path).trim_end_matches('/');
        let good = !host.is_empty() && !host.contains('/') && !path.is_empty();
        good.then(|| Self { text: format!("{host}/{path}"), path: host.len() })
    }

    /// `<host>/<path>`, which is also the path of the module at the root of the repository, where nothing else is said.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host, without port.
    pub fn host(&self) -> &str {
        self.text.get(..self.path).unwrap_or_default()
    }

    /// The form in which names are compared.
    pub(crate) fn key(&self) -> String {
        self.text.to_lowercase()
    }
}

impl PartialEq for RepoName {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for RepoName {}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_of_one_repository_are_one_name() {
        for address in [
            "https://git.example/Team/tool",
            "https://git.example/team/tool.git",
            "http://git.example:8080/team/tool/",
            "https://user:secret@git.example/team/tool.git?x=y#z",
            "ssh://git@git.example:2222/team/tool.git",
            "git@git.example:team/tool.git",
            "git@git.example:/team/tool",
            "git://git.example/team/tool",
        ] {
            let name = RepoName::parse(address).unwrap();
            assert_eq!(name, RepoName::parse("https://git.example/team/tool").unwrap(), "{address}");
            assert_eq!(name.host(), "git.example");
        }
        assert_eq!(
            RepoName::parse("https://git.example/Team/tool").unwrap().as_str(),
            "git.example/Team/tool"
        );
        assert_ne!(RepoName::parse("https://git.example/a"), RepoName::parse("https://git.example/b"));
    }

    #[test]
    fn others_are_none() {
        for address in [
            "",
            "tool",
            "/srv/git/tool",
            "file:///srv/tool",
            "https://git.example",
            "https://git.example/",
            "https:///x",
            "javascript://git.example/x",
            "https://git.example/.git",
            "https://a b/c",
            "git@host:",
        ] {
            assert!(RepoName::parse(address).is_none(), "{address}");
        }
        assert!(RepoName::parse(&format!("https://git.example/{}", "a".repeat(3000))).is_none());
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_names_say_no_secrets(address in "\\PC{0,60}") {
            if let Some(name) = RepoName::parse(&format!("https://user:hidden@{address}")) {
                prop_assert!(!name.as_str().contains("hidden") || address.contains("hidden") || address.contains('/'));
            }
            let _ = RepoName::parse(&address);
        }
    }
}
