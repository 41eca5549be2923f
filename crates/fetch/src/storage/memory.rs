//! A storage in memory: for tests, for examples, and for programs without a disk.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::{Draft, Entry, Facts, Name, Placed, Storage, Stored};

/// What one name costs besides itself and its content, in bytes.
const OVERHEAD: u64 = 256;

/// A bounded amount of memory. Clones share it; what it holds is gone with the last of them.
///
/// Nothing is evicted: what does not fit is refused with [`io::ErrorKind::StorageFull`], and
/// [`CacheOptions::quota`](crate::CacheOptions::quota) says how much [`Cache::make_room`](crate::Cache::make_room) leaves of
/// zips. [`CacheOptions::disk_floor`](crate::CacheOptions::disk_floor) is to be less than the bound, such as 0.
#[derive(Clone)]
pub struct Memory {
    /// Held for a look or a change, never while anything is copied.
    files: Arc<RwLock<BTreeMap<Name, Held>>>,
    budget: Arc<Budget>,
}

/// A file under one name.
struct Held {
    bytes: Bytes,
    /// In seconds since 1970.
    modified: u64,
    /// Of the name.
    _charge: Charge,
}

impl Memory {
    /// One that takes at most so many bytes: contents (also of files that are removed but still being read), names, and
    /// some 256 bytes for each file. While a file is written, up to as much again may stand by for the rest of it.
    #[must_use]
    pub fn new(most: u64) -> Self {
        Self { files: Arc::default(), budget: Arc::new(Budget { most, used: AtomicU64::new(0) }) }
    }

    /// Bytes that are taken now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.budget.used.load(Relaxed)
    }

    fn look(&self) -> RwLockReadGuard<'_, BTreeMap<Name, Held>> {
        self.files.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, BTreeMap<Name, Held>> {
        self.files.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, name: &Name, bytes: Bytes) -> io::Result<Held> {
        let charge = Budget::charge(&self.budget, OVERHEAD.saturating_add(name.as_str().len() as u64))?;
        let modified = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Ok(Held { bytes, modified, _charge: charge })
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("most", &self.budget.most).field("used", &self.used()).finish()
    }
}

impl Storage for Memory {
    fn open(&self, name: &Name) -> io::Result<Option<Stored>> {
        Ok(self.look().get(name).map(|held| Stored::Bytes(held.bytes.clone())))
    }

    fn inspect(&self, name: &Name) -> io::Result<Option<Facts>> {
        let facts = |held: &Held| Facts { length: held.bytes.len() as u64, modified: held.modified };
        Ok(self.look().get(name).map(facts))
    }

    fn list(&self, directory: Option<&Name>) -> io::Result<Vec<Entry>> {
        let below = directory.map(|name| format!("{name}/")).unwrap_or_default();
        let files = self.look();
        let mut found = Vec::new();
        let mut after = Bound::Excluded(below.clone());
        while let Some((name, _)) = files.range::<str, _>((text(&after), Bound::Unbounded)).next() {
            let Some(rest) = name.as_str().strip_prefix(&below) else { break };
            let (element, is_directory) = match rest.split_once('/') {
                Some((directory, _)) => (directory, true),
                None => (rest, false),
            };
            found.push(Entry { name: element.to_owned(), is_directory });
            // The character after the slash ends all that lies in a directory.
            after = match is_directory {
                true => Bound::Included(format!("{below}{element}0")),
                false => Bound::Excluded(name.as_str().to_owned()),
            };
        }
        Ok(found)
    }

    fn create(&self, name: &Name) -> io::Result<Box<dyn Draft>> {
        let held = self.hold(name, Bytes::new())?;
        let mut files = self.change();
        if files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        files.insert(name.clone(), held);
        let content = Content { bytes: Vec::new(), charge: Budget::charge(&self.budget, 0)? };
        Ok(Box::new(Writing { memory: self.clone(), name: name.clone(), content }))
    }

    fn place(&self, from: &Name, to: &Name) -> io::Result<Placed> {
        let mut files = self.change();
        if files.contains_key(to) && files.contains_key(from) {
            return Ok(Placed::Existed);
        }
        rename(&mut files, from, to).map(|()| Placed::New)
    }

    fn replace(&self, from: &Name, to: &Name) -> io::Result<()> {
        rename(&mut self.change(), from, to)
    }

    fn link(&self, from: &Name, to: &Name) -> io::Result<()> {
        let mut files = self.change();
        let named = files.get(from).ok_or(io::ErrorKind::NotFound)?;
        if files.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let held = Held { modified: named.modified, ..self.hold(to, named.bytes.clone())? };
        files.insert(to.clone(), held);
        Ok(())
    }

    fn remove(&self, name: &Name) -> io::Result<()> {
        // Freed when the lock is free again.
        let removed = self.change().remove(name);
        drop(removed);
        Ok(())
    }

    fn set_modified(&self, name: &Name, seconds: u64) -> io::Result<()> {
        self.change().get_mut(name).ok_or(io::ErrorKind::NotFound)?.modified = seconds;
        Ok(())
    }

