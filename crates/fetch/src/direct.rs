//! Modules straight from where they are developed: what `direct` means in GOPROXY.

mod known;
mod map;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use quipu_module::{ModulePath, ModuleVersion, Patterns, Query, Vcs, Version};

use crate::client::Authority;
use crate::discover::{Discovery, Found};
use crate::error::{Error, ErrorKind, Result};
use crate::git::{Remote, Repositories, Repository};
use crate::info::Info;
use crate::origin::Base;
use crate::policy::Policy;
use crate::proxy::Proxy;
use crate::staged::Staged;
use crate::upstream::{BoxFuture, Upstream};
use crate::vcs::{History as _, Place, Resolver, write_zip};
use known::Known;

pub use map::RepositoryMap;

/// What a [`Direct`] is made of.
pub struct DirectParts {
    /// Repositories that the operator named; they are not looked for.
    pub map: RepositoryMap,
    /// Finds all others, and says for which of them the hosts that the operator named count as that.
    pub discovery: Arc<Discovery>,
    /// GOINSECURE: modules whose repositories are spoken to without TLS, or without checking certificates.
    pub insecure: Patterns,
    /// Git repositories, by the modules for which they are read so: with which credentials, for example. The first that
    /// matches counts.
    pub git: Vec<(Patterns, Repositories)>,
    /// Git repositories to which paths lead that are not trusted ([`DiscoveryRules::trusted`](crate::DiscoveryRules)), unless
    /// the operator named the repository: without credentials, on the public internet.
    pub strangers: Option<Repositories>,
    /// For all other kinds of version control, if they are allowed.
    pub command: Option<Arc<dyn Upstream>>,
}

/// Modules from the repositories that their paths lead to, as the `go` command fetches them where GOPROXY is `direct`.
pub struct Direct {
    parts: DirectParts,
    known: Known,
}

/// Where a module is developed. Prints for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    /// The kind of version control.
    pub vcs: Vcs,
    /// The module path of the root of the repository.
    pub root: String,
    /// The address, without credentials.
    pub url: String,
    /// The directory in the repository that `root` stands for; empty for its root.
    pub subdir: String,
    /// Whether the operator named it, so that nobody was asked.
    pub is_named: bool,
}

impl fmt::Display for Whereabouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} repository {} of {}", self.vcs, self.url, self.root)?;
        if !self.subdir.is_empty() {
            write!(f, ", directory {}", self.subdir)?;
        }
        f.write_str(if self.is_named { " (named in the configuration)" } else { " (found)" })
    }
}

/// Who answers for a module.
enum Home {
    Git { repository: Repository, place: Place },
    Other(Arc<dyn Upstream>),
}

impl Direct {
    /// Puts it together.
    pub fn new(parts: DirectParts) -> Self {
        Self { parts, known: Known::default() }
    }

    /// Where the module `path` is developed. Whether there is such a module is not known yet.
    ///
    /// # Errors
    /// As [`Discovery::find`]; [`ErrorKind::Forbidden`] for a repository that the operator named too, where GOVCS excludes git;
    /// [`ErrorKind::NotFound`] for a path above the roots that the operator named; where several of those match, what keeps their
    /// repositories from being read.
    pub async fn whereabouts(&self, path: &ModulePath) -> Result<Whereabouts> {
        if let Some((root, url)) = self.named(path).await? {
            return Ok(Whereabouts { vcs: Vcs::Git, root, url, subdir: String::new(), is_named: true });
        }
        if self.parts.map.is_above(path) {
            return Err(Error::not_found(format!("{path}: no module, repositories are below this path")));
        }
        let found = self.parts.discovery.find(path).await.map_err(|error| self.lost(path, error))?;
        let url = self.choose(path, &found).await?;
        Ok(Whereabouts { vcs: found.vcs, root: found.root, url, subdir: found.subdir, is_named: false })
    }

    /// A fault of the search for the repository of a path that has led to none lately.
    fn lost(&self, path: &ModulePath, error: Error) -> Error {
        let unlocated = error.kind().is_transient() && !error.kind().is_wrong() && !self.known.has(path);
        if unlocated { error.unlocated() } else { error }
    }

