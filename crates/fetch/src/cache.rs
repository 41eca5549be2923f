//! The cache: an upstream in front of an upstream, storing the file tree of a GOPROXY.
//!
//! Two kinds of things are kept. The files of a version (`.info`, `.mod`, `.zip`) are fetched once, judged, and never
//! change again. Answers (lists, `@latest`, what a branch stands for) are kept for a minute, renewed, and served for as
//! long as nothing newer can be had.

mod admit;
mod answers;
mod check;
mod evidence;
mod files;
pub(crate) mod flights;
mod forget;
mod held;
mod in_use;
mod latest;
mod mark;
mod moved;
mod open;
mod origins;
mod publish;
mod recent;
mod recover;
mod retain;
mod room;
mod stats;
mod survey;
mod tree;
mod unlicensed;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use quipu_module::{ModulePath, ModuleVersion, Patterns, Query, Version};
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;

pub use admit::{Admit, AdmitAll, Finding, FindingKind, Hashes, Recorded, Refusal};
pub use evidence::EvidenceLimits;
pub use latest::highest;
pub use moved::Moved;
pub use open::CachedFile;
pub use origins::Housed;
pub use publish::{Publication, PublishError, Published};
pub use retain::Evicted;
pub use room::CacheRoom;
pub use stats::CacheStats;
pub use tree::FileKind;

use crate::error::{Error, Result};
use crate::info::Info;
use crate::repo_name::RepoName;
use crate::staged::{Staged, Staging, disk_error};
use crate::storage::{Directory, Storage, Stored};
use crate::upstream::{BoxFuture, Upstream};
use answers::Age;
use evidence::Evidence;
use flights::Flights;
use forget::Asked;
use latest::Retracted;
use moved::MovedTags;
use open::Known;
use origins::Origins;
use publish::Elsewhere;
use recent::Recent;
use stats::Counters;
use tree::{Name, Tree};

/// How a [`Cache`] behaves.
#[derive(Clone, Debug)]
pub struct CacheOptions {
    /// Who admits files here: the name of the log. Files that another owner admitted are admitted anew. One line.
    pub owner: String,
    /// Bytes of memory for small files and for what is known of big ones.
    pub memory: usize,
    /// Bytes that must stay free in the storage: below that nothing new is fetched, what is stored is still served.
    pub disk_floor: u64,
    /// Most fetches under way at once.
    pub max_flights: usize,
    /// Most zips being checked at once.
    pub max_checks: usize,
    /// How long an answer is served without asking again.
    pub fresh: Duration,
    /// How long an answer is served while it is renewed in the background. Later, the one who asks waits, unless upstream was
    /// asked within that time and failed. What is served all the same is counted as [`CacheStats::stale`].
    pub stale: Duration,
    /// How long one waits for an older answer to be renewed before it is served as it is.
    pub patience: Duration,
    /// How long definite absence is remembered.
    pub absence: Duration,
    /// What is kept of refused files.
    pub evidence: EvidenceLimits,
    /// The paths that are published here. Of these nothing is asked of the upstream.
    pub published: Patterns,
    /// A version that is in use is compared with its origin so often, at most one a second. Zero: never.
    pub compare: Duration,
    /// Bytes of zips that [`Cache::make_room`] leaves. Zero: all.
    pub quota: u64,
    /// [`Cache::expire_unlicensed`] leaves zips of versions without a licence for so long after their last use. Zero: like all
    /// others.
    pub unlicensed: Duration,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            owner: "quipu".to_owned(),
            memory: 64 << 20,
            disk_floor: 1 << 30,
            max_flights: 1024,
            max_checks: 2,
            fresh: Duration::from_secs(60),
            stale: Duration::from_secs(300),
            patience: Duration::from_secs(5),
            absence: Duration::from_secs(10),
            evidence: EvidenceLimits::default(),
            published: Patterns::default(),
            compare: Duration::from_secs(24 * 60 * 60),
            quota: 0,
            unlicensed: Duration::ZERO,
        }
    }
}

