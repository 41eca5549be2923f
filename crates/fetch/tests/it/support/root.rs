//! Where a cache under test keeps its files. What a cache does is the same everywhere, so most tests run twice.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quipu_fetch::storage::{Directory, Memory, Name, Storage};
use quipu_fetch::{Admit, Cache, CacheOptions, Upstream};
use tempfile::TempDir;

use super::{Judge, chain, client, options};

/// A storage that starts empty. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Root {
    storage: Arc<dyn Storage>,
    directory: Option<Arc<TempDir>>,
}

/// One in a directory, which goes with the last clone.
pub(crate) fn in_directory() -> Root {
    let directory = tempfile::tempdir().unwrap();
    Root { storage: Arc::new(Directory::open(directory.path()).unwrap()), directory: Some(directory.into()) }
}

/// One in memory.
pub(crate) fn in_memory() -> Root {
    Root { storage: Arc::new(Memory::new(64 << 20)), directory: None }
}

impl Root {
    /// A cache with these files.
    pub(crate) fn open(
        &self,
        upstream: Arc<dyn Upstream>,
        admit: Arc<dyn Admit>,
        options: CacheOptions,
    ) -> Cache {
        let opened = match &self.directory {
            Some(directory) => Cache::open_root(directory.path(), upstream, admit, options),
            None => Cache::open_storage(Arc::clone(&self.storage), upstream, admit, options),
        };
        opened.unwrap()
    }

    /// One in front of the server at `url`, judged by `judge`.
    pub(crate) fn cache(&self, url: &str, judge: &Arc<Judge>) -> Cache {
        let (client, _) = client(&[url]);
        self.open(chain(url, &client), judge.clone(), options())
    }

    /// The directory, if it is one.
    pub(crate) fn directory(&self) -> Option<&Path> {
        self.directory.as_ref().map(|directory| directory.path())
    }

    /// Puts a file there, in the place of what is there.
    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let name = self::name(name);
        self.storage.remove(&name).unwrap();
        let mut draft = self.storage.create(&name).unwrap();
        draft.write(content.as_ref()).unwrap();
        draft.finish().unwrap();
    }

    /// The content of a file; `None` if there is none.
    pub(crate) fn get(&self, name: &str) -> Option<Vec<u8>> {
        Some(self.storage.open(&self::name(name)).unwrap()?.read().unwrap().to_vec())
    }

    /// Takes a file away.
    pub(crate) fn remove(&self, name: &str) {
        self.storage.remove(&self::name(name)).unwrap();
    }

    /// Says that a file was changed so long ago.
    pub(crate) fn set_age(&self, name: &str, age: Duration) {
        let changed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - age;
        self.storage.set_modified(&self::name(name), changed.as_secs()).unwrap();
    }

    /// Every file, sorted, without the cache's own directories.
    pub(crate) fn tree(&self) -> Vec<String> {
        let mut files = Vec::new();
        let mut directories = vec![None];
        while let Some(directory) = directories.pop() {
            for entry in self.storage.list(directory.as_ref()).unwrap() {
                let below = Name::below(directory.as_ref(), &entry.name).unwrap();
                match below.as_str() {
                    own if own.starts_with('.') => {}
                    _ if entry.is_directory => directories.push(Some(below)),
                    file => files.push(file.to_owned()),
                }
            }
        }
        files.sort();
        files
    }

    /// The names in one of the cache's own directories, sorted.
    pub(crate) fn own(&self, directory: &str) -> Vec<String> {
        let entries = self.storage.list(Some(&name(directory))).unwrap();
        let mut names: Vec<_> = entries.into_iter().map(|entry| entry.name).collect();
        names.sort();
        names
    }
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}
