//! Power cuts at every step: a storage that loses what was not synced, or all but that.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use quipu_fetch::storage::{Draft, Entry, Facts, Name, Placed, Storage, Stored};
use quipu_fetch::{Cache, CacheOptions, Chain, FileKind};
use quipu_module::{Patterns, ZipWriter};

use crate::support::modules::Module;
use crate::support::server::Server;
use crate::support::{Judge, chain, client, options, version};

/// What a power cut leaves.
#[derive(Clone, Copy, Debug)]
enum Leaves {
    /// Only what was synced.
    Synced,
    /// All names, and of the contents only what was synced.
    Names,
    /// Everything, as when only the process dies.
    Everything,
}

/// A disk with a cache of writes. Clones are the same one.
#[derive(Clone, Debug)]
struct Disk(Arc<Mutex<State>>);

#[derive(Clone, Debug, Default)]
struct State {
    /// Which content has which name, as it looks and as it is synced.
    names: BTreeMap<Name, usize>,
    synced: BTreeMap<Name, usize>,
    /// Each content, as it looks and as it is synced.
    contents: Vec<(Vec<u8>, Vec<u8>)>,
    /// Changes until the power is cut.
    left: usize,
}

impl Disk {
    fn new(left: usize) -> Self {
        Self(Arc::new(Mutex::new(State { left, ..State::default() })))
    }

    /// The disk after a power cut, which does not come again.
    fn after(&self, leaves: Leaves) -> Self {
        let mut state = self.0.lock().unwrap().clone();
        if matches!(leaves, Leaves::Synced) {
            state.names = state.synced.clone();
        }
        for (seen, synced) in &mut state.contents {
            if !matches!(leaves, Leaves::Everything) {
                *seen = synced.clone();
            }
        }
        state.left = usize::MAX;
        Self(Arc::new(Mutex::new(state)))
    }

    fn look(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.0.lock().unwrap();
        if state.left == 0 { Err(io::Error::other("the power is cut")) } else { Ok(state) }
    }

    fn change(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.look()?;
        state.left -= 1;
        if state.left == 0 { Err(io::Error::other("the power is cut")) } else { Ok(state) }
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let names = self.list(Name::parse(directory).as_ref()).unwrap();
        names.into_iter().map(|entry| entry.name).collect()
    }
}

impl Storage for Disk {
    fn open(&self, name: &Name) -> io::Result<Option<Stored>> {
        let state = self.look()?;
        Ok(state.names.get(name).map(|at| Stored::Bytes(state.contents[*at].0.clone().into())))
    }

    fn inspect(&self, name: &Name) -> io::Result<Option<Facts>> {
        let state = self.look()?;
        let facts = |at: &usize| Facts { length: state.contents[*at].0.len() as u64, modified: 0 };
        Ok(state.names.get(name).map(facts))
    }

    fn list(&self, directory: Option<&Name>) -> io::Result<Vec<Entry>> {
        let below = directory.map(|name| format!("{name}/")).unwrap_or_default();
        let state = self.look()?;
        let mut entries: Vec<_> = state
            .names
            .keys()
            .filter_map(|name| name.as_str().strip_prefix(&below))
            .map(|rest| match rest.split_once('/') {
                Some((name, _)) => Entry { name: name.to_owned(), is_directory: true },
                None => Entry { name: rest.to_owned(), is_directory: false },
            })
            .collect();
        entries.dedup();
        Ok(entries)
    }

    fn create(&self, name: &Name) -> io::Result<Box<dyn Draft>> {
        let mut state = self.change()?;
        let at = state.contents.len();
        if state.names.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        state.contents.push(Default::default());
        state.names.insert(name.clone(), at);
        Ok(Box::new(Writing { disk: self.clone(), at }))
    }

    fn place(&self, from: &Name, to: &Name) -> io::Result<Placed> {
        if self.look()?.names.contains_key(to) {
            return Ok(Placed::Existed);
        }
        self.replace(from, to).map(|()| Placed::New)
    }

    fn replace(&self, from: &Name, to: &Name) -> io::Result<()> {
        let mut state = self.change()?;
        let at = state.names.remove(from).ok_or(ErrorKind::NotFound)?;
        state.names.insert(to.clone(), at);
        Ok(())
    }

    fn link(&self, from: &Name, to: &Name) -> io::Result<()> {
        let mut state = self.change()?;
        let at = *state.names.get(from).ok_or(ErrorKind::NotFound)?;
        state.names.insert(to.clone(), at);
        Ok(())
    }

    fn remove(&self, name: &Name) -> io::Result<()> {
        self.change()?.names.remove(name);
        Ok(())
    }

