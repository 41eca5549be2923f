//! Discovery of repositories: what real `go` asked and concluded, and what must never be asked or believed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quipu_fetch::{
    Base, Client, ClientOptions, Credentials, Discovery, DiscoveryRules, Error, ErrorKind, Found, Named,
};
use quipu_module::{Govcs, Patterns, Vcs};
use serde_json::Value;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::support::server::{Reply, Server};
use crate::support::{Ledger, path};
use crate::tls::authority;

/// `https://example.com`, which is nowhere but in a test.
pub(crate) struct Site {
    server: Server,
    pub(crate) client: Client,
    pub(crate) egress: Arc<Ledger>,
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::start_at(&[]).await
    }

    /// The same, and other addresses that are at these ports of this machine, whatever is spoken there.
    pub(crate) async fn start_at(others: &[(&str, u16)]) -> Self {
        Self::start_trusting(others, Vec::new()).await
    }

    /// The same, and these authorities are trusted.
    async fn start_trusting(others: &[(&str, u16)], mut extra_roots: Vec<CertificateDer<'static>>) -> Self {
        let (root, config) = authority("example.com");
        let server = Server::start_tls(config).await;
        let egress = Arc::new(Ledger::default());
        let mut named = Named::default();
        for (url, port) in [("https://example.com", port(&server))].iter().chain(others) {
            let authority = Base::parse(url).unwrap().authority().unwrap().clone();
            named.insert_at(authority, SocketAddr::from(([127, 0, 0, 1], *port)));
        }
        extra_roots.push(root);
        let options =
            ClientOptions { named, extra_roots, observer: egress.clone(), ..ClientOptions::default() };
        Self { server, client: Client::new(options).unwrap(), egress }
    }

    pub(crate) fn on(&self, path: &str, reply: Reply) {
        self.server.on(&format!("{path}?go-get=1"), reply);
    }

    fn discovery(&self) -> Discovery {
        self.discovery_by(DiscoveryRules { within: Patterns::new("*"), ..DiscoveryRules::default() })
    }

    pub(crate) fn discovery_by(&self, rules: DiscoveryRules) -> Discovery {
        Discovery::new(self.client.clone(), rules)
    }
}

fn port(server: &Server) -> u16 {
    server.url.rsplit_once(':').unwrap().1.parse().unwrap()
}

pub(crate) fn page(contents: &[&str]) -> Reply {
    let tags = contents.iter().map(|content| format!("<meta name=\"go-import\" content=\"{content}\">\n"));
    Reply::ok(format!("<!DOCTYPE html>\n<html><head>\n{}</head><body>", tags.collect::<String>()))
}

async fn find(discovery: &Discovery, text: &str) -> Result<Found, Error> {
    discovery.find(&path(text)).await
}

fn refused(found: Result<Found, Error>, kind: ErrorKind, part: &str) {
    let error = found.unwrap_err();
    assert!(error.kind() == kind && error.text().contains(part), "{:?} {error}", error.kind());
}

const WIDGET: &str = "example.com/widget git https://github.com/acme/widget";

