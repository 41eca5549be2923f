//! The cache of bare repositories: what is asked of a remote and how often, and what is made of what it says.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quipu_fetch::{
    Archive as _, Entry, EntryKind, ErrorKind, GitOptions, History as _, Oid, Repositories, Repository,
    Snapshot, Tree as _,
};

use crate::repository;
use crate::site::{Instead, Site, git};

/// A commit of a `git fast-import` stream that adds one file.
pub(crate) fn commit(branch: &str, from: Option<&str>, file: &str, content: &str) -> String {
    let from = from.map(|from| format!("from {from}\n")).unwrap_or_default();
    let length = content.len();
    format!(
        "commit {branch}\ncommitter A <a@example.com> 1577836800 +0000\ndata 0\n{from}M 100644 inline {file}\n\
         data {length}\n{content}\n"
    )
}

pub(crate) fn tag(name: &str, on: &str) -> String {
    format!("reset refs/tags/{name}\nfrom {on}\n\n")
}

pub(crate) const MAIN: &str = "refs/heads/main";

/// A repository of one commit on `main`.
fn small() -> String {
    commit(MAIN, None, "a.txt", "a")
}

/// Options under which every snapshot lists anew.
pub(crate) fn always_anew(site: &Site) -> GitOptions {
    GitOptions { fresh: Duration::ZERO, ..site.options() }
}

pub(crate) async fn open(site: &Site, root: &Path, options: GitOptions) -> Repository {
    Repositories::open(root, options).await.unwrap().repository(&site.remote("r")).unwrap()
}

pub(crate) fn id(path: &Path, rev: &str) -> Oid {
    Oid::parse(git(path, &["rev-parse", rev], b"").trim()).unwrap()
}

pub(crate) async fn contents(
    snapshot: &Snapshot,
    commit: &Oid,
    dir: &str,
) -> Vec<(Vec<u8>, EntryKind, u64, Vec<u8>)> {
    let mut archive = snapshot.archive(commit, dir).await.unwrap();
    let mut files = Vec::new();
    while let Some(file) = archive.next_file().await.unwrap() {
        let mut content = Vec::new();
        while let Some(chunk) = archive.chunk().await.unwrap() {
            assert!(!chunk.is_empty());
            content.extend_from_slice(&chunk);
        }
        files.push((file.path, file.kind, file.size, content));
    }
    files
}

#[tokio::test]
async fn a_new_tag_costs_one_list_and_one_negotiation() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    let path = site.import("r", &(small() + &tag("v1.0.0", MAIN)));
    let repository = open(&site, root.path(), always_anew(&site)).await;
    let refs = repository.snapshot().refs().await.unwrap();
    assert_eq!(site.count(), (1, 0), "references are listed without fetching");
    assert!(repository.snapshot().commit(refs.tags["v1.0.0"].as_str()).await.unwrap().is_some());

    let more: String = (0..20)
        .map(|n| {
            commit(MAIN, (n == 0).then_some("refs/heads/main^0"), "b", &n.to_string())
                + &tag(&format!("v1.1.{n}"), MAIN)
        })
        .collect();
    site.import("r", &more);
    site.forget();
    let snapshot = repository.snapshot();
    let refs = snapshot.refs().await.unwrap();
    for n in 0..20 {
        let commit = snapshot.commit(refs.tags[&format!("v1.1.{n}")].as_str()).await.unwrap().unwrap();
        assert_eq!((commit.id, commit.time), (id(&path, &format!("v1.1.{n}")), 1_577_836_800));
    }
    assert_eq!(snapshot.tags_before(refs.head.as_ref().unwrap()).await.unwrap().len(), 21);
    // The list, and git's own one before it fetches.
    assert_eq!(site.count(), (2, 1));

    site.forget();
    let snapshot = repository.snapshot();
    for tag in snapshot.refs().await.unwrap().tags.values() {
        assert!(snapshot.commit(tag.as_str()).await.unwrap().is_some());
    }
    assert_eq!(site.count(), (1, 0), "what is there is not asked for");
}

#[tokio::test]
async fn many_share_one_conversation() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    let path = site.import("r", &(small() + &commit("refs/heads/dev", Some(MAIN), "b", "b")));
    let repository = open(&site, root.path(), site.options()).await;
    let tip = id(&path, "dev");
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let (snapshot, tip) = (repository.snapshot(), tip.clone());
            tokio::spawn(async move { snapshot.commit(tip.as_str()).await })
        })
        .collect();
    for asked in asking {
        assert_eq!(asked.await.unwrap().unwrap().unwrap().id, tip);
    }
    assert_eq!(site.count(), (2, 1));
}

