//! Lists and the like: fresh for a minute, renewed behind the scenes, served when upstream is away, never shrinking.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use quipu_fetch::{
    AdmitAll, Cache, CacheOptions, Error, ErrorKind, FileKind, HOP_HEADER, Hops, Upstream as _,
};
use quipu_module::Version;
use tokio::time::{Instant, sleep};

use super::root;
use crate::support::root::Root;
use crate::support::scripted::Scripted;
use crate::support::{options, path, query, version};

fn cache(root: &Root, upstream: &Arc<Scripted>, options: CacheOptions) -> Cache {
    root.open(upstream.clone(), Arc::new(AdmitAll), options)
}

async fn list(cache: &Cache) -> String {
    match cache.list(&path("example.com/m")).await {
        Ok(versions) => versions.iter().map(Version::as_str).collect::<Vec<_>>().join(" "),
        Err(error) => format!("{:?}", error.kind()),
    }
}

const LIST: &str = "example.com/m list";
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn lists_are_fresh_for_a_minute_then_renewed_behind_the_scenes_then_waited_for() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let cache = cache(&root, &upstream, options());
    upstream.set(LIST, Ok("v1.0.0"));
    assert_eq!((list(&cache).await.as_str(), upstream.asked()), ("v1.0.0", 1));
    upstream.set(LIST, Ok("v1.0.0 v1.1.0"));
    sleep(59 * SECOND).await;
    assert_eq!((list(&cache).await.as_str(), upstream.asked()), ("v1.0.0", 0));
    sleep(2 * SECOND).await;
    // Older than a minute: this one still gets what is there, the next one what is new.
    assert_eq!(list(&cache).await, "v1.0.0");
    sleep(SECOND).await;
    assert_eq!((list(&cache).await.as_str(), upstream.asked()), ("v1.0.0 v1.1.0", 1));
    upstream.set(LIST, Ok("v1.0.0 v1.1.0 v1.2.0"));
    sleep(400 * SECOND).await;
    assert_eq!((list(&cache).await.as_str(), upstream.asked()), ("v1.0.0 v1.1.0 v1.2.0", 1));
}

#[tokio::test(start_paused = true)]
async fn the_last_list_is_served_while_upstream_is_away() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let first = cache(&root, &upstream, options());
    upstream.set(LIST, Ok("v1.0.0"));
    list(&first).await;
    upstream.fail(LIST);
    sleep(400 * SECOND).await;
    assert_eq!(list(&first).await, "v1.0.0");
    assert_eq!(first.stats().stale, 1);
    // After a restart, and when upstream hangs instead of failing: five seconds of patience, once.
    let second = cache(&root, &upstream, options());
    *upstream.delay.lock().unwrap() = 50 * SECOND;
    let started = Instant::now();
    assert_eq!(list(&second).await, "v1.0.0");
    assert_eq!(started.elapsed().as_secs(), 5);
    sleep(60 * SECOND).await;
    let started = Instant::now();
    assert_eq!(list(&second).await, "v1.0.0");
    assert_eq!(started.elapsed().as_secs(), 0);
    // It comes back: seen soon, not after minutes.
    *upstream.delay.lock().unwrap() = Duration::ZERO;
    upstream.set(LIST, Ok("v1.0.0 v1.1.0"));
    sleep(60 * SECOND).await;
    list(&second).await;
    sleep(SECOND).await;
    assert_eq!(list(&second).await, "v1.0.0 v1.1.0");
    // Without a stored list a fault is a fault, and is not remembered.
    let third = cache(&super::root(), &upstream, options());
    upstream.fail(LIST);
    assert_eq!(list(&third).await, "Unavailable");
    upstream.set(LIST, Ok("v1.0.0"));
    assert_eq!(list(&third).await, "v1.0.0");
}

