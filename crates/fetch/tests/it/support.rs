//! What the tests of this crate share: a scriptable upstream, modules to serve, and judges.

pub(crate) mod modules;
pub(crate) mod root;
pub(crate) mod scripted;
pub(crate) mod server;

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use quipu_fetch::{
    Admit, Base, BoxFuture, Cache, CacheOptions, Chain, Client, ClientOptions, Complete, Egress, Hashes,
    Observe, Policy, Refusal,
};
use quipu_module::{H1, ModulePath, ModuleVersion, Patterns, ProxyList, Query};

/// Says that something was not tested, and why.
pub(crate) fn skipped(why: &str) {
    // Past the harness, which shows nothing of what a passing test prints.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

pub(crate) fn version(text: &str) -> ModuleVersion {
    text.parse().unwrap()
}

pub(crate) fn path(text: &str) -> ModulePath {
    ModulePath::parse(text).unwrap()
}

pub(crate) fn query(text: &str) -> Query {
    Query::parse(text).unwrap()
}

/// Keeps every egress record.
#[derive(Default)]
pub(crate) struct Ledger(pub(crate) Mutex<Vec<Egress>>);

impl Observe for Ledger {
    fn egress(&self, record: &Egress) {
        self.0.lock().unwrap().push(record.clone());
    }
}

impl Ledger {
    /// `status path` of each record; `-` where no answer came.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |record: &Egress| {
            let status = record.status.map_or("-".to_owned(), |status| status.to_string());
            format!("{status} {}", record.path)
        };
        self.0.lock().unwrap().iter().map(line).collect()
    }
}

/// A client to which the authorities of these URLs are named.
pub(crate) fn client(urls: &[&str]) -> (Client, Arc<Ledger>) {
    client_with(urls, ClientOptions::default())
}

pub(crate) fn client_with(urls: &[&str], options: ClientOptions) -> (Client, Arc<Ledger>) {
    let ledger = Arc::new(Ledger::default());
    let mut named = options.named.clone();
    for url in urls {
        named.insert(Base::parse(url).unwrap().authority().unwrap().clone());
    }
    (Client::new(ClientOptions { named, observer: ledger.clone(), ..options }).unwrap(), ledger)
}

/// The chain for a value of GOPROXY.
pub(crate) fn chain(list: &str, client: &Client) -> Arc<Chain> {
    chain_with(list, client, "")
}

pub(crate) fn chain_with(list: &str, client: &Client, private: &str) -> Arc<Chain> {
    let list = ProxyList::parse(list).unwrap();
    let policy = Arc::new(Policy::new(Patterns::new(private), Patterns::new(private)));
    Arc::new(Chain::new(list.entries(), client, &policy, None).unwrap())
}

/// Options fit for tests: a temporary disk may be small.
pub(crate) fn options() -> CacheOptions {
    CacheOptions { disk_floor: 0, ..CacheOptions::default() }
}

/// A cache in `root` in front of the server at `url`, judged by `judge`.
pub(crate) fn cache(root: &Path, url: &str, judge: &Arc<Judge>) -> Cache {
    let (client, _) = client(&[url]);
    Cache::open_root(root, chain(url, &client), judge.clone(), options()).unwrap()
}

/// Admits what it was not told to refuse, and remembers what it was asked.
#[derive(Default)]
pub(crate) struct Judge {
    pub(crate) refused: Mutex<HashSet<String>>,
    pub(crate) away: AtomicBool,
    pub(crate) asked: Mutex<Vec<String>>,
    /// Whether it refuses zips whose own go.mod is not the one that is served, as where nobody vouches for them.
    pub(crate) strict: AtomicBool,
    /// Whether nothing it could admit exists.
    pub(crate) nothing: AtomicBool,
}

impl Judge {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Refuses this hash from now on.
    pub(crate) fn refuse(&self, h1: H1) {
        self.refused.lock().unwrap().insert(h1.to_string());
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn judge(&self, what: String, h1: H1) -> BoxFuture<'_, Result<(), Refusal>> {
        self.asked.lock().unwrap().push(what);
        let verdict = if self.away.load(Ordering::SeqCst) {
            Err(Refusal::Unavailable { text: "the log is away".to_owned(), timeout: false })
        } else if self.refused.lock().unwrap().contains(&h1.to_string()) {
            Err(Refusal::Refused {
                text: "the log knows another hash".to_owned(),
                evidence: b"proof".to_vec(),
            })
        } else {
            Ok(())
        };
        Box::pin(std::future::ready(verdict))
    }
}

impl Admit for Judge {
    fn admit_go_mod<'a>(
        &'a self,
        version: &'a ModuleVersion,
        go_mod: H1,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        self.judge(format!("mod {version}"), go_mod)
    }

    fn expect_zip<'a>(&'a self, version: &'a ModuleVersion) -> BoxFuture<'a, Result<(), Refusal>> {
        let nothing = self.nothing.load(Ordering::SeqCst);
        let unknown = || Refusal::Unknown { text: format!("{version}: nobody knows it") };
        Box::pin(std::future::ready(if nothing { Err(unknown()) } else { Ok(()) }))
    }

    fn admit_zip<'a>(
        &'a self,
        version: &'a ModuleVersion,
        hashes: Hashes,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        if self.strict.load(Ordering::SeqCst) && hashes.go_mod != hashes.go_mod_in_zip {
            self.refuse(hashes.zip);
        }
        self.judge(format!("zip {version}"), hashes.zip)
    }
}

/// The bytes of a staged file.
pub(crate) fn read(staged: &Complete) -> Vec<u8> {
    let mut bytes = Vec::new();
    staged.open().unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// Every file below `root`, relative, sorted, without the cache's own directories.
pub(crate) fn tree(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let relative = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if relative.starts_with('.') {
                continue;
            }
            if path.is_dir() { directories.push(path) } else { files.push(relative) }
        }
    }
    files.sort();
    files
}

/// The names in one of the cache's own directories, sorted.
pub(crate) fn own(root: &Path, directory: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root.join(directory)).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