#[tokio::test]
async fn only_branches_and_tags_lead_to_commits() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    let stream = small()
        + &commit("refs/pull/1/head", Some(MAIN), "evil", "evil")
        + &commit("refs/heads/old", Some(MAIN), "old", "old")
        + &commit("refs/heads/dev", Some(MAIN), "dev", "dev")
        + &commit("refs/heads/dev", None, "dev", "more");
    let path = site.import("r", &stream);
    let repository = open(&site, root.path(), always_anew(&site)).await;
    let [pull, old, below] = ["refs/pull/1/head", "old", "dev^"].map(|rev| id(&path, rev));
    let snapshot = repository.snapshot();
    for hidden in [pull.as_str(), &pull.as_str()[..12], "0000000", &"0".repeat(40), &"0".repeat(64)] {
        assert_eq!(snapshot.commit(hidden).await.unwrap(), None, "{hidden}");
    }
    for shown in [old.as_str(), below.as_str(), &below.as_str()[..7], &below.as_str()[..39]] {
        assert!(snapshot.commit(shown).await.unwrap().is_some(), "{shown}");
    }
    for no_commit in [&below.as_str()[..6], "", "main", "HEAD", "-x", &below.as_str().to_uppercase()] {
        assert_eq!(snapshot.commit(no_commit).await.unwrap(), None, "{no_commit}");
    }
    // Trees and blobs have names too.
    for other in ["main^{tree}", "main:a.txt"] {
        assert_eq!(snapshot.commit(id(&path, other).as_str()).await.unwrap(), None, "{other}");
    }
    // What only a deleted branch led to is still in the cache, and does not exist any more.
    git(&path, &["update-ref", "-d", "refs/heads/old"], b"");
    assert!(snapshot.commit(old.as_str()).await.unwrap().is_some(), "a snapshot stays what it is");
    assert_eq!(repository.snapshot().commit(old.as_str()).await.unwrap(), None);
    assert_eq!(repository.snapshot().commit(&old.as_str()[..12]).await.unwrap(), None);
}

/// Two commits whose names begin with the same seven digits: one of them is found while the other is not there.
#[tokio::test]
async fn an_ambiguous_prefix_names_nothing() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    let alone = |message: &str| {
        let length = message.len();
        let committer = "committer A <a@example.com> 1577836800 +0000";
        format!("commit refs/heads/b{message}\n{committer}\ndata {length}\n{message}\n\n")
    };
    let path = site.import("r", &alone("10624"));
    let repository = open(&site, root.path(), always_anew(&site)).await;
    let first = id(&path, "b10624");
    let digits = &first.as_str()[..7];
    assert_eq!(repository.snapshot().commit(digits).await.unwrap().unwrap().id, first);
    site.import("r", &alone("17501"));
    let second = id(&path, "b17501");
    assert_eq!(digits, &second.as_str()[..7]);
    assert_eq!(repository.snapshot().commit(digits).await.unwrap(), None);
    for id in [&first, &second] {
        assert_eq!(repository.snapshot().commit(&id.as_str()[..9]).await.unwrap().unwrap().id, *id);
    }
    git(&path, &["update-ref", "-d", "refs/heads/b10624"], b"");
    assert_eq!(repository.snapshot().commit(digits).await.unwrap().unwrap().id, second);
}

#[tokio::test]
async fn references_may_change_their_shape_between_and_during_questions() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    let path = site.import("r", &(small() + &commit("refs/heads/a", Some(MAIN), "b", "1") + &tag("t", MAIN)));
    let repository = open(&site, root.path(), always_anew(&site)).await;
    let (first, stale) = (id(&path, "a"), repository.snapshot());
    assert!(repository.snapshot().commit(&first.as_str()[..10]).await.unwrap().is_some());
    stale.refs().await.unwrap();
    // A directory where a file was, for branches and for tags.
    for name in ["refs/heads/a", "refs/tags/t"] {
        git(&path, &["update-ref", "-d", name], b"");
    }
    site.import("r", &(commit("refs/heads/a/b", Some(MAIN), "b", "2") + &tag("t/u", "refs/heads/a/b")));
    let second = id(&path, "a/b");
    let snapshot = repository.snapshot();
    assert_eq!(snapshot.commit(&second.as_str()[..10]).await.unwrap().unwrap().id, second);
    assert_eq!(snapshot.commit(first.as_str()).await.unwrap(), None);
    assert_eq!(snapshot.tags_before(&second).await.unwrap(), ["t/u"]);

    // A tip that was forced away before it was fetched: the answer is about what came after.
    site.import("r", &commit("refs/heads/moving", Some(MAIN), "c", "1"));
    let (lost, snapshot) = (id(&path, "moving"), repository.snapshot());
    snapshot.refs().await.unwrap();
    site.import(
        "r",
        &format!("reset refs/heads/moving\n\n{}", commit("refs/heads/moving", Some(MAIN), "c", "2")),
    );
    assert_eq!(snapshot.commit(lost.as_str()).await.unwrap(), None);
    assert_eq!(snapshot.refs().await.unwrap().heads["moving"], id(&path, "moving"));
}