/// The pages of a scenario of the vectors, of which the requests and the outcome are in the file.
fn script(site: &Site, scenario: &str) {
    let one = |at: &str, contents: &[&str]| site.on(at, page(contents));
    match scenario {
        "git, exact prefix, status 404 page still used" => {
            site.on("/widget", Reply { status: 404, ..page(&[WIDGET]) });
        }
        "git, prefix shorter than module path is verified with a second request" => {
            one("/widget/sub", &[WIDGET]);
            one("/widget", &[WIDGET]);
        }
        "second request disagrees" => {
            one("/widget/sub", &[WIDGET]);
            one("/widget", &["example.com/widget git https://github.com/other/widget"]);
        }
        "subdirectory field (Go 1.25+)" => {
            one("/vanity", &["example.com/vanity git https://github.com/acme/widget sub"]);
        }
        "subdirectory with leading slash" => {
            one("/vanity", &["example.com/vanity git https://github.com/acme/widget /sub"]);
        }
        "five fields are ignored" => {
            one("/vanity", &["example.com/vanity git https://github.com/acme/widget sub more"]);
        }
        "mod preferred over git for the same prefix" => {
            one(
                "/m",
                &[
                    "example.com/m git https://github.com/acme/m",
                    "example.com/m mod https://example.com/proxy",
                ],
            );
        }
        "two matching git tags" => one("/widget", &[WIDGET, WIDGET]),
        "tag after <body> is not seen" => {
            site.on("/widget", Reply::ok(format!("<head><body><meta name=go-import content='{WIDGET}'>")));
        }
        "svn for a public module is refused by GOVCS" => {
            one("/s", &["example.com/s svn https://svn.example.com/s"]);
        }
        "unknown vcs" => one("/s", &["example.com/s cvs https://cvs.example.com/s"]),
        "no meta tag" => {}
        "file scheme repo root" => one("/f", &["example.com/f git file:///x"]),
        "v2 suffix, prefix without it" => {
            one("/widget/v3", &[WIDGET]);
            one("/widget", &[WIDGET]);
        }
        other => panic!("no pages for {other:?}"),
    }
}

/// As `go` prints it, without the version in front, the server's own words, and a slip with schemes.
fn outcome(result: &Value) -> Option<String> {
    let error = result["Error"].as_str()?.lines().next()?;
    let (_, error) = error.split_once(": ")?;
    let mine = error.starts_with("unrecognized");
    mine.then(|| error.replace("and //", "and https://").replace("parse //", "parse https://"))
}

#[tokio::test]
async fn scenarios_of_the_go_command() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/vectors/go_import.json");
    let vectors: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let scenarios = vectors["scenarios"].as_array().unwrap();
    assert_eq!(scenarios.len(), 14);
    for scenario in scenarios {
        let name = scenario["name"].as_str().unwrap();
        let (module, _) = scenario["module"].as_str().unwrap().split_once('@').unwrap();
        let site = Site::start().await;
        script(&site, name);
        let found = find(&site.discovery(), module).await;
        let requests =
            scenario["requests"].as_array().unwrap().iter().map(|request| request.as_str().unwrap());
        // After a 4xx the go command asks again with credentials. What this program has it sends at once.
        let mut wanted: Vec<_> = requests.filter_map(|r| r.strip_prefix("GET https://example.com")).collect();
        wanted.retain(|request| request.ends_with("?go-get=1"));
        wanted.dedup();
        assert_eq!(site.server.paths(), wanted, "{name}");
        let result = &scenario["result"];
        match (found, outcome(result)) {
            (Err(error), Some(wanted)) => assert_eq!(error.text(), wanted, "{name}"),
            (Ok(found), None) if found.vcs == Vcs::Mod => {
                assert_eq!(found.urls[0].as_str(), "https://example.com/proxy", "{name}");
            }
            (Ok(found), None) => {
                let origin = &result["Origin"];
                assert_eq!(found.urls.len(), 1, "{name}");
                assert_eq!(found.urls[0].as_str(), origin["URL"], "{name}");
                assert_eq!(found.vcs.as_str(), origin["VCS"], "{name}");
                let named = name.starts_with("subdirectory");
                assert_eq!(
                    found.subdir,
                    if named { origin["Subdir"].as_str().unwrap() } else { "" },
                    "{name}"
                );
            }
            (found, wanted) => panic!("{name}: {found:?}, wanted {wanted:?}"),
        }
    }
}

#[tokio::test]
async fn paths_outside_the_rules_are_asked_nowhere() {
    let site = Site::start().await;
    site.on("/widget", page(&[WIDGET]));
    let within = Patterns::new("other.example,example.com/team/*");
    let discovery = site.discovery_by(DiscoveryRules { within, ..DiscoveryRules::default() });
    for outside in
        ["example.com/widget", "example.com/team", "example.com", "github.com/o/r", "h.example/x.git"]
    {
        refused(find(&discovery, outside).await, ErrorKind::Private, "not among the paths");
    }
    refused(
        find(&Discovery::new(site.client.clone(), DiscoveryRules::default()), "a.example/x").await,
        ErrorKind::Private,
        "",
    );
    assert_eq!(site.egress.lines(), [""; 0]);
}

