//! A repository of thousands of commits and tags, cached: how long answers take.

use std::time::Duration;

use quipu_fetch::History as _;

use crate::served::{MAIN, always_anew, commit, contents, id, open, tag};
use crate::site::Site;

/// A branch of a thousand files of 10 kB that do not compress well.
fn trees() -> String {
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:08x}", state >> 32)
    };
    let mut stream = commit("refs/heads/trees", None, "f0", "first");
    for n in 1..1000 {
        let content: String = (0..1250).map(|_| noise()).collect();
        stream.push_str(&format!("M 100644 inline d{}/f{n}\ndata {}\n{content}\n", n % 20, content.len()));
    }
    stream
}

/// Thousands of tags and commits: the figures are for reading, the bounds for noticing a change in kind.
#[tokio::test]
async fn a_large_repository() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    let mut stream = String::new();
    for n in 0..20_000 {
        let later = format!(" {} +0000", 1_577_836_800 + n * 60);
        let commit = commit(MAIN, None, &format!("dir{}/f", n % 50), &n.to_string());
        stream.push_str(&commit.replace(" 1577836800 +0000", &later));
        if n % 5 == 0 {
            stream.push_str(&tag(&format!("sub{}/v1.{n}.0", n % 7), MAIN));
        }
    }
    let path = site.import("r", &stream);
    let repository = open(&site, root.path(), always_anew(&site)).await;
    let tip = id(&path, "main");
    let took = |what: &str, since: std::time::Instant, most: u64| {
        eprintln!("{what}: {:?}", since.elapsed());
        assert!(since.elapsed() < Duration::from_secs(most), "{what}");
    };
    let since = std::time::Instant::now();
    assert!(repository.snapshot().commit(tip.as_str()).await.unwrap().is_some());
    took("first fetch", since, 60);
    let since = std::time::Instant::now();
    assert_eq!(repository.snapshot().refs().await.unwrap().tags.len(), 4000);
    took("list of 4,000 tags", since, 2);
    let since = std::time::Instant::now();
    assert_eq!(repository.snapshot().tags_before(&tip).await.unwrap().len(), 4000);
    took("tags before the newest", since, 10);
    let newest = commit(MAIN, Some("refs/heads/main^0"), "f", "new").replace(" 1577836800 ", " 1600000000 ");
    site.import("r", &(newest + &tag("v9.0.0", MAIN)));
    site.forget();
    let since = std::time::Instant::now();
    assert!(repository.snapshot().commit(id(&path, "v9.0.0").as_str()).await.unwrap().is_some());
    took("a new tag", since, 10);
    assert_eq!(site.count(), (2, 1));
    let since = std::time::Instant::now();
    let middle = id(&path, "sub0/v1.9100.0");
    assert_eq!(repository.snapshot().commit(&middle.as_str()[..12]).await.unwrap().unwrap().id, middle);
    took("a commit by 12 digits", since, 10);
    site.import("r", &trees());
    let since = std::time::Instant::now();
    let tip = id(&path, "trees");
    assert!(repository.snapshot().commit(tip.as_str()).await.unwrap().is_some());
    took("10 MB more", since, 20);
    let since = std::time::Instant::now();
    let files = contents(&repository.snapshot(), &tip, "").await;
    took("first archive of 10 MB", since, 5);
    assert_eq!(files.len(), 1000);
}
