//! What may be asked of whom: the private patterns, applied where requests are made.

use quipu_module::{ModulePath, ModuleVersion, Patterns};

use crate::client::encode_path;
use crate::error::{Error, ErrorKind, Result};

/// The patterns of module paths that must not be sent to others.
///
/// Nothing in this crate can ask an upstream for a module without a place to ask at, and a place is only made here, after
/// the patterns were consulted on the plain (unescaped) path.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// If set, all other paths are private.
    within: Option<Patterns>,
    no_proxy: Patterns,
    no_database: Patterns,
    published: Patterns,
}

/// A path below an upstream's base that the policy allows to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Slash-separated, not percent-encoded, no empty and no dot elements.
    path: String,
}

impl Place {
    /// As it goes on the wire: each element percent-encoded.
    pub(crate) fn encoded(&self) -> String {
        encode_path(&self.path)
    }

    /// As it lies in a file tree.
    pub(crate) fn relative(&self) -> &str {
        &self.path
    }
}

impl Policy {
    /// The patterns with the meaning of GONOPROXY (never sent to a proxy, nor through one to a database) and
    /// GONOSUMDB (never sent to a database).
    pub fn new(no_proxy: Patterns, no_database: Patterns) -> Self {
        Self { within: None, no_proxy, no_database, published: Patterns::default() }
    }

    /// The policy for a proxy that the operator named for these paths: it may be asked for them and for nothing else.
    #[must_use]
    pub fn within(patterns: Patterns) -> Self {
        Self { within: Some(patterns), ..Self::default() }
    }

    /// The same, and what `published` matches is published here: sent to nobody either, whatever else is said of it.
    #[must_use]
    pub fn publishing(self, published: Patterns) -> Self {
        Self { published, ..self }
    }

    /// Whether `path` is published here, so that nobody else has it.
    pub fn is_published(&self, path: &ModulePath) -> bool {
        self.published.matches(path)
    }

    /// Whether `path` must not be sent to any upstream proxy.
    pub fn is_private(&self, path: &ModulePath) -> bool {
        let outside = self.within.as_ref().is_some_and(|within| !within.matches(path));
        outside || self.no_proxy.matches(path) || self.is_published(path)
    }

    /// Whether `path` must not be sent to any checksum database. `golang.org/toolchain` may unless it is private: the
    /// `go` command never excuses it from verification either.
    pub fn is_unverified(&self, path: &ModulePath) -> bool {
        let excused = self.no_database.matches(path.as_str()) && path.as_str() != "golang.org/toolchain";
        excused || self.is_private(path)
    }

    /// `<module>/<rest>` on a proxy, where `rest` is escaped but not percent-encoded.
    pub(crate) fn module(&self, path: &ModulePath, rest: &str) -> Result<Place> {
        if self.is_private(path) {
            return Err(private(path, "proxy"));
        }
        Ok(Place { path: format!("{}/{rest}", path.escaped()) })
    }

    /// `/latest`, `/lookup/<module>@<version>` (escaped) or `/tile/…` of a checksum database.
    pub(crate) fn database(&self, path: &str) -> Result<Place> {
        let unsupported = || Error::not_found("no such resource of a checksum database");
        let relative = path.strip_prefix('/').ok_or_else(unsupported)?;
        if let Some(asked) = relative.strip_prefix("lookup/") {
            let version =
                ModuleVersion::parse_escaped(asked).map_err(|error| Error::not_found(error.to_string()))?;
            if self.is_unverified(version.path()) {
                return Err(private(version.path(), "checksum database"));
            }
            return Ok(Place { path: format!("lookup/{}", version.escaped()) });
        }
        let element = |element: &str| {
            let plain = element.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
            plain && !element.is_empty() && !element.starts_with('.')
        };
        let known = relative == "latest" || relative == "supported" || relative.starts_with("tile/");
        if known && relative.split('/').all(element) {
            return Ok(Place { path: relative.to_owned() });
        }
        Err(unsupported())
    }
}

