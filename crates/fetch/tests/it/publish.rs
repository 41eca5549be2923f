//! Publishing into a cache: first content, only copy, crashes.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use quipu_fetch::{
    Admit, AdmitAll, BoxFuture, Cache, CacheOptions, Chain, ErrorKind, FileKind, Hashes, Publication,
    PublishError, Published, Recorded, Refusal, Upstream as _,
};
use quipu_module::{H1, ModuleVersion, Patterns, ZipWriter};
use sha2::{Digest as _, Sha256};

use super::root;
use crate::support;
use crate::support::root::Root;

const TIME: &str = "2026-11-22T10:00:00Z";

fn cache(root: &Root) -> Cache {
    judged(root, Arc::new(AdmitAll))
}

fn judged(root: &Root, admit: Arc<dyn Admit>) -> Cache {
    let published = Patterns::new("corp.example");
    let options = CacheOptions { published, ..support::options() };
    root.open(Arc::new(Chain::of(Vec::new())), admit, options)
}

/// Admits everything, and remembers what was published.
#[derive(Default)]
struct Scribe(Mutex<Vec<Publication>>);

impl Admit for Scribe {
    fn admit_go_mod<'a>(&'a self, version: &'a ModuleVersion, h1: H1) -> BoxFuture<'a, Result<(), Refusal>> {
        AdmitAll.admit_go_mod(version, h1)
    }

    fn expect_zip<'a>(&'a self, version: &'a ModuleVersion) -> BoxFuture<'a, Result<(), Refusal>> {
        AdmitAll.expect_zip(version)
    }

    fn admit_zip<'a>(&'a self, _: &'a ModuleVersion, _: Hashes) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn record<'a>(
        &'a self,
        _: &'a ModuleVersion,
        hashes: Hashes,
        publication: &'a Publication,
    ) -> BoxFuture<'a, Result<Recorded, Refusal>> {
        self.0.lock().unwrap().push(publication.clone());
        let recorded = Recorded { index: None, zip: hashes.zip, go_mod: hashes.go_mod, is_new: true };
        Box::pin(std::future::ready(Ok(recorded)))
    }
}

fn version(text: &str) -> ModuleVersion {
    text.parse().unwrap()
}

fn zip(version: &ModuleVersion, content: &str) -> Vec<u8> {
    zip_saying(version, "", content)
}

/// With this at the end of its go.mod.
fn zip_saying(version: &ModuleVersion, more: &str, content: &str) -> Vec<u8> {
    let mut zip = ZipWriter::new(version, Vec::new());
    let go_mod = format!("module {}\n{more}", version.path());
    for (name, content) in [("go.mod", go_mod.as_str()), ("m.go", content)] {
        zip.start_file(name).unwrap();
        zip.write(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap()
}

async fn publish(cache: &Cache, version: &ModuleVersion, zip: &[u8]) -> Result<Published, PublishError> {
    let mut staged = cache.stage(version).await.unwrap();
    staged.write(zip).await.unwrap();
    cache.publish(version.clone(), staged, publication()).await
}

fn publication() -> Publication {
    let (by, peer) = ("token 3f1c9a0b7d52 (ci)".to_owned(), Some(IpAddr::from([192, 0, 2, 7])));
    Publication { time: TIME.to_owned(), by, peer, is_resumed: false }
}

/// One that is not kept in memory.
fn large_zip(version: &ModuleVersion) -> Vec<u8> {
    let mut state = 1u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'0' + (state >> 58) as u8)
    });
    let zip = zip(version, &format!("package m // {}\n", noise.take(400_000).collect::<String>()));
    assert!(zip.len() > 256 << 10);
    zip
}

/// The same files, packed at another time.
fn packed_later(zip: &[u8]) -> Vec<u8> {
    let mut later = zip.to_vec();
    // Where the time of a file stands, by APPNOTE.TXT 4.3.7 and 4.3.12.
    for (signature, time) in [(b"PK\x03\x04", 10), (b"PK\x01\x02", 12)] {
        let places: Vec<_> = (0..zip.len() - 4).filter(|at| &zip[*at..at + 4] == signature).collect();
        places.iter().for_each(|at| later[at + time] ^= 1);
    }
    assert_ne!(later, zip);
    later
}

#[tokio::test]
async fn the_first_content_is_the_only_copy_and_stays() {
    let root = root();
    let version = version("corp.example/m@v1.0.0");
    let (one, two) = (zip(&version, "package m\n"), zip(&version, "package m // other\n"));
    let published = publish(&cache(&root), &version, &one).await.unwrap();
    let again = cache(&root);
    assert_eq!(publish(&again, &version, &one).await.unwrap().recorded.zip, published.recorded.zip);
    let Err(PublishError::Conflict { recorded, offered, .. }) = publish(&again, &version, &two).await else {
        panic!("no conflict")
    };
    assert_eq!(recorded, published.recorded.zip);
    assert_ne!(offered, recorded);
    assert!(again.is_only_copy(&version).unwrap());
    assert_eq!(again.file(&version, FileKind::Zip).await.unwrap().bytes().await.unwrap(), one);
    let info = again.latest(version.path()).await.unwrap();
    assert_eq!((info.version(), info.time()), (version.version(), Some(TIME)));
    assert_eq!(root.own(".staging"), [""; 0]);
}