#[tokio::test]
async fn known_hosts_and_qualified_paths_are_not_asked() {
    let site = Site::start().await;
    let discovery = site.discovery();
    let urls = async |discovery: &Discovery, text| {
        let found = find(discovery, text).await.unwrap();
        found.urls.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(urls(&discovery, "github.com/o/r/v2").await, ["https://github.com/o/r"]);
    let secure = ["https://example.com/x", "git+ssh://example.com/x", "ssh://example.com/x"];
    assert_eq!(urls(&discovery, "example.com/x.git/sub").await, secure);
    assert_eq!(urls(&discovery, "example.com/x.hg").await, ["https://example.com/x", "ssh://example.com/x"]);
    refused(
        find(&discovery, "example.com/x.svn").await,
        ErrorKind::Forbidden,
        "GOVCS disallows using svn for public",
    );
    refused(find(&discovery, "github.com/o").await, ErrorKind::NotFound, "invalid github.com import path");
    let insecure = DiscoveryRules {
        within: Patterns::new("*"),
        insecure: Patterns::new("example.com/lab"),
        private: Patterns::new("example.com"),
        govcs: Govcs::parse("github.com:off").unwrap(),
        ..DiscoveryRules::default()
    };
    let insecure = site.discovery_by(insecure);
    assert_eq!(
        urls(&insecure, "example.com/lab/x.svn").await[..2],
        ["https://example.com/lab/x", "http://example.com/lab/x"]
    );
    assert_eq!(urls(&insecure, "example.com/x.git").await, secure);
    refused(
        find(&insecure, "github.com/o/r").await,
        ErrorKind::Forbidden,
        "GOVCS disallows using git for public github.com/o/r",
    );
    assert_eq!(site.egress.lines(), [""; 0]);
}

#[tokio::test]
async fn insecure_addresses_need_permission() {
    let (plain, impostor) =
        (Server::start().await, Server::start_tls(authority("elsewhere.example").1).await);
    let others = [
        ("http://example.com", port(&plain)),
        ("http://down.example", port(&plain)),
        ("https://down.example", port(&impostor)),
    ];
    let site = Site::start_at(&others).await;
    site.on("/a", page(&["example.com/a git http://git.example/a"]));
    site.on("/b", page(&["example.com/b git git://git.example/b"]));
    site.on("/r", Reply::redirect("http://example.com/r?go-get=1"));
    for path in ["/r", "/x"] {
        plain.on(
            &format!("{path}?go-get=1"),
            page(&["example.com/r git https://git.example/r", "down.example/x git https://git.example/x"]),
        );
    }
    let strict = site.discovery();
    for module in ["example.com/a", "example.com/b"] {
        refused(find(&strict, module).await, ErrorKind::Forbidden, "insecure");
    }
    refused(find(&strict, "example.com/r").await, ErrorKind::Rejected, "redirects from https to http");
    refused(find(&strict, "down.example/x").await, ErrorKind::Unavailable, "is not trusted here");
    assert_eq!(plain.paths(), [""; 0], "nothing without encryption");
    let lenient = DiscoveryRules {
        within: Patterns::new("*"),
        insecure: Patterns::new("example.com/a,down.example"),
        ..DiscoveryRules::default()
    };
    let lenient = site.discovery_by(lenient);
    assert_eq!(find(&lenient, "example.com/a").await.unwrap().urls[0].scheme(), "http");
    refused(find(&lenient, "example.com/b").await, ErrorKind::Forbidden, "insecure");
    assert_eq!(find(&lenient, "down.example/x").await.unwrap().urls[0].as_str(), "https://git.example/x");
}

#[tokio::test]
async fn what_a_page_may_not_say() {
    let site = Site::start().await;
    let discovery = site.discovery();
    for (at, content, kind, text) in [
        ("a", "git https://me:secret@git.example/a", ErrorKind::Rejected, "user information"),
        ("b", "git https://git.example/b ../x", ErrorKind::Rejected, "outside of the repository"),
        ("c", "git https://git.example/c -x", ErrorKind::Rejected, "leading hyphen"),
        ("d", "git ext::sh://x", ErrorKind::Rejected, "unknown scheme"),
        ("e", "git ssh://-oProxyCommand=x/y", ErrorKind::Rejected, "malformed"),
        ("f", "mod ssh://git.example/f", ErrorKind::Rejected, "proxy cannot be"),
        ("g", "git git.example/g", ErrorKind::Rejected, "no scheme"),
        ("h", "GIT https://git.example/h", ErrorKind::NotFound, "unknown vcs"),
    ] {
        site.on(&format!("/{at}"), page(&[&format!("example.com/{at} {content}")]));
        let found = find(&discovery, &format!("example.com/{at}")).await;
        assert!(!found.as_ref().unwrap_err().text().contains("secret"));
        refused(found, kind, text);
    }
    site.on("/x/y", page(&["example.com git https://git.example/x"]));
    refused(
        find(&discovery, "example.com/x/y").await,
        ErrorKind::NotFound,
        "https://example.com/?go-get=1: 404",
    );
    site.server.on("/?go-get=1", page(&["example.com git https://git.example/x sub/./dir/"]));
    discovery.forget(&path("example.com/x/y"));
    refused(find(&discovery, "example.com/x/y").await, ErrorKind::Rejected, "disagree");
    assert_eq!(find(&discovery, "example.com").await.unwrap().subdir, "sub/dir");
}

#[tokio::test]
async fn faults_are_never_absence_and_never_remembered() {
    let site = Site::start().await;
    let discovery = site.discovery();
    for (reply, kind) in [
        (Reply::new(500, "x"), ErrorKind::Unavailable),
        (Reply::new(429, "x"), ErrorKind::Unavailable),
        (Reply::new(401, "x"), ErrorKind::Unavailable),
        (Reply::new(403, "x"), ErrorKind::Forbidden),
        (Reply::new(504, "x"), ErrorKind::Timeout),
        (page(&[WIDGET]).cut(20), ErrorKind::Unavailable),
        (Reply::ok(vec![b' '; (1 << 20) + 1]), ErrorKind::TooLarge),
    ] {
        site.on("/widget", reply);
        refused(find(&discovery, "example.com/widget").await, kind, "example.com/widget");
    }
    // A head is read however long its page is, and tags count whatever the status is.
    let long = [page(&[WIDGET]).body, vec![b' '; 2 << 20]].concat();
    site.on("/widget", Reply { status: 500, ..Reply::ok(long) });
    assert_eq!(find(&discovery, "example.com/widget").await.unwrap().root, "example.com/widget");
}

#[tokio::test]
async fn answers_are_remembered_for_a_moment() {
    let site = Site::start().await;
    let discovery = Arc::new(site.discovery());
    site.on("/widget", page(&[WIDGET]).after(Duration::from_millis(100)));
    let asking: Vec<_> = (0..20)
        .map(|_| {
            tokio::spawn({
                let discovery = discovery.clone();
                async move { find(&discovery, "example.com/widget").await }
            })
        })
        .collect();
    for asked in asking {
        assert_eq!(asked.await.unwrap().unwrap().vcs, Vcs::Git);
    }
    refused(find(&discovery, "example.com/none").await, ErrorKind::NotFound, "404");
    refused(find(&discovery, "example.com/none").await, ErrorKind::NotFound, "404");
    assert_eq!(site.server.paths(), ["/widget?go-get=1", "/none?go-get=1"]);
    for (pass, requests) in [(11, 1), (50, 2)] {
        site.server.forget();
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(pass)).await;
        tokio::time::resume();
        for module in ["example.com/widget", "example.com/none"] {
            let _ = find(&discovery, module).await;
        }
        assert_eq!(site.server.paths().len(), requests, "after {pass} seconds more");
    }
    discovery.forget(&path("example.com/widget/sub"));
    find(&discovery, "example.com/widget").await.unwrap();
    assert_eq!(site.server.count("/widget?go-get=1"), 2);
}

