//! What crashes leave behind, and trees that others made.

use std::sync::atomic::Ordering;

use quipu_fetch::{CacheOptions, ErrorKind, FileKind};
use sha2::{Digest as _, Sha256};

use super::root;
use crate::support::modules::Module;
use crate::support::root::Root;
use crate::support::server::Server;
use crate::support::{self, Judge};

/// Nothing listens there.
const NOWHERE: &str = "http://127.0.0.1:9";

/// Stages `zip` with a note that says that it is `module`, as a crash after admission leaves it.
fn leave(root: &Root, module: &Module, zip: &[u8]) {
    root.put(".staging/7.part", zip);
    let sha256: String = Sha256::digest(&module.zip).iter().map(|byte| format!("{byte:02x}")).collect();
    root.put(".staging/7.for", format!("{}\n{sha256}\n", module.version));
}

/// A cache that holds the go.mod of `module` and knows no way to anything else.
async fn with_go_mod(root: &Root, module: &Module, judge: &std::sync::Arc<Judge>) {
    let server = Server::start().await;
    module.serve(&server);
    root.cache(&server.url, judge).file(&module.version, FileKind::GoMod).await.unwrap();
}

#[tokio::test]
async fn a_complete_staged_zip_is_finished() {
    let (root, judge) = (root(), Judge::new());
    let module = Module::new("example.com/m@v1.0.0", 1000);
    with_go_mod(&root, &module, &judge).await;
    leave(&root, &module, &module.zip);
    root.put(".staging/8.part", "half a zip");
    root.put(".staging/9.for", "example.com/x@v1.0.0\n");
    let cache = root.cache(NOWHERE, &judge);
    assert_eq!(root.own(".staging"), ["7.for", "7.part"]);
    assert!(cache.open(&module.version, FileKind::Zip).unwrap().is_none());
    judge.away.store(true, Ordering::SeqCst);
    assert_eq!(cache.recover().await, 0);
    assert_eq!(root.own(".staging"), ["7.for", "7.part"], "kept for the next start");
    judge.away.store(false, Ordering::SeqCst);
    let cache = root.cache(NOWHERE, &judge);
    assert_eq!(cache.recover().await, 1);
    assert_eq!(judge.asked().last().unwrap(), "zip example.com/m@v1.0.0");
    let file = cache.file(&module.version, FileKind::Zip).await.unwrap();
    assert_eq!(file.bytes().await.unwrap(), module.zip);
    assert_eq!(root.own(".staging"), [""; 0]);
    assert_eq!(cache.recover().await, 0);
}

#[tokio::test]
async fn a_damaged_or_refused_staged_zip_is_not() {
    for (damage, refuse, evidence) in [(true, false, 0), (false, true, 3)] {
        let (root, judge) = (root(), Judge::new());
        let module = Module::new("example.com/m@v1.0.0", 1000);
        with_go_mod(&root, &module, &judge).await;
        let mut zip = module.zip.clone();
        if damage {
            zip[100] ^= 1;
        }
        if refuse {
            judge.refuse(module.zip_h1());
        }
        leave(&root, &module, &zip);
        let cache = root.cache(NOWHERE, &judge);
        assert_eq!(cache.recover().await, 0);
        assert!(cache.file(&module.version, FileKind::Zip).await.is_err());
        let lengths = (root.own(".staging").len(), root.own(".evidence").len());
        assert_eq!(lengths, (0, evidence));
    }
}

#[tokio::test]
async fn a_crash_at_any_step_leaves_something_that_works() {
    // A fetch is stopped by dropping the whole runtime while it is under way, at growing moments.
    let (root, judge) = (root(), Judge::new());
    let server = Server::start().await;
    let module = Module::new("example.com/m@v1.0.0", 3 << 20);
    module.serve(&server);
    for step in 0..40 {
        let (root, url) = (root.clone(), server.url.clone());
        let (judge, version) = (judge.clone(), module.version.clone());
        let stopped = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let cache = {
                let _inside = runtime.enter();
                root.cache(&url, &judge)
            };
            let fetch = runtime.spawn(async move { cache.file(&version, FileKind::Zip).await.map(drop) });
            std::thread::sleep(std::time::Duration::from_millis(step));
            drop(fetch);
            runtime.shutdown_background();
        });
        tokio::task::spawn_blocking(move || stopped.join().unwrap()).await.unwrap();
    }
    let cache = root.cache(&server.url, &judge);
    cache.recover().await;
    let file = cache.file(&module.version, FileKind::Zip).await.unwrap();
    assert_eq!(file.bytes().await.unwrap(), module.zip);
    assert_eq!(root.own(".evidence"), [""; 0]);
}