#[tokio::test]
async fn repositories_of_sha256_and_empty_ones() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    let path = site.import_as("r", &(small() + &tag("v1.0.0", MAIN)), "sha256");
    let snapshot = open(&site, root.path(), site.options()).await.snapshot();
    let tip = id(&path, "main");
    assert_eq!(tip.as_str().len(), 64);
    assert_eq!(snapshot.commit(&tip.as_str()[..40]).await.unwrap().unwrap().id, tip);
    assert_eq!(snapshot.file(&tip, "a.txt", 10).await.unwrap().unwrap(), "a");
    assert_eq!(snapshot.tags_before(&tip).await.unwrap(), ["v1.0.0"]);

    site.import("empty", "");
    let repositories = site.repositories(&root.path().join("other")).await;
    let empty = repositories.repository(&site.remote("empty")).unwrap().snapshot();
    assert_eq!(empty.refs().await.unwrap().head, None);
    assert_eq!(empty.commit(&"a".repeat(40)).await.unwrap(), None);
    assert_eq!(repositories.size(), (0, 0));
}

/// Everything that a tree can hold, compared with what plain git says of it.
#[tokio::test]
async fn files_are_those_that_git_has() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(180));
    let target = "t/".repeat(90);
    let big: String = (0..600_000).map(|n| format!("{n:x}\n")).collect();
    let mut stream = small();
    let mut add = |mode: &str, path: &str, content: &str| {
        stream.push_str(&format!("M {mode} inline {path}\ndata {}\n{content}\n", content.len()));
    };
    for (path, content) in [
        ("sub/empty", ""),
        ("sub/block", &"x".repeat(512)),
        ("sub/crlf.txt", "a\nb\n"),
        ("sub/ident", "$Id$"),
        ("sub/subst", "$Format:%H$"),
        ("sub/ignored", "kept"),
        ("sub/latin", "\u{e9}"),
        ("sub/:(top)a", "magic"),
        ("sub/*.txt", "glob"),
        ("\"sub/new\\nline\"", "n"),
        ("\"sub/\\377\"", "not UTF-8"),
        ("subother/x", "not below sub"),
        (&format!("sub/{long}"), "long"),
        ("sub/big", &big),
        (
            ".gitattributes",
            "*.txt eol=crlf\nident ident\nsubst export-subst\nignored export-ignore\nlatin working-tree-encoding=latin1\n",
        ),
    ] {
        add("100644", path, content);
    }
    add("120000", "sub/link", &target);
    add("120000", "sub/dangling", "../../etc/passwd");
    stream.push_str("M 160000 1234567890123456789012345678901234567890 sub/module\n");
    let path = site.import("r", &stream);
    let tip = id(&path, "main");
    let snapshot = open(&site, root.path(), site.options()).await.snapshot();

    let plain = repository::Repository::adopt(&path);
    for dir in ["", "sub"] {
        let ours = snapshot.entries(&tip, dir).await.unwrap();
        assert_eq!(ours, plain.entries(&tip, dir).await.unwrap());
        let files = contents(&snapshot, &tip, dir).await;
        let mut expected = Vec::new();
        let mut archive = plain.archive(&tip, dir).await.unwrap();
        while let Some(file) = archive.next_file().await.unwrap() {
            let content = archive.chunk().await.unwrap().unwrap_or_default().to_vec();
            expected.push((file.path, content));
        }
        let is_link = |(_, kind, ..): &&(Vec<u8>, EntryKind, u64, Vec<u8>)| *kind == EntryKind::Symlink;
        let found: Vec<_> = files
            .iter()
            .filter(|file| !is_link(file))
            .map(|(path, _, _, content)| (path.clone(), content.clone()))
            .collect();
        let links = [&b"dangling"[..], b"link"];
        expected.retain(|(path, _)| !links.iter().any(|link| path.ends_with(link)));
        assert_eq!(found, expected);
        assert!(files.iter().all(|(_, _, size, content)| *size == content.len() as u64));
        let links: Vec<_> = files.iter().filter(is_link).map(|(.., content)| content.clone()).collect();
        assert_eq!(links, [b"../../etc/passwd".to_vec(), target.clone().into_bytes()]);
    }
    let converted = |name: &str, files: &[(Vec<u8>, EntryKind, u64, Vec<u8>)]| {
        files.iter().find(|(path, ..)| path == name.as_bytes()).unwrap().3.clone()
    };
    let files = contents(&snapshot, &tip, "sub").await;
    assert_eq!(converted("crlf.txt", &files), b"a\r\nb\r\n");
    assert!(converted("ident", &files).starts_with(b"$Id: "));
    assert_eq!(converted("subst", &files), b"$Format:%H$");
    assert_eq!(converted("ignored", &files), b"kept");
    assert_eq!(converted("latin", &files), b"\xe9");

    for (path, content) in [
        ("sub/link", Some(&*target)),
        ("sub/empty", Some("")),
        ("sub/:(top)a", Some("magic")),
        ("sub/*.txt", Some("glob")),
        ("sub", None),
        ("sub/module", None),
        ("none", None),
        ("../x", None),
        ("", None),
    ] {
        let file = snapshot.file(&tip, path, 1000).await.unwrap();
        assert_eq!(file.as_deref(), content.map(str::as_bytes), "{path}");
    }
    assert_eq!(snapshot.file(&tip, "sub/big", 1000).await.unwrap_err().kind(), ErrorKind::TooLarge);
    for nothing in ["none", "a.txt", "sub/module", "sub/", "../x"] {
        assert_eq!(snapshot.entries(&tip, nothing).await.unwrap(), Vec::<Entry>::new(), "{nothing}");
        assert_eq!(contents(&snapshot, &tip, nothing).await, [], "{nothing}");
    }
}

