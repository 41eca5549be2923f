//! Several sources as one: each path belongs to one of them.

use std::sync::Arc;

use bytes::Bytes;
use quipu_module::{ModulePath, ModuleVersion, Patterns, Query, Version};

use crate::error::{Error, Result};
use crate::info::Info;
use crate::staged::Staged;
use crate::upstream::{BoxFuture, Upstream};

/// A source and the paths that belong to it.
pub struct Source {
    /// The paths.
    pub patterns: Patterns,
    /// Where they come from.
    pub upstream: Arc<dyn Upstream>,
}

/// Sources in order: a path belongs to the first one whose patterns match it and is asked of no other, whatever that
/// one answers. So nobody outside can put a module in the place of one that is missing here.
pub struct Sources {
    first: Vec<Source>,
    /// For all other paths.
    rest: Arc<dyn Upstream>,
}

impl Sources {
    /// These sources, and `rest` for paths that belong to none of them.
    pub fn new(first: Vec<Source>, rest: Arc<dyn Upstream>) -> Self {
        Self { first, rest }
    }

    fn of(&self, path: &ModulePath) -> &dyn Upstream {
        let owner = self.first.iter().find(|source| source.patterns.matches(path));
        &**owner.map_or(&self.rest, |source| &source.upstream)
    }
}

impl Upstream for Sources {
    fn list<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Vec<Version>>> {
        self.of(path).list(path)
    }

    fn info<'a>(&'a self, path: &'a ModulePath, query: &'a Query) -> BoxFuture<'a, Result<Info>> {
        self.of(path).info(path, query)
    }

    fn latest<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Info>> {
        self.of(path).latest(path)
    }

    fn forget(&self, path: &ModulePath) {
        self.of(path).forget(path);
    }

    fn go_mod<'a>(&'a self, version: &'a ModuleVersion) -> BoxFuture<'a, Result<Bytes>> {
        self.of(version.path()).go_mod(version)
    }

    fn zip<'a>(&'a self, version: &'a ModuleVersion, zip: &'a mut Staged) -> BoxFuture<'a, Result<()>> {
        self.of(version.path()).zip(version, zip)
    }
}

/// A source that has nothing to give: what is not stored of its paths does not exist.
pub struct Nowhere {
    /// Why, as clients read it.
    pub why: &'static str,
}

impl Nowhere {
    fn absent<T: Send + 'static>(&self, what: impl std::fmt::Display) -> BoxFuture<'_, Result<T>> {
        let error = Error::not_found(format!("{what}: {}", self.why));
        Box::pin(std::future::ready(Err(error)))
    }
}

impl Upstream for Nowhere {
    fn list<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Vec<Version>>> {
        self.absent(path)
    }

    fn info<'a>(&'a self, path: &'a ModulePath, query: &'a Query) -> BoxFuture<'a, Result<Info>> {
        self.absent(format_args!("{path}@{query}"))
    }

    fn latest<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Info>> {
        self.absent(path)
    }

    fn go_mod<'a>(&'a self, version: &'a ModuleVersion) -> BoxFuture<'a, Result<Bytes>> {
        self.absent(version)
    }

    fn zip<'a>(&'a self, version: &'a ModuleVersion, _: &'a mut Staged) -> BoxFuture<'a, Result<()>> {
        self.absent(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn source(patterns: &str, why: &'static str) -> Source {
        Source { patterns: Patterns::new(patterns), upstream: Arc::new(Nowhere { why }) }
    }

    #[tokio::test]
    async fn a_path_is_asked_of_its_first_source_alone() {
        let rest = Arc::new(Nowhere { why: "rest" });
        let sources =
            Sources::new(vec![source("corp.example/a", "first"), source("corp.example", "second")], rest);
        for (path, owner) in [
            ("corp.example/a", "first"),
            ("corp.example/a/b", "first"),
            ("corp.example/ab", "second"),
            ("corp.example", "second"),
            ("corp.example.org/a", "rest"),
            ("Corp.example/a", "rest"),
        ] {
            let Ok(path) = ModulePath::parse(path) else { continue };
            let version = ModuleVersion::parse(path.as_str(), "v1.0.0").unwrap();
            let query = Query::parse("main").unwrap();
            let errors = [
                sources.list(&path).await.unwrap_err(),
                sources.info(&path, &query).await.unwrap_err(),
                sources.latest(&path).await.unwrap_err(),
                sources.go_mod(&version).await.unwrap_err(),
            ];
            for error in errors {
                assert_eq!(error.kind(), ErrorKind::NotFound);
                assert!(error.text().ends_with(&format!(": {owner}")), "{path}: {error}");
            }
        }
    }
}