#[tokio::test]
async fn trees_without_marks_are_judged_before_they_are_served() {
    let judge = Judge::new();
    let module = Module::new("example.com/m@v1.0.0", 1 << 20);
    let root = root();
    let drop_in = |module: &Module| {
        root.put("example.com/m/@v/v1.0.0.info", &module.info);
        root.put("example.com/m/@v/v1.0.0.mod", &module.go_mod);
        root.put("example.com/m/@v/v1.0.0.zip", &module.zip);
        root.put("example.com/m/@v/v1.0.0.lock", "");
        root.put("example.com/m/@v/v1.0.0.ziphash", "h1:whatever");
    };
    drop_in(&module);
    let offline = root.cache(NOWHERE, &judge);
    assert!(offline.open(&module.version, FileKind::Zip).unwrap().is_none());
    assert!(offline.open(&module.version, FileKind::Info).unwrap().is_some());
    judge.away.store(true, Ordering::SeqCst);
    assert_eq!(offline.file(&module.version, FileKind::Zip).await.unwrap_err().text(), "the log is away");
    judge.away.store(false, Ordering::SeqCst);
    let file = offline.file(&module.version, FileKind::Zip).await.unwrap();
    assert_eq!(file.bytes().await.unwrap(), module.zip);
    judge.asked.lock().unwrap().clear();

    // Marked now: no more questions, also after a restart, but for another owner.
    let again = root.cache(NOWHERE, &judge);
    assert!(again.open(&module.version, FileKind::Zip).unwrap().is_some());
    let (client, _) = support::client(&[NOWHERE]);
    let options = CacheOptions { owner: "sum.other".to_owned(), ..support::options() };
    let other = root.open(support::chain(NOWHERE, &client), judge.clone(), options);
    assert!(other.open(&module.version, FileKind::Zip).unwrap().is_none());
    assert_eq!(judge.asked(), [""; 0]);
    other.file(&module.version, FileKind::Zip).await.unwrap();
    assert_eq!(judge.asked(), ["mod example.com/m@v1.0.0", "zip example.com/m@v1.0.0"]);
}

#[tokio::test]
async fn bad_files_in_a_tree_are_moved_aside_and_fetched() {
    let server = Server::start().await;
    let module = Module::new("example.com/m@v1.0.0", 1000);
    module.serve(&server);
    let other = Module::new("example.com/m@v1.0.0", 7);
    let judge = Judge::new();
    judge.refuse(other.zip_h1());
    judge.refuse(quipu_module::hash_go_mod(b"module other\n"));
    let truncated = &module.zip[..500];
    for (name, content) in [
        ("zip", other.zip.as_slice()),
        ("zip", truncated),
        ("zip", b"".as_slice()),
        ("mod", b"module other\n".as_slice()),
        ("info", b"".as_slice()),
        ("info", br#"{"Version":"v9.9.9"}"#.as_slice()),
    ] {
        let root = root();
        root.put(&format!("example.com/m/@v/v1.0.0.{name}"), content);
        let cache = root.cache(&server.url, &judge);
        cache.survey().await.unwrap();
        let file = cache.file(&module.version, FileKind::Zip).await.unwrap();
        assert_eq!(file.bytes().await.unwrap(), module.zip, "{name}");
        assert_eq!(cache.stats().zip_bytes, module.zip.len() as u64, "{name}");
        let info = cache.file(&module.version, FileKind::Info).await.unwrap();
        assert_eq!(info.bytes().await.unwrap(), module.info, "{name}");
        assert_eq!(cache.stats().refused, 1, "{name}");
        assert_eq!(root.own(".evidence").len(), 2, "{name}");
    }
}

#[tokio::test]
async fn flipped_bits_in_small_stored_files_are_noticed() {
    let (root, judge) = (root(), Judge::new());
    let server = Server::start().await;
    let module = Module::new("example.com/m@v1.0.0", 100);
    module.serve(&server);
    root.cache(&server.url, &judge).file(&module.version, FileKind::Zip).await.unwrap();
    let stored = "example.com/m/@v/v1.0.0.zip";
    let mut bytes = root.get(stored).unwrap();
    let last = bytes.len() - 100;
    bytes[last] ^= 4;
    root.put(stored, bytes);
    let cache = root.cache(&server.url, &judge);
    assert!(cache.open(&module.version, FileKind::Zip).unwrap().is_none());
    let file = cache.file(&module.version, FileKind::Zip).await.unwrap();
    assert_eq!(file.bytes().await.unwrap(), module.zip);
    assert_eq!((server.count(".zip"), cache.stats().refused), (2, 1));
}

#[tokio::test]
async fn an_empty_drop_in_is_no_evidence() {
    let (root, judge) = (root(), Judge::new());
    let cache = root.cache(NOWHERE, &judge);
    let module = Module::new("example.com/m@v1.0.0", 0);
    let error = cache.file(&module.version, FileKind::Zip).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(root.tree(), [""; 0]);
}
