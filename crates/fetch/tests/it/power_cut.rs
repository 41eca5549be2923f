//! Power cuts at every step: a storage that loses what was not synced, or all but that. And whether these tests would notice
//! if a sync were missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use quipu_fetch::storage::{Draft, Entry, Facts, Name, Placed, Storage, Stored};
use quipu_fetch::{Cache, CacheOptions, Chain, FileKind, Publication};
use quipu_module::{Patterns, ZipWriter};

use crate::support::modules::Module;
use crate::support::server::Server;
use crate::support::{Judge, chain, client, options, version};

/// What a power cut leaves.
#[derive(Clone, Copy, Debug)]
enum Leaves {
    /// Only what was synced, but for files that were removed since: nothing says in which order changes reach a disk.
    /// (A file that gets another name has the old one or the new one.)
    Least,
    /// Only what was synced.
    Synced,
    /// All names, and of the contents only what was synced.
    Names,
    /// Everything, as when only the process dies.
    Everything,
}

/// What a cache could do wrong; the disk does it in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Flaw {
    /// Syncs of this are left out, see [`State::syncs`].
    Without(String),
    /// Contents are synced when their file has got its name, in the next step, and not before.
    Late,
}

/// A disk with a cache of writes. Clones are the same one.
#[derive(Clone, Debug)]
struct Disk(Arc<Mutex<State>>);

#[derive(Clone, Debug, Default)]
struct State {
    /// Which content has which name, as it looks and as it is synced.
    names: BTreeMap<Name, usize>,
    synced: BTreeMap<Name, usize>,
    /// Names that were removed and not given again.
    removed: BTreeSet<Name>,
    /// Each content, as it looks and as it is synced.
    contents: Vec<(Vec<u8>, Vec<u8>)>,
    /// Changes until the power is cut.
    left: usize,
    flaw: Option<Flaw>,
    /// Everything that was synced: directories, and files with the numbers in their names left out.
    syncs: BTreeSet<String>,
    /// Contents whose sync is late, and those of them that have got their names.
    late: BTreeSet<usize>,
    named: BTreeSet<usize>,
}

impl State {
    /// Notes a sync; false if it is to be left out.
    fn syncs(&mut self, what: String) -> bool {
        let left_out = self.flaw == Some(Flaw::Without(what.clone()));
        self.syncs.insert(what);
        !left_out
    }

    fn give(&mut self, name: &Name, at: usize) {
        self.names.insert(name.clone(), at);
        self.removed.remove(name);
    }

    fn sync_content(&mut self, at: usize) {
        let (seen, synced) = &mut self.contents[at];
        synced.clone_from(seen);
    }
}

impl Disk {
    fn new(left: usize, flaw: Option<&Flaw>) -> Self {
        Self(Arc::new(Mutex::new(State { left, flaw: flaw.cloned(), ..State::default() })))
    }

    /// The disk after a power cut, which does not come again.
    fn after(&self, leaves: Leaves) -> Self {
        let mut state = self.0.lock().unwrap().clone();
        match leaves {
            Leaves::Least => {
                state.names = state.synced.clone();
                let State { names, removed, .. } = &mut state;
                names.retain(|name, _| !removed.contains(name));
            }
            Leaves::Synced => state.names = state.synced.clone(),
            Leaves::Names | Leaves::Everything => {}
        }
        for (seen, synced) in &mut state.contents {
            if !matches!(leaves, Leaves::Everything) {
                *seen = synced.clone();
            }
        }
        state.left = usize::MAX;
        state.flaw = None;
        Self(Arc::new(Mutex::new(state)))
    }

    fn look(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.0.lock().unwrap();
        if state.left == 0 { Err(io::Error::other("the power is cut")) } else { Ok(state) }
    }

    fn change(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.look()?;
        state.left -= 1;
        if state.left == 0 {
            return Err(io::Error::other("the power is cut"));
        }
        for at in std::mem::take(&mut state.named) {
            state.sync_content(at);
        }
        Ok(state)
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
        state.give(name, at);
        Ok(Box::new(Writing { disk: self.clone(), name: name.clone(), at }))
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
        state.give(to, at);
        if state.late.remove(&at) {
            state.named.insert(at);
        }
        Ok(())
    }

    fn link(&self, from: &Name, to: &Name) -> io::Result<()> {
        let mut state = self.change()?;
        let at = *state.names.get(from).ok_or(ErrorKind::NotFound)?;
        state.give(to, at);
        Ok(())
    }

    fn remove(&self, name: &Name) -> io::Result<()> {
        let mut state = self.change()?;
        state.names.remove(name);
        state.removed.insert(name.clone());
        Ok(())
    }

