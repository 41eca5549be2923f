//! A storage in a directory of the local file system.
//!
//! Names are paths below it. Syscalls of placing a file, in order: `mkdir` for missing directories, each followed by an fsync
//! of its parent; `renameat2(RENAME_NOREPLACE)`. Where the file system has no such rename: `link`, which refuses to replace as
//! well, and the old name is removed. A crash leaves the file under one name or the other, or under both.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{Draft, Entry, Facts, Name, Placed, Storage, Stored};

/// A directory. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Directory {
    root: Arc<Path>,
}

impl Directory {
    /// The directory at `root`, made if needed.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        Ok(Self { root: root.into() })
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.root.join(name.as_str())
    }

    fn directory(&self, name: Option<&Name>) -> PathBuf {
        name.map_or_else(|| self.root.to_path_buf(), |name| self.path(name))
    }

    /// Makes the directory of `target` if needed. New directories are synced into their parents.
    fn make_directory(&self, target: &Path) -> io::Result<()> {
        let mut missing: Vec<&Path> = Vec::new();
        let mut at = target.parent().unwrap_or(&self.root);
        while at != &*self.root && !at.is_dir() {
            missing.push(at);
            at = at.parent().unwrap_or(&self.root);
        }
        for directory in missing.into_iter().rev() {
            match fs::create_dir(directory) {
                Ok(()) => sync_directory(directory.parent().unwrap_or(&self.root))?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Storage for Directory {
    fn open(&self, name: &Name) -> io::Result<Option<Stored>> {
        absent(File::open(self.path(name)).map(Stored::File))
    }

    fn inspect(&self, name: &Name) -> io::Result<Option<Facts>> {
        let Some(metadata) = absent(fs::metadata(self.path(name)))? else { return Ok(None) };
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Some(Facts { length: metadata.len(), modified: modified.as_secs() }))
    }

    fn list(&self, directory: Option<&Name>) -> io::Result<Vec<Entry>> {
        let Some(entries) = absent(fs::read_dir(self.directory(directory)))? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            found.extend(entry.file_name().into_string().ok().map(|name| Entry { name, is_directory }));
        }
        Ok(found)
    }

    fn create(&self, name: &Name) -> io::Result<Box<dyn Draft>> {
        let path = self.path(name);
        let file = match create_new(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_directory(&path)?;
                create_new(&path)
            }
            file => file,
        };
        Ok(Box::new(file?))
    }

    fn place(&self, from: &Name, to: &Name) -> io::Result<Placed> {
        let (from, to) = (self.path(from), self.path(to));
        self.make_directory(&to)?;
        match renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(Placed::New),
            Err(rustix::io::Errno::EXIST) => Ok(Placed::Existed),
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => match fs::hard_link(&from, &to) {
                Ok(()) => fs::remove_file(from).map(|()| Placed::New),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Placed::Existed),
                Err(error) => Err(error),
            },
            Err(error) => Err(error.into()),
        }
    }

    fn replace(&self, from: &Name, to: &Name) -> io::Result<()> {
        let to = self.path(to);
        self.make_directory(&to)?;
        fs::rename(self.path(from), to)
    }

    fn link(&self, from: &Name, to: &Name) -> io::Result<()> {
        let to = self.path(to);
        self.make_directory(&to)?;
        fs::hard_link(self.path(from), to)
    }

    fn remove(&self, name: &Name) -> io::Result<()> {
        absent(fs::remove_file(self.path(name))).map(drop)
    }

    fn set_modified(&self, name: &Name, seconds: u64) -> io::Result<()> {
        let time: Option<SystemTime> = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        let time = time.ok_or(io::ErrorKind::InvalidInput)?;
        File::options().write(true).open(self.path(name))?.set_modified(time)
    }

    fn sync(&self, directory: Option<&Name>) -> io::Result<()> {
        sync_directory(&self.directory(directory))
    }

    fn free(&self) -> io::Result<u64> {
        let volume = rustix::fs::statvfs(&*self.root)?;
        Ok(volume.f_bavail.saturating_mul(volume.f_frsize))
    }
}

impl Draft for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn restart(&mut self) -> io::Result<()> {
        self.set_len(0)?;
        self.rewind()
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)
}

/// Makes the entries of `directory` durable.
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// What was there, or `None` if there is no such file: a module path can also run through a file, or be too long to exist.
fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    match result {
        Ok(there) => Ok(Some(there)),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory | InvalidFilename) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conforms() {
        let open = |place: &tempfile::TempDir| -> Arc<dyn Storage> {
            Arc::new(Directory::open(&place.path().join("deep/root")).unwrap())
        };
        crate::storage::conformance::run(|| tempfile::tempdir().unwrap(), open);
    }

    #[test]
    fn a_name_through_a_file_or_too_long_is_absent() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path()).unwrap();
        fs::write(root.path().join("example.com"), "").unwrap();
        for name in ["example.com/m/@v/list".to_owned(), "a".repeat(300)] {
            let name = Name::parse(&name).unwrap();
            assert!(directory.open(&name).unwrap().is_none());
            assert_eq!(directory.inspect(&name).unwrap(), None);
            assert_eq!(directory.list(Some(&name)).unwrap(), []);
            directory.remove(&name).unwrap();
        }
    }

    #[test]
    fn what_others_put_there_is_there() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a/@v")).unwrap();
        fs::write(root.path().join("a/@v/list"), "v1.0.0\n").unwrap();
        let directory = Directory::open(root.path()).unwrap();
        let name = Name::parse("a/@v/list").unwrap();
        assert_eq!(directory.open(&name).unwrap().unwrap().read().unwrap(), "v1.0.0\n");
        let entries = directory.list(None).unwrap();
        assert_eq!(entries, [Entry { name: "a".to_owned(), is_directory: true }]);
        assert!(directory.free().unwrap() > 0);
    }
}
