//! Webhooks from the first byte to what they change.

use std::sync::{Arc, Mutex};

use http::{HeaderName, HeaderValue};
use http_body_util::{BodyExt as _, Full};
use quipu_fetch::{
    AdmitAll, BoxFuture, CacheOptions, Error, FileKind, Info, Origin, Policy, Result as Fetched, Staged,
    Upstream,
};
use quipu_module::{ModulePath, ModuleVersion, Patterns, Query, Version};

use super::*;
use crate::policy::{Action, Cooldown, LogDecisions, Offering, Quarantine, Rule, Rulebook, Versions};
use quipu_ledger::SystemClock;

const SECRET: &str = "a secret of sixteen bytes and more";

/// Has the versions it was told of, as `.info` and go.mod, made from the commit it was told of, the pre-releases among them
/// not long ago; notes what it is asked for.
#[derive(Default)]
struct Tagged(Mutex<Vec<String>>, Mutex<String>, Mutex<Vec<String>>);

impl Tagged {
    fn has(&self, version: &ModuleVersion) -> Fetched<()> {
        self.2.lock().unwrap().push(version.to_string());
        let known = self.0.lock().unwrap().contains(&version.to_string());
        if known { Ok(()) } else { Err(Error::not_found(format!("{version}: no such tag"))) }
    }
}

impl Upstream for Tagged {
    fn list<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Fetched<Vec<Version>>> {
        let tags = self.0.lock().unwrap().clone();
        let versions = tags.iter().map(|tag| tag.parse::<ModuleVersion>().unwrap());
        let versions = versions.filter(|version| version.path() == path);
        let versions = Ok(versions.map(|version| version.version().clone()).collect());
        Box::pin(std::future::ready(versions))
    }

    fn info<'a>(&'a self, path: &'a ModulePath, query: &'a Query) -> BoxFuture<'a, Fetched<Info>> {
        let version = ModuleVersion::parse(path.as_str(), query.as_str()).unwrap();
        let origin = Origin { hash: self.1.lock().unwrap().clone(), ..Origin::default() };
        let made =
            if version.version().is_prerelease() { "2999-01-01T00:00:00Z" } else { "2020-01-01T00:00:00Z" };
        let info = Info::new(version.version().clone(), Some(made.to_owned()), Some(origin));
        Box::pin(std::future::ready(self.has(&version).and(info)))
    }

    fn latest<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Fetched<Info>> {
        Box::pin(std::future::ready(Err(Error::not_found(path))))
    }

    fn go_mod<'a>(&'a self, version: &'a ModuleVersion) -> BoxFuture<'a, Fetched<Bytes>> {
        let text = format!("module {}\n", version.path());
        Box::pin(std::future::ready(self.has(version).map(|()| text.into())))
    }

    fn zip<'a>(&'a self, version: &'a ModuleVersion, _: &'a mut Staged) -> BoxFuture<'a, Fetched<()>> {
        Box::pin(std::future::ready(Err(Error::unavailable(format!("{version}: no zips here")))))
    }
}

struct Site {
    upstream: Arc<Tagged>,
    modules: Cache,
    hooks: Hooks,
    root: tempfile::TempDir,
}

/// Where `git.example` is private, and everything is offered.
fn site() -> Site {
    site_under(Offering::everything())
}

fn site_under(offering: Offering) -> Site {
    let (root, upstream) = (tempfile::tempdir().unwrap(), Arc::new(Tagged::default()));
    let options = CacheOptions { disk_floor: 0, ..CacheOptions::default() };
    let modules = Cache::open_root(root.path(), upstream.clone(), Arc::new(AdmitAll), options).unwrap();
    let secrets = [Forge::GitHub, Forge::GitLab].map(|forge| (forge, Secrets::parse(SECRET).unwrap()));
    let audit = AuditLog::open(&root.path().join("audit.log")).unwrap();
    let private = Policy::new(Patterns::new("git.example"), Patterns::new("git.example"));
    let filter = Arc::new(Filter::new(Arc::new(offering), modules.clone(), None, private));
    let hooks = Hooks::new(secrets.into(), modules.clone(), filter, audit);
    Site { upstream, hooks, modules, root }
}

