//! The file tree of a GOPROXY in a storage: names, durable placement, and what lies there.
//!
//! A file is placed when it is whole and synced: it gets its name, and then the directory is synced. A crash before that
//! leaves a staged file, one after it a whole file; nothing in between exists.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use quipu_module::{ModulePath, ModuleVersion, Query, Version};

use crate::storage::{Entry, Facts, Storage, Stored};
pub(crate) use crate::storage::{Name, Placed};

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

/// The names of a tree, made of checked and escaped parts only.
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

    /// The directory of a module's versions.
    pub(crate) fn versions(path: &ModulePath) -> Self {
        Self::of(path, "@v")
    }

    /// The file that says that a version was published here, so that these files are the only copy.
    pub(crate) fn published(version: &ModuleVersion) -> Self {
        Self::of(version.path(), &format!("@v/{}.published", version.version().escaped()))
    }

    /// The file that says that nobody else has the version any more, so that it must not be removed to make room.
    pub(crate) fn kept(version: &ModuleVersion) -> Self {
        Self::of(version.path(), &format!("@v/{}.kept", version.version().escaped()))
    }

    /// The file that says which licence a version comes under.
    pub(crate) fn licence(version: &ModuleVersion) -> Self {
        Self::of(version.path(), &format!("@v/{}.licence", version.version().escaped()))
    }

    /// The file that says that the file of this name was admitted.
    pub(crate) fn mark(&self) -> Self {
        Self::checked(format!("{self}.ok"))
    }

    /// The escaped path of the module.
    pub(crate) fn module(&self) -> &str {
        self.as_str().split_once("/@").map_or(self.as_str(), |(module, _)| module)
    }

    pub(crate) fn is_zip(&self) -> bool {
        self.as_str().ends_with(".zip")
    }

    /// Whether no file system can hold it.
    pub(crate) fn is_too_long(&self) -> bool {
        self.as_str().split('/').any(|element| element.len() > MAX_ELEMENT)
    }

    fn of(path: &ModulePath, rest: &str) -> Self {
        Self::checked(format!("{}/{rest}", path.escaped()))
    }
}

/// The tree in a storage. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    storage: Arc<dyn Storage>,
}

