//! What is kept and what goes: tags that move, quotas, and the only copy.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use quipu_fetch::storage::Stored;
use quipu_fetch::{
    Admit, BoxFuture, Cache, CacheOptions, Error, Evicted, FileKind, Hashes, Info, Refusal, Staged, Upstream,
};
use quipu_module::{H1, ModulePath, ModuleVersion, Query, Version};

use super::root;
use crate::support::modules::{Module, zip};
use crate::support::root::Root;
use crate::support::scripted::Scripted;
use crate::support::server::{Reply, Server};
use crate::support::{Judge, chain, client, options, version};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Admits everything; what begins with `example.com` is public.
#[derive(Default)]
struct Public;

impl Admit for Public {
    fn admit_go_mod<'a>(&'a self, _: &'a ModuleVersion, _: H1) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn expect_zip<'a>(&'a self, _: &'a ModuleVersion) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn is_replaceable(&self, version: &ModuleVersion) -> bool {
        version.path().as_str().starts_with("example.com/")
    }

    fn admit_zip<'a>(&'a self, _: &'a ModuleVersion, _: Hashes) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// The name that a file of a module has in the cache.
fn stored(module: &Module, extension: &str) -> String {
    module.url(extension).trim_start_matches('/').to_owned()
}

fn has(root: &Root, module: &Module, extension: &str) -> bool {
    root.get(&stored(module, extension)).is_some()
}

/// The zip was last used so many days ago.
fn used(root: &Root, module: &Module, days: u32) {
    root.set_age(&stored(module, "zip.ok"), DAY * days);
}

fn cache(root: &Root, server: &Server, quota: u64) -> Cache {
    let (client, _) = client(&[&server.url]);
    root.open(chain(&server.url, &client), Arc::new(Public), CacheOptions { quota, ..options() })
}

/// Modules of 100 kB each, the first not used for the longest time; fetched through `cache`.
async fn fill(root: &Root, server: &Server, cache: &Cache, names: &[&str]) -> Vec<Module> {
    let mut modules = Vec::new();
    for (n, name) in names.iter().enumerate() {
        let module = Module::new(name, 100_000);
        module.serve(server);
        for kind in [FileKind::Info, FileKind::Zip] {
            cache.file(&module.version, kind).await.unwrap();
        }
        used(root, &module, 100 - u32::try_from(n).unwrap());
        modules.push(module);
    }
    modules
}

fn zips(root: &Root) -> Vec<String> {
    root.tree().into_iter().filter(|name| name.ends_with(".zip")).collect()
}

#[tokio::test]
async fn what_was_not_used_for_longest_goes_first_and_comes_back_the_same() {
    let (root, server) = (root(), Server::start().await);
    let names =
        ["example.com/a@v1.0.0", "example.com/b@v1.0.0", "example.com/c@v1.0.0", "example.com/d@v1.0.0"];
    let cache = cache(&root, &server, 350_000);
    let modules = fill(&root, &server, &cache, &names).await;
    assert!(cache.stats().zip_bytes > 400_000);
    // Used just now, although it is the oldest: the note of it is older than a day.
    let again = self::cache(&root, &server, 350_000);
    again.survey().await.unwrap();
    again.file(&modules[0].version, FileKind::Zip).await.unwrap();
    let evicted = again.make_room().await.unwrap();
    assert_eq!((evicted.files, evicted.kept), (1, 0));
    assert_eq!(
        zips(&root),
        ["example.com/a/@v/v1.0.0.zip", "example.com/c/@v/v1.0.0.zip", "example.com/d/@v/v1.0.0.zip"]
    );
    assert_eq!((again.stats().evicted, again.stats().evicted_bytes), (1, evicted.bytes));
    assert!(again.stats().zip_bytes <= 350_000);
    assert_eq!(again.make_room().await.unwrap(), Evicted::default(), "there is room");
    // Its small files and its hash are there, and it comes back.
    assert!(again.open(&modules[1].version, FileKind::GoMod).unwrap().is_some());
    assert!(again.open(&modules[1].version, FileKind::Zip).unwrap().is_none());
    let file = again.file(&modules[1].version, FileKind::Zip).await.unwrap();
    assert_eq!(file.bytes().await.unwrap(), modules[1].zip);
}

#[tokio::test]
async fn an_evicted_zip_that_comes_back_changed_is_refused() {
    let (root, server) = (root(), Server::start().await);
    let cache = cache(&root, &server, 1);
    let modules = fill(&root, &server, &cache, &["example.com/a@v1.0.0"]).await;
    assert_eq!(cache.make_room().await.unwrap().files, 1);
    let other = Module::new("example.com/a@v1.0.0", 7);
    server.on(&other.url("zip"), Reply::ok(other.zip.clone()));
    let error = cache.file(&other.version, FileKind::Zip).await.unwrap_err();
    assert!(error.text().contains(&modules[0].zip_h1().to_string()), "{error}");
    assert!(error.text().contains(&other.zip_h1().to_string()), "{error}");
    assert_eq!(zips(&root), [""; 0]);
}

#[tokio::test]
async fn the_only_copy_never_goes() {
    let (root, server) = (root(), Server::start().await);
    let cache = cache(&root, &server, 1);
    let names = [
        "corp.example/private@v1.0.0",
        "example.com/published@v1.0.0",
        "example.com/gone@v1.0.0",
        "example.com/away@v1.0.0",
        "example.com/unmarked@v1.0.0",
        "example.com/public@v1.0.0",
        "example.com/now@v1.0.0",
    ];
    let modules = fill(&root, &server, &cache, &names).await;
    root.put(&stored(&modules[1], "published"), "");
    server.on(&modules[2].url("info"), Reply::new(404, ""));
    server.on(&modules[3].url("info"), Reply::new(503, ""));
    root.remove(&stored(&modules[4], "zip.ok"));
    used(&root, &modules[6], 0);
    let evicted = cache.make_room().await.unwrap();
    assert_eq!(evicted.files, 1);
    assert!(!has(&root, &modules[5], "zip"));
    assert_eq!(zips(&root).len(), 6);
    // What was gone once stays for ever, also when somebody puts something there again.
    modules[2].serve(&server);
    modules[3].serve(&server);
    assert_eq!(cache.make_room().await.unwrap().files, 1, "the one that was away");
    assert!(has(&root, &modules[2], "zip"));
    assert!(has(&root, &modules[2], "kept"));
}

/// Has something done whenever it is asked for information.
struct Meanwhile {
    inner: Arc<Scripted>,
    happens: Box<dyn Fn() + Send + Sync>,
}

impl Upstream for Meanwhile {
    fn list<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Vec<Version>, Error>> {
        self.inner.list(path)
    }

