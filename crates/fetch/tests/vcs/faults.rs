//! A repository that fails at the first, second, … question: a fault is never taken for absence, nor for another answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use quipu_fetch::{
    Archive, ArchivedFile, Commit, Entry, Error, ErrorKind, History, MAX_ZIP, Oid, Place, Refs, Resolver,
    Result, Staging, Tree, write_zip,
};

use crate::repository::{Files, Repository, scratch};
use crate::vectors::Vectors;

/// Fails at one question, and answers all others.
struct Faulty<'a> {
    inner: &'a Repository,
    fuse: Arc<Fuse>,
}

struct Fuse {
    asked: AtomicUsize,
    fails_at: usize,
}

impl Fuse {
    fn burn(&self) -> Result<()> {
        match self.asked.fetch_add(1, Ordering::Relaxed) {
            asked if asked == self.fails_at => Err(Error::unavailable("the line is dead")),
            _ => Ok(()),
        }
    }
}

impl History for Faulty<'_> {
    async fn refs(&self) -> Result<Arc<Refs>> {
        self.fuse.burn()?;
        self.inner.refs().await
    }

    async fn commit(&self, rev: &str) -> Result<Option<Commit>> {
        self.fuse.burn()?;
        self.inner.commit(rev).await
    }

    async fn tags_before(&self, commit: &Oid) -> Result<Vec<String>> {
        self.fuse.burn()?;
        self.inner.tags_before(commit).await
    }

    async fn is_ancestor(&self, ancestor: &Oid, commit: &Oid) -> Result<bool> {
        self.fuse.burn()?;
        self.inner.is_ancestor(ancestor, commit).await
    }

    async fn file(&self, commit: &Oid, path: &str, max_bytes: u64) -> Result<Option<Bytes>> {
        self.fuse.burn()?;
        self.inner.file(commit, path, max_bytes).await
    }
}

impl Tree for Faulty<'_> {
    type Archive = FaultyFiles;

    async fn entries(&self, commit: &Oid, dir: &str) -> Result<Vec<Entry>> {
        self.fuse.burn()?;
        self.inner.entries(commit, dir).await
    }

    async fn archive(&self, commit: &Oid, dir: &str) -> Result<FaultyFiles> {
        self.fuse.burn()?;
        Ok(FaultyFiles { inner: self.inner.archive(commit, dir).await?, fuse: self.fuse.clone() })
    }
}

struct FaultyFiles {
    inner: Files,
    fuse: Arc<Fuse>,
}

impl Archive for FaultyFiles {
    async fn next_file(&mut self) -> Result<Option<ArchivedFile>> {
        self.fuse.burn()?;
        self.inner.next_file().await
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>> {
        self.fuse.burn()?;
        self.inner.chunk().await
    }
}

/// Everything about a query, as one text.
async fn answer(repository: &Faulty<'_>, place: &Place, query: &str) -> Result<String> {
    let resolver = Resolver::new(repository, place);
    let list = resolver.list().await?;
    let info = if query == "latest" { resolver.latest().await? } else { resolver.info(query).await? };
    let go_mod = resolver.go_mod(info.version()).await?;
    let contents = resolver.contents(info.version()).await?;
    let (_directory, staging) = scratch();
    let mut staged = Staging::new(&staging).unwrap().create(MAX_ZIP).await?;
    write_zip(repository, &contents, &mut staged).await?;
    let zip = staged.finish().await?;
    Ok(format!("{list:?} {} {go_mod:?} {:?}", info.format(), zip.sha256()))
}

#[tokio::test]
async fn a_fault_is_neither_absence_nor_another_answer() {
    let vectors = Vectors::load();
    let mut faults = 0;
    for (module, query) in vectors.questions() {
        let (repository, place) = vectors.place(&module);
        let with = |fails_at| {
            let fuse = Arc::new(Fuse { asked: AtomicUsize::new(0), fails_at });
            Faulty { inner: repository, fuse }
        };
        let sound = with(usize::MAX);
        let _ = answer(&sound, &place, &query).await;
        let asked = sound.fuse.asked.load(Ordering::Relaxed);
        for fails_at in 0..asked {
            let answer = answer(&with(fails_at), &place, &query).await;
            let kind = answer.as_ref().map_err(Error::kind);
            assert_eq!(kind, Err(ErrorKind::Unavailable), "{module}@{query}: fault {fails_at} of {asked}");
        }
        faults += asked;
    }
    assert!(faults > 2000, "{faults}");
}