    fn set_modified(&self, _: &Name, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self, directory: Option<&Name>) -> io::Result<()> {
        let mut state = self.change()?;
        let lies_there = |name: &Name| name.directory().as_ref() == directory;
        state.synced.retain(|name, _| !lies_there(name));
        let names: Vec<_> = state.names.iter().filter(|(name, _)| lies_there(name)).collect();
        let names: Vec<_> = names.into_iter().map(|(name, at)| (name.clone(), *at)).collect();
        state.synced.extend(names);
        Ok(())
    }

    fn free(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

struct Writing {
    disk: Disk,
    at: usize,
}

impl Draft for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.change()?.contents[self.at].0.extend_from_slice(bytes);
        Ok(())
    }

    fn restart(&mut self) -> io::Result<()> {
        self.disk.change()?.contents[self.at].0.clear();
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.change()?;
        let (seen, synced) = &mut state.contents[self.at];
        synced.clone_from(seen);
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

const LEAVES: [Leaves; 3] = [Leaves::Synced, Leaves::Names, Leaves::Everything];

/// More steps than anything here takes.
const MOST: usize = 200;

#[tokio::test]
async fn a_fetch_that_is_cut_anywhere_leaves_nothing_wrong() {
    let server = Server::start().await;
    let module = Module::new("example.com/m@v1.0.0", 600_000);
    module.serve(&server);
    let (client, _) = client(&[&server.url]);
    let open = |disk: &Disk| {
        let disk = Arc::new(disk.clone());
        Cache::open_storage(disk, chain(&server.url, &client), Judge::new(), options())
    };
    for steps in 1..MOST {
        let disk = Disk::new(steps);
        let fetched = match open(&disk) {
            Ok(cache) => cache.file(&module.version, FileKind::Zip).await.is_ok(),
            Err(_) => false,
        };
        for leaves in LEAVES {
            let rest = disk.after(leaves);
            let cache = open(&rest).unwrap();
            cache.recover().await;
            if fetched {
                // What was served once needs nobody to be served again, but perhaps a look at it.
                assert_eq!(
                    rest.names("example.com/m/@v").iter().filter(|name| name.ends_with(".zip")).count(),
                    1
                );
            }
            let file = cache.file(&module.version, FileKind::Zip).await.unwrap();
            assert_eq!(file.bytes().await.unwrap(), module.zip, "{leaves:?} after {steps} steps");
            assert_eq!(rest.names(".evidence"), [""; 0], "{leaves:?} after {steps} steps");
            assert_eq!(rest.names(".staging"), [""; 0], "{leaves:?} after {steps} steps");
        }
        if fetched && disk.look().is_ok() {
            assert!(steps > 10, "{steps} steps");
            return;
        }
    }
    panic!("more than {MOST} steps");
}

#[tokio::test]
async fn what_may_be_logged_is_published_however_it_was_cut() {
    let version = version("corp.example/m@v1.0.0");
    let mut zip = ZipWriter::new(&version, Vec::new());
    zip.start_file("go.mod").unwrap();
    zip.write(b"module corp.example/m\n").unwrap();
    let zip = zip.finish().unwrap();
    let open = |disk: &Disk, judge: &Arc<Judge>| {
        let published = Patterns::new("corp.example");
        let options = CacheOptions { published, compare: Duration::ZERO, ..options() };
        Cache::open_storage(Arc::new(disk.clone()), Arc::new(Chain::of(Vec::new())), judge.clone(), options)
    };
    let publish = async |cache: Cache| {
        let mut staged = cache.stage(&version).await.ok()?;
        staged.write(&zip).await.ok()?;
        cache.publish(version.clone(), staged, "2026-11-22T10:00:00Z".to_owned()).await.ok()
    };
    for steps in 1..MOST {
        let (disk, judge) = (Disk::new(steps), Judge::new());
        let published = match open(&disk, &judge) {
            Ok(cache) => publish(cache).await.is_some(),
            Err(_) => false,
        };
        let may_be_logged = !judge.asked().is_empty();
        assert!(may_be_logged || !published);
        for leaves in LEAVES {
            let rest = disk.after(leaves);
            let cache = open(&rest, &judge).unwrap();
            cache.recover().await;
            if may_be_logged {
                let file = cache.file(&version, FileKind::Zip).await.unwrap();
                assert_eq!(file.bytes().await.unwrap(), zip, "{leaves:?} after {steps} steps");
                assert!(cache.is_only_copy(&version).unwrap(), "{leaves:?} after {steps} steps");
            }
            assert_eq!(rest.names(".staging"), [""; 0], "{leaves:?} after {steps} steps");
        }
        if published && disk.look().is_ok() {
            assert!(steps > 10, "{steps} steps");
            return;
        }
    }
    panic!("more than {MOST} steps");
}
