//! A simulated disk: page cache, syncs, torn and lost writes, faults at any operation.
//!
//! What a file shows is its cache. What survives a power cut is its durable bytes, and of the writes not yet synced any
//! subset, torn at sectors. Names are durable once their directory is synced; before that any beginning of the sequence
//! of changes survives (a journal). A failed sync loses what it was to write, keeps showing it, and forgets about it:
//! the next sync says OK.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use quipu_ledger::{Disk, DiskFile, Lock};

use crate::rng::Rng;
use handle::Handle;

mod handle;

const SECTOR: usize = 512;

/// What goes wrong when the countdown of operations ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The machine loses power.
    PowerCut,
    /// The process is killed; what it wrote stays in the page cache.
    Kill,
    /// The operation fails with an I/O error.
    Io,
    /// The operation finds no room (only those that can; others are spared).
    NoRoom,
}

impl Fault {
    /// In words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PowerCut => "power cut",
            Self::Kill => "kill",
            Self::Io => "io",
            Self::NoRoom => "no room",
        }
    }
}

/// A disk shared by all that use it; clones are the same disk.
#[derive(Clone)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

/// What one volume's files durably are: for taking a volume back to an earlier day.
#[derive(Clone, Default)]
pub(crate) struct Image(BTreeMap<PathBuf, (u64, Vec<u8>)>);

impl Image {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Flips one bit of a file; `at` is taken modulo its length.
    pub(crate) fn flip(&mut self, path: &Path, at: u64) {
        if let Some((_, bytes)) = self.0.get_mut(path).filter(|(_, bytes)| !bytes.is_empty()) {
            let place = (at % bytes.len() as u64) as usize;
            bytes[place] ^= 1 << (at % 8);
        }
    }

    /// The same files under other numbers.
    pub(crate) fn copied(&self) -> Self {
        let copy = |(path, (number, bytes)): (&PathBuf, &(u64, Vec<u8>))| {
            (path.clone(), (number + COPIES, bytes.clone()))
        };
        Self(self.0.iter().map(copy).collect())
    }
}

/// Numbers of copied files begin here.
const COPIES: u64 = 1 << 40;

struct State {
    rng: Rng,
    files: BTreeMap<u64, File>,
    /// Names as a running process sees them.
    names: BTreeMap<PathBuf, u64>,
    /// Names that a power cut leaves.
    durable_names: BTreeMap<PathBuf, u64>,
    unsynced_names: Vec<Rename>,
    next_number: u64,
    locks: BTreeSet<PathBuf>,
    /// Bytes on both volumes together.
    capacity: u64,
    fault: Option<(u64, Fault)>,
    /// The fault that struck since it was last asked for.
    struck: Option<(Fault, String)>,
    /// Nothing works until the next boot.
    down: bool,
    /// Which life of the process this is: handles of an earlier one are dead.
    life: u64,
    /// Mutants of the disk, to see that the oracle notices.
    lies: Lies,
}

/// Ways in which a disk may lie, for mutation checks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lies {
    /// Syncs of files whose name contains this do nothing.
    pub(crate) no_sync: Option<&'static str>,
    /// Syncs of directories do nothing.
    pub(crate) no_dir_sync: bool,
}

#[derive(Clone, Debug)]
enum Rename {
    Link(PathBuf, u64),
    Move(PathBuf, PathBuf, u64),
    Remove(PathBuf),
}

#[derive(Clone, Default)]
struct File {
    cache: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
}