#[tokio::test]
async fn what_its_author_takes_back_is_not_the_latest() {
    // In a directory, it is gone with the last one that holds it.
    let root = root();
    let cache = cache(&root);
    let latest = async |number: &str, says: &str| {
        let version = version(&format!("corp.example/m@{number}"));
        publish(&cache, &version, &zip_saying(&version, says, "package m\n")).await.unwrap();
        cache.latest(version.path()).await.unwrap().version().to_string()
    };
    assert_eq!(latest("v1.0.0", "").await, "v1.0.0");
    assert_eq!(latest("v1.1.0", "").await, "v1.1.0");
    assert_eq!(latest("v1.2.0", "retract [v1.1.0, v1.2.0]\n").await, "v1.0.0");
    assert_eq!(latest("v1.3.0-rc.1", "retract v1.0.0\n").await, "v1.0.0", "a release speaks first");
    assert_eq!(latest("v1.2.1", "retract [v0.0.0, v1.2.9]\n").await, "v1.3.0-rc.1");
    assert_eq!(latest("v1.2.2", "retract [v0.0.0, v2.0.0]\n").await, "v1.2.2", "there is no other");
}

#[tokio::test]
async fn what_is_not_ours_is_not_published() {
    let root = root();
    let elsewhere = version("example.com/m@v1.0.0");
    let Err(PublishError::Failed(error)) = publish(&cache(&root), &elsewhere, b"").await else {
        panic!("published")
    };
    assert_eq!(error.kind(), ErrorKind::Forbidden);
}

/// What was served once is served again: zips of the same files need not be alike.
#[tokio::test]
async fn the_same_content_packed_otherwise_changes_nothing() {
    let version = version("corp.example/m@v1.0.0");
    for first in [zip(&version, "package m\n"), large_zip(&version)] {
        let (root, size) = (root(), first.len());
        let second = packed_later(&first);
        publish(&cache(&root), &version, &first).await.unwrap();
        let cache = cache(&root);
        let before = cache.open(&version, FileKind::Zip).unwrap().unwrap();
        let files = |root: &Root| root.tree().iter().map(|name| root.get(name)).collect::<Vec<_>>();
        let all = files(&root);
        // The second time the mark is lost, as a power cut may have it.
        for mark_is_lost in [false, true] {
            let cache = if mark_is_lost {
                root.remove("corp.example/m/@v/v1.0.0.zip.ok");
                self::cache(&root)
            } else {
                cache.clone()
            };
            let again = publish(&cache, &version, &second).await.unwrap();
            assert_eq!(Some(again.recorded.zip), before.h1);
            let served = cache.open(&version, FileKind::Zip).unwrap().unwrap();
            assert_eq!(served.etag, before.etag, "{size} {mark_is_lost}");
            assert_eq!(served.bytes().await.unwrap(), first, "{size} {mark_is_lost}");
            assert_eq!(files(&root), all, "{size} {mark_is_lost}");
            assert_eq!(root.own(".staging"), [""; 0]);
        }
    }
}

/// A file that is gone or damaged comes back with what is published again, and with its own tag, whatever its mark says and
/// whether or not it was in use.
#[tokio::test]
async fn what_is_lost_comes_back_when_it_is_published_again() {
    let version = version("corp.example/m@v1.0.0");
    let stored = ["corp.example/m/@v/v1.0.0.zip", "corp.example/m/@v/v1.0.0.mod"];
    let flip = |mut bytes: Vec<u8>| {
        // Of a small zip, in the first file.
        let at = if bytes.len() > 1000 { bytes.len() / 2 } else { bytes.len().min(61) - 1 };
        bytes[at] ^= 1;
        Some(bytes)
    };
    let damages: [&dyn Fn(Vec<u8>) -> Option<Vec<u8>>; 5] = [
        &|_| None,
        &|_| Some(b"damaged".to_vec()),
        &|_| Some(Vec::new()),
        &|bytes| Some(bytes[..bytes.len() - 1].to_vec()),
        &flip,
    ];
    for first in [zip(&version, "package m\n"), large_zip(&version)] {
        for (nth, damage) in damages.iter().enumerate() {
            for is_in_use in [false, true] {
                let (root, what) = (root(), format!("{} bytes, damage {nth}, {is_in_use}", first.len()));
                let before = cache(&root);
                publish(&before, &version, &first).await.unwrap();
                let go_mod = root.get(stored[1]);
                for name in stored {
                    match damage(root.get(name).unwrap()) {
                        None => root.remove(name),
                        Some(damaged) => root.put(name, damaged),
                    }
                }
                let cache = if is_in_use { before } else { cache(&root) };
                let second = packed_later(&first);
                publish(&cache, &version, &second).await.unwrap();
                let served = cache.open(&version, FileKind::Zip).unwrap().unwrap();
                let digest: String =
                    Sha256::digest(&second)[..16].iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(&*served.etag, format!("\"{digest}\""), "{what}");
                assert!(served.bytes().await.unwrap() == second, "{what}");
                assert!(root.get(stored[0]).as_ref() == Some(&second), "{what}");
                assert_eq!(root.get(stored[1]), go_mod, "{what}");
                assert_eq!(root.own(".staging"), [""; 0]);
            }
        }
    }
}