impl Tree {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage }
    }

    pub(crate) fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    /// Opens a file; `None` if there is none.
    pub(crate) fn open(&self, name: &Name) -> io::Result<Option<Stored>> {
        self.storage.open(name)
    }

    /// Opens a file that is there.
    pub(crate) fn open_there(&self, name: &Name) -> io::Result<Stored> {
        self.storage.open(name)?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Whether there is a file.
    pub(crate) fn has(&self, name: &Name) -> io::Result<bool> {
        Ok(self.storage.inspect(name)?.is_some())
    }

    /// What is known of a file; `None` if there is none.
    pub(crate) fn inspect(&self, name: &Name) -> io::Result<Option<Facts>> {
        self.storage.inspect(name)
    }

    /// When a file was changed, in seconds since 1970; `None` if there is none.
    pub(crate) fn modified(&self, name: &Name) -> io::Result<Option<u64>> {
        Ok(self.storage.inspect(name)?.map(|facts| facts.modified))
    }

    /// Sets when a file was changed, leaving its content.
    pub(crate) fn set_modified(&self, name: &Name, seconds: u64) -> io::Result<()> {
        self.storage.set_modified(name, seconds)
    }

    /// Reads a file of at most `most` bytes; `None` if there is none. A longer one is an error.
    pub(crate) fn read_up_to(&self, name: &Name, most: u64) -> io::Result<Option<Bytes>> {
        let Some(mut file) = self.storage.open(name)? else { return Ok(None) };
        let length = file.length()?;
        if length > most {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, name.as_str()));
        }
        file.read_exactly(length).map(Some)
    }

    /// Moves a synced file to `name` for good, unless something is there already.
    pub(crate) fn place(&self, staged: &Name, name: &Name) -> io::Result<Placed> {
        let placed = self.storage.place(staged, name)?;
        if placed == Placed::New {
            self.storage.sync(name.directory().as_ref())?;
        }
        Ok(placed)
    }

    /// Moves a synced file to `name`, replacing what is there: for what may change, such as lists.
    pub(crate) fn replace(&self, staged: &Name, name: &Name) -> io::Result<()> {
        self.storage.replace(staged, name)?;
        self.storage.sync(name.directory().as_ref())
    }

    /// Writes a file that may be lost, by way of `staged`, replacing what is there.
    pub(crate) fn write_unsynced(&self, staged: &Name, name: &Name, content: &[u8]) -> io::Result<()> {
        write_whole(self.storage(), staged, content)?;
        self.storage.replace(staged, name)
    }

    /// Removes a file; nothing happens if there is none.
    pub(crate) fn remove(&self, name: &Name) -> io::Result<()> {
        self.storage.remove(name)
    }

    /// What lies in a directory, or at the root.
    pub(crate) fn list(&self, directory: Option<&Name>) -> io::Result<Vec<Entry>> {
        self.storage.list(directory)
    }

    /// The versions with a file of each of these kinds, ascending; empty if the module is unknown here.
    pub(crate) fn versions(&self, path: &ModulePath, kinds: &[FileKind]) -> io::Result<Vec<Version>> {
        let mut found: Vec<(Version, &str)> = Vec::new();
        for entry in self.storage.list(Some(&Name::versions(path)))? {
            let Some((stem, extension)) = entry.name.rsplit_once('.') else { continue };
            let Some(kind) = kinds.iter().find(|kind| kind.extension() == extension) else { continue };
            let version = Version::unescape(stem).ok().filter(|version| crate::proxy::agrees(path, version));
            found.extend(version.map(|version| (version, kind.extension())));
        }
        found.sort_unstable();
        let complete = found.chunk_by(|a, b| a.0 == b.0).filter(|files| files.len() == kinds.len());
        Ok(complete.filter_map(|files| Some(files.first()?.0.clone())).collect())
    }
}

/// Writes a new file, or leaves none where there is no room for all of it.
pub(crate) fn write_whole(storage: &dyn Storage, name: &Name, content: &[u8]) -> io::Result<()> {
    let mut draft = storage.create(name)?;
    let written = draft.write(content).and_then(|()| draft.finish());
    written.inspect_err(|_| drop(storage.remove(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Memory;

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

    fn tree() -> Tree {
        Tree::new(Arc::new(Memory::new(1 << 20)))
    }

    #[test]
    fn placing_never_replaces() {
        let tree = tree();
        let name = Name::file(&version("example.com/m@v1.0.0"), FileKind::GoMod);
        let staged = Name::parse("staged").unwrap();
        for (content, placed) in [("first", Placed::New), ("second", Placed::Existed)] {
            write_whole(tree.storage(), &staged, content.as_bytes()).unwrap();
            assert_eq!(tree.place(&staged, &name).unwrap(), placed);
        }
        assert_eq!(tree.read_up_to(&name, 9).unwrap().unwrap(), "first");
        tree.replace(&staged, &name).unwrap();
        assert_eq!(tree.read_up_to(&name, 6).unwrap().unwrap(), "second");
        assert_eq!(tree.read_up_to(&name, 5).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn versions_need_every_kind() {
        let tree = tree();
        let path = ModulePath::parse("example.com/m").unwrap();
        assert_eq!(tree.versions(&path, &[FileKind::Info]).unwrap(), []);
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
            write_whole(tree.storage(), &Name::of(&path, &format!("@v/{name}")), b"").unwrap();
        }
        let versions = tree.versions(&path, &[FileKind::Info, FileKind::GoMod]).unwrap();
        assert_eq!(versions.iter().map(Version::as_str).collect::<Vec<_>>(), ["v1.0.0", "v1.2.0-RC"]);
    }
}