fn private(path: &ModulePath, whom: &str) -> Error {
    let text = format!("{path}: matches the private patterns and is never sent to a {whom}");
    Error::new(ErrorKind::Private, text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_a_database_may_be_asked_is_plain(path in "/?(lookup|tile|latest|supported)?[a-zA-Z0-9/.!@%_ -]{0,40}", any in ".*") {
            for path in [path, any] {
                if let Ok(place) = policy("corp.example", "").database(&path) {
                    prop_assert!(!place.relative().split('/').any(|element| matches!(element, "" | "." | "..")));
                    prop_assert_eq!(place.encoded(), place.relative());
                    prop_assert!(!place.relative().contains("corp.example/"));
                }
            }
        }
    }

    fn policy(no_proxy: &str, no_database: &str) -> Policy {
        Policy::new(Patterns::new(no_proxy), Patterns::new(no_database))
    }

    fn path(text: &str) -> ModulePath {
        ModulePath::parse(text).unwrap()
    }

    #[test]
    fn private_paths_have_no_place() {
        let policy = policy("corp.example,git.example/Secret/*", "");
        for private in ["corp.example", "corp.example/a/b", "git.example/Secret/x/y"] {
            assert_eq!(policy.module(&path(private), "@v/list").unwrap_err().kind(), ErrorKind::Private);
        }
        for public in ["corp.example.org", "git.example/Secret", "git.example/secret/x"] {
            assert!(policy.module(&path(public), "@v/list").is_ok(), "{public}");
        }
        let error = policy.database("/lookup/git.example/!secret/x@v1.0.0").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Private);
    }

    #[test]
    fn a_proxy_for_some_paths_is_asked_for_no_other() {
        let policy = Policy::within(Patterns::new("corp.example"));
        assert!(policy.module(&path("corp.example/a"), "@v/list").is_ok());
        let error = policy.module(&path("example.com/a"), "@v/list").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Private);
    }

    #[test]
    fn what_is_published_here_is_sent_to_nobody() {
        let policy = policy("", "").publishing(Patterns::new("corp.example"));
        assert!(
            policy.is_published(&path("corp.example/a")) && policy.is_unverified(&path("corp.example/a"))
        );
        assert_eq!(policy.module(&path("corp.example/a"), "@latest").unwrap_err().kind(), ErrorKind::Private);
        assert!(policy.database("/lookup/corp.example/a@v1.0.0").is_err());
        assert!(policy.module(&path("corp.examples/a"), "@latest").is_ok());
    }

    #[test]
    fn unverified_paths_go_to_proxies_but_not_to_databases() {
        let policy = policy("", "corp.example,golang.org");
        assert!(policy.module(&path("corp.example/a"), "@latest").is_ok());
        assert!(policy.database("/lookup/corp.example/a@v1.0.0").is_err());
        assert!(policy.database("/lookup/golang.org/toolchain@v0.0.1-go1.26.0.linux-amd64").is_ok());
    }

    #[test]
    fn database_places_are_canonical() {
        let policy = Policy::default();
        for good in
            ["/latest", "/tile/8/0/x001/234.p/5", "/tile/8/data/000", "/lookup/example.com/!m@v1.0.0-!beta"]
        {
            assert_eq!(policy.database(good).unwrap().relative(), &good[1..], "{good}");
        }
        for bad in [
            "",
            "latest",
            "/",
            "/tile/../x",
            "/tile//x",
            "/tile/%2e",
            "/lookup/example.com/M@v1.0.0",
            "/lookup/example.com/m@master",
            "/lookup/../latest",
            "/latest?x",
            "/tile/8/0/0 0",
            "/other",
        ] {
            assert!(policy.database(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn places_are_encoded() {
        let place = Policy::default().module(&path("example.com/m"), "@v/a%2fb c.info").unwrap();
        assert_eq!(place.encoded(), "example.com/m/@v/a%252fb%20c.info");
    }
}
