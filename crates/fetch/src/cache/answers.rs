//! Answers that change: lists, `@latest`, and what a branch or a commit stands for.
//!
//! An answer is stored in the tree like a file, but replaced by later ones. How old it is lives in memory alone: after a
//! restart, and for a tree that was dropped in, every answer counts as old and is renewed when it is first asked for.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use quipu_module::{ModulePath, ModuleVersion, Query, Version};
use tokio::time::{Instant, timeout};

use super::Shared;
use super::flights::Flights;
use super::forget::Asked;
use super::publish::not_published;
use super::tree::{FileKind, Name};
use crate::client::Hops;
use crate::error::{Error, ErrorKind, Result};
use crate::info::Info;
use crate::proxy::{agrees, parse_list};
use crate::upstream::MAX_LIST;

/// After a failed attempt to renew an answer in the background, the next one waits so long.
const RETRY: Duration = Duration::from_secs(5);

/// When an answer was last asked for, and whether one came.
#[derive(Clone, Copy)]
pub(super) struct Age {
    asked: Asked,
    answered: bool,
    /// When it was asked for that upstream last answered, be it that there is nothing any more.
    heard: Option<Instant>,
}

impl Shared {
    /// The versions of the module: those that upstream lists, those that it ever listed, and those that are here.
    pub(super) async fn list(self: &Arc<Self>, path: &ModulePath) -> Result<Arc<Vec<Version>>> {
        if self.is_ours(path) {
            return self.held_list(path).await.map(Arc::new).map_err(|error| only_here(error, path));
        }
        let name = Name::list(path);
        let fresh = self.age(&name).is_some_and(|age| self.is_fresh(age));
        if let Some(made) = self.made.get(name.as_str()).filter(|_| fresh) {
            return Ok(made);
        }
        let stored = self.stored_list(path, &name).await?.all(path);
        let stored = self.with_made(path, &name, stored);
        let renew = || self.clone().renew_list(path.clone());
        self.answer(&self.lists, &name, stored, renew).await
    }

    /// The version that `latest` stands for.
    pub(super) async fn latest(self: &Arc<Self>, path: &ModulePath) -> Result<Arc<Info>> {
        if self.is_ours(path) {
            return self.held_latest(path).await.map(Arc::new).map_err(|error| only_here(error, path));
        }
        let name = Name::latest(path);
        let stored = self.stored_info(path, &name).await?;
        let renew = || self.clone().renew_latest(path.clone());
        self.answer(&self.infos, &name, stored.map(Arc::new), renew).await
    }

    /// What `query` stands for. A canonical version stands for itself, for ever.
    pub(super) async fn info(self: &Arc<Self>, path: &ModulePath, query: &Query) -> Result<Info> {
        if let Some(version) = canonical(path, query) {
            let bytes = self.file(&version, FileKind::Info).await?.bytes().await?;
            return Info::parse(path, &bytes);
        }
        refuse_word(path, query)?;
        if self.is_ours(path) {
            return Err(not_published(format_args!("{path}@{query}")));
        }
        let name = Name::query(path, query);
        let stored = self.stored_info(path, &name).await?;
        let renew = || self.clone().renew_query(path.clone(), query.clone());
        Ok(Arc::unwrap_or_clone(self.answer(&self.infos, &name, stored.map(Arc::new), renew).await?))
    }