    fn info<'a>(&'a self, path: &'a ModulePath, query: &'a Query) -> BoxFuture<'a, Result<Info, Error>> {
        (self.happens)();
        self.inner.info(path, query)
    }

    fn latest<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Info, Error>> {
        self.inner.latest(path)
    }

    fn go_mod<'a>(&'a self, version: &'a ModuleVersion) -> BoxFuture<'a, Result<Bytes, Error>> {
        self.inner.go_mod(version)
    }

    fn zip<'a>(
        &'a self,
        version: &'a ModuleVersion,
        zip: &'a mut Staged,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.inner.zip(version, zip)
    }
}

/// As [`Public`], until everything is in quarantine.
#[derive(Default)]
struct Guarded(AtomicBool);

impl Admit for Guarded {
    fn admit_go_mod<'a>(&'a self, _: &'a ModuleVersion, _: H1) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn expect_zip<'a>(&'a self, _: &'a ModuleVersion) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn is_replaceable(&self, _: &ModuleVersion) -> bool {
        !self.0.load(Ordering::SeqCst)
    }

    fn admit_zip<'a>(&'a self, _: &'a ModuleVersion, _: Hashes) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// What comes up while upstream is asked counts as much as what was so before.
#[tokio::test]
async fn what_must_stay_by_now_stays() {
    for what in ["nothing", "quarantine", "kept", "published", "used"] {
        let (root, inner, judge) = (root(), Arc::new(Scripted::default()), Arc::new(Guarded::default()));
        let module = Module::new("example.com/a@v1.0.0", 0);
        for (question, answer) in [
            ("example.com/a@v1.0.0", module.info.clone()),
            ("example.com/a@v1.0.0 mod", String::from_utf8(module.go_mod.clone()).unwrap()),
            ("example.com/a@v1.0.0 zip", String::new()),
        ] {
            inner.set(question, Ok(&answer));
        }
        let (held, at) = (judge.clone(), root.clone());
        let (mark, evicting) = (stored(&module, "zip.ok"), Arc::new(AtomicBool::new(false)));
        let (began, note) = (evicting.clone(), module.clone());
        let happens = Box::new(move || match what {
            _ if !began.load(Ordering::SeqCst) => {}
            "quarantine" => held.0.store(true, Ordering::SeqCst),
            "used" => at.set_age(&mark, Duration::ZERO),
            "nothing" => {}
            extension => at.put(&stored(&note, extension), ""),
        });
        let upstream = Arc::new(Meanwhile { inner, happens });
        let cache = root.open(upstream, judge, CacheOptions { quota: 1, ..options() });
        for kind in [FileKind::Info, FileKind::Zip] {
            cache.file(&module.version, kind).await.unwrap();
        }
        used(&root, &module, 2);
        evicting.store(true, Ordering::SeqCst);
        let evicted = cache.make_room().await.unwrap();
        let goes = u64::from(what == "nothing");
        assert_eq!((evicted.files, evicted.kept, cache.stats().evicted), (goes, 1 - goes, goes), "{what}");
        assert_eq!(has(&root, &module, "zip"), goes == 0, "{what}");
    }
}

#[tokio::test]
async fn readers_of_what_goes_read_on() {
    let (root, server) = (root(), Server::start().await);
    let module = Module::new("example.com/big@v1.0.0", 2 << 20);
    module.serve(&server);
    let cache = cache(&root, &server, 1);
    for kind in [FileKind::Info, FileKind::Zip] {
        cache.file(&module.version, kind).await.unwrap();
    }
    used(&root, &module, 2);
    let open = cache.open(&module.version, FileKind::Zip).unwrap().unwrap();
    used(&root, &module, 2);
    assert_eq!(
        matches!(open.body, Stored::File(_)),
        root.directory().is_some(),
        "a big file is read from the disk"
    );
    let mut file = open.body.reader();
    let mut start = vec![0; 1000];
    file.read_exact(&mut start).unwrap();
    assert_eq!(cache.make_room().await.unwrap().files, 1);
    let mut rest = Vec::new();
    file.read_to_end(&mut rest).unwrap();
    assert_eq!([start, rest].concat(), module.zip);
    // The next one fetches it again.
    assert!(cache.open(&module.version, FileKind::Zip).unwrap().is_none());
    assert_eq!(cache.file(&module.version, FileKind::Zip).await.unwrap().length, module.zip.len() as u64);
}

#[tokio::test]
async fn a_crash_while_room_is_made_loses_nothing_that_cannot_be_had_again() {
    let (root, server) = (root(), Server::start().await);
    let names: Vec<_> = (0..40).map(|n| format!("example.com/m{n}@v1.0.0")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let modules = fill(&root, &server, &cache(&root, &server, 0), &names).await;
    for step in 0..10 {
        let (root, url) = (root.clone(), server.url.clone());
        let crash = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let cache = {
                let _inside = runtime.enter();
                let (client, _) = client(&[&url]);
                let options = CacheOptions { quota: 1, ..options() };
                root.open(chain(&url, &client), Arc::new(Public), options)
            };
            runtime.spawn(async move {
                cache.survey().await.unwrap();
                cache.make_room().await.unwrap();
            });
            std::thread::sleep(Duration::from_millis(step));
            runtime.shutdown_background();
        });
        tokio::task::spawn_blocking(move || crash.join().unwrap()).await.unwrap();
    }
    let cache = cache(&root, &server, 0);
    for module in &modules {
        let file = cache.file(&module.version, FileKind::Zip).await.unwrap();
        assert_eq!(file.bytes().await.unwrap(), module.zip);
    }
    assert_eq!(root.own(".evidence"), [""; 0]);
}

