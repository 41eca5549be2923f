//! The filter at the edges of time: whatever is asked of a module, the answers agree, by one clock.

use std::io::Cursor;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt as _;
use quipu_fetch::{AdmitAll, BoxFuture, CacheOptions, Staged, Upstream};
use quipu_ledger::{Clock, Micros};
use quipu_module::{ZipWriter, parse_rfc3339};

use super::*;
use crate::policy::{
    Action, Cooldown, Decision, Decisions, Fixes, Outcome, Quarantine, Rule, Rulebook, Versions, Waiver,
};
use crate::proxy::ModuleProxy;
use crate::route::Route;

const SECOND: Micros = 1_000_000;
const DAY: Micros = 86_400 * SECOND;

/// An old release, and one that is young in January 2026.
const RELEASES: [(&str, &str); 2] = [("v1.0.0", "2020-01-01T00:00:00Z"), ("v1.1.0", "2026-01-01T12:00:00Z")];

fn at(time: &str) -> Micros {
    u64::try_from(parse_rfc3339(time).unwrap() / 1000).unwrap()
}

/// One more of `example.com/r`, which takes itself back.
const RETRACTED: (&str, &str) = ("v1.0.1", "2020-01-02T00:00:00Z");

/// What there is of `example.com/p`, which lists nothing.
const COMMITS: [(&str, &str); 2] = [
    ("v0.0.0-20200101000000-aaaaaaaaaaaa", "2020-01-01T00:00:00Z"),
    ("v0.0.0-20200102000000-bbbbbbbbbbbb", "2020-01-02T00:00:00Z"),
];

/// Has the two releases; of `example.com/r` the retracted one, too, and there the young one takes back the old one.
#[derive(Default)]
struct Two {
    /// How often it was asked for a go.mod.
    go_mods: AtomicU64,
    /// Whether it has none now.
    is_away: AtomicBool,
}

impl Two {
    fn release(version: &str) -> Result<Info> {
        let found = RELEASES.iter().chain([&RETRACTED]).chain(&COMMITS).find(|(known, _)| *known == version);
        let (version, time) = found.ok_or_else(|| Error::not_found("no such version"))?;
        Info::new(Version::parse(version).unwrap(), Some((*time).to_owned()), None)
    }
}

impl Upstream for Two {
    fn list<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Vec<Version>>> {
        if path.as_str().ends_with("/p") {
            return Box::pin(std::future::ready(Ok(Vec::new())));
        }
        let retracted = path.as_str().ends_with("/r").then_some(&RETRACTED);
        let versions = RELEASES.iter().chain(retracted).map(|(version, _)| Version::parse(version).unwrap());
        Box::pin(std::future::ready(Ok(versions.collect())))
    }

    fn info<'a>(&'a self, _: &'a ModulePath, query: &'a Query) -> BoxFuture<'a, Result<Info>> {
        Box::pin(std::future::ready(Self::release(query.as_str())))
    }

    fn latest<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Info>> {
        let latest = if path.as_str().ends_with("/p") { COMMITS[1].0 } else { "v1.1.0" };
        Box::pin(std::future::ready(Self::release(latest)))
    }

    fn go_mod<'a>(&'a self, version: &'a ModuleVersion) -> BoxFuture<'a, Result<Bytes>> {
        self.go_mods.fetch_add(1, Ordering::Relaxed);
        if self.is_away.load(Ordering::Relaxed) {
            return Box::pin(std::future::ready(Err(Error::unavailable("away"))));
        }
        let retract = match (version.path().as_str(), version.version().as_str()) {
            ("example.com/r", "v1.0.1") => "retract v1.0.1\n",
            ("example.com/r", "v1.1.0") => "retract v1.0.0\n",
            _ => "",
        };
        Box::pin(std::future::ready(Ok(format!("module {}\n{retract}", version.path()).into())))
    }

    fn zip<'a>(&'a self, version: &'a ModuleVersion, staged: &'a mut Staged) -> BoxFuture<'a, Result<()>> {
        let mut zip = ZipWriter::new(version, Cursor::new(Vec::new()));
        zip.start_file("go.mod").unwrap();
        zip.write(format!("module {}\n", version.path()).as_bytes()).unwrap();
        let zip = zip.finish().unwrap().into_inner();
        Box::pin(async move { staged.write(&zip).await })
    }
}

/// Stands still until it is set.
#[derive(Default)]
struct Still(AtomicU64);