#[tokio::test]
async fn an_archive_may_be_left_in_the_middle() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    let path = site.import("r", &commit(MAIN, None, "big", &"x".repeat(8 << 20)));
    let snapshot = open(&site, root.path(), site.options()).await.snapshot();
    let tip = id(&path, "main");
    for _ in 0..20 {
        let mut archive = snapshot.archive(&tip, "").await.unwrap();
        archive.next_file().await.unwrap().unwrap();
        archive.chunk().await.unwrap().unwrap();
    }
    assert_eq!(contents(&snapshot, &tip, "").await.len(), 1);
}

#[tokio::test]
async fn what_is_cached_survives_a_restart_and_a_crash() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    let path = site.import("r", &(small() + &tag("v1.0.0", MAIN)));
    let tip = id(&path, "main");
    let read = async || {
        let snapshot = open(&site, root.path(), site.options()).await.snapshot();
        snapshot.commit(tip.as_str()).await.unwrap().unwrap();
        snapshot.file(&tip, "a.txt", 10).await.unwrap().unwrap()
    };
    assert_eq!(read().await, "a");
    site.forget();
    assert_eq!(read().await, "a");
    assert_eq!(site.count(), (1, 0), "a restart fetches nothing");

    let copy = std::fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().path());
    let copy =
        copy.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "git")).unwrap();
    assert!(!copy.join("hooks").exists());
    // What a git that was killed leaves behind.
    for left in ["packed-refs.lock", "refs/tags/v1.0.0.lock", "objects/pack/tmp_pack_x", "HEAD.lock"] {
        std::fs::write(copy.join(left), "").unwrap();
    }
    std::fs::create_dir(root.path().join("x.new")).unwrap();
    site.import("r", &(commit(MAIN, Some("refs/heads/main^0"), "a.txt", "b") + &tag("v1.0.1", MAIN)));
    assert_eq!(read().await, "a");
    assert!(!copy.join("objects/pack/tmp_pack_x").exists() && !root.path().join("x.new").exists());

    // A pack is gone; the second time while it is in use.
    for running in [false, true] {
        let repository = open(&site, root.path(), site.options()).await;
        if running {
            repository.snapshot().file(&tip, "a.txt", 10).await.unwrap();
        }
        for entry in std::fs::read_dir(copy.join("objects/pack")).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        let snapshot = repository.snapshot();
        let mut last = snapshot.file(&tip, "a.txt", 10).await;
        if last.is_err() {
            last = snapshot.file(&tip, "a.txt", 10).await;
        }
        assert_eq!(last.unwrap().unwrap(), "a", "{running}");
    }
}