/// The file tree of a GOPROXY in a [`Storage`], filled from an upstream as it is asked for things. In a directory it is a
/// valid `file://` proxy.
///
/// A tree made by others (the `cache/download` directory of a module cache) can be dropped in: its files are admitted
/// when they are first asked for. Below the root, names beginning with a dot are the cache's own. One cache at a time
/// may use a storage, and nothing else may change its files meanwhile. Clones share everything.
#[derive(Clone)]
pub struct Cache {
    shared: Arc<Shared>,
}

/// Everything is shared with the tasks that fetch.
struct Shared {
    tree: Tree,
    staging: Staging,
    evidence: Evidence,
    upstream: Arc<dyn Upstream>,
    admit: Arc<dyn Admit>,
    options: CacheOptions,
    /// Open files' facts and small files' bytes. Holds admitted files only.
    known: Recent<Known>,
    /// When answers were last asked for.
    ages: Recent<Age>,
    /// The lists that were last made; a list that is fresh is served from here.
    made: Recent<Arc<Vec<Version>>>,
    /// What the go.mod files that were looked at and are not stored retract, and when they were asked for.
    looks: Recent<(Asked, Retracted)>,
    /// What definitely does not exist, and when that was asked.
    absent: Recent<(Asked, Error)>,
    /// Modules of which nothing counts that was asked for before this count of `news`.
    forgotten: Recent<u64>,
    /// How often anything was forgotten.
    news: AtomicU64,
    /// No absence counts that was asked for before this count of `news`.
    absences: AtomicU64,
    /// Which modules come from which repositories.
    origins: Origins,
    files: Arc<Flights<()>>,
    lists: Arc<Flights<Arc<Vec<Version>>>>,
    infos: Arc<Flights<Arc<Info>>>,
    looking: Arc<Flights<Retracted>>,
    checks: Semaphore,
    /// Held while a version is taken into the log and the tree.
    publishing: tokio::sync::Mutex<()>,
    comparisons: Arc<Flights<()>>,
    /// When the last comparison began, in seconds since 1970.
    last_check: AtomicU64,
    moved: MovedTags,
    counters: Counters,
    /// What an earlier run left staged, until [`Cache::recover`].
    leftovers: std::sync::Mutex<Vec<Name>>,
}

/// Most versions that are being compared with their origins.
const MAX_COMPARISONS: usize = 16;

/// Bytes for each of the small bounded maps.
const SMALL_MAP: usize = 8 << 20;

impl Cache {
    /// Opens the cache in the directory `root`, making it if needed.
    ///
    /// # Errors
    /// The directory cannot be made or written.
    pub fn open_root(
        root: &Path,
        upstream: Arc<dyn Upstream>,
        admit: Arc<dyn Admit>,
        options: CacheOptions,
    ) -> io::Result<Self> {
        let storage = Directory::open(root)?;
        for own in [recover::STAGING, evidence::DIRECTORY] {
            fs::create_dir_all(root.join(own))?;
        }
        Self::open_storage(Arc::new(storage), upstream, admit, options)
    }

    /// Opens the cache in a storage, with what is there.
    ///
    /// # Errors
    /// The storage cannot be read or written.
    pub fn open_storage(
        storage: Arc<dyn Storage>,
        upstream: Arc<dyn Upstream>,
        admit: Arc<dyn Admit>,
        options: CacheOptions,
    ) -> io::Result<Self> {
        let tree = Tree::new(Arc::clone(&storage));
        let leftovers = recover::sort_out(&tree)?;
        let upstream = Arc::new(Elsewhere { upstream, published: options.published.clone() });
        Ok(Self {
            shared: Arc::new(Shared {
                staging: Staging::within(storage, Name::parse(recover::STAGING))?,
                evidence: Evidence::open(&tree, options.evidence)?,
                upstream,
                admit,
                known: Recent::new(options.memory),
                ages: Recent::new(SMALL_MAP),
                made: Recent::new(SMALL_MAP),
                looks: Recent::new(SMALL_MAP),
                absent: Recent::new(SMALL_MAP),
                forgotten: Recent::new(SMALL_MAP),
                news: AtomicU64::new(0),
                absences: AtomicU64::new(0),
                origins: Origins::default(),
                files: Flights::new(options.max_flights),
                lists: Flights::new(options.max_flights),
                infos: Flights::new(options.max_flights),
                looking: Flights::new(options.max_flights),
                checks: Semaphore::new(options.max_checks),
                publishing: tokio::sync::Mutex::default(),
                comparisons: Flights::new(MAX_COMPARISONS),
                last_check: AtomicU64::new(0),
                moved: MovedTags::read(&tree)?,
                tree,
                counters: Counters::default(),
                leftovers: std::sync::Mutex::new(leftovers),
                options,
            }),
        })
    }