/// What a new look at the tree would count is what was counted.
#[tokio::test]
async fn what_is_published_counts_among_the_zips() {
    let (root, version) = (root(), version("corp.example/m@v1.0.0"));
    let (stored, first) = ("corp.example/m/@v/v1.0.0.zip", zip(&version, "package m\n"));
    let publishing = cache(&root);
    for zip in [&first, &first, &packed_later(&first)] {
        publish(&publishing, &version, zip).await.unwrap();
        assert_eq!(publishing.stats().zip_bytes, first.len() as u64);
    }
    for damage in [&b"damaged"[..], b"", &[0; 10_000]] {
        root.put(stored, damage);
        let mending = cache(&root);
        mending.survey().await.unwrap();
        assert_eq!(mending.stats().zip_bytes, damage.len() as u64);
        publish(&mending, &version, &first).await.unwrap();
        assert_eq!(mending.stats().zip_bytes, first.len() as u64);
    }
}

/// What a crash after the append leaves staged is published at the next start, without anything to ask it of.
#[tokio::test]
async fn a_crash_loses_nothing_that_may_be_logged() {
    for damaged in [false, true] {
        let root = root();
        let version = version("corp.example/m@v1.0.0");
        let zip = zip(&version, "package m\n");
        let sha256: String = Sha256::digest(&zip).iter().map(|byte| format!("{byte:02x}")).collect();
        root.put(".staging/7.for", format!("{version}\n{sha256}\n{TIME}\n"));
        root.put(".staging/7.part", if damaged { &zip[1..] } else { &zip[..] });
        let cache = cache(&root);
        assert_eq!(cache.recover().await, usize::from(!damaged));
        assert_eq!(root.own(".staging"), [""; 0]);
        let listed = cache.list(version.path()).await;
        if damaged {
            assert_eq!(listed.unwrap_err().kind(), ErrorKind::NotFound);
        } else {
            assert_eq!(listed.unwrap(), [version.version().clone()]);
            assert!(cache.is_only_copy(&version).unwrap());
            assert_eq!(cache.file(&version, FileKind::Zip).await.unwrap().bytes().await.unwrap(), zip);
        }
    }
}

/// Who published is known after a crash, too, as far as the one that crashed has written it down.
#[tokio::test]
async fn after_a_crash_it_is_known_who_published() {
    let version = version("corp.example/m@v1.0.0");
    let zip = zip(&version, "package m\n");
    let sha256: String = Sha256::digest(&zip).iter().map(|byte| format!("{byte:02x}")).collect();
    let Publication { time, by, peer, .. } = publication();
    let unknown = Publication { time: time.clone(), is_resumed: true, ..Publication::default() };
    for (note, expected) in [
        (format!("{time}\n"), unknown.clone()),
        (format!("{time}\n{by}\n{}\n", peer.unwrap()), Publication { is_resumed: true, ..publication() }),
        (format!("{time}\n\n\n"), unknown),
    ] {
        let (root, scribe) = (root(), Arc::new(Scribe::default()));
        root.put(".staging/7.for", format!("{version}\n{sha256}\n{note}"));
        root.put(".staging/7.part", &zip);
        assert_eq!(judged(&root, scribe.clone()).recover().await, 1);
        assert_eq!(*scribe.0.lock().unwrap(), [expected]);
    }
}

/// Has something else in its log, and remembers what it was told of that.
struct Logged {
    zip: H1,
    told: Mutex<Vec<(String, Publication)>>,
}

impl Admit for Logged {
    fn admit_go_mod<'a>(&'a self, version: &'a ModuleVersion, h1: H1) -> BoxFuture<'a, Result<(), Refusal>> {
        AdmitAll.admit_go_mod(version, h1)
    }

    fn expect_zip<'a>(&'a self, version: &'a ModuleVersion) -> BoxFuture<'a, Result<(), Refusal>> {
        AdmitAll.expect_zip(version)
    }

