//! What is new is seen soon, and what was offered once stays offered, whatever upstream says.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use quipu_fetch::{AdmitAll, Cache, Error, ErrorKind, FileKind, Upstream as _};
use quipu_module::Version;
use tokio::time::{Instant, sleep};

use super::root;
use crate::support::root::Root;
use crate::support::scripted::Scripted;
use crate::support::{options, path, query, version};

const MODULE: &str = "example.com/m";
const SECOND: Duration = Duration::from_secs(1);

fn cache(root: &Root, upstream: &Arc<Scripted>) -> Cache {
    root.open(upstream.clone(), Arc::new(AdmitAll), options())
}

/// Tags a version upstream: its three files, not the list.
fn tag(upstream: &Scripted, number: &str) {
    upstream.set(&format!("{MODULE}@{number}"), Ok(&format!(r#"{{"Version":"{number}"}}"#)));
    upstream.set(&format!("{MODULE}@{number} mod"), Ok("module example.com/m\n\ngo 1.20\n"));
    upstream.set(&format!("{MODULE}@{number} zip"), Ok(""));
}

async fn list(cache: &Cache) -> Result<Vec<String>, ErrorKind> {
    let list = cache.list(&path(MODULE)).await.map_err(|error| error.kind())?;
    Ok(list.iter().map(ToString::to_string).collect())
}

async fn latest(cache: &Cache) -> Result<String, ErrorKind> {
    let latest = cache.latest(&path(MODULE)).await.map_err(|error| error.kind())?;
    Ok(latest.version().to_string())
}

#[tokio::test(start_paused = true)]
async fn a_version_asked_for_before_it_existed_is_there_within_ten_seconds() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let cache = cache(&root, &upstream);
    let wanted = version("example.com/m@v1.0.0");
    // Its go.mod first, then its zip: that one needs the other, and its absence is no newer.
    for kind in [FileKind::GoMod, FileKind::Info] {
        assert!(cache.file(&wanted, kind).await.is_err());
    }
    sleep(9 * SECOND).await;
    assert!(cache.file(&wanted, FileKind::Zip).await.is_err());
    tag(&upstream, "v1.0.0");
    let tagged = Instant::now();
    sleep(2 * SECOND).await;
    for kind in [FileKind::Zip, FileKind::GoMod, FileKind::Info] {
        cache.file(&wanted, kind).await.unwrap();
    }
    assert!(tagged.elapsed() <= 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_is_asked_for_anew() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let cache = cache(&root, &upstream);
    let (module, new) = (path(MODULE), version("example.com/m@v1.1.0"));
    let pseudo = |n: u32| format!(r#"{{"Version":"v0.0.0-2024010203040{n}-abcdefabcdef"}}"#);
    upstream.set("example.com/m list", Ok("v1.0.0"));
    upstream.set("example.com/m latest", Ok(r#"{"Version":"v1.0.0"}"#));
    upstream.set("example.com/m@main", Ok(&pseudo(1)));
    assert_eq!(list(&cache).await.unwrap(), ["v1.0.0"]);
    assert_eq!(latest(&cache).await.unwrap(), "v1.0.0");
    assert_eq!(cache.info(&module, &query("main")).await.unwrap().format(), pseudo(1));
    assert!(cache.file(&new, FileKind::Zip).await.is_err());

    tag(&upstream, "v1.1.0");
    upstream.set("example.com/m list", Ok("v1.0.0 v1.1.0"));
    upstream.set("example.com/m latest", Ok(r#"{"Version":"v1.1.0"}"#));
    upstream.set("example.com/m@main", Ok(&pseudo(2)));
    assert!(cache.file(&new, FileKind::Zip).await.is_err());
    cache.forget(&path("example.com/other"));
    assert_eq!(list(&cache).await.unwrap(), ["v1.0.0"], "of another module");
    cache.forget(&module);
    assert_eq!(*upstream.forgot.lock().unwrap(), ["example.com/other", MODULE]);
    cache.file(&new, FileKind::Zip).await.unwrap();
    assert_eq!(list(&cache).await.unwrap(), ["v1.0.0", "v1.1.0"]);
    assert_eq!(latest(&cache).await.unwrap(), "v1.1.0");
    assert_eq!(cache.info(&module, &query("main")).await.unwrap().format(), pseudo(2));
    upstream.asked();
    assert_eq!((list(&cache).await.unwrap().len(), upstream.asked()), (2, 0), "fresh again");
    // Upstream is away just then: what is stored is good enough.
    cache.forget(&module);
    upstream.fail("example.com/m list");
    assert_eq!(list(&cache).await.unwrap(), ["v1.0.0", "v1.1.0"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_missing_may_be_forgotten_of_all_modules_and_nothing_else() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let cache = cache(&root, &upstream);
    let (new, other) = (version("example.com/m@v1.1.0"), version("example.com/other@v1.0.0"));
    upstream.set("example.com/m list", Ok("v1.0.0"));
    assert_eq!(list(&cache).await.unwrap(), ["v1.0.0"]);
    for missing in [&new, &other] {
        assert!(cache.file(missing, FileKind::GoMod).await.is_err());
    }
    upstream.asked();
    for missing in [&new, &other] {
        assert!(cache.file(missing, FileKind::GoMod).await.is_err());
    }
    assert_eq!(upstream.asked(), 0);
    tag(&upstream, "v1.1.0");
    cache.forget_absences();
    cache.file(&new, FileKind::GoMod).await.unwrap();
    assert!(cache.file(&other, FileKind::GoMod).await.is_err());
    upstream.asked();
    // What is absent since then is remembered, and the list was not forgotten.
    assert!(cache.file(&other, FileKind::GoMod).await.is_err());
    assert_eq!(list(&cache).await.unwrap(), ["v1.0.0"]);
    assert_eq!(upstream.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_under_way_when_the_news_came_is_no_answer() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let cache = cache(&root, &upstream);
    let new = version("example.com/m@v1.0.0");
    *upstream.delay.lock().unwrap() = SECOND;
    let asking = |kind| {
        let (cache, new) = (cache.clone(), new.clone());
        tokio::spawn(async move { cache.file(&new, kind).await.map(drop) })
    };
    let listing = || {
        let cache = cache.clone();
        tokio::spawn(async move { list(&cache).await })
    };
    let (early, early_list) = (asking(FileKind::GoMod), listing());
    sleep(SECOND / 2).await;
    let (late, late_list) = (asking(FileKind::GoMod), listing());
    sleep(SECOND / 4).await;
    tag(&upstream, "v1.0.0");
    upstream.set("example.com/m list", Ok("v1.0.0"));
    cache.forget(new.path());
    for asked in [early, late, asking(FileKind::GoMod)] {
        asked.await.unwrap().unwrap();
    }
    for asked in [early_list, late_list] {
        assert_eq!(asked.await.unwrap().unwrap(), ["v1.0.0"]);
    }
}

#[tokio::test(start_paused = true)]
async fn latest_does_not_go_back_but_for_retractions() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let cache = cache(&root, &upstream);
    for number in ["v1.0.0", "v1.1.0", "v1.2.0"] {
        tag(&upstream, number);
    }
    let say = |list: &str, latest: &str| {
        upstream.set("example.com/m list", Ok(list));
        upstream.set("example.com/m latest", Ok(&format!(r#"{{"Version":"{latest}"}}"#)));
    };
    let seen = async |expected: &str| {
        sleep(400 * SECOND).await;
        list(&cache).await.unwrap();
        assert_eq!(latest(&cache).await.unwrap(), expected);
    };
    say("v1.0.0 v1.1.0", "v1.1.0");
    seen("v1.1.0").await;
    // The tag is gone, or upstream is one of several that know different things.
    say("v1.0.0", "v1.0.0");
    seen("v1.1.0").await;
    upstream.set("example.com/m latest", Err(Error::not_found("gone")));
    seen("v1.1.0").await;
    // A version that retracts what came before it.
    upstream.set("example.com/m@v1.2.0 mod", Ok("module example.com/m\n\nretract [v1.1.0, v1.2.0]\n"));
    say("v1.0.0 v1.1.0 v1.2.0", "v1.0.0");
    seen("v1.0.0").await;
    // For that its go.mod is looked at, and not taken in: nobody has asked for this version.
    let held = |number: &str| root.get(&format!("example.com/m/@v/{number}.mod")).is_some();
    assert!(!held("v1.1.0") && !held("v1.2.0"));
    // One that is listed and cannot be had is not offered as the latest.
    say("v1.0.0 v1.1.0 v1.2.0 v1.3.0", "v1.0.0");
    seen("v1.0.0").await;
    tag(&upstream, "v1.4.0-rc.1");
    say("v1.0.0 v1.4.0-rc.1", "v1.4.0-rc.1");
    seen("v1.0.0").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_retracted_is_asked_for_once_a_minute_however_many_ask() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let cache = cache(&root, &upstream);
    let versions = ["v1.0.0", "v1.1.0"].map(|number| number.parse::<Version>().unwrap());
    let ask = || {
        let (cache, versions) = (cache.clone(), versions.to_vec());
        tokio::spawn(async move { cache.unretracted(&path(MODULE), versions).await })
    };
    let question = "example.com/m@v1.1.0 mod";
    upstream.fail(question);
    // What is not known because of a fault is not known; the fault is not remembered.
    assert_eq!(ask().await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    upstream.set(question, Ok("module example.com/m\n\nretract v1.0.0\n"));
    upstream.asked();
    *upstream.delay.lock().unwrap() = SECOND;
    for (pause, times) in [(0, 1), (58, 0), (2, 1)] {
        sleep(pause * SECOND).await;
        let all: Vec<_> = (0..20).map(|_| ask()).collect();
        for asked in all {
            assert_eq!(asked.await.unwrap().unwrap().unwrap(), versions[1..]);
        }
        assert_eq!(upstream.asked(), times, "after {pause} seconds");
    }
    assert!(root.get("example.com/m/@v/v1.1.0.mod").is_none(), "not taken in");
    // What it said stays known while upstream is away.
    upstream.fail(question);
    sleep(600 * SECOND).await;
    assert_eq!(ask().await.unwrap().unwrap().unwrap(), versions[1..]);
    // What is no go.mod says nothing, and what is gone does not count.
    for (answer, expected) in
        [(Ok("retract ("), None), (Err(Error::not_found("gone")), Some(versions[..1].to_vec()))]
    {
        upstream.set(question, answer);
        upstream.set("example.com/m@v1.0.0 mod", Ok("module example.com/m\n"));
        sleep(61 * SECOND).await;
        assert_eq!(ask().await.unwrap().unwrap(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_listed_during_a_renewal_stays_listed() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let cache = cache(&root, &upstream);
    upstream.set("example.com/m list", Ok("v1.0.0"));
    assert_eq!(list(&cache).await.unwrap(), ["v1.0.0"]);
    sleep(400 * SECOND).await;
    // A renewal that looks at the disk now and ends in ten seconds.
    *upstream.delay.lock().unwrap() = 10 * SECOND;
    let renewal = tokio::spawn({
        let cache = cache.clone();
        async move { list(&cache).await }
    });
    sleep(2 * SECOND).await;
    *upstream.delay.lock().unwrap() = Duration::ZERO;
    tag(&upstream, "v1.1.0");
    for kind in [FileKind::GoMod, FileKind::Info] {
        cache.file(&version("example.com/m@v1.1.0"), kind).await.unwrap();
    }
    for wait in [0, 20, 20, 20] {
        sleep(wait * SECOND).await;
        assert_eq!(list(&cache).await.unwrap(), ["v1.0.0", "v1.1.0"]);
    }
    assert_eq!(renewal.await.unwrap().unwrap(), ["v1.0.0"], "too early");
}

#[tokio::test(start_paused = true)]
async fn a_renewed_list_is_not_young_before_it_is_made() {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    let cache = cache(&root, &upstream);
    upstream.set("example.com/m list", Ok("v1.0.0"));
    assert_eq!(list(&cache).await.unwrap(), ["v1.0.0"]);
    // It is fetched while upstream lists nothing: listed for that alone.
    upstream.fail("example.com/m list");
    tag(&upstream, "v1.1.0");
    for kind in [FileKind::GoMod, FileKind::Info] {
        cache.file(&version("example.com/m@v1.1.0"), kind).await.unwrap();
    }
    assert_eq!(list(&cache).await.unwrap(), ["v1.0.0", "v1.1.0"]);
    // Again and again while a renewal in the background looks, asks, and writes.
    upstream.set("example.com/m list", Ok("v1.0.0 v1.2.0"));
    sleep(61 * SECOND).await;
    loop {
        let now = list(&cache).await.unwrap();
        assert!(now.starts_with(&["v1.0.0".to_owned(), "v1.1.0".to_owned()]), "{now:?}");
        if now.len() == 3 {
            break;
        }
        tokio::task::yield_now().await;
    }
    // And after news, whoever asks while the answer is written gets that one.
    upstream.set("example.com/m list", Ok("v1.3.0"));
    cache.forget(&path(MODULE));
    let first = tokio::spawn({
        let cache = cache.clone();
        async move { list(&cache).await }
    });
    while !first.is_finished() {
        tokio::task::yield_now().await;
        assert_eq!(list(&cache).await.unwrap().len(), 4);
    }
}

/// What happens between two looks at the list.
#[derive(Clone, Debug)]
enum Event {
    Lists(Vec<u8>),
    Fails(ErrorKind),
    Passes(u64),
    Restarts,
    IsForgotten,
    IsFetched(u8),
}

fn event() -> impl Strategy<Value = Event> {
    let number = 0u8..6;
    let kinds = [ErrorKind::NotFound, ErrorKind::Unavailable, ErrorKind::Forbidden, ErrorKind::Rejected];
    prop_oneof![
        3 => proptest::collection::vec(number.clone(), 0..5).prop_map(Event::Lists),
        2 => proptest::sample::select(kinds.to_vec()).prop_map(Event::Fails),
        3 => proptest::sample::select(vec![1, 9, 30, 61, 400, 4000]).prop_map(Event::Passes),
        1 => Just(Event::Restarts),
        1 => Just(Event::IsForgotten),
        1 => number.prop_map(Event::IsFetched),
    ]
}

fn numbered(n: u8) -> String {
    ["v0.9.0", "v1.0.0", "v1.1.0-rc.1", "v1.1.0", "v1.2.0", "v1.10.0"][usize::from(n)].to_owned()
}

/// What the one who looks saw so far.
#[derive(Default)]
struct Seen {
    listed: Vec<String>,
    best: Option<String>,
}

/// All that happens, from start to start. One process at a time may use a root, so each has a runtime of its own, which
/// ends with whatever is under way in it, wherever that is.
fn play(events: &[Event]) {
    let (root, upstream) = (root(), Arc::new(Scripted::default()));
    (0..6).for_each(|n| tag(&upstream, &numbered(n)));
    let mut seen = Seen::default();
    for run in events.chunk_by(|_, next| !matches!(next, Event::Restarts)) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(play_run(run, &cache(&root, &upstream), &upstream, &mut seen));
    }
}

/// What happens in one process.
async fn play_run(events: &[Event], cache: &Cache, upstream: &Scripted, seen: &mut Seen) {
    for event in events {
        match event {
            Event::Lists(numbers) => {
                let mut versions: Vec<_> = numbers.iter().map(|n| numbered(*n)).collect();
                upstream.set("example.com/m list", Ok(&versions.join(" ")));
                versions.sort_by_key(|it| Version::parse(it).unwrap());
                let latest = versions.iter().rfind(|it| !it.contains('-')).or(versions.last());
                let latest = latest.map(|it| format!(r#"{{"Version":"{it}"}}"#));
                upstream.set(
                    "example.com/m latest",
                    latest.as_deref().ok_or_else(|| Error::not_found("no versions")),
                );
            }
            Event::Fails(kind) => {
                upstream.set("example.com/m list", Err(Error::new(*kind, "fault")));
                upstream.set("example.com/m latest", Err(Error::new(*kind, "fault")));
            }
            Event::Passes(seconds) => sleep(Duration::from_secs(*seconds)).await,
            // The cache is a new one.
            Event::Restarts => {}
            Event::IsForgotten => cache.forget(&path(MODULE)),
            Event::IsFetched(n) => {
                let fetched = version(&format!("{MODULE}@{}", numbered(*n)));
                cache.file(&fetched, FileKind::Zip).await.unwrap();
                cache.file(&fetched, FileKind::Info).await.unwrap();
            }
        }
        seen.look(event, cache).await;
    }
}

impl Seen {
    async fn look(&mut self, event: &Event, cache: &Cache) {
        let (seen, best) = (&self.listed, &self.best);
        let now = list(cache).await;
        assert!(now.is_ok() || seen.is_empty(), "{event:?}: {now:?} after {seen:?}");
        let now = now.unwrap_or_default();
        assert!(seen.iter().all(|version| now.contains(version)), "{event:?}: {seen:?} became {now:?}");
        assert!(now.is_sorted_by_key(|it| Version::parse(it).unwrap()));
        self.listed = now;
        let now = latest(cache).await.ok();
        assert!(now.is_some() || best.is_none(), "{event:?}: no latest after {best:?}");
        if let (Some(now), Some(best)) = (&now, best) {
            let rank = |it: &str| (!it.contains('-'), Version::parse(it).unwrap());
            assert!(rank(now) >= rank(best), "{event:?}: latest went from {best} to {now}");
        }
        self.best = now.or(self.best.take());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever upstream says, forgets or breaks, and however often the server starts anew.
    #[test]
    fn what_was_listed_stays_listed(events in proptest::collection::vec(event(), 1..25)) {
        play(&events);
    }
}