    /// The file, if it is stored and admitted; never fetches.
    ///
    /// A few system calls at most, so it may be called where one would not wait for a disk.
    ///
    /// # Errors
    /// The disk fails.
    pub fn open(&self, version: &ModuleVersion, kind: FileKind) -> Result<Option<CachedFile>> {
        let file = self.shared.open(version, kind)?;
        if file.is_some() {
            self.shared.counters.hit();
        }
        Ok(file)
    }

    /// The small file of this name in the tree (`<escaped path>/@v/<escaped version>.<extension>`), if it was used lately
    /// and is in memory. No name that is not valid leads to one.
    pub fn recent(&self, name: &str) -> Option<CachedFile> {
        let file = self.shared.recent(name);
        if file.is_some() {
            self.shared.counters.hit();
        }
        file
    }

    /// The file, fetched and admitted if it is not stored yet. However many ask, one fetches; it goes on when they
    /// leave.
    ///
    /// # Errors
    /// It does not exist, cannot be had now, or is not admitted.
    pub async fn file(&self, version: &ModuleVersion, kind: FileKind) -> Result<CachedFile> {
        self.shared.file(version, kind).await
    }

    /// Those of `versions`, which ascend, that the go.mod of the one that `latest` would be does not retract; `None` if there is
    /// no saying which that is. Versions that cannot be had any more may be left out. A go.mod that is not stored is not taken
    /// in; it is asked for once a minute.
    ///
    /// # Errors
    /// It cannot be had now.
    pub async fn unretracted(
        &self,
        path: &ModulePath,
        versions: Vec<Version>,
    ) -> Result<Option<Vec<Version>>> {
        self.shared.unretracted(path, versions).await
    }

    /// Finishes or discards what an earlier run left staged, asking [`Admit`] as for any other file. To be called once,
    /// when admission works. Returns how many files were finished.
    pub async fn recover(&self) -> usize {
        self.shared.recover().await
    }

    /// Forgets what upstream said of the module: that things do not exist, its list, its latest version and what its
    /// branches stand for. They are asked for anew when they are next asked for. What was stored is still served if
    /// upstream does not answer, and the files of versions stay as they are.
    pub fn forget(&self, path: &ModulePath) {
        self.shared.forget(path);
    }

    /// Forgets of all modules that things do not exist, and nothing else. Something has come up, and it is not known of
    /// which modules: where nothing is stored of a module, nobody knows in which repository it lives.
    pub fn forget_absences(&self) {
        self.shared.forget_absences();
    }

    /// The modules that are known to come from a repository: those of which a stored version says so, and those whose
    /// paths lie at or below its name. Complete only after [`Cache::survey`].
    pub fn modules_of(&self, repository: &RepoName) -> Vec<Housed> {
        self.shared.origins.modules_of(repository)
    }