/// The `.info` of v1.0.0 made from this commit.
fn from(commit: &str) -> String {
    format!(
        r#"{{"Version":"v1.0.0","Origin":{{"VCS":"git","URL":"https://git.example/m","Hash":"{commit}","Ref":"refs/tags/v1.0.0"}}}}"#
    )
}

#[tokio::test]
async fn a_moved_tag_is_noticed_and_changes_nothing() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let judge = Judge::new();
    let open = || root.open(upstream.clone(), judge.clone(), options());
    let (cache, wanted) = (open(), version("example.com/m@v1.0.0"));
    let (first, second) = ("a".repeat(40), "b".repeat(40));
    upstream.set("example.com/m@v1.0.0", Ok(&from(&first)));
    cache.file(&wanted, FileKind::Info).await.unwrap();
    cache.compare(&wanted).await.unwrap();
    // The same commit, named shorter.
    upstream.set("example.com/m@v1.0.0", Ok(&from(&first[..12])));
    cache.compare(&wanted).await.unwrap();
    assert!(cache.moved().is_empty());

    upstream.set("example.com/m@v1.0.0", Ok(&from(&second)));
    for _ in 0..3 {
        cache.compare(&wanted).await.unwrap();
    }
    assert_eq!((cache.stats().moves, cache.stats().moved), (1, 1));
    let moved = cache.moved();
    assert_eq!((&moved[0].version, &moved[0].stored, &moved[0].upstream), (&wanted, &first, &second));
    let kept = root.own(".evidence");
    assert_eq!(kept.len(), 2, "{kept:?}");
    let report = kept.iter().find(|name| name.ends_with(".txt")).unwrap();
    let report = String::from_utf8(root.get(&format!(".evidence/{report}")).unwrap()).unwrap();
    assert!(report.contains(&first) && report.contains(&second), "{report}");
    let served = cache.file(&wanted, FileKind::Info).await.unwrap().bytes().await.unwrap();
    assert_eq!(served, from(&first).as_bytes());

    // Known after a restart, told again only when it moves again, and forgotten when it moves back.
    let cache = open();
    assert_eq!(cache.moved(), moved);
    cache.compare(&wanted).await.unwrap();
    assert_eq!(cache.stats().moves, 0);
    upstream.set("example.com/m@v1.0.0", Ok(&from(&"c".repeat(40))));
    cache.compare(&wanted).await.unwrap();
    assert_eq!((cache.stats().moves, cache.stats().moved), (1, 1));
    upstream.set("example.com/m@v1.0.0", Ok(&from(&first)));
    cache.compare(&wanted).await.unwrap();
    assert_eq!((cache.stats().moves, cache.moved().len(), open().moved().len()), (1, 0, 0));
    // Gone is not moved, and from then on what is here is the only copy; a fault says nothing.
    upstream.fail("example.com/m@v1.0.0");
    assert!(cache.compare(&wanted).await.is_err());
    assert!(root.get("example.com/m/@v/v1.0.0.kept").is_none());
    upstream.set("example.com/m@v1.0.0", Err(Error::not_found("gone")));
    cache.compare(&wanted).await.unwrap();
    assert!(root.get("example.com/m/@v/v1.0.0.kept").is_some());
}