impl SimDisk {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            rng: Rng::new(seed ^ 0xd15c),
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            next_number: 100,
            locks: BTreeSet::new(),
            capacity: AMPLE,
            fault: None,
            struck: None,
            down: false,
            life: 0,
            lies: Lies::default(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn lie(&self, lies: Lies) {
        self.state().lies = lies;
    }

    /// The fault to strike after so many more operations that change something.
    pub(crate) fn plan(&self, after: u64, fault: Fault) {
        self.state().fault = Some((after, fault));
    }

    pub(crate) fn unplan(&self) {
        self.state().fault = None;
    }

    /// The fault that struck since the last call.
    pub(crate) fn struck(&self) -> Option<(Fault, String)> {
        self.state().struck.take()
    }

    pub(crate) fn is_down(&self) -> bool {
        self.state().down
    }

    /// Bytes that the disk has room for in all.
    pub(crate) fn set_capacity(&self, bytes: u64) {
        self.state().capacity = bytes;
    }

    pub(crate) fn used(&self) -> u64 {
        self.state().used()
    }

    /// The process ends, its locks are released; the page cache stays.
    pub(crate) fn kill(&self) {
        let mut state = self.state();
        state.down = false;
        state.life += 1;
        state.locks.clear();
        state.fault = None;
    }

    /// The machine loses power and comes back.
    pub(crate) fn power_cut(&self) {
        self.state().power_cut();
        self.kill();
    }

    /// The durable bytes of a file, and its number: what is there even after the worst power cut.
    pub(crate) fn durable<T>(&self, path: &Path, look: impl FnOnce(u64, &[u8]) -> T) -> Option<T> {
        let state = self.state();
        let number = *state.durable_names.get(path)?;
        state.files.get(&number).map(|file| look(number, &file.durable))
    }

    /// The durable files under a directory.
    pub(crate) fn image(&self, dir: &Path) -> Image {
        let state = self.state();
        let names = state.durable_names.iter().filter(|(path, _)| path.starts_with(dir));
        Image(
            names
                .map(|(path, number)| (path.clone(), (*number, state.files[number].durable.clone())))
                .collect(),
        )
    }

    /// Puts a directory back to an earlier image; numbers stay, as with a snapshot of a volume.
    pub(crate) fn put_back(&self, dir: &Path, image: &Image) {
        let mut state = self.state();
        state.names.retain(|path, _| !path.starts_with(dir));
        state.durable_names.retain(|path, _| !path.starts_with(dir));
        for (path, (number, bytes)) in &image.0 {
            state.names.insert(path.clone(), *number);
            state.durable_names.insert(path.clone(), *number);
            let file = File { cache: bytes.clone(), durable: bytes.clone(), unsynced: Vec::new() };
            state.files.insert(*number, file);
        }
    }
}

/// Room enough for every simulation.
pub(crate) const AMPLE: u64 = 1 << 40;

impl State {
    /// Counts an operation that changes something; says which fault strikes it.
    fn strike(&mut self, what: &str, path: &Path, needs_room: bool) -> io::Result<()> {
        if self.down {
            return Err(io::Error::other("the process is dead"));
        }
        let Some((after, fault)) = &mut self.fault else { return Ok(()) };
        if *after > 0 {
            *after -= 1;
            return Ok(());
        }
        let fault = *fault;
        if fault == Fault::NoRoom && !needs_room {
            return Ok(());
        }
        self.fault = None;
        self.struck = Some((fault, format!("{what} {}", path.display())));
        match fault {
            Fault::PowerCut | Fault::Kill => {
                self.down = true;
                Err(io::Error::other("the process dies here"))
            }
            Fault::Io => Err(io::Error::other("simulated I/O error")),
            Fault::NoRoom => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn used(&self) -> u64 {
        self.names
            .values()
            .filter_map(|number| self.files.get(number))
            .map(|file| file.cache.len() as u64)
            .sum()
    }

    fn power_cut(&mut self) {
        let survive = self.rng.below(self.unsynced_names.len() as u64 + 1) as usize;
        for change in self.unsynced_names.drain(..).take(survive).collect::<Vec<_>>() {
            apply(&mut self.durable_names, change);
        }
        self.names.clone_from(&self.durable_names);
        let known: BTreeSet<u64> = self.names.values().copied().collect();
        self.files.retain(|number, _| known.contains(number));
        for file in self.files.values_mut() {
            file.settle(&mut self.rng);
            file.cache.clone_from(&file.durable);
        }
    }

    fn path_of(&self, number: u64) -> PathBuf {
        let named = self.names.iter().find(|(_, known)| **known == number);
        named.map_or_else(|| PathBuf::from("(no name)"), |(path, _)| path.clone())
    }
}

fn apply(names: &mut BTreeMap<PathBuf, u64>, change: Rename) {
    match change {
        Rename::Link(path, number) => drop(names.insert(path, number)),
        Rename::Move(from, to, number) => {
            names.remove(&from);
            names.insert(to, number);
        }
        Rename::Remove(path) => drop(names.remove(&path)),
    }
}

impl File {
    fn write(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
        if bytes.len() < at + new.len() {
            bytes.resize(at + new.len(), 0);
        }
        bytes[at..at + new.len()].copy_from_slice(new);
    }

    /// Any subset of the unsynced writes reaches the disk, each perhaps in part.
    fn settle(&mut self, rng: &mut Rng) {
        for (at, new) in std::mem::take(&mut self.unsynced) {
            match rng.below(3) {
                0 => {}
                1 => Self::write(&mut self.durable, at, &new),
                _ => {
                    for (n, sector) in new.chunks(SECTOR).enumerate() {
                        if rng.chance(50) {
                            Self::write(&mut self.durable, at + n * SECTOR, sector);
                        }
                    }
                }
            }
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path) -> io::Result<Option<Box<dyn DiskFile>>> {
        let state = self.state();
        if state.down {
            return Err(io::Error::other("the process is dead"));
        }
        let life = state.life;
        let handle = |number: &u64| -> Box<dyn DiskFile> {
            Box::new(Handle { disk: self.clone(), number: *number, life })
        };
        Ok(state.names.get(path).map(handle))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.strike("create", path, true)?;
        let number = state.next_number;
        state.next_number += 1;
        state.files.insert(number, File::default());
        state.names.insert(path.to_owned(), number);
        state.unsynced_names.push(Rename::Link(path.to_owned(), number));
        Ok(Box::new(Handle { disk: self.clone(), number, life: state.life }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.strike("rename", to, false)?;
        let number = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        let change = Rename::Move(from.to_owned(), to.to_owned(), number);
        apply(&mut state.names, change.clone());
        state.unsynced_names.push(change);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.strike("remove", path, false)?;
        if state.names.remove(path).is_some() {
            state.unsynced_names.push(Rename::Remove(path.to_owned()));
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        let struck = state.strike("sync_dir", dir, false);
        if state.lies.no_dir_sync {
            return struck;
        }
        let changes = std::mem::take(&mut state.unsynced_names);
        match struck {
            // One journal for both directories, as on one file system.
            Ok(()) => {
                for change in changes {
                    apply(&mut state.durable_names, change);
                }
                Ok(())
            }
            Err(error) if state.down => {
                state.unsynced_names = changes;
                Err(error)
            }
            // Some of the changes are durable, the others are shown but lost.
            Err(error) => {
                let kept = state.rng.below(changes.len() as u64 + 1) as usize;
                for change in changes.into_iter().take(kept) {
                    apply(&mut state.durable_names, change);
                }
                Err(error)
            }
        }
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let mut state = self.state();
        if state.down {
            return Err(io::Error::other("the process is dead"));
        }
        let life = state.life;
        let taken = state.locks.insert(path.to_owned());
        Ok(taken.then(|| Box::new(Held { disk: self.clone(), path: path.to_owned(), life }) as Lock))
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        let state = self.state();
        Ok(state.capacity.saturating_sub(state.used()))
    }
}

struct Held {
    disk: SimDisk,
    path: PathBuf,
    life: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.life == self.life {
            state.locks.remove(&self.path);
        }
    }
}