    fn set_modified(&self, _: &Name, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self, directory: Option<&Name>) -> io::Result<()> {
        let mut state = self.change()?;
        let what = directory.map_or("the root".to_owned(), |name| format!("directory {name}"));
        if !state.syncs(what) {
            return Ok(());
        }
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
    name: Name,
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
        let what = self.name.as_str().replace(|char: char| char.is_ascii_digit(), "");
        if state.flaw == Some(Flaw::Late) {
            state.late.insert(self.at);
        } else if state.syncs(format!("file {what}")) {
            state.sync_content(self.at);
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

const LEAVES: [Leaves; 4] = [Leaves::Least, Leaves::Synced, Leaves::Names, Leaves::Everything];

/// More steps than anything here takes.
const MOST: usize = 200;

/// Holds a claim about a cache, or says what is wrong.
fn hold(claim: bool, wrong: impl FnOnce() -> String) -> Result<(), String> {
    if claim { Ok(()) } else { Err(wrong()) }
}

fn said(error: impl Display) -> String {
    error.to_string()
}

/// Cuts a fetch at every step. All that was synced, or what is wrong.
async fn cut_fetches(flaw: Option<&Flaw>) -> Result<BTreeSet<String>, String> {
    let server = Server::start().await;
    let module = Module::new("example.com/m@v1.0.0", 600_000);
    module.serve(&server);
    let (client, _) = client(&[&server.url]);
    let open = |disk: &Disk| {
        let disk = Arc::new(disk.clone());
        Cache::open_storage(disk, chain(&server.url, &client), Judge::new(), options())
    };
    for steps in 1..MOST {
        let disk = Disk::new(steps, flaw);
        let fetched = match open(&disk) {
            Ok(cache) => cache.file(&module.version, FileKind::Zip).await.is_ok(),
            Err(_) => false,
        };
        for leaves in LEAVES {
            let rest = disk.after(leaves);
            let when = |what: &str| format!("{leaves:?} after {steps} steps: {what}");
            let cache = open(&rest).map_err(said)?;
            cache.recover().await;
            if fetched {
                // What was served once needs nobody to be served again, but perhaps a look at it.
                let names = rest.names("example.com/m/@v");
                let zips = names.iter().filter(|name| name.ends_with(".zip")).count();
                hold(zips == 1, || when("what was served is gone"))?;
            }
            let file =
                cache.file(&module.version, FileKind::Zip).await.map_err(|error| when(&said(error)))?;
            hold(file.bytes().await.map_err(said)? == module.zip, || when("other bytes are served"))?;
            hold(rest.names(".evidence").is_empty(), || when("there is evidence"))?;
            hold(rest.names(".staging").is_empty(), || when("there are remains"))?;
        }
        if fetched && let Ok(state) = disk.look() {
            hold(steps > 10, || format!("only {steps} steps"))?;
            return Ok(state.syncs.clone());
        }
    }
    Err(format!("more than {MOST} steps"))
}

/// Cuts a publication at every step. All that was synced, or what is wrong.
async fn cut_publications(flaw: Option<&Flaw>) -> Result<BTreeSet<String>, String> {
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
        let publication = Publication { time: "2026-11-22T10:00:00Z".to_owned(), ..Publication::default() };
        cache.publish(version.clone(), staged, publication).await.ok()
    };
    for steps in 1..MOST {
        let (disk, judge) = (Disk::new(steps, flaw), Judge::new());
        let published = match open(&disk, &judge) {
            Ok(cache) => publish(cache).await.is_some(),
            Err(_) => false,
        };
        let may_be_logged = !judge.asked().is_empty();
        hold(may_be_logged || !published, || "it was published and not logged".to_owned())?;
        for leaves in LEAVES {
            let rest = disk.after(leaves);
            let when = |what: &str| format!("{leaves:?} after {steps} steps: {what}");
            let cache = open(&rest, &judge).map_err(said)?;
            cache.recover().await;
            if may_be_logged {
                let file = cache.file(&version, FileKind::Zip).await.map_err(|error| when(&said(error)))?;
                hold(file.bytes().await.map_err(said)? == zip, || when("other bytes are served"))?;
                hold(cache.is_only_copy(&version).map_err(said)?, || {
                    when("nobody knows it is the only copy")
                })?;
            }
            hold(rest.names(".staging").is_empty(), || when("there are remains"))?;
        }
        if published && let Ok(state) = disk.look() {
            hold(steps > 10, || format!("only {steps} steps"))?;
            return Ok(state.syncs.clone());
        }
    }
    Err(format!("more than {MOST} steps"))
}

#[tokio::test]
async fn a_fetch_that_is_cut_anywhere_leaves_nothing_wrong() {
    cut_fetches(None).await.unwrap();
}

#[tokio::test]
async fn what_may_be_logged_is_published_however_it_was_cut() {
    cut_publications(None).await.unwrap();
}

/// Each sync that there is, left out, is a mistake that the tests above would tell, and so is one that comes late.
#[tokio::test]
async fn each_sync_is_missed() {
    let fetching = cut_fetches(None).await.unwrap();
    assert!(fetching.len() > 1, "{fetching:?}");
    for flaw in fetching.into_iter().map(Flaw::Without).chain([Flaw::Late]) {
        assert!(cut_fetches(Some(&flaw)).await.is_err(), "nobody notices {flaw:?} in a fetch");
    }
    let publishing = cut_publications(None).await.unwrap();
    assert!(publishing.len() > 3, "{publishing:?}");
    for flaw in publishing.into_iter().map(Flaw::Without).chain([Flaw::Late]) {
        assert!(cut_publications(Some(&flaw)).await.is_err(), "nobody notices {flaw:?} in a publication");
    }
}
