//! Publishing into a cache: first content, only copy, crashes.

use std::sync::Arc;

use quipu_fetch::{
    AdmitAll, Cache, CacheOptions, Chain, ErrorKind, FileKind, PublishError, Published, Upstream as _,
};
use quipu_module::{ModuleVersion, Patterns, ZipWriter};
use sha2::{Digest as _, Sha256};

use super::root;
use crate::support;
use crate::support::root::Root;

const TIME: &str = "2026-11-22T10:00:00Z";

fn cache(root: &Root) -> Cache {
    let published = Patterns::new("corp.example");
    let options = CacheOptions { published, ..support::options() };
    root.open(Arc::new(Chain::of(Vec::new())), Arc::new(AdmitAll), options)
}

fn version(text: &str) -> ModuleVersion {
    text.parse().unwrap()
}

fn zip(version: &ModuleVersion, content: &str) -> Vec<u8> {
    let mut zip = ZipWriter::new(version, Vec::new());
    for (name, content) in [("go.mod", format!("module {}\n", version.path())), ("m.go", content.to_owned())]
    {
        zip.start_file(name).unwrap();
        zip.write(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap()
}

async fn publish(cache: &Cache, version: &ModuleVersion, zip: &[u8]) -> Result<Published, PublishError> {
    let mut staged = cache.stage(version).await.unwrap();
    staged.write(zip).await.unwrap();
    cache.publish(version.clone(), staged, TIME.to_owned()).await
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
async fn what_is_not_ours_is_not_published() {
    let root = root();
    let elsewhere = version("example.com/m@v1.0.0");
    let Err(PublishError::Failed(error)) = publish(&cache(&root), &elsewhere, b"").await else {
        panic!("published")
    };
    assert_eq!(error.kind(), ErrorKind::Forbidden);
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
