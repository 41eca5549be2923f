//! The cached repositories of one directory: who uses which, and how much room they take.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use super::directory::{self, MARK};
use super::fence::{Fence, GitProgram};
use super::network::Network;
use super::remote::{GitAccess, Remote};
use super::repository::{Repository, Shared, lock};
use crate::client::{Observe, Unobserved};
use crate::error::Result;
use crate::staged::{blocking, disk_error};

/// Most repositories of which references are remembered.
const MAX_OPEN: usize = 1024;

/// How exactly it is noted on disk when a repository was last used.
const MARK_INTERVAL: Duration = Duration::from_secs(60);

/// How repositories are read and kept.
#[derive(Clone)]
pub struct GitOptions {
    /// Which git is run, and what it may use.
    pub program: GitProgram,
    /// To whom it may talk.
    pub access: GitAccess,
    /// How long a list of references answers without being asked for again.
    pub fresh: Duration,
    /// Most that cached repositories may take on disk, in bytes, apart from those in use: beyond it, those that were
    /// not used for longest are removed.
    pub max_bytes: u64,
    /// Told of every conversation.
    pub observer: Arc<dyn Observe>,
}

impl Default for GitOptions {
    fn default() -> Self {
        Self {
            program: GitProgram::default(),
            access: GitAccess::default(),
            fresh: Duration::from_secs(3),
            max_bytes: 20 << 30,
            observer: Arc::new(Unobserved),
        }
    }
}

/// Remote repositories and their cached copies, one bare repository a remote in one directory. That directory belongs to
/// one process at a time; what is in it can be had again and may be removed while no process runs.
#[derive(Clone)]
pub struct Repositories {
    network: Arc<Network>,
    usage: Arc<Usage>,
}

impl Repositories {
    /// Opens `root`, making it if needed, and looks for git.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable): there is no git or one older than 2.37, or the disk fails.
    pub async fn open(root: &Path, options: GitOptions) -> Result<Self> {
        // git is started in a directory of its own, from which a relative path would lead elsewhere.
        let root = &std::path::absolute(root).map_err(|error| disk_error(&error))?;
        let idle = root.join("idle");
        let found = blocking({
            let (root, idle) = (root.to_owned(), idle.clone());
            move || {
                std::fs::create_dir_all(&idle)?;
                directory::sweep(&root)?;
                survey(&root)
            }
        });
        let records = found.await?;
        let fence = Fence::open(options.program, &idle).await?;
        let network = Network { fence, access: options.access, observer: options.observer };
        let usage = Usage {
            root: root.to_owned(),
            fresh: options.fresh,
            max_bytes: options.max_bytes,
            records: Mutex::new(records),
            open: Mutex::default(),
            evicting: Mutex::default(),
        };
        Ok(Self { network: Arc::new(network), usage: Arc::new(usage) })
    }

    /// The repository at `remote`. Nobody is asked anything yet.
    ///
    /// # Errors
    /// As [`GitAccess::check`].
    pub fn repository(&self, remote: &Remote) -> Result<Repository> {
        self.network.access.check(remote)?;
        let git_dir = self.usage.root.join(directory_name(remote));
        let mut open = lock(&self.usage.open);
        if open.len() >= MAX_OPEN {
            open.retain(|_, shared| Arc::strong_count(shared) > 1 || shared.is_fresh());
        }
        let new = || {
            Arc::new(Shared::new(remote.clone(), git_dir.clone(), self.network.clone(), self.usage.clone()))
        };
        let shared = open.entry(git_dir.clone()).or_insert_with(new).clone();
        Ok(Repository { shared })
    }

    /// Whether the kernel limits what git uses; it does not where `prlimit` is not installed.
    pub fn is_limited(&self) -> bool {
        self.network.fence.is_limited()
    }

    /// How many repositories are cached, and how many bytes they take, as measured after each fetch.
    pub fn size(&self) -> (usize, u64) {
        let records = lock(&self.usage.records);
        (records.len(), records.values().map(|record| record.bytes).sum())
    }
}

impl fmt::Debug for Repositories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repositories").field("root", &self.usage.root).finish_non_exhaustive()
    }
}