    /// Serves `stored` while it is young enough, renews it when it is not, and falls back on it.
    async fn answer<T, W>(
        self: &Arc<Self>,
        flights: &Arc<Flights<T>>,
        name: &Name,
        stored: Option<T>,
        renew: impl Fn() -> W,
    ) -> Result<T>
    where
        T: Clone + Send + Sync + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let age = self.age(name);
        let asked = age.map(|age| age.asked.at.elapsed());
        let Some(stored) = stored else {
            return match self.absence(name) {
                Some(error) => Err(error),
                None => self.renewed_now(flights, name, renew).await,
            };
        };
        if age.is_some_and(|age| self.is_fresh(age)) {
            return Ok(stored);
        }
        if asked.is_some_and(|asked| asked < self.options.stale) {
            if age.is_some_and(|age| age.answered) || asked >= Some(RETRY) {
                flights.launch(name.as_str(), renew);
            }
            // Asked lately, and in vain.
            let heard = age.and_then(|age| age.heard);
            if heard.is_none_or(|heard| heard.elapsed() >= self.options.stale) {
                self.counters.stale();
            }
            return Ok(stored);
        }
        match timeout(self.options.patience, self.renewed_now(flights, name, &renew)).await {
            Ok(Ok(renewed)) => Ok(renewed),
            // What a branch stood for is no answer once upstream says that it is gone.
            Ok(Err(error)) if error.kind() == ErrorKind::NotFound => Err(error),
            Ok(Err(_)) | Err(_) => {
                // Perhaps it failed because of the way of this request alone, and for a while nobody would try again.
                if Hops::current() != Hops::default() {
                    flights.launch(name.as_str(), renew);
                }
                self.counters.stale();
                Ok(stored)
            }
        }
    }

    /// Joins the flight that renews the answer; again, if it began before the module was forgotten.
    async fn renewed_now<T, W>(
        &self,
        flights: &Arc<Flights<T>>,
        name: &Name,
        renew: impl Fn() -> W,
    ) -> Result<T>
    where
        T: Clone + Send + Sync + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let first = flights.join(name.as_str(), &renew).await;
        let outdated = self.ages.get(name.as_str()).is_some_and(|age| self.is_outdated(name, age.asked));
        if outdated { flights.join(name.as_str(), renew).await } else { first }
    }

    async fn renew_list(self: Arc<Self>, path: ModulePath) -> Result<Arc<Vec<Version>>> {
        let name = Name::list(&path);
        let on_disk = self.stored_list(&path, &name).await?;
        let in_file = on_disk.listed.clone();
        let mut stored = on_disk.all(&path);
        // What was served stays, also if it could not be stored.
        if let Some(made) = self.made.get(name.as_str()) {
            stored = Some(union(&path, stored.unwrap_or_default(), made.to_vec()));
        }
        let asked = self.asking();
        let listed = self.upstream.list(&path).await;
        let failure = listed.as_ref().err().map(Error::kind);
        let made = self.make_list(&path, (in_file, stored), (asked, listed)).await;
        // Not earlier: whoever finds the answer young serves the list that was made last.
        self.note_asked(&name, asked, failure);
        made
    }

    /// The list made of what upstream says and of what is known here, stored where the file does not say the same.
    async fn make_list(
        self: &Arc<Self>,
        path: &ModulePath,
        (in_file, stored): (Option<Vec<Version>>, Option<Vec<Version>>),
        (asked, listed): (Asked, Result<Vec<Version>>),
    ) -> Result<Arc<Vec<Version>>> {
        let name = Name::list(path);
        let versions = match listed {
            Ok(listed) if listed.is_empty() && stored.is_none() => {
                self.check_exists(path, &name).await?;
                listed
            }
            Ok(listed) => union(path, listed, stored.unwrap_or_default()),
            Err(error) => match stored {
                // Gone upstream: what was seen stays.
                Some(stored) if error.kind() == ErrorKind::NotFound => stored,
                _ => {
                    self.note_absence(&name, asked, &Err::<(), _>(error.clone()));
                    return Err(error);
                }
            },
        };
        if in_file.as_ref() != Some(&versions) {
            let lines: String = versions.iter().map(|version| format!("{version}\n")).collect();
            self.store(&name, lines).await;
        }
        Ok(self.add_to_made(path, &name, versions))
    }

    /// What is stored and what was served: both stay listed. To be asked before a list is served, as a renewal under way
    /// may have looked at the disk before a version came that is found there now.
    fn with_made(
        &self,
        path: &ModulePath,
        name: &Name,
        stored: Option<Vec<Version>>,
    ) -> Option<Arc<Vec<Version>>> {
        match stored {
            Some(stored) => Some(self.add_to_made(path, name, stored)),
            None => self.made.get(name.as_str()),
        }
    }

    /// Adds to the list made last, which never shrinks.
    fn add_to_made(&self, path: &ModulePath, name: &Name, versions: Vec<Version>) -> Arc<Vec<Version>> {
        let add = |made: Option<Arc<Vec<Version>>>| {
            let all = match made {
                Some(made) if versions.iter().all(|version| made.binary_search(version).is_ok()) => made,
                Some(made) => Arc::new(union(path, versions, made.to_vec())),
                None => Arc::new(versions),
            };
            let bytes = all.iter().map(|version| version.as_str().len() + size_of::<Version>()).sum();
            (all, bytes)
        };
        self.made.update(&name.key(), add)
    }

    /// A version was found that the list made last does not have: the list is asked for anew.
    pub(super) fn note_version(&self, version: &ModuleVersion) {
        let name = Name::list(version.path());
        let made = self.made.get(name.as_str());
        let is_new = made.is_some_and(|made| made.binary_search(version.version()).is_err());
        if is_new && !version.version().is_pseudo() {
            self.ages.remove(name.as_str());
        }
    }

    fn is_fresh(&self, age: Age) -> bool {
        age.answered && age.asked.at.elapsed() < self.options.fresh
    }

    /// How old the answer is, as far as what is known of that still counts.
    fn age(&self, name: &Name) -> Option<Age> {
        self.ages.get(name.as_str()).filter(|age| !self.is_outdated(name, age.asked))
    }

    /// Some proxies list nothing where there is no module: `@latest` tells a module without versions from none.
    async fn check_exists(self: &Arc<Self>, path: &ModulePath, list: &Name) -> Result<()> {
        let latest = self.latest(path).await.map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                Error::not_found(format!("module {path}: no matching versions for query \"latest\""))
            }
            _ => error,
        });
        if let Some(asked) = self.absent_since(&Name::latest(path)) {
            self.note_absence(list, asked, &latest);
        }
        latest.map(drop)
    }

    async fn renew_latest(self: Arc<Self>, path: ModulePath) -> Result<Arc<Info>> {
        let name = Name::latest(&path);
        let asked = self.asking();
        let latest = self.upstream.latest(&path).await;
        let latest = self.not_backwards(&path, latest).await;
        match self.renewed(&path, &name, (asked, latest)).await {
            // Gone upstream: what was seen stays.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                match self.stored_info(&path, &name).await? {
                    Some(stored) => Ok(Arc::new(stored)),
                    None => Err(error),
                }
            }
            renewed => renewed,
        }
    }

    async fn renew_query(self: Arc<Self>, path: ModulePath, query: Query) -> Result<Arc<Info>> {
        let asked = self.asking();
        let info = self.upstream.info(&path, &query).await;
        self.renewed(&path, &Name::query(&path, &query), (asked, info)).await
    }

    async fn renewed(
        self: &Arc<Self>,
        path: &ModulePath,
        name: &Name,
        (asked, answer): (Asked, Result<Info>),
    ) -> Result<Arc<Info>> {
        let answer = answer.and_then(|info| {
            let fits = agrees(path, info.version());
            fits.then_some(info)
                .ok_or_else(|| Error::rejected(format!("{path}: upstream names a version of another path")))
        });
        if let Ok(info) = &answer {
            self.store(name, info.format()).await;
            self.origins.note(path, info);
        }
        // Not earlier: whoever finds the answer young serves what is stored.
        self.note_asked(name, asked, answer.as_ref().err().map(Error::kind));
        self.note_absence(name, asked, &answer);
        answer.map(Arc::new)
    }

    /// Stores an answer if there is room; it is good without being stored.
    async fn store(self: &Arc<Self>, name: &Name, content: String) {
        if self.check_room(name).is_err() {
            return;
        }
        let Ok(staged) = self.staging.write(content.into()).await else { return };
        let name = name.clone();
        // Already logged by the disk error.
        let _ = self.on_disk(move |shared| shared.tree.replace(staged.name(), &name)).await;
    }

    fn note_asked(&self, name: &Name, asked: Asked, failure: Option<ErrorKind>) {
        let heard = match failure {
            None | Some(ErrorKind::NotFound) => Some(asked.at),
            Some(_) => self.age(name).and_then(|age| age.heard),
        };
        self.ages.insert(&name.key(), Age { asked, answered: failure.is_none(), heard }, 0);
    }

    /// What the disk knows of a module's versions.
    pub(super) async fn stored_list(self: &Arc<Self>, path: &ModulePath, name: &Name) -> Result<StoredList> {
        let (path, name) = (path.clone(), name.clone());
        let read = move |shared: &Self| {
            let held = shared.tree.versions(&path, &[FileKind::Info, FileKind::GoMod])?;
            let list = shared.tree.read_up_to(&name, MAX_LIST)?;
            Ok(StoredList { listed: list.map(|body| parse_list(&path, &body)), held })
        };
        self.on_disk(read).await
    }

    /// The stored `@latest` or query; `None` if there is none that can be read.
    pub(super) async fn stored_info(
        self: &Arc<Self>,
        path: &ModulePath,
        name: &Name,
    ) -> Result<Option<Info>> {
        let (path, name) = (path.clone(), name.clone());
        let read = move |shared: &Self| {
            let json = shared.tree.read_up_to(&name, Info::MAX_BYTES as u64)?;
            Ok(json.and_then(|json| Info::parse(&path, &json).ok()))
        };
        self.on_disk(read).await
    }
}