/// Discovery that shows `robot:sesame` to `https://example.com`, for paths that `patterns` matches.
fn with_login(site: &Site, patterns: &str) -> Discovery {
    let base = Base::parse("https://example.com").unwrap();
    let login = Credentials::login(base.authority().unwrap(), b"robot", b"sesame").unwrap();
    let credentials = vec![(Patterns::new(patterns), login)];
    let within = Patterns::new("*");
    site.discovery_by(DiscoveryRules { within, credentials, ..DiscoveryRules::default() })
}

/// `robot:sesame`
const LOGIN: &str = "Basic cm9ib3Q6c2VzYW1l";

#[tokio::test]
async fn credentials_go_with_what_they_are_for() {
    let site = Site::start().await;
    for at in ["/team/widget", "/team/widget/sub", "/widget"] {
        let prefix = at.trim_end_matches("/sub");
        site.on(at, page(&[&format!("example.com{prefix} git https://github.com/acme/widget")]));
    }
    let discovery = with_login(&site, "example.com/team/*");
    find(&discovery, "example.com/team/widget/sub").await.unwrap();
    find(&discovery, "example.com/widget").await.unwrap();
    let shown: Vec<_> = site
        .server
        .seen()
        .iter()
        .map(|request| (request.path.clone(), request.headers.get("authorization").cloned()))
        .collect();
    let login = Some(LOGIN.to_owned());
    assert_eq!(
        shown,
        [
            ("/team/widget/sub?go-get=1".to_owned(), login.clone()),
            ("/team/widget?go-get=1".to_owned(), login),
            ("/widget?go-get=1".to_owned(), None),
        ]
    );
}