#[tokio::test]
async fn the_least_recently_used_make_room() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{state:016x}")
    };
    let names = ["a", "b", "c"];
    for name in names {
        site.import(name, &commit(MAIN, None, "f", &(0..8000).map(|_| noise()).collect::<String>()));
    }
    let options = GitOptions { max_bytes: 180_000, ..site.options() };
    let repositories = Repositories::open(root.path(), options.clone()).await.unwrap();
    let read = async |repositories: &Repositories, name: &str| {
        let snapshot = repositories.repository(&site.remote(name)).unwrap().snapshot();
        let tip = snapshot.refs().await.unwrap().head.clone().unwrap();
        assert!(snapshot.commit(tip.as_str()).await.unwrap().is_some());
        snapshot.archive(&tip, "").await.unwrap()
    };
    drop(read(&repositories, "a").await);
    drop(read(&repositories, "b").await);
    assert_eq!(repositories.size().0, 2);
    drop(read(&repositories, "a").await);
    drop(read(&repositories, "c").await);
    let (count, bytes) = repositories.size();
    assert!(count == 2 && bytes <= 180_000, "{count} {bytes}");
    let fetched = site.count().1;
    drop(read(&repositories, "a").await);
    assert_eq!(site.count().1, fetched, "a was used after b");
    drop(read(&repositories, "b").await);
    assert_eq!(site.count().1, fetched + 1, "b was removed, and is fetched again");

    // What is in use stays, whatever it takes.
    let tiny = GitOptions { max_bytes: 1, ..options };
    let repositories = Repositories::open(root.path(), tiny).await.unwrap();
    let mut in_use = read(&repositories, "a").await;
    drop(read(&repositories, "c").await);
    drop(read(&repositories, "b").await);
    assert!(in_use.next_file().await.unwrap().is_some());
    while in_use.next_file().await.unwrap().is_some() {}
}

#[tokio::test]
async fn a_fault_is_never_absence() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    let repositories = Repositories::open(root.path(), always_anew(&site)).await.unwrap();
    let kind = async |name: &str| {
        let snapshot = repositories.repository(&site.remote(name)).unwrap().snapshot();
        let error = snapshot.refs().await.unwrap_err();
        assert!(!error.text().contains("127.0.0.1") && !error.text().contains('/'), "{error}");
        error.kind()
    };
    assert_eq!(kind("none").await, ErrorKind::NotFound);
    site.script(|seen| {
        let status = seen.target.split('/').nth(1)?;
        let reason = format!("{status} fatal: repository 'x' not found");
        Some(Instead::answer(
            &reason,
            "Content-Type: text/html\r\n",
            "remote: fatal: repository 'x/' not found",
        ))
    });
    for (status, expected) in [
        ("404", ErrorKind::NotFound),
        ("410", ErrorKind::NotFound),
        ("401", ErrorKind::Forbidden),
        ("403", ErrorKind::Forbidden),
        ("429", ErrorKind::Unavailable),
        ("500", ErrorKind::Unavailable),
        ("502", ErrorKind::Unavailable),
        ("503", ErrorKind::Unavailable),
        ("200", ErrorKind::Rejected),
        ("302", ErrorKind::Rejected),
    ] {
        assert_eq!(kind(status).await, expected, "{status}");
    }
    let nowhere = Site::start().await;
    let remote = nowhere.remote("r");
    let options = nowhere.options();
    drop(nowhere);
    let repositories = Repositories::open(&root.path().join("other"), options).await.unwrap();
    let refused = repositories.repository(&remote).unwrap().snapshot();
    assert_eq!(refused.refs().await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn what_fails_for_one_fails_for_all_who_wait_and_for_nobody_later() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    let path = site.import("r", &small());
    let repository = open(&site, root.path(), site.options()).await;
    let tip = id(&path, "main");
    repository.snapshot().refs().await.unwrap();
    site.forget();
    site.script(|seen| (seen.method == "POST").then(|| Instead::answer("503 Busy", "", "")));
    let snapshots: Vec<_> = (0..50).map(|_| Arc::new(repository.snapshot())).collect();
    let asking: Vec<_> = snapshots
        .iter()
        .cloned()
        .map(|snapshot| {
            let tip = tip.clone();
            tokio::spawn(async move { snapshot.commit(tip.as_str()).await })
        })
        .collect();
    for asked in asking {
        assert_eq!(asked.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    }
    let asked = site.seen().len();
    assert!(asked <= 8, "{asked} requests");
    site.script(|_| None);
    assert!(repository.snapshot().commit(tip.as_str()).await.unwrap().is_some());
}
