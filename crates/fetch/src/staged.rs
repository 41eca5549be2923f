//! Files on their way into a tree: written beside it, hashed while written, synced before anyone may trust them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use crate::error::{Error, Result};

/// How much is collected before it is hashed and written in one go, in bytes.
const BUFFER: usize = 512 << 10;

/// A directory for files that are not yet what they should become, on the file system where they will go.
#[derive(Clone, Debug)]
pub struct Staging {
    directory: Arc<Path>,
    next: Arc<AtomicU64>,
}

impl Staging {
    /// Uses `directory`, making it if needed. One process at a time.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        // Names of earlier runs are never taken again, as what they left may still be looked at.
        let names = fs::read_dir(directory)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let last = names.filter_map(|name| name.split('.').next()?.parse::<u64>().ok()).max();
        let next = Arc::new(AtomicU64::new(last.map_or(0, |last| last.saturating_add(1))));
        Ok(Self { directory: directory.into(), next })
    }

    /// An empty file of at most `max_bytes`.
    ///
    /// # Errors
    /// It cannot be made.
    pub async fn create(&self, max_bytes: u64) -> Result<Staged> {
        let path = self.new_path();
        let file = blocking({
            let path = path.clone();
            move || create_new(&path)
        });
        let leftover = Leftover(path);
        let file = file.await?;
        Ok(Staged {
            file: Some(file),
            buffer: Vec::new(),
            hash: Sha256::new(),
            length: 0,
            max_bytes,
            leftover,
        })
    }

    /// A complete, synced file with these bytes.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn write(&self, bytes: bytes::Bytes) -> Result<Complete> {
        let leftover = Leftover(self.new_path());
        blocking(move || write_small(leftover, &bytes)).await
    }

    /// A name in the directory that was never used before.
    pub(crate) fn new_path(&self) -> PathBuf {
        self.directory.join(format!("{}.part", self.next.fetch_add(1, Ordering::Relaxed)))
    }
}

/// A file being written. It disappears when dropped.
pub struct Staged {
    /// Taken only while a write is under way.
    file: Option<File>,
    buffer: Vec<u8>,
    hash: Sha256,
    length: u64,
    max_bytes: u64,
    leftover: Leftover,
}

impl Staged {
    /// Forgets everything written so far.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn restart(&mut self) -> Result<()> {
        self.buffer.clear();
        self.hash = Sha256::new();
        self.length = 0;
        let mut file = self.take()?;
        let file = blocking(move || {
            file.set_len(0)?;
            file.rewind()?;
            Ok(file)
        });
        self.file = Some(file.await?);
        Ok(())
    }

    /// Adds `chunk` at the end.
    ///
    /// # Errors
    /// The file would be longer than allowed, or the disk fails.
    pub async fn write(&mut self, chunk: &[u8]) -> Result<()> {
        self.length = self.length.saturating_add(chunk.len() as u64);
        if self.length > self.max_bytes {
            return Err(Error::too_large(self.max_bytes));
        }
        self.buffer.extend_from_slice(chunk);
        if self.buffer.len() >= BUFFER { self.flush().await } else { Ok(()) }
    }

    /// Writes out what is buffered and syncs the file.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn finish(mut self) -> Result<Complete> {
        self.flush().await?;
        let file = self.take()?;
        blocking(move || file.sync_all()).await?;
        Ok(Complete { leftover: self.leftover, length: self.length, sha256: self.hash.finalize().into() })
    }

    async fn flush(&mut self) -> Result<()> {
        let mut file = self.take()?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut hash = std::mem::take(&mut self.hash);
        let written = blocking(move || {
            file.write_all(&buffer)?;
            hash.update(&buffer);
            buffer.clear();
            Ok((file, buffer, hash))
        });
        let (file, buffer, hash) = written.await?;
        (self.file, self.buffer, self.hash) = (Some(file), buffer, hash);
        Ok(())
    }

    fn take(&mut self) -> Result<File> {
        self.file.take().ok_or_else(|| Error::unavailable("an earlier write failed"))
    }
}

/// A staged file that is whole and synced. It disappears when dropped, unless it was moved away.
#[derive(Debug)]
pub struct Complete {
    leftover: Leftover,
    length: u64,
    sha256: [u8; 32],
}

impl Complete {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.leftover.0
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// SHA-256 of its bytes.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// A file that lies at `path` already, as left by an earlier run.
    pub(crate) fn found(path: PathBuf, length: u64, sha256: [u8; 32]) -> Self {
        Self { leftover: Leftover(path), length, sha256 }
    }
}

/// Removes its file when dropped. After a successful rename there is nothing left to remove.
#[derive(Debug)]
struct Leftover(PathBuf);

impl Drop for Leftover {
    fn drop(&mut self) {
        // A file that cannot be removed now is removed at the next start.
        let _ = fs::remove_file(&self.0);
    }
}

fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o644).open(path)
}

fn write_small(leftover: Leftover, bytes: &[u8]) -> io::Result<Complete> {
    let mut file = create_new(&leftover.0)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(Complete { leftover, length: bytes.len() as u64, sha256: Sha256::digest(bytes).into() })
}

/// Runs `work` where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    match spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(disk_error(&error)),
        Err(_) => Err(Error::unavailable("internal error while writing to disk")),
    }
}

/// What a failure of the local disk means to a client; the log gets the details.
pub(crate) fn disk_error(error: &io::Error) -> Error {
    tracing::error!(%error, "cache disk");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::unavailable("the cache disk is full")
        }
        _ => Error::unavailable("the cache disk failed"),
    }
}