impl Clock for Still {
    fn now(&self) -> Micros {
        self.0.load(Ordering::Relaxed)
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

/// Notes what became of what was decided upon, and why.
#[derive(Default)]
struct Noted(Mutex<Vec<(Outcome, String)>>);

impl Decisions for Noted {
    fn note(&self, decision: &Decision<'_>) {
        self.0.lock().unwrap().push((decision.outcome, decision.text.to_owned()));
    }
}

struct World {
    clock: Arc<Still>,
    offering: Arc<Offering>,
    noted: Arc<Noted>,
    upstream: Arc<Two>,
    modules: Cache,
    proxy: ModuleProxy,
    filter: Arc<Filter>,
    _dir: tempfile::TempDir,
}

impl World {
    fn new(rulebook: Rulebook) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = CacheOptions { disk_floor: 0, ..CacheOptions::default() };
        let upstream = Arc::new(Two::default());
        let modules = Cache::open_root(dir.path(), upstream.clone(), Arc::new(AdmitAll), options).unwrap();
        Self::before((upstream, modules), rulebook, dir)
    }

    /// The same cache behind other rules.
    fn under(self, rulebook: Rulebook) -> Self {
        Self::before((self.upstream, self.modules), rulebook, self._dir)
    }

    fn before((upstream, modules): (Arc<Two>, Cache), rulebook: Rulebook, dir: tempfile::TempDir) -> Self {
        let (clock, noted) = (Arc::new(Still::default()), Arc::new(Noted::default()));
        let offering = Arc::new(Offering::new(rulebook, clock.clone(), noted.clone()));
        let filter = Filter::new(Arc::clone(&offering), modules.clone(), None, Policy::default());
        let filter = Arc::new(filter);
        let proxy = ModuleProxy::new(modules.clone(), Arc::clone(&filter), 0);
        Self { clock, offering, noted, upstream, modules, proxy, filter, _dir: dir }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let Route::Module(route) = Route::parse(path) else { panic!("{path}") };
        let reply = self.proxy.answer(route, &HeaderMap::new()).await;
        let status = reply.status().as_u16();
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    /// Whether the young version is offered at `now`: all answers must say the same of it, and offer the old one.
    async fn offers(&self, now: Micros) -> bool {
        self.clock.0.store(now, Ordering::Relaxed);
        let (_, list) = self.get("/example.com/m/@v/list").await;
        let (_, latest) = self.get("/example.com/m/@latest").await;
        assert!(list.starts_with("v1.0.0\n") && latest.contains("\"v1."), "{list} {latest}");
        let mut answers = vec![("list", list.contains("v1.1.0")), ("@latest", latest.contains("v1.1.0"))];
        for kind in ["info", "mod", "zip"] {
            let (status, body) = self.get(&format!("/example.com/m/@v/v1.1.0.{kind}")).await;
            assert!(status == 200 || status == 403, "{kind}: {status} {body}");
            answers.push((kind, status == 200));
            assert_eq!(self.get(&format!("/example.com/m/@v/v1.0.0.{kind}")).await.0, 200, "{kind}");
        }
        let young: ModuleVersion = "example.com/m@v1.1.0".parse().unwrap();
        answers.push(("lookup", self.filter.check(&young, Reach::Anywhere).await.is_ok()));
        let offered = answers[0].1;
        assert!(answers.iter().all(|(_, answer)| *answer == offered), "at {now}: {answers:?}");
        offered
    }
}

fn cooldown(waivers: Vec<Waiver>) -> Rulebook {
    Rulebook { cooldown: Some(Cooldown { days: 7, waivers }), ..Rulebook::default() }
}

#[tokio::test]
async fn at_the_end_of_a_cooldown_all_answers_change_together() {
    let world = World::new(cooldown(Vec::new()));
    let end = at(RELEASES[1].1) + 7 * DAY;
    for (now, offered) in [
        (end - 3 * DAY, false),
        (end - SECOND, false),
        (end - 1, false),
        (end, true),
        (end + 1, true),
        (end + SECOND, true),
    ] {
        assert_eq!(world.offers(now).await, offered, "{now}");
    }
    // Once old enough is old enough, whatever the clock says next; a server that starts then does not know that.
    assert!(world.offers(end - SECOND).await);
    let world = world.under(cooldown(Vec::new()));
    assert!(!world.offers(end - SECOND).await);
    assert!(world.offers(end).await);
}

#[tokio::test]
async fn what_is_stored_is_no_exception() {
    let world = World::new(Rulebook::default());
    let made = at(RELEASES[1].1);
    assert!(world.offers(made).await);
    let world = world.under(cooldown(Vec::new()));
    world.clock.0.store(made, Ordering::Relaxed);
    for kind in ["info", "mod", "zip"] {
        for tree in ["", "/cached-only"] {
            let (status, body) = world.get(&format!("{tree}/example.com/m/@v/v1.1.0.{kind}")).await;
            assert_eq!(status, 403, "{tree} {kind}: {body}");
            assert!(body.contains("nothing younger than 7 days"), "{body}");
        }
    }
    assert_eq!(world.get("/cached-only/example.com/m/@v/list").await.1, "v1.0.0\n");
    assert!(world.get("/cached-only/example.com/m/@latest").await.1.contains("v1.0.0"));
}

#[tokio::test]
async fn latest_is_what_no_offered_version_takes_back() {
    let world = World::new(cooldown(Vec::new()));
    world.clock.0.store(at(RELEASES[1].1), Ordering::Relaxed);
    let (_, list) = world.get("/example.com/r/@v/list").await;
    assert!(list.contains("v1.0.1") && !list.contains("v1.1.0"), "{list}");
    let (_, latest) = world.get("/example.com/r/@latest").await;
    assert!(latest.contains("\"v1.0.0\""), "the young one's word does not count yet: {latest}");
}

#[tokio::test]
async fn latest_takes_nothing_for_granted_while_upstream_is_away() {
    let world = World::new(cooldown(Vec::new()));
    world.clock.0.store(at(RELEASES[1].1), Ordering::Relaxed);
    world.upstream.is_away.store(true, Ordering::Relaxed);
    let (status, text) = world.get("/example.com/r/@latest").await;
    assert_eq!(status, 503, "what v1.0.1 retracts is not known: {text}");
    // Then it is known, and it is not asked for by everybody again.
    world.upstream.is_away.store(false, Ordering::Relaxed);
    let asked = world.upstream.go_mods.load(Ordering::Relaxed);
    for away in [false, true, true] {
        let (_, latest) = world.get("/example.com/r/@latest").await;
        assert!(latest.contains("\"v1.0.0\""), "{latest}");
        world.upstream.is_away.store(away, Ordering::Relaxed);
    }
    assert_eq!(world.upstream.go_mods.load(Ordering::Relaxed), asked + 1);
}

/// By the word of what is stored, as far as it is offered; a go.mod alone is enough to speak.
#[tokio::test]
async fn latest_from_storage_is_not_what_is_retracted() {
    let world = World::new(Rulebook::default());
    let get = async |version: &str, kinds: &[&str]| {
        for kind in kinds {
            assert_eq!(world.get(&format!("/example.com/r/@v/{version}.{kind}")).await.0, 200, "{kind}");
        }
    };
    let latest = async || world.get("/cached-only/example.com/r/@latest").await.1;
    get("v1.0.1", &["info", "mod", "zip"]).await;
    assert!(latest().await.contains("\"v1.0.1\""), "there is no other");
    get("v1.0.0", &["info", "mod", "zip"]).await;
    assert!(latest().await.contains("\"v1.0.0\""), "the other one takes itself back");
    get("v1.1.0", &["mod"]).await;
    assert!(latest().await.contains("\"v1.0.1\""), "a higher one says otherwise");
    get("v1.1.0", &["info", "zip"]).await;
    assert!(latest().await.contains("\"v1.1.0\""), "which is here now");
    let asked = world.upstream.go_mods.load(Ordering::Relaxed);
    let world = world.under(cooldown(Vec::new()));
    world.clock.0.store(at(RELEASES[1].1), Ordering::Relaxed);
    let (_, latest) = world.get("/cached-only/example.com/r/@latest").await;
    assert!(latest.contains("\"v1.0.0\""), "the young one's word does not count yet: {latest}");
    assert_eq!(world.upstream.go_mods.load(Ordering::Relaxed), asked);
}

#[tokio::test]
async fn latest_from_storage_is_what_is_stored_and_offered() {
    let world = World::new(Rulebook::default());
    for (version, _) in COMMITS {
        for kind in ["info", "mod", "zip"] {
            let (status, text) = world.get(&format!("/example.com/p/@v/{version}.{kind}")).await;
            assert_eq!(status, 200, "{text}");
        }
    }
    let latest = async || world.get("/cached-only/example.com/p/@latest").await;
    assert!(latest().await.1.contains(COMMITS[1].0));
    let mut quarantine = Quarantine::default();
    for (refused, expected) in [(1, 200), (0, 403)] {
        let module = ModuleVersion::parse("example.com/p", COMMITS[refused].0).unwrap();
        quarantine.add(module, "bad", 1).unwrap();
        world.offering.set_quarantine(quarantine.clone());
        let (status, text) = latest().await;
        assert_eq!(status, expected, "{text}");
        assert!(status == 403 || text.contains(COMMITS[0].0), "{text}");
    }
}

#[tokio::test]
async fn a_waiver_ends_at_its_second_and_leaves_nothing_behind() {
    let waiver = |until: &str| {
        let versions = Versions::parse(&["v1.1.0"]).unwrap();
        vec![Waiver::new("example.com/m", versions, "asked for", until).unwrap()]
    };
    for (until, end) in
        [("2026-01-04", "2026-01-05T00:00:00Z"), ("2026-01-04T10:00:00+01:00", "2026-01-04T09:00:00Z")]
    {
        let (world, end) = (World::new(cooldown(waiver(until))), at(end));
        assert!(
            world.offers(end - DAY).await && world.offers(end - SECOND).await && world.offers(end - 1).await
        );
        assert!(!world.offers(end).await && !world.offers(end + SECOND).await, "{until}");
        let let_through = (Outcome::Exempt, "example.com/m@v1.1.0: waiver: asked for".to_owned());
        assert!(world.noted.0.lock().unwrap().contains(&let_through));
        world.noted.0.lock().unwrap().clear();
        assert!(world.offers(at(RELEASES[1].1) + 7 * DAY).await);
        assert_eq!(*world.noted.0.lock().unwrap(), []);
    }
    // What is old enough needs no waiver, so none is noted.
    let world = World::new(cooldown(waiver("2026-12-31")));
    assert!(world.offers(at(RELEASES[1].1) + 7 * DAY).await);
    assert_eq!(*world.noted.0.lock().unwrap(), []);
}

#[tokio::test]
async fn a_fix_is_offered_as_long_as_it_is_known_as_one() {
    let world = World::new(cooldown(Vec::new()));
    let now = at(RELEASES[1].1) + DAY;
    assert!(!world.offers(now).await);
    let fixed = |version: &str| {
        let mut fixes = Fixes::default();
        let json = format!(
            r#"{{"id":"GO-1","affected":[{{"package":{{"name":"example.com/m","ecosystem":"Go"}},
                "ranges":[{{"type":"SEMVER","events":[{{"fixed":"{version}"}}]}}]}}]}}"#
        );
        fixes.add(json.as_bytes()).unwrap();
        fixes
    };
    world.offering.set_fixes(fixed("1.0.9"));
    assert!(!world.offers(now).await);
    world.offering.set_fixes(fixed("1.1.0"));
    world.noted.0.lock().unwrap().clear();
    assert!(world.offers(now).await);
    let let_through = (Outcome::Exempt, "example.com/m@v1.1.0: fixes GO-1".to_owned());
    assert!(world.noted.0.lock().unwrap().iter().all(|noted| *noted == let_through));
    assert!(!world.noted.0.lock().unwrap().is_empty());
    world.offering.set_fixes(Fixes::default());
    assert!(!world.offers(now).await);
}