    /// The repository that the operator named. Where several may be meant it is the first that is there: a path of three
    /// elements below a forge may be a repository in a group, or a directory of one. A host that refuses to say whether it has
    /// one leaves that open, and the next is asked; after every other fault nothing can be said.
    async fn named(&self, path: &ModulePath) -> Result<Option<(String, String)>> {
        let all = self.parts.map.find(path);
        let Some(first) = all.first() else { return Ok(None) };
        if all.len() == 1 {
            self.parts.discovery.permit(path, Vcs::Git, &first.0)?;
            return Ok(all.into_iter().next());
        }
        let mut refusal = None;
        for (root, url) in &all {
            match self.reach_named(path, root, url).await {
                Ok(()) => return Ok(Some((root.clone(), url.clone()))),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if error.kind() == ErrorKind::Forbidden => refusal = refusal.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        refusal.map_or_else(|| Ok(Some(first.clone())), Err)
    }

    /// The first address that answers; if none does, what is wrong with the first.
    async fn choose(&self, path: &ModulePath, found: &Found) -> Result<String> {
        let mut urls = found.urls.iter();
        let first = urls.next().ok_or_else(|| Error::not_found("no address of a repository"))?;
        if found.urls.len() == 1 || found.vcs != Vcs::Git {
            return Ok(first.as_str().to_owned());
        }
        let mut failure = None;
        for url in &found.urls {
            match self.reach(path, url.as_str()).await {
                Ok(()) => return Ok(url.as_str().to_owned()),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.unwrap_or_else(|| Error::unavailable("no address of the repository answers")))
    }

    async fn reach_named(&self, path: &ModulePath, root: &str, url: &str) -> Result<()> {
        self.parts.discovery.permit(path, Vcs::Git, root)?;
        self.reach(path, url).await
    }

    async fn reach(&self, path: &ModulePath, url: &str) -> Result<()> {
        self.repository(path, url)?.snapshot().refs().await.map(drop)
    }

    fn repository(&self, path: &ModulePath, url: &str) -> Result<Repository> {
        let remote = Remote::parse(url.strip_prefix("git+").unwrap_or(url))?;
        let remote = if self.parts.insecure.matches(path) { remote.insecure() } else { remote };
        let repositories = if self.is_trusted(path, url, &remote) {
            let owner = self.parts.git.iter().find(|(patterns, _)| patterns.matches(path));
            owner.map(|(_, repositories)| repositories)
        } else {
            self.parts.strangers.as_ref()
        };
        let nowhere = || Error::unavailable("git repositories are not read here");
        repositories.ok_or_else(nowhere)?.repository(&remote)
    }

    /// Whether what the operator allows for certain hosts counts for a repository to which this path led.
    fn is_trusted(&self, path: &ModulePath, url: &str, remote: &Remote) -> bool {
        let is_named = || self.parts.map.find(path).iter().any(|(_, named)| named == url);
        self.parts.discovery.reach().trusts(path, remote.host()) || is_named()
    }

    async fn home(&self, path: &ModulePath) -> Result<Home> {
        let at = self.whereabouts(path).await?;
        match at.vcs {
            Vcs::Git => {
                let place = Place::git(path.clone(), &at.root, &at.subdir, &at.url)?;
                self.known.note(path, &at.url);
                Ok(Home::Git { repository: self.repository(path, &at.url)?, place })
            }
            Vcs::Mod => {
                let (base, reach) = (Base::parse(&at.url)?, self.parts.discovery.reach());
                let client = reach.client(reach.trusts(path, base.authority().map(Authority::host)));
                let policy = Arc::new(Policy::within(Patterns::new(&at.root)));
                Ok(Home::Other(Arc::new(Proxy::new(base, client.clone(), policy))))
            }
            other => match &self.parts.command {
                Some(command) => Ok(Home::Other(Arc::clone(command))),
                None => Err(Error::not_found(format!(
                    "{path}: is kept in {other}, which this server reads only where its operator allows it"
                ))),
            },
        }
    }

    async fn list_of(&self, path: &ModulePath) -> Result<Vec<Version>> {
        match self.home(path).await? {
            Home::Git { repository, place } => Resolver::new(&repository.snapshot(), &place).list().await,
            Home::Other(upstream) => upstream.list(path).await,
        }
    }

    async fn info_of(&self, path: &ModulePath, query: &Query) -> Result<Info> {
        match self.home(path).await? {
            Home::Git { repository, place } => {
                Resolver::new(&repository.snapshot(), &place).info(query.as_str()).await
            }
            Home::Other(upstream) => upstream.info(path, query).await,
        }
    }

    async fn latest_of(&self, path: &ModulePath) -> Result<Info> {
        match self.home(path).await? {
            Home::Git { repository, place } => Resolver::new(&repository.snapshot(), &place).latest().await,
            Home::Other(upstream) => upstream.latest(path).await,
        }
    }

    async fn go_mod_of(&self, version: &ModuleVersion) -> Result<Bytes> {
        match self.home(version.path()).await? {
            Home::Git { repository, place } => {
                Resolver::new(&repository.snapshot(), &place).go_mod(version.version()).await
            }
            Home::Other(upstream) => upstream.go_mod(version).await,
        }
    }

    async fn zip_of(&self, version: &ModuleVersion, zip: &mut Staged) -> Result<()> {
        match self.home(version.path()).await? {
            Home::Git { repository, place } => {
                let snapshot = repository.snapshot();
                let contents = Resolver::new(&snapshot, &place).contents(version.version()).await?;
                write_zip(&snapshot, &contents, zip).await
            }
            Home::Other(upstream) => upstream.zip(version, zip).await,
        }
    }
}

/// A refusal to ask where a module is leaves open whether it exists, and no other place is asked for it.
fn settled<T>(answer: Result<T>) -> Result<T> {
    answer.map_err(|error| match error.kind() {
        ErrorKind::Private => Error::new(ErrorKind::Forbidden, error.text()),
        _ => error,
    })
}

impl Upstream for Direct {
    /// Also the references of the repository that the path led to lately, and those of one whose address is the path: other
    /// modules may have led to that.
    fn forget(&self, path: &ModulePath) {
        self.parts.discovery.forget(path);
        for (path, url) in self.known.about(path) {
            if let Ok(repository) = self.repository(&path, &url) {
                repository.refresh();
            }
        }
    }

    fn list<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Vec<Version>>> {
        Box::pin(async move { settled(self.list_of(path).await) })
    }

    fn info<'a>(&'a self, path: &'a ModulePath, query: &'a Query) -> BoxFuture<'a, Result<Info>> {
        Box::pin(async move { settled(self.info_of(path, query).await) })
    }

    fn latest<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Info>> {
        Box::pin(async move { settled(self.latest_of(path).await) })
    }

    fn go_mod<'a>(&'a self, version: &'a ModuleVersion) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(async move { settled(self.go_mod_of(version).await) })
    }

    fn zip<'a>(&'a self, version: &'a ModuleVersion, zip: &'a mut Staged) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { settled(self.zip_of(version, zip).await) })
    }
}

#[cfg(test)]
mod tests;