#[tokio::test(start_paused = true)]
async fn every_answer_that_is_too_old_counts_as_stale() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let cache = cache(&root, &upstream, options());
    upstream.set(LIST, Ok("v1.0.0"));
    list(&cache).await;
    upstream.fail(LIST);
    // Renewed in vain, and not too old yet, which is five minutes; then once more for each that is served.
    for (seconds, stale) in [(100, 0), (100, 0), (99, 0), (2, 1), (1, 2), (100, 3), (400, 4), (1, 5)] {
        sleep(seconds * SECOND).await;
        assert_eq!(list(&cache).await, "v1.0.0");
        assert_eq!(cache.stats().stale, stale);
    }
    // The one that finds that upstream is back still gets what is there.
    upstream.set(LIST, Ok("v1.0.0 v1.1.0"));
    for (expected, stale) in [("v1.0.0", 6), ("v1.0.0 v1.1.0", 6)] {
        sleep(10 * SECOND).await;
        assert_eq!(list(&cache).await, expected);
        assert_eq!(cache.stats().stale, stale);
    }
    upstream.fail(LIST);
    sleep(280 * SECOND).await;
    list(&cache).await;
    assert_eq!(cache.stats().stale, 6, "from the last answer on, not from the first");
    // That it is gone is an answer, too.
    upstream.set(LIST, Err(Error::not_found("gone")));
    for seconds in [6, 10, 400, 1, 60] {
        sleep(seconds * SECOND).await;
        assert_eq!(list(&cache).await, "v1.0.0 v1.1.0");
        assert_eq!(cache.stats().stale, 6);
    }
    // What was said before the module was forgotten is none any more.
    upstream.fail(LIST);
    cache.forget(&path("example.com/m"));
    for stale in [7, 8] {
        list(&cache).await;
        assert_eq!(cache.stats().stale, stale);
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_away_is_not_hammered() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let cache = cache(&root, &upstream, options());
    upstream.set(LIST, Ok("v1.0.0"));
    list(&cache).await;
    upstream.fail(LIST);
    sleep(100 * SECOND).await;
    upstream.asked();
    for _ in 0..100 {
        assert_eq!(list(&cache).await, "v1.0.0");
        sleep(SECOND / 10).await;
    }
    let asked = upstream.asked();
    assert!((2..=3).contains(&asked), "{asked} times in ten seconds");
}

#[tokio::test(start_paused = true)]
async fn an_invented_way_keeps_no_answer_from_being_renewed() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let cache = cache(&root, &upstream, options());
    let mut headers = HeaderMap::new();
    headers.insert(HOP_HEADER, HeaderValue::from_static("a, b, c, d, e, f, g, h"));
    let way = Hops::read(&headers);
    upstream.set(LIST, Ok("v1.0.0"));
    list(&cache).await;
    let mut before = "v1.0.0".to_owned();
    // Renewed behind the scenes, and waited for.
    for (age, next) in [(61, "v1.1.0"), (400, "v1.2.0"), (61, "v1.3.0")] {
        let now = format!("{before} {next}");
        upstream.set(LIST, Ok(&now));
        sleep(age * SECOND).await;
        assert_eq!(way.clone().scope(list(&cache)).await, before);
        sleep(SECOND).await;
        assert_eq!(list(&cache).await, now, "after {age} seconds");
        before = now;
    }
}

#[tokio::test(start_paused = true)]
async fn versions_once_seen_stay_listed() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let cache = cache(&root, &upstream, options());
    upstream.set(LIST, Ok("v1.0.0 v1.1.0"));
    list(&cache).await;
    for (answer, expected) in [
        (Ok("v1.2.0"), "v1.0.0 v1.1.0 v1.2.0"),
        (Ok(""), "v1.0.0 v1.1.0 v1.2.0"),
        (Err(Error::not_found("gone")), "v1.0.0 v1.1.0 v1.2.0"),
        (Err(Error::new(ErrorKind::Forbidden, "blocked")), "v1.0.0 v1.1.0 v1.2.0"),
        (Ok("v1.0.1 v0.9.0"), "v0.9.0 v1.0.0 v1.0.1 v1.1.0 v1.2.0"),
    ] {
        upstream.set(LIST, answer);
        sleep(400 * SECOND).await;
        assert_eq!(list(&cache).await, expected);
    }
    let stored = root.get("example.com/m/@v/list").unwrap();
    assert_eq!(stored, b"v0.9.0\nv1.0.0\nv1.0.1\nv1.1.0\nv1.2.0\n");
}