/// What is known of the cached repositories' use.
pub(super) struct Usage {
    root: PathBuf,
    fresh: Duration,
    max_bytes: u64,
    /// By directory. Held for a look or a change, never while waiting, and after `open` if both are.
    records: Mutex<HashMap<PathBuf, Record>>,
    /// Likewise. Keeping what is known of a repository does not keep its copy.
    open: Mutex<HashMap<PathBuf, Arc<Shared>>>,
    /// Held while repositories are removed, which one thread does at a time.
    evicting: Mutex<()>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    bytes: u64,
    used: SystemTime,
    /// The time that is noted on disk.
    marked: SystemTime,
}

impl Usage {
    pub(super) fn fresh(&self) -> Duration {
        self.fresh
    }

    /// Notes that the repository in `git_dir` is used.
    pub(super) fn touch(&self, git_dir: &Path) {
        let now = SystemTime::now();
        let mut records = lock(&self.records);
        let Some(record) = records.get_mut(git_dir) else { return };
        record.used = now;
        if now.duration_since(record.marked).is_ok_and(|age| age > MARK_INTERVAL) {
            record.marked = now;
            let mark = git_dir.join(MARK);
            // It only matters for the order of removal after the next start.
            drop(spawn_blocking(move || std::fs::File::options().append(true).open(mark)?.set_modified(now)));
        }
    }

    /// Measures the repository in `git_dir` after it has changed, and makes room if there is too little.
    pub(super) async fn measure(self: &Arc<Self>, git_dir: &Path) {
        let (usage, git_dir) = (self.clone(), git_dir.to_owned());
        let measured = blocking(move || {
            let now = SystemTime::now();
            let record = Record { bytes: directory::size(&git_dir)?, used: now, marked: now };
            lock(&usage.records).insert(git_dir.clone(), record);
            usage.make_room(&git_dir);
            Ok(())
        });
        if let Err(error) = measured.await {
            tracing::warn!(%error, "cannot measure a cached repository");
        }
    }

    /// Removes those not used for longest, but not `newest`, until the others fit.
    fn make_room(&self, newest: &Path) {
        let _evicting = lock(&self.evicting);
        let mut records: Vec<_> =
            lock(&self.records).iter().map(|(dir, record)| (dir.clone(), *record)).collect();
        records.sort_by_key(|(_, record)| record.used);
        let mut total: u64 = records.iter().map(|(_, record)| record.bytes).sum();
        for (git_dir, record) in records {
            if total <= self.max_bytes {
                return;
            }
            if git_dir != newest && self.evict(&git_dir) {
                lock(&self.records).remove(&git_dir);
                total = total.saturating_sub(record.bytes);
                tracing::info!(bytes = record.bytes, "a cached repository is removed to make room");
            }
        }
    }

    /// Removes one unless it is in use; whether it is gone.
    fn evict(&self, git_dir: &Path) -> bool {
        let open = lock(&self.open);
        let removed = match open.get(git_dir).cloned() {
            Some(shared) => {
                drop(open);
                return shared.try_remove();
            }
            // Nobody can begin to use it before `open` is let go.
            None => directory::set_aside(git_dir),
        };
        drop(open);
        removed.and_then(|aside| directory::remove_all(&aside)).is_ok()
    }
}

/// The repositories that earlier runs left in `root`.
fn survey(root: &Path) -> io::Result<HashMap<PathBuf, Record>> {
    let mut records = HashMap::new();
    for entry in std::fs::read_dir(root)? {
        let git_dir = entry?.path();
        if git_dir.extension().is_some_and(|extension| extension == "git") {
            let marked = std::fs::metadata(git_dir.join(MARK)).and_then(|meta| meta.modified());
            let used = marked.unwrap_or(SystemTime::UNIX_EPOCH);
            let record = Record { bytes: directory::size(&git_dir)?, used, marked: used };
            records.insert(git_dir, record);
        }
    }
    Ok(records)
}

/// The name of the directory of the copy of `remote`: nothing in it comes from the address as it stands.
fn directory_name(remote: &Remote) -> String {
    let digest = Sha256::digest(remote.key());
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{digits}.git")
}