#[tokio::test]
async fn only_what_is_in_use_is_compared_and_not_often() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let cache = root.open(upstream.clone(), Judge::new(), options());
    let (used, unused) = (version("example.com/m@v1.0.0"), version("example.com/x@v1.0.0"));
    for wanted in [&used, &unused] {
        upstream.set(&wanted.to_string(), Ok(&from(&"a".repeat(40))));
        cache.file(wanted, FileKind::Info).await.unwrap();
        root.set_age(&format!("{}/@v/v1.0.0.info", wanted.path()), DAY * 2);
    }
    upstream.set("example.com/m@v1.0.0", Ok(&from(&"b".repeat(40))));
    upstream.asked();
    // Another process's memory: what is known of files is read anew.
    let cache = root.open(upstream.clone(), Judge::new(), options());
    for _ in 0..500 {
        cache.file(&used, FileKind::Info).await.unwrap();
        assert!(cache.recent("example.com/m/@v/v1.0.0.info").is_some());
        if cache.stats().moved > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(cache.moved()[0].version, used);
    for _ in 0..100 {
        cache.file(&used, FileKind::Info).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(upstream.asked(), 1);
}

/// A module with this file in its root, which was last used so many days ago.
async fn with_file(
    (cache, root): (&Cache, &Root),
    server: &Server,
    (name, file, text): (&str, &str, &str),
    days: u32,
) -> Module {
    let module = Module::new(name, 0);
    let within = |file: &str| format!("{name}/{file}");
    let zip = zip(&[
        (&within("go.mod"), &module.go_mod),
        (&within("x.go"), b"package x\n"),
        (&within(file), text.as_bytes()),
    ]);
    let module = Module { zip, ..module };
    module.serve(server);
    for kind in [FileKind::Info, FileKind::Zip] {
        cache.file(&module.version, kind).await.unwrap();
    }
    used(root, &module, days);
    module
}

const MIT: &str = include_str!("licences/MIT");
const BSD: &str = include_str!("licences/BSD-3-Clause");
const APACHE: &str = include_str!("../../../../LICENSE");

#[tokio::test]
async fn what_comes_under_no_licence_goes_earlier() {
    let (root, server) = (root(), Server::start().await);
    let (client, _) = client(&[&server.url]);
    let options = CacheOptions { unlicensed: DAY * 30, ..options() };
    let cache = root.open(chain(&server.url, &client), Arc::new(Public), options);
    let mut modules = Vec::new();
    for (name, file, text, days) in [
        ("example.com/mit@v1.0.0", "LICENSE.md", MIT, 40),
        ("example.com/bsd@v1.0.0", "COPYING", BSD, 40),
        ("example.com/apache@v1.0.0", "licence-apache.txt", APACHE, 40),
        ("example.com/none@v1.0.0", "README.md", MIT, 40),
        ("example.com/own@v1.0.0", "LICENSE", "All rights reserved. Keep out.", 40),
        ("example.com/gone@v1.0.0", "README.md", "", 40),
        ("example.com/used@v1.0.0", "README.md", "", 29),
        ("example.com/published@v1.0.0", "README.md", "", 40),
        ("corp.example/private@v1.0.0", "README.md", "", 40),
    ] {
        modules.push(with_file((&cache, &root), &server, (name, file, text), days).await);
    }
    server.on(&modules[5].url("info"), Reply::new(404, ""));
    root.put(&stored(&modules[7], "published"), "");
    let evicted = cache.expire_unlicensed().await.unwrap();
    assert_eq!((evicted.files, evicted.kept), (2, 1));
    let left = zips(&root);
    assert_eq!(left.len(), 7);
    assert!(!has(&root, &modules[3], "zip") && !has(&root, &modules[4], "zip"));
    assert_eq!((cache.stats().evicted, cache.stats().unlicensed), (2, 2), "the one in use and the only copy");
    let found = |module: &Module| String::from_utf8(root.get(&stored(module, "licence")).unwrap()).unwrap();
    let found: Vec<_> = modules[..5].iter().map(found).collect();
    let expected = ["MIT", "BSD-3-Clause", "Apache-2.0", "none", "none"];
    assert_eq!(found, expected.map(|name| format!("quipu-licence 1\n{name}\n")));

    // What was found out stays, also of what is gone; that comes back as it was, and is in use then.
    let again = cache.file(&modules[3].version, FileKind::Zip).await.unwrap();
    assert_eq!(again.bytes().await.unwrap(), modules[3].zip);
    root.put(&stored(&modules[0], "licence"), "quipu-licence 1\nnone\n");
    root.put(&stored(&modules[1], "licence"), "");
    let evicted = cache.expire_unlicensed().await.unwrap();
    assert_eq!((evicted.files, cache.stats().unlicensed), (1, 2), "what is known is not looked for again");
    assert!(!has(&root, &modules[0], "zip") && has(&root, &modules[1], "zip"));
    // A cache that was not told to does nothing.
    let other = self::cache(&root, &server, 0);
    used(&root, &modules[3], 400);
    assert_eq!(other.expire_unlicensed().await.unwrap(), Evicted::default());
}