    /// Looks through the whole tree for what is not written down elsewhere. To be called once, beside everything else; it
    /// may take minutes.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn survey(&self) -> Result<()> {
        self.shared.on_disk(Shared::survey).await
    }

    /// The versions whose tags were moved after they were stored, as far as they were compared. Their files stay as they
    /// are.
    pub fn moved(&self) -> Vec<Moved> {
        self.shared.moved.all()
    }

    /// Compares a stored version with its origin now. Without an `.info` that names a commit there is nothing to compare.
    ///
    /// # Errors
    /// Upstream cannot be asked, or the disk fails.
    pub async fn compare(&self, version: &ModuleVersion) -> Result<()> {
        self.shared.clone().compare(version.clone()).await
    }

    /// Removes zips that were not used for the longest time until [`CacheOptions::quota`] is kept, as far as they can be
    /// had again: of a version that may be the only copy nothing is removed, so more may stay than the quota. To be called
    /// now and then, not twice at once; it does nothing while there is room.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn make_room(&self) -> Result<Evicted> {
        self.shared.make_room().await
    }

    /// Finds out which versions come under a licence, as far as that is not known yet, and removes the zips of those that do
    /// not and were not used for [`CacheOptions::unlicensed`], as far as they can be had again. A licence is a text in the root
    /// of the module that is much like one of those in the SPDX list that the OSI approved or the FSF calls free. To be called
    /// now and then, not twice at once and not beside [`Cache::make_room`]; it does nothing without the option.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn expire_unlicensed(&self) -> Result<Evicted> {
        self.shared.expire_unlicensed().await
    }

    /// Bytes of zips that are to stay at most; 0 if all are.
    pub fn quota(&self) -> u64 {
        self.shared.options.quota
    }

    /// What happened so far.
    pub fn stats(&self) -> CacheStats {
        self.shared.stats()
    }

    /// How much room there is for more.
    ///
    /// # Errors
    /// The system does not say.
    pub fn room(&self) -> io::Result<CacheRoom> {
        self.shared.room()
    }
}

impl Upstream for Cache {
    fn list<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Vec<Version>>> {
        Box::pin(async move { Ok(Arc::unwrap_or_clone(self.shared.list(path).await?)) })
    }

    fn info<'a>(&'a self, path: &'a ModulePath, query: &'a Query) -> BoxFuture<'a, Result<Info>> {
        Box::pin(self.shared.info(path, query))
    }

    fn latest<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Info>> {
        Box::pin(async move { Ok(Arc::unwrap_or_clone(self.shared.latest(path).await?)) })
    }

    fn forget(&self, path: &ModulePath) {
        self.shared.forget(path);
    }

    fn go_mod<'a>(&'a self, version: &'a ModuleVersion) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(async move { self.file(version, FileKind::GoMod).await?.bytes().await })
    }

    fn zip<'a>(&'a self, version: &'a ModuleVersion, zip: &'a mut Staged) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            zip.restart().await?;
            match self.file(version, FileKind::Zip).await?.body {
                Stored::Bytes(bytes) => zip.write(&bytes).await,
                Stored::File(file) => copy(file, zip).await,
            }
        })
    }
}

async fn copy(file: fs::File, zip: &mut Staged) -> Result<()> {
    let mut file = tokio::fs::File::from_std(file);
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer).await.map_err(|error| disk_error(&error))? {
            0 => return Ok(()),
            read => zip.write(buffer.get(..read).unwrap_or_default()).await?,
        }
    }
}

impl Shared {
    /// Runs `work` on the tree where it may block.
    async fn on_disk<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = self.clone();
        crate::staged::blocking(move || work(&shared)).await
    }

    /// The remembered definite absence of `name`.
    fn absence(&self, name: &Name) -> Option<Error> {
        let (asked, error) = self.absent.get(name.as_str())?;
        let counts = asked.at.elapsed() < self.options.absence && !self.is_absence_outdated(name, asked);
        counts.then_some(error)
    }

    /// When it was asked for what is remembered to be absent.
    fn absent_since(&self, name: &Name) -> Option<Asked> {
        self.absent.get(name.as_str()).map(|(asked, _)| asked)
    }

    /// Remembers a definite absence; anything else passes by.
    fn note_absence<T>(&self, name: &Name, asked: Asked, result: &Result<T>) {
        if let Err(error) = result
            && error.kind() == crate::ErrorKind::NotFound
        {
            self.absent.insert(&name.key(), (asked, error.clone()), error.text().len());
        }
    }
}