#[tokio::test]
async fn credentials_stay_with_their_host() {
    let (root, config) = authority("other.example");
    let other = Server::start_tls(config).await;
    let site = Site::start_trusting(&[("https://other.example", port(&other))], vec![root]).await;
    site.on("/widget", Reply::redirect("https://other.example/widget?go-get=1"));
    other.on("/widget?go-get=1", page(&[WIDGET]));
    other.on("/x?go-get=1", page(&["other.example/x git https://github.com/acme/widget"]));
    let discovery = with_login(&site, "*");
    assert_eq!(find(&discovery, "example.com/widget").await.unwrap().root, "example.com/widget");
    find(&discovery, "other.example/x").await.unwrap();
    assert_eq!(site.server.seen()[0].headers["authorization"], LOGIN);
    assert_eq!(other.paths(), ["/widget?go-get=1", "/x?go-get=1"]);
    assert!(other.seen().iter().all(|request| !request.headers.contains_key("authorization")));
}

#[tokio::test]
async fn hosts_that_hide_what_they_do_not_have() {
    let site = Site::start().await;
    for (closed, status) in
        [("/group/repo/sub", 401), ("/group/repo/deep/er", 403), ("/group/repo/deep", 401), ("/group", 403)]
    {
        site.on(closed, Reply::new(status, "log in"));
    }
    site.on("/group/none", Reply::new(401, "log in"));
    site.server.on("/?go-get=1", Reply::new(401, "log in"));
    site.on("/group/repo", page(&["example.com/group/repo git https://git.example/group/repo"]));
    let discovery = site.discovery();
    for below in ["example.com/group/repo/sub", "example.com/group/repo/deep/er", "example.com/group/repo"] {
        assert_eq!(find(&discovery, below).await.unwrap().root, "example.com/group/repo", "{below}");
    }
    // A page above that speaks of something else says nothing, and nothing is made of a refusal alone.
    let refused_with = find(&discovery, "example.com/group/none").await.unwrap_err();
    assert_ne!(refused_with.kind(), ErrorKind::NotFound);
    assert!(refused_with.text().contains("https://example.com/group/none?go-get=1"), "{refused_with}");
    let with_wrong = find(&with_login(&site, "*"), "example.com/group").await;
    refused(with_wrong, ErrorKind::Forbidden, "");
    site.on("/group", Reply::new(401, "log in"));
    let with_wrong = find(&with_login(&site, "*"), "example.com/group").await;
    refused(with_wrong, ErrorKind::Unavailable, "does not accept the credentials");
}