    fn sync(&self, _: Option<&Name>) -> io::Result<()> {
        Ok(())
    }

    fn free(&self) -> io::Result<u64> {
        Ok(self.budget.most.saturating_sub(self.used()))
    }
}

fn text(bound: &Bound<String>) -> Bound<&str> {
    bound.as_ref().map(String::as_str)
}

fn rename(files: &mut BTreeMap<Name, Held>, from: &Name, to: &Name) -> io::Result<()> {
    let held = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
    files.insert(to.clone(), held);
    Ok(())
}

/// A file on its way into memory.
struct Writing {
    memory: Memory,
    name: Name,
    content: Content,
}

impl Draft for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.content.charge.add(bytes.len() as u64)?;
        self.content.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn restart(&mut self) -> io::Result<()> {
        self.content.bytes = Vec::new();
        self.content.charge.clear();
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.content.bytes.shrink_to_fit();
        let bytes = Bytes::from_owner(self.content);
        self.memory.change().get_mut(&self.name).ok_or(io::ErrorKind::NotFound)?.bytes = bytes;
        Ok(())
    }
}

/// Bytes, and that they are taken: for as long as anybody has them.
struct Content {
    bytes: Vec<u8>,
    charge: Charge,
}

impl AsRef<[u8]> for Content {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

struct Budget {
    most: u64,
    used: AtomicU64,
}

impl Budget {
    fn charge(budget: &Arc<Self>, bytes: u64) -> io::Result<Charge> {
        let mut charge = Charge { budget: Arc::clone(budget), bytes: 0 };
        charge.add(bytes).map(|()| charge)
    }
}

/// A part of the budget, given back when dropped.
struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Charge {
    fn add(&mut self, bytes: u64) -> io::Result<()> {
        let most = self.budget.most;
        let more = |used: u64| used.checked_add(bytes).filter(|used| *used <= most);
        if self.budget.used.fetch_update(Relaxed, Relaxed, more).is_err() {
            let text = format!("the memory of the cache is full: it takes {most} bytes at most");
            return Err(io::Error::new(io::ErrorKind::StorageFull, text));
        }
        self.bytes = self.bytes.saturating_add(bytes);
        Ok(())
    }

    fn clear(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Relaxed);
        self.bytes = 0;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn write(memory: &Memory, at: &str, content: &[u8]) -> io::Result<()> {
        let mut draft = memory.create(&name(at))?;
        draft.write(content)?;
        draft.finish()
    }

    #[test]
    fn conforms() {
        let open = |memory: &Memory| -> Arc<dyn Storage> { Arc::new(memory.clone()) };
        crate::storage::conformance::run(|| Memory::new(1 << 20), open);
    }

    #[test]
    fn the_bound_holds_and_what_is_given_back_can_be_used_again() {
        let memory = Memory::new(1 << 20);
        let half = vec![0; 500_000];
        for _ in 0..100 {
            write(&memory, "one", &half).unwrap();
            write(&memory, "two", &half).unwrap();
            assert_eq!(memory.used(), 1_000_000 + 2 * (OVERHEAD + 3));
            assert_eq!(memory.free().unwrap(), (1 << 20) - memory.used());
            let full = write(&memory, "three", &half).unwrap_err();
            assert_eq!(full.kind(), io::ErrorKind::StorageFull);
            assert_eq!(full.to_string(), "the memory of the cache is full: it takes 1048576 bytes at most");
            memory.remove(&name("three")).unwrap();
            // A second name costs a name; what is being read is there until it was read.
            memory.link(&name("one"), &name("1")).unwrap();
            let reading = memory.open(&name("two")).unwrap();
            for at in ["1", "one", "two"] {
                memory.remove(&name(at)).unwrap();
            }
            assert_eq!(memory.used(), 500_000);
            drop(reading);
            assert_eq!(memory.used(), 0);
        }
        // Many empty files are bounded as well.
        let made = (0..).take_while(|n| write(&memory, &format!("{n}"), b"").is_ok()).count();
        assert!((3500..4096).contains(&made), "{made}");
        assert!(!format!("{memory:?}").contains("files"));
    }

    #[test]
    fn a_draft_that_starts_over_or_is_given_up_gives_back() {
        let memory = Memory::new(10_000);
        let mut draft = memory.create(&name("draft")).unwrap();
        for _ in 0..10 {
            draft.write(&[0; 9000]).unwrap();
            assert!(draft.write(&[0; 9000]).is_err());
            draft.restart().unwrap();
        }
        draft.write(&[0; 9000]).unwrap();
        drop(draft);
        assert_eq!(memory.used(), OVERHEAD + 5, "of the name, which is still to be removed");
        memory.remove(&name("draft")).unwrap();
        assert_eq!(memory.used(), 0);
        // One whose name was taken away meanwhile becomes nothing.
        let draft = memory.create(&name("draft")).unwrap();
        memory.remove(&name("draft")).unwrap();
        assert!(draft.finish().is_err());
    }
}
