//! The file tree of a GOPROXY on disk: names, atomic placement, and what lies there.
//!
//! Syscalls of placing a file, in order: (staged file already written and fsynced) `mkdir` for missing directories,
//! each followed by an fsync of its parent; `renameat2(RENAME_NOREPLACE)`; fsync of the directory. Where the file system
//! has no such rename: `link`, which refuses to replace as well, and the staged name is removed. A crash before the
//! rename leaves a staged file, one after it a whole file; nothing in between exists.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quipu_module::{ModulePath, ModuleVersion, Query, Version};
use rustix::fs::{CWD, RenameFlags, renameat_with};

/// Longest element of a path in the tree, in bytes, so that every file system takes it with a suffix.
const MAX_ELEMENT: usize = 240;

/// The three files of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// `.info`: version and time as JSON.
    Info,
    /// `.mod`: the go.mod file.
    GoMod,
    /// `.zip`: the content.
    Zip,
}

impl FileKind {
    /// The extension of the file, without dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::GoMod => "mod",
            Self::Zip => "zip",
        }
    }
}

/// A path below the root of the tree, made of checked and escaped parts only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name(Arc<str>);

impl Name {
    pub(crate) fn file(version: &ModuleVersion, kind: FileKind) -> Self {
        Self::of(version.path(), &format!("@v/{}.{}", version.version().escaped(), kind.extension()))
    }

    pub(crate) fn query(path: &ModulePath, query: &Query) -> Self {
        Self::of(path, &format!("@v/{}.info", query.escaped()))
    }

    pub(crate) fn list(path: &ModulePath) -> Self {
        Self::of(path, "@v/list")
    }

    pub(crate) fn latest(path: &ModulePath) -> Self {
        Self::of(path, "@latest")
    }

    /// The file that says that a version was published here, so that these files are the only copy.
    pub(crate) fn published(version: &ModuleVersion) -> Self {
        Self::of(version.path(), &format!("@v/{}.published", version.version().escaped()))
    }

    /// The file that says that nobody else has the version any more, so that it must not be removed to make room.
    pub(crate) fn kept(version: &ModuleVersion) -> Self {
        Self::of(version.path(), &format!("@v/{}.kept", version.version().escaped()))
    }

    /// The file that says that the file of this name was admitted.
    pub(crate) fn mark(&self) -> Self {
        Self(format!("{}.ok", self.0).into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The escaped path of the module.
    pub(crate) fn module(&self) -> &str {
        self.0.split_once("/@").map_or(&*self.0, |(module, _)| module)
    }

    /// The name as a key that is shared, not copied.
    pub(crate) fn key(&self) -> Arc<str> {
        self.0.clone()
    }

    pub(crate) fn is_zip(&self) -> bool {
        self.0.ends_with(".zip")
    }

    /// Whether no file system can hold it.
    pub(crate) fn is_too_long(&self) -> bool {
        self.0.split('/').any(|element| element.len() > MAX_ELEMENT)
    }

    fn of(path: &ModulePath, rest: &str) -> Self {
        Self(format!("{}/{rest}", path.escaped()).into())
    }
}

/// Whether placing made the file, or one was there already and stayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    New,
    Existed,
}

/// The tree below one directory.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    root: Arc<Path>,
}