/// The versions of one module that the disk knows.
pub(super) struct StoredList {
    /// Those in the stored list, if there is one.
    listed: Option<Vec<Version>>,
    /// Those whose `.info` and `.mod` are stored.
    held: Vec<Version>,
}

impl StoredList {
    /// All that may be listed; `None` if nothing is known of the module.
    pub(super) fn all(self, path: &ModulePath) -> Option<Vec<Version>> {
        let known = self.listed.is_some() || !self.held.is_empty();
        known.then(|| union(path, self.listed.unwrap_or_default(), self.held))
    }
}

/// The query as a version of the path, if it is a canonical one that agrees with it.
pub(super) fn canonical(path: &ModulePath, query: &Query) -> Option<ModuleVersion> {
    ModuleVersion::new(path.clone(), query.as_version()?).ok()
}

/// What is published here and is not held does not exist.
fn only_here(error: Error, path: &ModulePath) -> Error {
    if error.kind() == ErrorKind::NotFound { not_published(path) } else { error }
}

/// The words that the `go` command resolves itself are no revisions.
pub(super) fn refuse_word(path: &ModulePath, query: &Query) -> Result<()> {
    if matches!(query.as_str(), "latest" | "upgrade" | "patch") {
        return Err(Error::not_found(format!("{path}@{query}: invalid version: unknown revision {query}")));
    }
    Ok(())
}

/// What may be listed of both, ascending, each once.
fn union(path: &ModulePath, mut versions: Vec<Version>, others: Vec<Version>) -> Vec<Version> {
    versions.extend(others);
    versions.retain(|version| agrees(path, version) && !version.is_pseudo());
    versions.sort_unstable();
    versions.dedup();
    versions
}
