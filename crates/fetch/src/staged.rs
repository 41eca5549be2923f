//! Files on their way into a tree: written beside it, hashed while written, synced before anyone may trust them.

use std::io::{self, Read, Seek};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use crate::error::{Error, Result};
use crate::storage::{Directory, Draft, Name, Storage};

/// How much is collected before it is hashed and written in one go, in bytes.
const BUFFER: usize = 512 << 10;

/// The extension of staged files.
pub(crate) const PART: &str = "part";

/// A directory for files that are not yet what they should become, in the storage where they will go.
#[derive(Clone, Debug)]
pub struct Staging {
    storage: Arc<dyn Storage>,
    directory: Option<Name>,
    next: Arc<AtomicU64>,
}

impl Staging {
    /// Uses `directory` of the local file system, making it if needed. One process at a time.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(directory: &Path) -> io::Result<Self> {
        Self::within(Arc::new(Directory::open(directory)?), None)
    }

    /// Uses a directory of a storage, or its root.
    pub(crate) fn within(storage: Arc<dyn Storage>, directory: Option<Name>) -> io::Result<Self> {
        // Names of earlier runs are never taken again, as what they left may still be looked at.
        let entries = storage.list(directory.as_ref())?;
        let last = entries.iter().filter_map(|entry| entry.name.split('.').next()?.parse::<u64>().ok()).max();
        let next = Arc::new(AtomicU64::new(last.map_or(0, |last| last.saturating_add(1))));
        Ok(Self { storage, directory, next })
    }

    /// An empty file of at most `max_bytes`.
    ///
    /// # Errors
    /// It cannot be made.
    pub async fn create(&self, max_bytes: u64) -> Result<Staged> {
        let (storage, name) = (Arc::clone(&self.storage), self.new_name());
        let leftover = self.leftover(name.clone());
        let file = blocking(move || storage.create(&name));
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
        let leftover = self.leftover(self.new_name());
        blocking(move || write_small(leftover, &bytes)).await
    }

    /// A name in the directory that was never used before.
    pub(crate) fn new_name(&self) -> Name {
        let element = format!("{}.{PART}", self.next.fetch_add(1, Ordering::Relaxed));
        let directory = self.directory.as_ref();
        Name::checked(directory.map_or_else(|| element.clone(), |directory| format!("{directory}/{element}")))
    }

    /// A file that lies under a name of this directory already, as left by an earlier run.
    pub(crate) fn found(&self, name: Name, length: u64, sha256: [u8; 32]) -> Complete {
        Complete { leftover: self.leftover(name), length, sha256 }
    }

    fn leftover(&self, name: Name) -> Leftover {
        Leftover { storage: Arc::clone(&self.storage), name }
    }
}

/// A file being written. It disappears when dropped.
pub struct Staged {
    /// Taken only while a write is under way.
    file: Option<Box<dyn Draft>>,
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
            file.restart()?;
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
        let mut file = self.take()?;
        blocking(move || file.sync().and_then(|()| file.finish())).await?;
        Ok(Complete { leftover: self.leftover, length: self.length, sha256: self.hash.finalize().into() })
    }

    async fn flush(&mut self) -> Result<()> {
        let mut file = self.take()?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut hash = std::mem::take(&mut self.hash);
        let written = blocking(move || {
            file.write(&buffer)?;
            hash.update(&buffer);
            buffer.clear();
            Ok((file, buffer, hash))
        });
        let (file, buffer, hash) = written.await?;
        (self.file, self.buffer, self.hash) = (Some(file), buffer, hash);
        Ok(())
    }

    fn take(&mut self) -> Result<Box<dyn Draft>> {
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
    /// Opens it for reading, in any order.
    ///
    /// # Errors
    /// The disk fails.
    pub fn open(&self) -> io::Result<impl Read + Seek + Send + use<>> {
        let stored = self.leftover.storage.open(&self.leftover.name)?;
        Ok(stored.ok_or(io::ErrorKind::NotFound)?.reader())
    }

    /// Its name in the storage.
    pub(crate) fn name(&self) -> &Name {
        &self.leftover.name
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// SHA-256 of its bytes.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }
}

/// Removes its file when dropped. After a successful rename there is nothing left to remove.
#[derive(Debug)]
struct Leftover {
    storage: Arc<dyn Storage>,
    name: Name,
}

impl Drop for Leftover {
    fn drop(&mut self) {
        // A file that cannot be removed now is removed at the next start.
        let _ = self.storage.remove(&self.name);
    }
}

fn write_small(leftover: Leftover, bytes: &[u8]) -> io::Result<Complete> {
    let mut file = leftover.storage.create(&leftover.name)?;
    file.write(bytes)?;
    file.sync()?;
    file.finish()?;
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
    match (error.kind(), error.get_ref()) {
        // A storage that is no disk says itself what is full.
        (io::ErrorKind::StorageFull, Some(own)) => Error::unavailable(own.to_string()),
        (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded, _) => {
            Error::unavailable("the cache disk is full")
        }
        _ => Error::unavailable("the cache disk failed"),
    }
}