    fn admit_zip<'a>(&'a self, _: &'a ModuleVersion, _: Hashes) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(std::future::ready(Err(Refusal::Unavailable { text: "away".to_owned(), timeout: false })))
    }

    fn record<'a>(
        &'a self,
        version: &'a ModuleVersion,
        hashes: Hashes,
        _: &'a Publication,
    ) -> BoxFuture<'a, Result<Recorded, Refusal>> {
        if version.version().is_prerelease() {
            return Box::pin(async { Err(Refusal::Unavailable { text: "away".to_owned(), timeout: false }) });
        }
        let recorded = Recorded { index: None, zip: self.zip, go_mod: hashes.go_mod, is_new: false };
        Box::pin(std::future::ready(Ok(recorded)))
    }

    fn refuse_resumed<'a>(
        &'a self,
        _: &'a ModuleVersion,
        why: &'a PublishError,
        publication: &'a Publication,
    ) -> BoxFuture<'a, ()> {
        self.told.lock().unwrap().push((why.to_string(), publication.clone()));
        Box::pin(std::future::ready(()))
    }
}

/// What was left staged and is never published is told of, with who sent it, before it is removed; where that is not decided
/// it stays.
#[tokio::test]
async fn what_recovery_refuses_is_told_of() {
    let publication = Publication { is_resumed: true, ..publication() };
    let by = format!("{TIME}\n{}\n{}\n", publication.by, publication.peer.unwrap());
    let other = quipu_module::hash_go_mod(b"other");
    for (number, content, is_placed, told) in [
        ("v1.0.0", "package m\n", false, Some("the log has h1:")),
        ("v1.0.0", "package m\n", true, Some("the log has h1:")),
        ("v1.0.0", "", false, Some("not a valid zip file")),
        ("v1.0.0-rc.1", "package m\n", false, None),
    ] {
        let (root, version) = (root(), version(&format!("corp.example/m@{number}")));
        if is_placed {
            publish(&cache(&root), &version, &zip(&version, "package m // first\n")).await.unwrap();
        }
        let before = root.tree();
        let zip = if content.is_empty() { b"no zip".to_vec() } else { zip(&version, content) };
        let sha256: String = Sha256::digest(&zip).iter().map(|byte| format!("{byte:02x}")).collect();
        root.put(".staging/7.for", format!("{version}\n{sha256}\n{by}"));
        root.put(".staging/7.part", &zip);
        let logged = Arc::new(Logged { zip: other, told: Mutex::default() });
        assert_eq!(judged(&root, logged.clone()).recover().await, 0);
        let all = logged.told.lock().unwrap();
        assert_eq!(all.len(), usize::from(told.is_some()), "{number} {content}: {all:?}");
        for ((text, by), expected) in all.iter().zip(told) {
            assert!(text.contains(expected), "{text}");
            assert_eq!(*by, publication);
        }
        assert_eq!(root.own(".staging").is_empty(), told.is_some());
        assert_eq!(root.tree(), before);
    }
}

/// An [`Admit`] that tells when a zip is put before it and never answers, as when the power goes.
#[derive(Default)]
struct Never(tokio::sync::Notify);

impl Admit for Never {
    fn admit_go_mod<'a>(&'a self, _: &'a ModuleVersion, _: H1) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(std::future::pending())
    }

    fn expect_zip<'a>(&'a self, _: &'a ModuleVersion) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(std::future::pending())
    }

    fn admit_zip<'a>(&'a self, _: &'a ModuleVersion, _: Hashes) -> BoxFuture<'a, Result<(), Refusal>> {
        self.0.notify_one();
        Box::pin(std::future::pending())
    }
}

/// What one run writes down the next one reads, whatever a token is called.
#[tokio::test]
async fn what_is_noted_of_who_publishes_is_read_again() {
    for (by, read) in [("token x (ci)", "token x (ci)"), ("two\nlines\u{7f}", "two lines "), ("", "")] {
        for peer in [None, Some(IpAddr::from([192, 0, 2, 7])), "2001:db8::1".parse().ok()] {
            let (root, scribe) = (root(), Arc::new(Scribe::default()));
            let version = version("corp.example/m@v1.0.0");
            let power = Arc::new(Never::default());
            let crashing = judged(&root, power.clone());
            let mut staged = crashing.stage(&version).await.unwrap();
            staged.write(&zip(&version, "package m\n")).await.unwrap();
            let publication = Publication { by: by.to_owned(), peer, ..publication() };
            tokio::spawn(async move { crashing.publish(version, staged, publication).await });
            power.0.notified().await;
            let cache = judged(&root, scribe.clone());
            assert_eq!(cache.recover().await, 1);
            let expected = Publication { by: read.to_owned(), peer, is_resumed: true, ..self::publication() };
            assert_eq!(*scribe.0.lock().unwrap(), [expected]);
        }
    }
}