impl Tree {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.into() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, name: &Name) -> PathBuf {
        self.root.join(name.as_str())
    }

    /// Opens a file; `None` if there is none.
    pub(crate) fn open(&self, name: &Name) -> io::Result<Option<File>> {
        match File::open(self.path(name)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads a file of at most `most` bytes; `None` if there is none. A longer one is an error.
    pub(crate) fn read_up_to(&self, name: &Name, most: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.open(name)? else { return Ok(None) };
        if file.metadata()?.len() > most {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, name.as_str()));
        }
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Moves a synced file to `name` for good, unless something is there already.
    pub(crate) fn place(&self, staged: &Path, name: &Name) -> io::Result<Placed> {
        let target = self.path(name);
        let directory = self.make_directory(&target)?;
        match renameat_with(CWD, staged, CWD, &target, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => return Ok(Placed::Existed),
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                match fs::hard_link(staged, &target) {
                    Ok(()) => fs::remove_file(staged)?,
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(Placed::Existed),
                    Err(error) => return Err(error),
                }
            }
            Err(error) => return Err(error.into()),
        }
        sync_directory(&directory)?;
        Ok(Placed::New)
    }

    /// Moves a synced file to `name`, replacing what is there: for what may change, such as lists.
    pub(crate) fn replace(&self, staged: &Path, name: &Name) -> io::Result<()> {
        let target = self.path(name);
        let directory = self.make_directory(&target)?;
        fs::rename(staged, &target)?;
        sync_directory(&directory)
    }

    /// Writes a file that may be lost, by way of `staged`, replacing what is there.
    pub(crate) fn write_unsynced(&self, staged: &Path, name: &Name, content: &[u8]) -> io::Result<()> {
        write_whole(staged, content)?;
        fs::rename(staged, self.path(name))
    }

    /// The versions with a file of each of these kinds, ascending; empty if the module is unknown here.
    pub(crate) fn versions(&self, path: &ModulePath, kinds: &[FileKind]) -> io::Result<Vec<Version>> {
        let directory = self.root.join(path.escaped()).join("@v");
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if is_absence(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found: Vec<(Version, &str)> = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let Some((stem, extension)) = name.to_str().and_then(|name| name.rsplit_once('.')) else {
                continue;
            };
            let Some(kind) = kinds.iter().find(|kind| kind.extension() == extension) else { continue };
            let version = Version::unescape(stem).ok().filter(|version| crate::proxy::agrees(path, version));
            found.extend(version.map(|version| (version, kind.extension())));
        }
        found.sort_unstable();
        let complete = found.chunk_by(|a, b| a.0 == b.0).filter(|files| files.len() == kinds.len());
        Ok(complete.filter_map(|files| Some(files.first()?.0.clone())).collect())
    }

    /// Makes the directory of `target` if needed, and returns it. New directories are synced into their parents.
    fn make_directory(&self, target: &Path) -> io::Result<PathBuf> {
        let directory = target.parent().unwrap_or(&self.root).to_owned();
        let mut missing: Vec<&Path> = Vec::new();
        let mut at = directory.as_path();
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
        Ok(directory)
    }
}

/// Writes a file, or leaves none where there is no room for all of it.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    fs::write(path, content).inspect_err(|_| drop(fs::remove_file(path)))
}

/// Makes the entries of `directory` durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Whether an error says that there is no such file (a module path can run through a file, or be too long to exist).
fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> ModuleVersion {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_escaped() {
        let name = Name::file(&version("example.com/Big/x@v1.0.0-RC1"), FileKind::Zip);
        assert_eq!(name.as_str(), "example.com/!big/x/@v/v1.0.0-!r!c1.zip");
        assert_eq!(name.mark().as_str(), "example.com/!big/x/@v/v1.0.0-!r!c1.zip.ok");
        let path = ModulePath::parse("example.com/m").unwrap();
        assert_eq!(Name::latest(&path).as_str(), "example.com/m/@latest");
        assert_eq!(
            Name::query(&path, &Query::parse("Main").unwrap()).as_str(),
            "example.com/m/@v/!main.info"
        );
    }

    #[test]
    fn placing_never_replaces() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::new(root.path());
        let name = Name::file(&version("example.com/m@v1.0.0"), FileKind::GoMod);
        let staged = root.path().join("staged");
        for (content, placed) in [("first", Placed::New), ("second", Placed::Existed)] {
            fs::write(&staged, content).unwrap();
            assert_eq!(tree.place(&staged, &name).unwrap(), placed);
        }
        assert_eq!(tree.read_up_to(&name, 9).unwrap().unwrap(), b"first");
        tree.replace(&staged, &name).unwrap();
        assert_eq!(tree.read_up_to(&name, 9).unwrap().unwrap(), b"second");
    }

    #[test]
    fn versions_need_every_kind() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::new(root.path());
        let path = ModulePath::parse("example.com/m").unwrap();
        let directory = root.path().join("example.com/m/@v");
        assert_eq!(tree.versions(&path, &[FileKind::Info]).unwrap(), []);
        fs::create_dir_all(&directory).unwrap();
        for name in [
            "v1.0.0.info",
            "v1.0.0.mod",
            "v1.10.0.info",
            "v1.2.0-!r!c.mod",
            "v1.2.0-!r!c.info",
            "v2.0.0.info",
            "v2.0.0.mod",
            "main.info",
            "main.mod",
            "list",
            "v1.3.0.mod",
            "v1.3.0.mod.ok",
            "v1.3.0.lock",
        ] {
            fs::write(directory.join(name), "").unwrap();
        }
        let versions = tree.versions(&path, &[FileKind::Info, FileKind::GoMod]).unwrap();
        assert_eq!(versions.iter().map(Version::as_str).collect::<Vec<_>>(), ["v1.0.0", "v1.2.0-RC"]);
    }

    #[test]
    fn a_path_through_a_file_is_absent() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("example.com"), "").unwrap();
        let name = Name::list(&ModulePath::parse("example.com/m").unwrap());
        assert!(Tree::new(root.path()).open(&name).unwrap().is_none());
    }
}
