//! One remote repository and its cached copy: what is fetched when, and in what state the copy is.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, RwLock};
use tokio::time::Instant;

use super::directory::{self, Format};
use super::network::{Fetched, Network};
use super::objects::{Fault, Found, Objects, tips};
use super::remote::Remote;
use super::snapshot::Snapshot;
use super::store::Usage;
use crate::cache::flights::Flights;
use crate::error::{Error, Result};
use crate::staged::blocking;
use crate::vcs::{Oid, Refs};

/// Most pieces of work that may wait for one repository.
const MAX_FLIGHTS: usize = 1024;

/// A damaged copy is thrown away at most so often: what looks like damage may be the repository's own doing.
const REBUILD_PAUSE: Duration = Duration::from_secs(600);

/// A remote repository with its cached copy. Clones are the same repository; however many ask, one conversation with
/// the remote goes on at a time, and its result is for all who wait.
#[derive(Clone)]
pub struct Repository {
    pub(super) shared: Arc<Shared>,
}

impl Repository {
    /// A view of the repository that stays at one state of its references. They are listed when first needed, unless
    /// they were within the last seconds.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.shared.clone())
    }

    /// Where it is.
    pub fn remote(&self) -> &Remote {
        &self.shared.remote
    }

    /// Forgets what its references were: the next snapshot lists them anew. For those who were told of a change.
    pub fn refresh(&self) {
        self.shared.forget();
    }
}

/// What all snapshots of one repository share.
pub(super) struct Shared {
    pub(super) remote: Remote,
    pub(super) network: Arc<Network>,
    git_dir: PathBuf,
    usage: Arc<Usage>,
    fresh: Duration,
    /// Read by whoever uses the copy, written by whoever makes or removes it.
    copy: Arc<RwLock<Copy>>,
    /// Held for a look or a change, never while waiting.
    listed: Mutex<Option<(Instant, Arc<Refs>)>>,
    /// How often they were forgotten.
    news: AtomicU64,
    /// The references all of whose commits are known to be in the copy. As `listed`.
    whole: Mutex<Option<Arc<Refs>>>,
    /// Set when git failed where it never should.
    suspect: AtomicBool,
    listings: Arc<Flights<Arc<Refs>>>,
    fetches: Arc<Flights<()>>,
    /// Whose turn it is to change the copy; how the last turn failed, and when.
    turn: tokio::sync::Mutex<Option<(Instant, Error)>>,
}

/// The state of the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copy {
    /// Nobody has looked since the program started.
    Unknown,
    Absent,
    Present {
        format: Format,
        /// When it was last thrown away as damaged.
        rebuilt: Option<Instant>,
    },
}

/// Keeps the copy as it is: neither made nor removed.
pub(super) struct Held {
    copy: OwnedRwLockReadGuard<Copy>,
}

impl Held {
    /// Whether there is a copy.
    pub(super) fn is_present(&self) -> bool {
        matches!(*self.copy, Copy::Present { .. })
    }
}

/// What has to be in the copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// This commit, which a reference points at, with its history.
    Tip(Oid),
    /// All that branches and tags point at, with its history.
    Whole,
}