#[tokio::test]
async fn a_dry_run_offers_everything_and_notes_it() {
    let deny = Rule::new(Action::Deny, "example.com/m", Versions::parse(&["v1.0.0"]).unwrap(), "old");
    let rules = vec![deny.unwrap()];
    let world = World::new(Rulebook { rules, dry_run: true, ..cooldown(Vec::new()) });
    assert!(world.offers(at(RELEASES[1].1)).await);
    let noted = world.noted.0.lock().unwrap();
    assert!(
        noted.len() >= 6 && noted.iter().all(|(outcome, _)| *outcome == Outcome::WouldBeRefused),
        "{noted:?}"
    );
}

#[tokio::test]
async fn what_may_be_published_and_shown_is_said_by_the_rules_alone() {
    let deny = Rule::new(Action::Deny, "example.com/m", Versions::parse(&["v1.0.0"]).unwrap(), "old");
    let rules = vec![deny.unwrap()];
    let world = World::new(Rulebook { rules, ..cooldown(Vec::new()) });
    let version = |version: &str| ModuleVersion::parse("example.com/m", version).unwrap();
    let refused = world.filter.check_publish(&version("v1.0.0")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);
    assert!(refused.text().ends_with("policy: old"), "{}", refused.text());
    assert!(world.filter.check_publish(&version("v1.1.0")).is_ok(), "young as it is");
    assert_eq!(world.noted.0.lock().unwrap()[0].0, Outcome::Refused);
    assert_eq!(world.noted.0.lock().unwrap().len(), 1);
    assert!(!world.filter.shows("example.com/m", "v1.0.0") && world.filter.shows("example.com/m", "v1.1.0"));
}