impl Site {
    async fn post(&self, forge: &str, token: &str, body: &str) -> (u16, String) {
        self.post_from([10, 0, 0, 1], forge, token, body).await
    }

    async fn post_from(&self, peer: [u8; 4], forge: &str, token: &str, body: &str) -> (u16, String) {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("x-gitlab-token"), HeaderValue::from_str(token).unwrap());
        let body = Full::new(Bytes::from(body.to_owned()));
        let reply = self.hooks.answer(forge, &headers, body, peer.into()).await;
        let status = reply.status().as_u16();
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

const TAGGED: &str = r#"{"ref":"refs/tags/v1.0.0","after":"82b3",
    "project":{"git_http_url":"https://git.example/team/tool.git"}}"#;

#[tokio::test(start_paused = true)]
async fn a_tag_is_there_when_it_was_told_of() {
    let site = site();
    let version: ModuleVersion = "git.example/team/tool@v1.0.0".parse().unwrap();
    assert!(site.modules.file(&version, FileKind::Info).await.is_err());
    assert!(site.modules.list(version.path()).await.is_err());
    site.upstream.0.lock().unwrap().push(version.to_string());
    assert!(site.modules.file(&version, FileKind::Info).await.is_err(), "its absence is remembered");
    let (status, body) = site.post("gitlab", SECRET, TAGGED).await;
    assert_eq!(status, 202);
    assert_eq!(
        body,
        "{\"fetching\":[\"git.example/team/tool@v1.0.0\"],\"forgot\":[\"git.example/team/tool\"],\"left\":[]}\n"
    );
    site.modules.file(&version, FileKind::Info).await.unwrap();
    assert_eq!(site.modules.list(version.path()).await.unwrap().len(), 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(site.modules.open(&version, FileKind::GoMod).unwrap().is_some(), "fetched before anybody asked");
    // Again, and once more: nothing but the same.
    for _ in 0..3 {
        assert_eq!(site.post("gitlab", SECRET, TAGGED).await, (status, body.clone()));
    }
}

#[tokio::test(start_paused = true)]
async fn upstream_is_not_asked_for_a_name_that_is_only_guessed() {
    let site = site();
    for body in [TAGGED.replace("git.example", "code.example"), TAGGED.replace("git.example", "Git.Example")]
    {
        let (status, body) = site.post("gitlab", SECRET, &body).await;
        assert_eq!(status, 202);
        assert!(body.starts_with("{\"fetching\":[],"), "{body}");
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(site.upstream.2.lock().unwrap().as_slice(), [""; 0]);
    site.post("gitlab", SECRET, TAGGED).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(site.upstream.2.lock().unwrap().first().unwrap(), "git.example/team/tool@v1.0.0");
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_is_pushed_again_is_compared_with_what_is_stored() {
    let site = site();
    let version: ModuleVersion = "git.example/team/tool@v1.0.0".parse().unwrap();
    site.upstream.0.lock().unwrap().push(version.to_string());
    for (commit, moved) in [("aaaa", 0), ("aaaa", 0), ("bbbb", 1), ("aaaa", 0)] {
        *site.upstream.1.lock().unwrap() = commit.to_owned();
        assert_eq!(site.post("gitlab", SECRET, TAGGED).await.0, 202);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(site.modules.moved().len(), moved, "{commit}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_forge_that_tells_too_early_is_asked_again() {
    let site = site();
    let version: ModuleVersion = "git.example/team/tool@v1.0.0".parse().unwrap();
    assert_eq!(site.post("gitlab", SECRET, TAGGED).await.0, 202);
    tokio::time::sleep(Duration::from_secs(2)).await;
    site.upstream.0.lock().unwrap().push(version.to_string());
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(site.modules.open(&version, FileKind::GoMod).unwrap().is_some());
}

#[tokio::test]
async fn what_is_not_signed_is_refused_with_the_same_words_whatever_is_wrong() {
    let site = site();
    let refused = site.post("gitlab", "another secret, as long as the other", TAGGED).await;
    assert_eq!(refused.0, 401);
    for (token, body) in
        [("", TAGGED), (SECRET.get(1..).unwrap(), TAGGED), ("wrong", "no JSON"), ("wrong", "")]
    {
        assert_eq!(site.post("gitlab", token, body).await, refused);
    }
    // The token of one forge says nothing to another.
    assert_eq!(site.post("github", SECRET, TAGGED).await, refused);
    for forge in ["gitea", "forgejo", "sourcehut", "", "gitlab/"] {
        assert_eq!(site.post(forge, SECRET, TAGGED).await.0, 404, "{forge}");
    }
    assert_eq!(site.post("gitlab", SECRET, "payload=%7B%7D").await.0, 400);
    assert_eq!(site.post("gitlab", SECRET, &"x".repeat(MAX_BODY + 1)).await.0, 400);
    assert_eq!(site.post("gitlab", SECRET, "{}").await.1, "{\"fetching\":[],\"forgot\":[],\"left\":[]}\n");
}

/// A body that never comes.
struct Silent;

impl http_body::Body for Silent {
    type Data = Bytes;
    type Error = std::io::Error;
    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

fn header(name: &'static str, value: &str) -> HeaderMap {
    [(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())].into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_sends_nothing_is_let_go() {
    let site = site();
    let (begun, shown) = (tokio::time::Instant::now(), header("x-gitlab-token", SECRET));
    let reply = site.hooks.answer("gitlab", &shown, Silent, [10, 0, 0, 1].into()).await;
    assert_eq!((reply.status().as_u16(), begun.elapsed()), (400, MAX_TIME));
    // One that shows nothing that could be right is not even read.
    for (forge, shown) in [
        ("gitlab", HeaderMap::new()),
        ("gitlab", header("x-gitlab-token", "no secret of this server")),
        ("github", HeaderMap::new()),
        ("github", header("x-hub-signature-256", "sha256=00")),
    ] {
        let reply = site.hooks.answer(forge, &shown, Silent, [10, 0, 0, 1].into()).await;
        assert_eq!((reply.status().as_u16(), begun.elapsed()), (401, MAX_TIME), "{forge} {shown:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn senders_that_send_nothing_do_not_keep_others_from_it() {
    let site = Arc::new(site());
    let shown = header("x-hub-signature-256", &format!("sha256={}", "0".repeat(64)));
    for _ in 0..100 {
        let (site, shown) = (Arc::clone(&site), shown.clone());
        tokio::spawn(async move { site.hooks.answer("github", &shown, Silent, [10, 0, 0, 9].into()).await });
    }
    let begun = tokio::time::Instant::now();
    tokio::task::yield_now().await;
    assert_eq!(site.post("gitlab", SECRET, TAGGED).await.0, 202);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // From where they are it is said soon that there is no place.
    assert_eq!(site.post_from([10, 0, 0, 9], "gitlab", SECRET, TAGGED).await.0, 503);
    assert!(begun.elapsed() < Duration::from_secs(6));
}

#[tokio::test(start_paused = true)]
async fn what_the_policy_does_not_offer_is_not_fetched() {
    let denied = Versions::parse(&["v1.0.0"]).unwrap();
    let rule = Rule::new(Action::Deny, "git.example/team/tool", denied, "no").unwrap();
    let rulebook = Rulebook { rules: vec![rule], ..Rulebook::default() };
    let site = site_under(Offering::new(rulebook, Arc::new(SystemClock::new()), Arc::new(LogDecisions)));
    for version in ["v1.0.0", "v1.1.0"] {
        site.upstream.0.lock().unwrap().push(format!("git.example/team/tool@{version}"));
        assert_eq!(site.post("gitlab", SECRET, &TAGGED.replace("v1.0.0", version)).await.0, 202);
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    let asked = site.upstream.2.lock().unwrap().clone();
    assert!(asked.contains(&"git.example/team/tool@v1.1.0".to_owned()), "{asked:?}");
    assert!(!asked.contains(&"git.example/team/tool@v1.0.0".to_owned()), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_in_quarantine_or_too_young_is_not_fetched() {
    let version = |text: &str| text.parse::<ModuleVersion>().unwrap();
    let cooldown = Some(Cooldown { days: 7, waivers: Vec::new() });
    let rulebook = Rulebook { cooldown, ..Rulebook::default() };
    let offering = Offering::new(rulebook, Arc::new(SystemClock::new()), Arc::new(LogDecisions));
    let mut quarantine = Quarantine::default();
    quarantine.add(version("public.example/m@v1.0.0"), "steals tokens", 0).unwrap();
    offering.set_quarantine(quarantine);
    let site = site_under(offering);
    for (module, fetched) in [
        ("public.example/m@v1.0.0", false),
        ("public.example/m@v1.1.0", true),
        ("public.example/m@v1.2.0-rc.1", false),
        // What is private may be young.
        ("git.example/m@v1.2.0-rc.1", true),
    ] {
        site.upstream.0.lock().unwrap().push(module.to_owned());
        assert!(site.hooks.ahead.fetch(&version(module)));
        tokio::time::sleep(Duration::from_secs(60)).await;
        let found = site.modules.open(&version(module), FileKind::GoMod).unwrap();
        assert_eq!(found.is_some(), fetched, "{module}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_yet_keeps_nothing_else_waiting() {
    let site = site();
    let version = |n: u32| ModuleVersion::parse("git.example/team/tool", &format!("v1.0.{n}")).unwrap();
    assert!((0..100).all(|n| site.hooks.ahead.fetch(&version(n))));
    site.upstream.0.lock().unwrap().push(version(100).to_string());
    assert!(site.hooks.ahead.fetch(&version(100)));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(site.modules.open(&version(100), FileKind::GoMod).unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn only_so_many_versions_wait() {
    let site = site();
    let version = |n: u32| ModuleVersion::parse("git.example/team/tool", &format!("v1.0.{n}")).unwrap();
    let taken = (0..1000).filter(|n| site.hooks.ahead.fetch(&version(*n))).count();
    assert_eq!(taken, 256);
    assert!(site.hooks.ahead.fetch(&version(0)), "waits already");
    tokio::time::sleep(Duration::from_secs(256 * 20)).await;
    assert!(site.hooks.ahead.fetch(&version(999)));
}

#[tokio::test]
async fn the_audit_log_tells_of_many_that_are_alike_ever_fewer() {
    let site = site();
    let other = TAGGED.replace("v1.0.0", "v1.1.0");
    for _ in 0..12 {
        assert_eq!(site.post("gitlab", SECRET, TAGGED).await.0, 202);
        assert_eq!(site.post("gitlab", "no secret of this server", TAGGED).await.0, 401);
    }
    assert_eq!(site.post("gitlab", SECRET, &other).await.0, 202);
    assert_eq!(site.post_from([10, 0, 0, 2], "github", "", TAGGED).await.0, 401);
    // What is no webhook of this server is nobody's.
    assert_eq!(site.post("gitea", SECRET, TAGGED).await.0, 404);
    site.hooks.noted.audit.close();
    let written = std::fs::read_to_string(site.root.path().join("audit.log")).unwrap();
    let events: Vec<serde_json::Value> =
        written.lines().map(|line| serde_json::from_str(&line[65..]).unwrap()).collect();
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            ["event", "who", "peer", "what", "detail"].map(|member| event[member].as_str().unwrap_or(""))
        })
        .collect();
    let taken = |tag| ["webhook", "GitLab", "10.0.0.1", "git.example/team/tool", tag];
    let what = "a webhook of GitLab that is not signed with a secret of this server";
    let refused = |detail| ["webhook-refused", "", "10.0.0.1", what, detail];
    assert_eq!(
        told,
        [
            taken("tag v1.0.0"),
            refused("number 1 of this address within a minute"),
            taken("tag v1.0.0"),
            refused("number 10 of this address within a minute"),
            taken("tag v1.1.0"),
            [
                "webhook-refused",
                "",
                "10.0.0.2",
                "a webhook of GitHub that is not signed with a secret of this server",
                "number 1 of this address within a minute",
            ],
        ]
    );
}