#[tokio::test(start_paused = true)]
async fn stored_versions_are_listed_although_upstream_forgot_them() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let cache = cache(&root, &upstream, options());
    upstream.set("example.com/m@v0.5.0", Ok(r#"{"Version":"v0.5.0"}"#));
    upstream.set("example.com/m@v0.5.0 mod", Ok("module example.com/m\n\ngo 1.20\n"));
    let stored = version("example.com/m@v0.5.0");
    cache.file(&stored, FileKind::Info).await.unwrap();
    cache.file(&stored, FileKind::GoMod).await.unwrap();
    assert_eq!(list(&cache).await, "v0.5.0", "although the module is gone upstream");
    upstream.set(LIST, Ok("v1.0.0"));
    sleep(400 * SECOND).await;
    assert_eq!(list(&cache).await, "v0.5.0 v1.0.0");
}

#[tokio::test(start_paused = true)]
async fn a_version_that_the_list_lacks_renews_it() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let cache = cache(&root, &upstream, options());
    upstream.set(LIST, Ok("v1.0.0"));
    assert_eq!(list(&cache).await, "v1.0.0");
    // Just tagged, and asked for by its name before the list is a minute old.
    upstream.set(LIST, Ok("v1.0.0 v1.1.0"));
    assert_eq!(list(&cache).await, "v1.0.0");
    for (asked, times) in [("v1.1.0", 1), ("v1.0.0", 0), ("v0.0.0-20240102030405-abcdefabcdef", 0)] {
        upstream.set(&format!("example.com/m@{asked}"), Ok(&format!(r#"{{"Version":"{asked}"}}"#)));
        cache.info(&path("example.com/m"), &query(asked)).await.unwrap();
        upstream.asked();
        assert_eq!((list(&cache).await.as_str(), upstream.asked()), ("v1.0.0 v1.1.0", times), "{asked}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_needs_a_module() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let cache = cache(&root, &upstream, options());
    upstream.set(LIST, Ok(""));
    let error = cache.list(&path("example.com/m")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.text(), r#"module example.com/m: no matching versions for query "latest""#);
    upstream.fail("example.com/m latest");
    sleep(11 * SECOND).await;
    assert_eq!(list(&cache).await, "Unavailable");
    upstream.set("example.com/m latest", Ok(r#"{"Version":"v0.0.0-20240102030405-abcdefabcdef"}"#));
    assert_eq!(list(&cache).await, "");
    upstream.asked();
    assert_eq!((list(&cache).await.as_str(), upstream.asked()), ("", 0));
}

#[tokio::test(start_paused = true)]
async fn absence_is_remembered_for_ten_seconds() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let cache = cache(&root, &upstream, options());
    for _ in 0..5 {
        assert_eq!(list(&cache).await, "NotFound");
        assert!(cache.latest(&path("example.com/m")).await.is_err());
        assert!(cache.info(&path("example.com/m"), &query("main")).await.is_err());
        assert!(cache.file(&version("example.com/m@v1.0.0"), FileKind::Info).await.is_err());
        sleep(SECOND).await;
    }
    assert_eq!(upstream.asked(), 4);
    sleep(6 * SECOND).await;
    upstream.set(LIST, Ok("v1.0.0"));
    assert_eq!(list(&cache).await, "v1.0.0");
}

#[tokio::test(start_paused = true)]
async fn queries_change_and_versions_do_not() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let cache = cache(&root, &upstream, options());
    let module = path("example.com/m");
    let pseudo = |second: u32| format!(r#"{{"Version":"v0.0.0-202401020304{second:02}-abcdefabcdef"}}"#);
    for question in ["main", "v2.0.0", "v1.2", "abcdef1"] {
        let asked = format!("example.com/m@{question}");
        upstream.set(&asked, Ok(&pseudo(1)));
        let ask = || async { cache.info(&module, &query(question)).await.map(|info| info.format()) };
        assert_eq!(ask().await, Ok(pseudo(1)), "{question}");
        upstream.set(&asked, Ok(&pseudo(2)));
        assert_eq!(ask().await, Ok(pseudo(1)), "{question}");
        sleep(400 * SECOND).await;
        assert_eq!(ask().await, Ok(pseudo(2)), "{question}");
        upstream.fail(&asked);
        sleep(400 * SECOND).await;
        assert_eq!(ask().await, Ok(pseudo(2)), "{question}");
        upstream.set(&asked, Err(Error::not_found("gone")));
        sleep(400 * SECOND).await;
        assert_eq!(ask().await.unwrap_err().kind(), ErrorKind::NotFound, "{question}");
    }
    for word in ["latest", "upgrade", "patch"] {
        upstream.asked();
        let error = cache.info(&module, &query(word)).await.unwrap_err();
        assert_eq!((error.kind(), upstream.asked()), (ErrorKind::NotFound, 0));
    }
    upstream.set("example.com/m@v1.0.0", Ok(r#"{"Version":"v1.0.0"}"#));
    for _ in 0..2 {
        let info = cache.info(&module, &query("v1.0.0")).await.unwrap();
        assert_eq!(info.format(), r#"{"Version":"v1.0.0"}"#);
        upstream.set("example.com/m@v1.0.0", Err(Error::not_found("gone")));
        sleep(4000 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_answered_without_asking() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let cache = cache(&root, &upstream, options());
    let module = path("example.com/m");
    for error in [
        cache.held_list(&module).await.unwrap_err(),
        cache.held_latest(&module).await.unwrap_err(),
        cache.held_info(&module, &query("main")).await.unwrap_err(),
        cache.held_info(&module, &query("v1.0.0")).await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.text()), (ErrorKind::NotFound, "temporarily unavailable"));
    }
    upstream.set(LIST, Ok("v1.0.0 v1.1.0 v1.2.0"));
    upstream.set("example.com/m@main", Ok(r#"{"Version":"v1.1.0"}"#));
    for (number, complete) in [("v1.0.0", true), ("v1.1.0", true), ("v1.2.0", false)] {
        let stored = version(&format!("example.com/m@{number}"));
        upstream.set(&format!("{stored}"), Ok(&format!(r#"{{"Version":"{number}"}}"#)));
        upstream.set(&format!("{stored} mod"), Ok("module example.com/m\n\ngo 1.20\n"));
        upstream.set(&format!("{stored} zip"), Ok(""));
        cache.file(&stored, FileKind::Info).await.unwrap();
        cache.file(&stored, FileKind::GoMod).await.unwrap();
        if complete {
            cache.file(&stored, FileKind::Zip).await.unwrap();
        }
    }
    list(&cache).await;
    cache.info(&module, &query("main")).await.unwrap();
    upstream.asked();
    let held = cache.held_list(&module).await.unwrap();
    assert_eq!(held.iter().map(Version::as_str).collect::<Vec<_>>(), ["v1.0.0", "v1.1.0"]);
    assert_eq!(cache.held_latest(&module).await.unwrap().version().as_str(), "v1.1.0");
    assert_eq!(cache.held_info(&module, &query("v1.2.0")).await.unwrap().version().as_str(), "v1.2.0");
    assert_eq!(cache.held_info(&module, &query("main")).await.unwrap().version().as_str(), "v1.1.0");
    assert_eq!(upstream.asked(), 0);
}

#[tokio::test]
async fn a_thousand_questions_are_one() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let cache = cache(&root, &upstream, options());
    upstream.set(LIST, Ok("v1.0.0"));
    *upstream.delay.lock().unwrap() = Duration::from_millis(50);
    let asks: Vec<_> = (0..1000)
        .map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move { list(&cache).await })
        })
        .collect();
    for ask in asks {
        assert_eq!(ask.await.unwrap(), "v1.0.0");
    }
    assert_eq!(upstream.asked(), 1);
}