impl Shared {
    pub(super) fn new(remote: Remote, git_dir: PathBuf, network: Arc<Network>, usage: Arc<Usage>) -> Self {
        let fresh = usage.fresh();
        Self {
            remote,
            network,
            git_dir,
            usage,
            fresh,
            copy: Arc::new(RwLock::new(Copy::Unknown)),
            listed: Mutex::default(),
            news: AtomicU64::new(0),
            whole: Mutex::default(),
            suspect: AtomicBool::new(false),
            listings: Flights::new(MAX_FLIGHTS),
            fetches: Flights::new(MAX_FLIGHTS),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// The references, listed within the last seconds.
    pub(super) async fn refs(self: &Arc<Self>) -> Result<Arc<Refs>> {
        if let Some((at, refs)) = &*lock(&self.listed)
            && at.elapsed() < self.fresh
        {
            return Ok(refs.clone());
        }
        // A listing that began before they were forgotten is not for those who ask afterwards.
        let (shared, news) = (self.clone(), self.news.load(Ordering::SeqCst));
        self.listings.join(&news.to_string(), move || async move { shared.list(news).await }).await
    }

    pub(super) fn forget(&self) {
        let mut listed = lock(&self.listed);
        self.news.fetch_add(1, Ordering::SeqCst);
        *listed = None;
    }

    /// Whether `want` is in the copy.
    pub(super) async fn has(&self, refs: &Arc<Refs>, want: &Want) -> Result<bool> {
        match want {
            Want::Tip(id) => Ok(self.find(id).await? != Found::Missing),
            Want::Whole if self.is_known_whole(refs) => Ok(true),
            Want::Whole => {
                let held = self.enter().await?;
                if !held.is_present() {
                    return Ok(tips(refs).next().is_none());
                }
                let is_whole = self.judge(self.objects().missing(tips(refs)).await)?.is_empty();
                if is_whole {
                    *lock(&self.whole) = Some(refs.clone());
                }
                Ok(is_whole)
            }
        }
    }

    /// Fetches `want` unless it is there, in turn with all others. It may still not be there afterwards, if the
    /// references have changed: then they have to be listed anew.
    pub(super) async fn bring(self: &Arc<Self>, refs: &Arc<Refs>, want: Want) -> Result<()> {
        let key = match &want {
            Want::Tip(id) => id.to_string(),
            Want::Whole => "whole".to_owned(),
        };
        let (shared, refs) = (self.clone(), refs.clone());
        self.fetches.join(&key, move || async move { shared.take_turn(&refs, &want).await }).await
    }

    /// What `id` is in the copy.
    pub(super) async fn find(&self, id: &Oid) -> Result<Found> {
        let held = self.enter().await?;
        if held.is_present() { self.judge(self.objects().find(id).await) } else { Ok(Found::Missing) }
    }

    /// The copy, for as long as it is [`Held`].
    pub(super) fn objects(&self) -> Objects<'_> {
        Objects { fence: &self.network.fence, git_dir: &self.git_dir }
    }

    /// Enters the copy, which nobody may do twice at once: who waits to change the copy comes before who enters. One that is damaged, or was left so by a crash, is gone by then.
    pub(super) async fn enter(&self) -> Result<Held> {
        loop {
            let copy = self.copy.clone().read_owned().await;
            if *copy != Copy::Unknown && !self.suspect.load(Ordering::SeqCst) {
                if let Copy::Present { .. } = *copy {
                    self.usage.touch(&self.git_dir);
                }
                return Ok(Held { copy });
            }
            drop(copy);
            self.settle(&mut *self.copy.write().await).await?;
        }
    }

    /// Remembers that git failed where it never should.
    pub(super) fn judge<T>(&self, result: Result<T, Fault>) -> Result<T> {
        result.map_err(|fault| match fault {
            Fault::Plain(error) => error,
            Fault::Damage(error) => {
                self.suspect.store(true, Ordering::SeqCst);
                error
            }
        })
    }

    /// Removes the copy unless it is in use; whether it is gone.
    pub(super) fn try_remove(&self) -> bool {
        let Ok(mut copy) = self.copy.try_write() else { return false };
        if let Err(error) = directory::remove(&self.git_dir) {
            tracing::warn!(%error, remote = %self.remote, "cannot remove a cached repository");
            return false;
        }
        *copy = Copy::Absent;
        *lock(&self.whole) = None;
        true
    }

    /// Lists the references, and remembers them unless they were forgotten since this count of `news`.
    async fn list(&self, news: u64) -> Result<Arc<Refs>> {
        let started = Instant::now();
        let refs = self.network.list(&self.remote).await?;
        let mut listed = lock(&self.listed);
        // The same references stay the same value, so that what is known of them stays known.
        let refs = match &*lock(&self.whole) {
            Some(whole) if **whole == refs => whole.clone(),
            _ => Arc::new(refs),
        };
        if self.news.load(Ordering::SeqCst) == news {
            *listed = Some((started, refs.clone()));
        }
        Ok(refs)
    }

    fn is_known_whole(&self, refs: &Arc<Refs>) -> bool {
        lock(&self.whole).as_ref().is_some_and(|whole| Arc::ptr_eq(whole, refs))
    }

    async fn take_turn(self: &Arc<Self>, refs: &Arc<Refs>, want: &Want) -> Result<()> {
        let asked = Instant::now();
        let mut last = self.turn.lock().await;
        if let Some((at, error)) = &*last
            && *at > asked
        {
            return Err(error.clone());
        }
        if self.has(refs, want).await? {
            return Ok(());
        }
        let result = self.fetch(refs, want).await;
        *last = result.as_ref().err().map(|error| (Instant::now(), error.clone()));
        result
    }

    async fn fetch(self: &Arc<Self>, refs: &Refs, want: &Want) -> Result<()> {
        let Some(format) = tips(refs).next().map(Format::of) else { return Ok(()) };
        let held = self.enter_or_create(format).await?;
        let refspecs = refspecs(refs, want);
        let fetched = self.network.fetch(&self.remote, &self.git_dir, &refspecs).await;
        let (git_dir, failed) = (self.git_dir.clone(), fetched.is_err());
        let left = blocking(move || {
            let unfinished = if failed { directory::tidy_unfinished(&git_dir)? } else { 0 };
            Ok((unfinished, directory::is_scattered(&git_dir)?))
        });
        let (unfinished, scattered) = left.await?;
        // git itself only says that its helper has died.
        let max_file = self.network.fence.limits().file_bytes;
        let fetched = if unfinished >= max_file { Err(Error::too_large(max_file)) } else { fetched };
        drop(held);
        if fetched? == Fetched::Gone {
            self.forget();
        }
        self.usage.measure(&self.git_dir).await;
        if scattered {
            let shared = self.clone();
            self.fetches.launch("consolidate", move || async move { shared.consolidate().await });
        }
        Ok(())
    }

    /// Puts together what many fetches have brought, so that looking something up stays fast.
    async fn consolidate(&self) -> Result<()> {
        let _turn = self.turn.lock().await;
        let held = self.enter().await?;
        if held.is_present()
            && let Err(Fault::Plain(error) | Fault::Damage(error)) = self.objects().consolidate().await
        {
            tracing::warn!(%error, remote = %self.remote, "cannot put the pieces of a cached repository together");
            let git_dir = self.git_dir.clone();
            blocking(move || directory::tidy(&git_dir)).await?;
        }
        Ok(())
    }

    async fn enter_or_create(&self, format: Format) -> Result<Held> {
        loop {
            let held = self.enter().await?;
            match *held.copy {
                Copy::Present { format: present, .. } if present == format => return Ok(held),
                _ => drop(held),
            }
            let mut copy = self.copy.write().await;
            match *copy {
                Copy::Present { format: present, .. } if present != format => self.clear(&mut copy).await?,
                Copy::Absent => {
                    directory::create(&self.network.fence, &self.git_dir, format, &self.remote).await?;
                    *copy = Copy::Present { format, rebuilt: None };
                }
                _ => {}
            }
        }
    }

    /// Finds out whether there is a copy that can be used, and removes one that cannot.
    async fn settle(&self, copy: &mut Copy) -> Result<()> {
        let suspect = self.suspect.swap(false, Ordering::SeqCst);
        let recently = |rebuilt: Instant| rebuilt.elapsed() < REBUILD_PAUSE;
        match *copy {
            Copy::Present { rebuilt, format } if suspect && !rebuilt.is_some_and(recently) => {
                tracing::warn!(remote = %self.remote, "a damaged cached repository is thrown away");
                self.clear(copy).await?;
                directory::create(&self.network.fence, &self.git_dir, format, &self.remote).await?;
                *copy = Copy::Present { format, rebuilt: Some(Instant::now()) };
            }
            Copy::Unknown => match directory::inspect(&self.network.fence, &self.git_dir).await? {
                Some(format) => *copy = Copy::Present { format, rebuilt: None },
                None => self.clear(copy).await?,
            },
            _ => {}
        }
        Ok(())
    }

    async fn clear(&self, copy: &mut Copy) -> Result<()> {
        *lock(&self.whole) = None;
        let git_dir = self.git_dir.clone();
        blocking(move || directory::remove(&git_dir)).await?;
        *copy = Copy::Absent;
        Ok(())
    }
}

impl Shared {
    /// Whether its references were listed so recently that forgetting them would cost a listing.
    pub(super) fn is_fresh(&self) -> bool {
        lock(&self.listed).as_ref().is_some_and(|(at, _)| at.elapsed() < self.fresh)
    }
}

/// What to ask for. All tags come along always, so that a new one costs one conversation however many there are, and the
/// default branch, from which most versions come.
///
/// No name of a single branch is used as a local name: what was `a` may be `a/b` later, which could not both be stored.
fn refspecs(refs: &Refs, want: &Want) -> Vec<String> {
    let mut specs = vec!["+refs/tags/*:refs/tags/*".to_owned()];
    if refs.head.is_some() {
        specs.push("+HEAD:refs/quipu/head".to_owned());
    }
    match want {
        Want::Whole => specs.push("+refs/heads/*:refs/heads/*".to_owned()),
        Want::Tip(id) if refs.head.as_ref() == Some(id) || refs.tags.values().any(|tag| tag == id) => {}
        Want::Tip(id) => {
            let branch = refs.heads.iter().find(|(_, head)| *head == id);
            specs.extend(branch.map(|(name, _)| format!("+refs/heads/{name}:refs/quipu/branch")));
        }
    }
    specs
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wanted_is_asked_for() {
        let id = |digit: &str| Oid::parse(&digit.repeat(40)).unwrap();
        let refs = Refs {
            head: Some(id("a")),
            heads: [("main".into(), id("a")), ("dev".into(), id("b"))].into(),
            tags: [("v1.0.0".into(), id("c"))].into(),
        };
        let asked = |want| refspecs(&refs, &want).split_off(2);
        assert_eq!(asked(Want::Tip(id("a"))), Vec::<String>::new());
        assert_eq!(asked(Want::Tip(id("c"))), Vec::<String>::new());
        assert_eq!(asked(Want::Tip(id("b"))), ["+refs/heads/dev:refs/quipu/branch"]);
        assert_eq!(asked(Want::Whole), ["+refs/heads/*:refs/heads/*"]);
        assert_eq!(refspecs(&Refs::default(), &Want::Whole).len(), 2);
    }
}
