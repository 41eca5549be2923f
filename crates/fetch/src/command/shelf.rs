//! One directory for each repository, in which the go command keeps what it fetched.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::{fs, io};

use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::discover::Found;
use crate::error::Result;
use crate::staged::blocking;

/// The directories of all repositories, together of bounded size.
pub(super) struct Shelf {
    root: PathBuf,
    max_bytes: u64,
    places: StdMutex<Places>,
}

#[derive(Default)]
struct Places {
    held: HashMap<String, Held>,
    /// Counts uses: greater is later.
    clock: u64,
}

#[derive(Default)]
struct Held {
    /// One run at a time. Whoever has it, or waits for it, keeps the directory from being removed.
    turn: Arc<Mutex<()>>,
    used: u64,
    bytes: u64,
    /// Whether the last use left it in order: not so while it is used, nor after one that was broken off.
    sound: bool,
}

/// The directory of a repository, for one run.
pub(super) struct Place {
    name: String,
    pub(super) directory: PathBuf,
    #[expect(dead_code, reason = "held for its drop")]
    turn: OwnedMutexGuard<()>,
}

impl Shelf {
    /// Empties `root`, which is made if needed: what an earlier run left may be half written.
    pub(super) fn open(root: &Path, max_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        for entry in fs::read_dir(root)? {
            let path = entry?.path();
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
        // The go command runs elsewhere, and takes no relative directories.
        Ok(Self { root: std::path::absolute(root)?, max_bytes, places: StdMutex::default() })
    }

    /// The directory for what was found, once nobody else uses it; another one for those who may not reach all of it. It is
    /// new if the last use did not end well.
    pub(super) async fn take(&self, found: &Found, is_trusted: bool) -> Result<Place> {
        let name = name(found, is_trusted);
        let turn = {
            let mut places = self.places();
            places.clock = places.clock.saturating_add(1);
            let clock = places.clock;
            let held = places.held.entry(name.clone()).or_default();
            held.used = clock;
            held.turn.clone()
        };
        let turn = turn.lock_owned().await;
        let directory = self.root.join(&name);
        let sound = self.places().held.get_mut(&name).map(|held| std::mem::take(&mut held.sound));
        if sound != Some(true) {
            remove(directory.clone()).await?;
        }
        Ok(Place { directory, name, turn })
    }

    /// Gives `place` back, in order or not, and removes directories that were not used for longest while all are too large together.
    pub(super) async fn give_back(&self, place: Place, sound: bool) -> Result<()> {
        let directory = place.directory.clone();
        let bytes = blocking(move || size(&directory)).await?;
        if let Some(held) = self.places().held.get_mut(&place.name) {
            (held.bytes, held.sound) = (bytes, sound);
        }
        drop(place);
        for gone in self.set_aside() {
            remove(gone).await?;
        }
        Ok(())
    }

    /// Renames what is to be removed, so that its name is free for a new one at once.
    fn set_aside(&self) -> Vec<PathBuf> {
        let mut places = self.places();
        let mut aside = Vec::new();
        while places.held.values().map(|held| held.bytes).fold(0, u64::saturating_add) > self.max_bytes {
            let unused = places.held.iter().filter(|(_, held)| Arc::strong_count(&held.turn) == 1);
            let Some(name) = unused.min_by_key(|(_, held)| held.used).map(|(name, _)| name.clone()) else {
                break;
            };
            let gone = self.root.join(format!("{name}.{}", places.clock));
            places.clock = places.clock.saturating_add(1);
            if fs::rename(self.root.join(&name), &gone).is_ok() {
                aside.push(gone);
            }
            places.held.remove(&name);
        }
        aside
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Forgets what was fetched of the repository itself, but not the versions made of it.
    pub(super) async fn forget_repository(&self) -> Result<()> {
        remove(self.directory.join("mod/cache/vcs")).await
    }
}

/// Removes a directory, if there is one.
async fn remove(directory: PathBuf) -> Result<()> {
    let removed = move || match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    blocking(removed).await
}

/// A name that no other repository has.
fn name(found: &Found, is_trusted: bool) -> String {
    let mut hash = Sha256::new();
    hash.update([u8::from(is_trusted)]);
    for part in [found.root.as_str(), found.vcs.as_str(), &found.subdir] {
        hash.update(part);
        hash.update([0]);
    }
    for url in &found.urls {
        hash.update(url.as_str());
        hash.update([0]);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of all files below `directory`.
fn size(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0_u64;
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                directories.push(entry.path());
            }
            bytes = bytes.saturating_add(metadata.len());
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::RepositoryUrl;

    fn found(root: &str) -> Found {
        let url = RepositoryUrl::parse("https://hg.example/x").unwrap();
        Found { root: root.to_owned(), vcs: quipu_module::Vcs::Hg, urls: vec![url], subdir: String::new() }
    }

    #[tokio::test]
    async fn least_recently_used_directories_go_first() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("left/over")).unwrap();
        let shelf = Shelf::open(root.path(), 10_000).unwrap();
        let mut directories = Vec::new();
        for name in ["a", "b", "a", "c"] {
            let place = shelf.take(&found(name), true).await.unwrap();
            fs::create_dir_all(&place.directory).unwrap();
            fs::write(place.directory.join("file"), [0; 4000]).unwrap();
            directories.push(place.directory.clone());
            shelf.give_back(place, true).await.unwrap();
        }
        assert_eq!(
            directories.iter().map(|directory| directory.exists()).collect::<Vec<_>>(),
            [true, false, true, true]
        );
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
    }

    #[tokio::test]
    async fn what_was_broken_off_is_not_used_again() {
        let root = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(root.path(), 10_000).unwrap();
        for (end, kept) in [(Some(true), true), (Some(false), false), (None, false)] {
            let place = shelf.take(&found("a"), true).await.unwrap();
            let file = place.directory.join("file");
            fs::create_dir_all(&place.directory).unwrap();
            fs::write(&file, "x").unwrap();
            match end {
                Some(sound) => shelf.give_back(place, sound).await.unwrap(),
                None => drop(place),
            }
            let place = shelf.take(&found("a"), true).await.unwrap();
            assert_eq!(file.exists(), kept, "{end:?}");
            fs::create_dir_all(&place.directory).unwrap();
            shelf.give_back(place, true).await.unwrap();
        }
    }

    #[tokio::test]
    async fn one_at_a_time_and_none_that_is_used_goes() {
        let root = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(root.path(), 0).unwrap();
        let place = shelf.take(&found("a"), true).await.unwrap();
        fs::create_dir_all(&place.directory).unwrap();
        fs::write(place.directory.join("file"), "x").unwrap();
        let wait = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(wait, shelf.take(&found("a"), true)).await.is_err());
        let other = shelf.take(&found("b"), true).await.unwrap();
        fs::create_dir_all(&other.directory).unwrap();
        fs::write(other.directory.join("file"), "x").unwrap();
        let (directory, other_directory) = (place.directory.clone(), other.directory.clone());
        shelf.give_back(other, true).await.unwrap();
        assert!(directory.exists() && !other_directory.exists());
        shelf.give_back(place, true).await.unwrap();
        assert!(!directory.exists());
    }
}
