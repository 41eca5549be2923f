//! The files of a version through the cache: fetched once, judged, stored for ever.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::root;
use crate::support::modules::{Module, zip};
use crate::support::server::{Reply, Server};
use crate::support::{self, Judge, path, query, version};
use quipu_fetch::storage::Stored;
use quipu_fetch::{Cache, CacheOptions, ErrorKind, FileKind, Upstream as _};

const KINDS: [FileKind; 3] = [FileKind::Info, FileKind::GoMod, FileKind::Zip];

async fn bytes(cache: &Cache, version: &str, kind: FileKind) -> Vec<u8> {
    cache.file(&support::version(version), kind).await.unwrap().bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn files_are_fetched_separately_and_once() {
    let (server, root, judge) = (Server::start().await, root(), Judge::new());
    let module = Module::new("example.com/Big/m@v1.0.0-RC1", 1 << 20);
    module.serve(&server);
    let cache = root.cache(&server.url, &judge);
    let asked = &module.version;
    for kind in KINDS {
        assert!(cache.open(asked, kind).unwrap().is_none());
    }
    assert_eq!(bytes(&cache, "example.com/Big/m@v1.0.0-RC1", FileKind::GoMod).await, module.go_mod);
    assert_eq!(server.paths(), ["/example.com/!big/m/@v/v1.0.0-!r!c1.mod"]);
    assert_eq!(bytes(&cache, "example.com/Big/m@v1.0.0-RC1", FileKind::Info).await, module.info.as_bytes());
    assert_eq!(bytes(&cache, "example.com/Big/m@v1.0.0-RC1", FileKind::Zip).await, module.zip);
    server.forget();
    for _ in 0..3 {
        for kind in KINDS {
            cache.file(asked, kind).await.unwrap();
        }
    }
    assert_eq!(server.paths(), [""; 0]);
    assert_eq!(judge.asked(), ["mod example.com/Big/m@v1.0.0-RC1", "zip example.com/Big/m@v1.0.0-RC1"]);
    let stem = "example.com/!big/m/@v/v1.0.0-!r!c1";
    let names = ["info", "mod", "mod.ok", "zip", "zip.ok"].map(|extension| format!("{stem}.{extension}"));
    assert_eq!(root.tree(), names);
    assert_eq!(root.own(".staging"), [""; 0]);
    let stats = cache.stats();
    assert_eq!((stats.misses, stats.stored, stats.refused, stats.under_way), (3, 3, 0, 0));
}

#[tokio::test]
async fn opened_files_say_what_they_are() {
    let (server, root, judge) = (Server::start().await, root(), Judge::new());
    let small = Module::new("example.com/small@v1.0.0", 10);
    let big = Module::new("example.com/big@v1.0.0", 1 << 20);
    small.serve(&server);
    big.serve(&server);
    let mut etags = Vec::new();
    for _ in 0..2 {
        // The second time with nothing in memory.
        let cache = root.cache(&server.url, &judge);
        for module in [&small, &big] {
            let file = cache.file(&module.version, FileKind::Zip).await.unwrap();
            assert_eq!((file.length, file.h1), (module.zip.len() as u64, Some(module.zip_h1())));
            let on_disk = root.directory().is_some() && module.zip.len() > 256 << 10;
            assert_eq!(matches!(file.body, Stored::File(_)), on_disk);
            etags.push(file.etag.to_string());
            assert_eq!(file.bytes().await.unwrap(), module.zip);
        }
        let go_mod = cache.file(&small.version, FileKind::GoMod).await.unwrap();
        assert_eq!(go_mod.h1, Some(small.go_mod_h1()));
    }
    assert_eq!(etags[..2], etags[2..]);
    assert_ne!(etags[0], etags[1]);
    assert!(etags[0].len() == 34 && etags[0].starts_with('"') && etags[0].ends_with('"'));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_callers_cause_one_fetch() {
    let (server, root, judge) = (Server::start().await, root(), Judge::new());
    let module = Module::new("example.com/m@v1.0.0", 2 << 20);
    module.serve(&server);
    for extension in ["info", "mod", "zip"] {
        let content = match extension {
            "info" => module.info.clone().into_bytes(),
            "mod" => module.go_mod.clone(),
            _ => module.zip.clone(),
        };
        server.on(&module.url(extension), Reply::ok(content).after(Duration::from_millis(100)));
    }
    let cache = root.cache(&server.url, &judge);
    let mut callers = Vec::new();
    for n in 0..1500 {
        let (cache, version) = (cache.clone(), module.version.clone());
        callers.push(tokio::spawn(async move {
            cache.file(&version, KINDS[n % 3]).await.map(|file| file.length)
        }));
    }
    for (n, caller) in callers.into_iter().enumerate() {
        let lengths = [module.info.len(), module.go_mod.len(), module.zip.len()];
        assert_eq!(caller.await.unwrap().unwrap(), lengths[n % 3] as u64);
    }
    assert_eq!(server.paths().len(), 3, "{:?}", server.paths());
    assert_eq!(judge.asked().len(), 2);
}

#[tokio::test]
async fn the_first_caller_may_leave() {
    let (server, root, judge) = (Server::start().await, root(), Judge::new());
    let module = Module::new("example.com/m@v1.0.0", 100_000);
    module.serve(&server);
    server.on(&module.url("zip"), Reply::ok(module.zip.clone()).drip(10_000, Duration::from_millis(20)));
    let cache = root.cache(&server.url, &judge);
    let first = tokio::spawn({
        let (cache, version) = (cache.clone(), module.version.clone());
        async move { cache.file(&version, FileKind::Zip).await.map(drop) }
    });
    while server.count(".zip") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(bytes(&cache, "example.com/m@v1.0.0", FileKind::Zip).await, module.zip);
    assert_eq!(server.count(".zip"), 1);
}

#[tokio::test]
async fn broken_zips_are_never_stored() {
    let (server, root, judge) = (Server::start().await, root(), Judge::new());
    let module = Module::new("example.com/m@v1.0.0", 100_000);
    let other = Module::new("example.com/other@v1.0.0", 10);
    module.serve(&server);
    let cache = root.cache(&server.url, &judge);
    let whole = || Reply::ok(module.zip.clone());
    let half = module.zip.len() / 2;
    let mut flipped = module.zip.clone();
    flipped[half] ^= 1;
    for (reply, kind) in [
        (whole().cut(half), ErrorKind::Unavailable),
        (whole().cut(0), ErrorKind::Unavailable),
        (whole().length(None).cut(half), ErrorKind::Rejected),
        (Reply::ok(&module.zip[..half]), ErrorKind::Rejected),
        (Reply::ok(&module.zip[half..]), ErrorKind::Rejected),
        (Reply::ok(flipped), ErrorKind::Rejected),
        (Reply::ok("<html>"), ErrorKind::Rejected),
        (Reply::ok(""), ErrorKind::Rejected),
        (Reply::ok(other.zip.clone()), ErrorKind::Rejected),
        (Reply::new(204, ""), ErrorKind::Unavailable),
        (Reply::new(206, module.zip.clone()), ErrorKind::Unavailable),
        (whole().header("Content-Encoding", "gzip"), ErrorKind::Rejected),
        (Reply::ok("").length(Some(600 << 20)), ErrorKind::TooLarge),
        (Reply::new(500, "not found: really"), ErrorKind::Unavailable),
    ] {
        server.on(&module.url("zip"), reply.clone());
        let error = cache.file(&module.version, FileKind::Zip).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{} {}: {error}", reply.status, reply.body.len());
        assert!(error.text().starts_with("example.com/m@v1.0.0: "), "{error}");
        assert!(cache.open(&module.version, FileKind::Zip).unwrap().is_none());
    }
    assert_eq!(judge.asked(), ["mod example.com/m@v1.0.0"]);
    assert_eq!(root.tree(), ["example.com/m/@v/v1.0.0.mod", "example.com/m/@v/v1.0.0.mod.ok"]);
    assert_eq!((root.own(".staging").len(), root.own(".evidence").len()), (0, 0));
    // And nothing of it is remembered.
    server.on(&module.url("zip"), whole());
    assert_eq!(bytes(&cache, "example.com/m@v1.0.0", FileKind::Zip).await, module.zip);
}

#[tokio::test]
async fn what_is_refused_is_kept_aside_and_not_served() {
    let (server, root, judge) = (Server::start().await, root(), Judge::new());
    let module = Module::new("example.com/m@v1.0.0", 1000);
    module.serve(&server);
    judge.refuse(module.zip_h1());
    let cache = root.cache(&server.url, &judge);
    for _ in 0..2 {
        let error = cache.file(&module.version, FileKind::Zip).await.unwrap_err();
        assert_eq!((error.kind(), error.text()), (ErrorKind::Rejected, "the log knows another hash"));
    }
    assert_eq!(root.tree(), ["example.com/m/@v/v1.0.0.mod", "example.com/m/@v/v1.0.0.mod.ok"]);
    let names = root.own(".evidence");
    let [proof, report, kept] = &names[..] else { panic!("{names:?}") };
    let read = |name: &str| root.get(&format!(".evidence/{name}")).unwrap();
    assert_eq!((read(proof), read(kept)), (b"proof".to_vec(), module.zip.clone()));
    assert!(kept.ends_with(".zip") && report.ends_with(".txt"));
    assert!(String::from_utf8(read(report)).unwrap().starts_with("example.com/m@v1.0.0 zip\n"));
    assert_eq!((cache.stats().refused, cache.stats().rejected), (2, 2));

    judge.refuse(module.go_mod_h1());
    let root = super::root();
    let cache = root.cache(&server.url, &judge);
    assert_eq!(cache.file(&module.version, FileKind::GoMod).await.unwrap_err().kind(), ErrorKind::Rejected);
    assert_eq!(cache.file(&module.version, FileKind::Zip).await.unwrap_err().kind(), ErrorKind::Rejected);
    assert_eq!((root.tree().len(), root.own(".evidence").len()), (0, 3));
}

#[tokio::test]
async fn a_zip_that_could_not_be_admitted_is_not_even_asked_for() {
    let (server, root, judge) = (Server::start().await, root(), Judge::new());
    let module = Module::new("example.com/m@v1.0.0", 1000);
    module.serve(&server);
    judge.nothing.store(true, Ordering::SeqCst);
    let cache = root.cache(&server.url, &judge);
    let error = cache.file(&module.version, FileKind::Zip).await.unwrap_err();
    assert_eq!((error.kind(), error.text()), (ErrorKind::NotFound, "example.com/m@v1.0.0: nobody knows it"));
    assert_eq!(server.paths(), [module.url("mod")]);
    assert_eq!(bytes(&cache, "example.com/m@v1.0.0", FileKind::GoMod).await, module.go_mod);
    assert_eq!(root.own(".staging"), [""; 0]);
}

#[tokio::test]
async fn what_cannot_be_judged_is_not_stored() {
    let (server, root, judge) = (Server::start().await, root(), Judge::new());
    let module = Module::new("example.com/m@v1.0.0", 1000);
    module.serve(&server);
    judge.away.store(true, Ordering::SeqCst);
    let cache = root.cache(&server.url, &judge);
    let error = cache.file(&module.version, FileKind::Zip).await.unwrap_err();
    assert_eq!((error.kind(), error.text()), (ErrorKind::Unavailable, "the log is away"));
    assert_eq!((root.tree().len(), root.own(".staging").len()), (0, 0));
    judge.away.store(false, Ordering::SeqCst);
    assert_eq!(bytes(&cache, "example.com/m@v1.0.0", FileKind::Zip).await, module.zip);
}

#[tokio::test]
async fn whether_the_go_mod_in_the_zip_must_be_the_one_that_is_served_is_for_the_admission_to_say() {
    let (server, judge) = (Server::start().await, Judge::new());
    let agreeing =
        [Module::new("example.com/m@v1.0.0", 0), Module::without_go_mod("example.com/bare@v1.0.0")];
    let mut other = Module::new("example.com/other@v1.0.0", 0);
    other.go_mod = b"module example.com/other\n\nrequire example.com/more v1.0.0\n".to_vec();
    let mut padded = Module::without_go_mod("example.com/padded@v1.0.0");
    padded.go_mod.extend(b"\n");
    let differing = [other, padded];
    agreeing.iter().chain(&differing).for_each(|module| module.serve(&server));

    // One that knows both hashes takes both.
    let root = root();
    let vouched = root.cache(&server.url, &judge);
    for module in agreeing.iter().chain(&differing) {
        let file = vouched.file(&module.version, FileKind::Zip).await.unwrap();
        assert_eq!(file.bytes().await.unwrap(), module.zip);
        let go_mod = vouched.file(&module.version, FileKind::GoMod).await.unwrap();
        assert_eq!(go_mod.bytes().await.unwrap(), module.go_mod);
    }
    assert_eq!(root.own(".evidence"), [""; 0]);

    // One that does not is told of the difference, for fetched zips and for those found in the tree.
    judge.strict.store(true, Ordering::SeqCst);
    let empty = super::root();
    for (root, owner) in [(&empty, "quipu"), (&root, "sum.other")] {
        let (client, _) = support::client(&[&server.url]);
        let options = CacheOptions { owner: owner.to_owned(), ..support::options() };
        let strict = root.open(support::chain(&server.url, &client), judge.clone(), options);
        for module in &agreeing {
            strict.file(&module.version, FileKind::Zip).await.unwrap();
        }
        for module in &differing {
            let error = strict.file(&module.version, FileKind::Zip).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Rejected);
            assert!(strict.open(&module.version, FileKind::Zip).unwrap().is_none());
        }
        let kept = root.own(".evidence");
        assert_eq!(kept.iter().filter(|name| name.ends_with(".zip")).count(), 2, "{kept:?}");
    }
}

#[tokio::test]
async fn stored_files_never_change_and_outlive_their_origin() {
    let (server, root, judge) = (Server::start().await, root(), Judge::new());
    let module = Module::new("example.com/m@v1.0.0", 1000);
    module.serve(&server);
    let first = root.cache(&server.url, &judge);
    for kind in KINDS {
        first.file(&module.version, kind).await.unwrap();
    }
    let changed = Module { zip: zip(&[("example.com/m@v1.0.0/x.go", b"package y\n")]), ..module.clone() };
    changed.serve(&server);
    let second = root.cache(&server.url, &judge);
    assert_eq!(bytes(&second, "example.com/m@v1.0.0", FileKind::Zip).await, module.zip);
    drop(server);
    let third = root.cache("http://127.0.0.1:9", &judge);
    assert_eq!(bytes(&third, "example.com/m@v1.0.0", FileKind::Zip).await, module.zip);
    assert_eq!(third.info(&path("example.com/m"), &query("v1.0.0")).await.unwrap().format(), module.info);
    let missing = third.file(&version("example.com/m@v1.0.1"), FileKind::Info).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn infos_must_be_for_what_was_asked() {
    let (server, root, judge) = (Server::start().await, root(), Judge::new());
    let cache = root.cache(&server.url, &judge);
    let url = "/example.com/m/@v/v1.0.0.info";
    for body in [r#"{"Version":"v1.0.1"}"#, r#"{"Version":"v1.0"}"#, "{}", "", "not found"] {
        server.on(url, Reply::ok(body));
        let error = cache.file(&version("example.com/m@v1.0.0"), FileKind::Info).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{body}");
    }
    server.on(url, Reply::ok(r#"{"Time":"2020-01-01T00:00:00Z", "Version":"v1.0.0", "Extra":[]}"#));
    let info = bytes(&cache, "example.com/m@v1.0.0", FileKind::Info).await;
    assert_eq!(info, br#"{"Version":"v1.0.0","Time":"2020-01-01T00:00:00Z"}"#);
}

#[tokio::test]
async fn absence_is_remembered_for_seconds_and_faults_not_at_all() {
    let (server, root, judge) = (Server::start().await, root(), Judge::new());
    let (client, _) = support::client(&[&server.url]);
    let options = CacheOptions { absence: Duration::from_millis(300), ..support::options() };
    let cache = root.open(support::chain(&server.url, &client), judge, options);
    let module = Module::new("example.com/m@v1.0.0", 0);
    for status in [500, 502, 503, 429, 401, 418, 508] {
        server.always(Some(Reply::new(status, "not found: no")));
        let error = cache.file(&module.version, FileKind::GoMod).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{status}");
    }
    server.always(Some(Reply::new(403, "forbidden: not for you")));
    let error = cache.file(&module.version, FileKind::GoMod).await.unwrap_err();
    assert_eq!((error.kind(), error.text()), (ErrorKind::Forbidden, "example.com/m@v1.0.0: not for you"));
    server.forget();
    for status in [404, 410] {
        server.always(Some(Reply::new(status, "not found: example.com/m@v1.0.0: unknown revision v1.0.0")));
        for _ in 0..5 {
            let error = cache.file(&module.version, FileKind::GoMod).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
            assert_eq!(error.text(), "example.com/m@v1.0.0: unknown revision v1.0.0");
        }
        tokio::time::sleep(Duration::from_millis(310)).await;
    }
    assert_eq!(server.paths().len(), 2);
    server.always(None);
    module.serve(&server);
    assert_eq!(bytes(&cache, "example.com/m@v1.0.0", FileKind::GoMod).await, module.go_mod);
}

#[tokio::test]
async fn a_full_disk_stops_fetching_but_not_serving() {
    let (server, root, judge) = (Server::start().await, root(), Judge::new());
    let module = Module::new("example.com/m@v1.0.0", 10);
    module.serve(&server);
    root.cache(&server.url, &judge).file(&module.version, FileKind::Zip).await.unwrap();
    let (client, _) = support::client(&[&server.url]);
    let options = CacheOptions { disk_floor: u64::MAX, ..support::options() };
    let full = root.open(support::chain(&server.url, &client), judge, options);
    assert_eq!(bytes(&full, "example.com/m@v1.0.0", FileKind::Zip).await, module.zip);
    let error = full.file(&module.version, FileKind::Info).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.text().contains("disk is nearly full"), "{error}");
    assert_eq!(full.list(&path("example.com/m")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn names_that_no_disk_can_hold_do_not_exist() {
    let (server, root, judge) = (Server::start().await, root(), Judge::new());
    let cache = root.cache(&server.url, &judge);
    let long = format!("example.com/{}", "a".repeat(300));
    let error = cache.file(&version(&format!("{long}@v1.0.0")), FileKind::GoMod).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(cache.list(&path(&long)).await.is_err());
    assert!(cache.held_list(&path(&long)).await.is_err());
}
