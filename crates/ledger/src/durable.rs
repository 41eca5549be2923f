//! Durable files: the one place where system calls and their sad paths are argued about.
//!
//! What is called: `open(O_CREAT | O_TRUNC)`, `pwrite`, `fdatasync` (`fsync` for a new file), `rename`, `fsync` of a
//! directory, `unlink`, `flock`, `fallocate`, `fstat`, `posix_fadvise`, `statvfs`.
//!
//! The sad paths:
//! - After a failed sync the kernel marks the pages clean: a second sync says OK, reads show the new bytes, and the disk
//!   has the old ones. So nobody retries a sync, and what is read at start may be such bytes: every small file is
//!   written anew (new pages, new sync) before anything relies on it, see [`replace`].
//! - A new file is there after a power cut only if its directory was synced as well.
//! - A write may be torn. What is overwritten in place lies in blocks of its own ([`BLOCK`]), so that a torn write
//!   never damages a neighbour.
//! - `fcntl` locks vanish when *any* descriptor of the file is closed; `flock` is used.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, FallocateFlags, FlockOperation};

/// Bytes that a disk may write as one piece; torn writes stay within the block they touch.
pub const BLOCK: usize = 4096;

/// A place for small durable files: the real file system, or a simulated one.
///
/// Nothing is durable before [`DiskFile::sync`] (bytes) and [`Disk::sync_dir`] (names) have returned `Ok`.
pub trait Disk: Send + Sync + 'static {
    /// Opens an existing file for reading and writing; `None` if there is none.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn open(&self, path: &Path) -> io::Result<Option<Box<dyn DiskFile>>>;

    /// Creates a file, or empties the one that is there.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name in the same directory, in place of any file of that name.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file; one that is not there is no error.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in the directory durable.
    ///
    /// # Errors
    /// After any error the outcome is unknown; do not retry.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the exclusive lock of a file, which is created if need be, without waiting; `None` if somebody else holds
    /// it. Dropping the value releases the lock, as does the end of the process.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn lock(&self, path: &Path) -> io::Result<Option<Lock>>;

    /// Bytes that may still be written on the volume of `dir`.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn free(&self, dir: &Path) -> io::Result<u64>;
}

/// A lock held until it is dropped.
pub type Lock = Box<dyn Send + Sync>;

/// An open file of a [`Disk`].
#[expect(clippy::len_without_is_empty, reason = "the length of a file on a disk, not of a container")]
pub trait DiskFile: Send {
    /// All bytes of the file.
    ///
    /// # Errors
    /// Of kind `FileTooLarge` if there are more than `limit`; else whatever the operating system says.
    fn read(&mut self, limit: usize) -> io::Result<Vec<u8>>;

    /// Writes bytes at an offset, growing the file if need be.
    ///
    /// # Errors
    /// Some of the bytes may have been written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes the file `len` bytes long and has the room for them set aside.
    ///
    /// # Errors
    /// Some of the room may have been taken.
    fn allocate(&mut self, len: u64) -> io::Result<()>;

    /// Makes the bytes and the length of the file durable.
    ///
    /// # Errors
    /// After any error the outcome is unknown; do not retry.
    fn sync(&mut self) -> io::Result<()>;

    /// Length of the file in bytes.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn len(&self) -> io::Result<u64>;

    /// The number of the file in its file system (the inode). A copy has another one; a renamed file keeps it.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn number(&self) -> io::Result<u64>;
}

/// Writes a small file anew, durably: another file beside it, synced, then renamed, then the directory synced. Either
/// the old content or the new one is there at any moment. `content` is told the number of the new file.
///
/// # Errors
/// The old or the new content is there; which one is unknown.
pub(crate) fn replace(
    disk: &dyn Disk,
    path: &Path,
    content: impl FnOnce(u64) -> Vec<u8>,
) -> io::Result<Box<dyn DiskFile>> {
    let fresh = sibling(path, "new");
    let mut file = disk.create(&fresh)?;
    let number = file.number()?;
    file.write_at(0, &content(number))?;
    file.sync()?;
    disk.rename(&fresh, path)?;
    disk.sync_dir(parent(path))?;
    Ok(file)
}

/// The path with `.suffix` appended to its last element.
pub(crate) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// The file system of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

struct RealFile(File);

impl Disk for RealDisk {
    fn open(&self, path: &Path) -> io::Result<Option<Box<dyn DiskFile>>> {
        match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => Ok(Some(Box::new(RealFile(file)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn free(&self, dir: &Path) -> io::Result<u64> {
        let volume = rustix::fs::statvfs(dir)?;
        Ok(volume.f_bavail.saturating_mul(volume.f_frsize))
    }
}

impl DiskFile for RealFile {
    fn read(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        // A hint to read from the disk instead of from pages that an earlier process left. Nothing depends on it.
        let _ = rustix::fs::fadvise(&self.0, 0, None, Advice::DontNeed);
        self.0.seek(SeekFrom::Start(0))?;
        let mut bytes = Vec::new();
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        (&self.0).take(most).read_to_end(&mut bytes)?;
        if bytes.len() > limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {limit} bytes")));
        }
        Ok(bytes)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn allocate(&mut self, len: u64) -> io::Result<()> {
        use rustix::io::Errno;
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, len) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => self.fill(len),
            other => other.map_err(io::Error::from),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        // fdatasync: also makes a changed length durable, but not the time of modification.
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn number(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstat(&self.0)?.st_ino)
    }
}

impl RealFile {
    /// Takes room by writing zeros, where the file system has no other way.
    fn fill(&mut self, len: u64) -> io::Result<()> {
        let zeros = [0; 1 << 16];
        let mut offset = 0;
        while offset < len {
            let piece = usize::try_from(len - offset).unwrap_or(usize::MAX).min(zeros.len());
            self.write_at(offset, zeros.get(..piece).unwrap_or(&zeros))?;
            offset += piece as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_files_have_the_new_content_and_their_own_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("small");
        for round in 0..3_u8 {
            let mut told = 0;
            let file = replace(&RealDisk, &path, |number| {
                told = number;
                vec![round; 10]
            })
            .unwrap();
            assert_eq!(file.number().unwrap(), told);
            let mut again = RealDisk.open(&path).unwrap().unwrap();
            assert_eq!(again.read(10).unwrap(), vec![round; 10]);
            assert_eq!(again.number().unwrap(), told);
            assert_eq!(again.read(9).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        }
        assert!(RealDisk.open(&sibling(&path, "new")).unwrap().is_none());
    }

    #[test]
    fn a_lock_is_exclusive_until_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = RealDisk.lock(&path).unwrap();
        assert!(held.is_some());
        assert!(RealDisk.lock(&path).unwrap().is_none());
        drop(held);
        assert!(RealDisk.lock(&path).unwrap().is_some());
    }

    #[test]
    fn room_set_aside_is_room_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reserve");
        let mut file = RealDisk.create(&path).unwrap();
        file.allocate(1 << 20).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 1 << 20);
        RealFile(File::options().write(true).open(&path).unwrap()).fill(100_000).unwrap();
        assert!(RealDisk.free(dir.path()).unwrap() > 0);
        RealDisk.remove(&path).unwrap();
        RealDisk.remove(&path).unwrap();
    }
}
