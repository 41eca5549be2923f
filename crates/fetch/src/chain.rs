//! A list of places, asked in turn: the value of GOPROXY at work.

use std::sync::Arc;

use bytes::Bytes;
use quipu_module::{Fallback, ModulePath, ModuleVersion, ProxyEntry, ProxyTarget, Query, Version};

use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::info::Info;
use crate::origin::Base;
use crate::policy::Policy;
use crate::proxy::Proxy;
use crate::staged::Staged;
use crate::upstream::{BoxFuture, Upstream};

/// One place of a [`Chain`].
pub struct Link {
    /// The place.
    pub upstream: Arc<dyn Upstream>,
    /// After which of its failures the next one is asked.
    pub fallback: Fallback,
}

/// Places that are asked in turn until one answers, by the rules of GOPROXY: absence always leads on, another failure
/// only where the list says so.
///
/// What a place before says to be absent, and `direct` cannot find the repository of, is absent, as it is for the go command:
/// it looks for packages under each of the paths above them, and most of those are no modules.
pub struct Chain {
    links: Vec<Link>,
    /// What is said when no place is left.
    end: Option<Error>,
}

impl Chain {
    /// The chain for `entries`, with `direct` for the entry of this name; without one that entry is left out with a
    /// warning.
    ///
    /// # Errors
    /// An entry is not a usable address.
    pub fn new(
        entries: &[ProxyEntry],
        client: &Client,
        policy: &Arc<Policy>,
        direct: Option<&Arc<dyn Upstream>>,
    ) -> Result<Self> {
        let mut chain = Self { links: Vec::new(), end: None };
        for entry in entries {
            match &entry.target {
                ProxyTarget::Url(url) => {
                    let base = Base::parse(url.as_str())?;
                    let upstream = Arc::new(Proxy::new(base, client.clone(), policy.clone()));
                    chain.links.push(Link { upstream, fallback: entry.fallback });
                }
                ProxyTarget::Direct => match direct {
                    Some(direct) => {
                        chain.links.push(Link { upstream: Arc::clone(direct), fallback: entry.fallback });
                    }
                    None => {
                        tracing::warn!("GOPROXY: nothing is fetched from repositories: direct is left out")
                    }
                },
                // Absence by decision of the operator: nothing exists but what is held here.
                ProxyTarget::Off => {
                    chain.end = Some(Error::not_found("module lookup disabled by GOPROXY=off"));
                }
            }
        }
        Ok(chain)
    }

    /// A chain of these places.
    pub fn of(links: Vec<Link>) -> Self {
        Self { links, end: None }
    }

    /// How many places there are.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether there is no place to ask.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    async fn first<'a, T>(&'a self, ask: impl Fn(&'a dyn Upstream) -> BoxFuture<'a, Result<T>>) -> Result<T> {
        let mut failures = Failures::default();
        for link in &self.links {
            match ask(&*link.upstream).await {
                Ok(answer) => return Ok(answer),
                Err(error) if failures.leads_on(link.fallback, &error) => {}
                Err(_) => return Err(failures.most_telling(None)),
            }
        }
        Err(failures.most_telling(self.end.as_ref()))
    }

    async fn first_zip(&self, version: &ModuleVersion, zip: &mut Staged) -> Result<()> {
        let mut failures = Failures::default();
        for link in &self.links {
            match link.upstream.zip(version, zip).await {
                Ok(()) => return Ok(()),
                Err(error) if failures.leads_on(link.fallback, &error) => {}
                Err(_) => return Err(failures.most_telling(None)),
            }
        }
        Err(failures.most_telling(self.end.as_ref()))
    }
}

impl Upstream for Chain {
    fn list<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Vec<Version>>> {
        Box::pin(self.first(move |upstream| upstream.list(path)))
    }

    fn info<'a>(&'a self, path: &'a ModulePath, query: &'a Query) -> BoxFuture<'a, Result<Info>> {
        Box::pin(self.first(move |upstream| upstream.info(path, query)))
    }

    fn latest<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Info>> {
        Box::pin(self.first(move |upstream| upstream.latest(path)))
    }

    fn forget(&self, path: &ModulePath) {
        self.links.iter().for_each(|link| link.upstream.forget(path));
    }

    fn go_mod<'a>(&'a self, version: &'a ModuleVersion) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(self.first(move |upstream| upstream.go_mod(version)))
    }

    fn zip<'a>(&'a self, version: &'a ModuleVersion, zip: &'a mut Staged) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.first_zip(version, zip))
    }
}

/// The failure to report when all have failed: what went wrong tells more than what was merely absent, the later of
/// two tells more than the earlier, and a refusal to ask at all tells least.
#[derive(Default)]
struct Failures {
    best: Option<Error>,
    /// Whether one of them was absence.
    absent: bool,
}

impl Failures {
    /// Remembers `error`; says whether the next place is asked.
    fn leads_on(&mut self, fallback: Fallback, error: &Error) -> bool {
        self.absent |= error.kind() == ErrorKind::NotFound;
        if self.best.as_ref().is_none_or(|best| rank(best.kind()) <= rank(error.kind())) {
            self.best = Some(error.clone());
        }
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::Private => true,
            _ => fallback == Fallback::OnAnyError,
        }
    }

    fn most_telling(mut self, end: Option<&Error>) -> Error {
        if let Some(end) = end {
            self.leads_on(Fallback::OnNotFound, end);
        }
        let best = self.best.unwrap_or_else(|| Error::unavailable("no upstream: set GOPROXY"));
        if self.absent && best.is_unlocated() { Error::not_found(best.text()) } else { best }
    }
}

fn rank(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Private => 0,
        ErrorKind::NotFound => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests;
