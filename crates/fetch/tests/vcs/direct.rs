//! Modules from repositories that were found, not named: what is remembered of them, and for how long.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quipu_fetch::{
    Client, ClientOptions, Direct, DirectParts, Discovery, DiscoveryRules, ErrorKind, GitOptions,
    History as _, Named, Repositories, RepositoryMap, Upstream as _, Url,
};
use quipu_module::{ModulePath, Patterns, Version};

use crate::served::{MAIN, commit, tag};
use crate::site::{Instead, Site};

/// Direct from `site`, where example.com says that example.com/m is the repository `r`; what is listed is remembered for long.
async fn direct(site: &Site, root: &std::path::Path, trusted: &str) -> Direct {
    direct_to(site, "git", root, trusted).await
}

/// The same, where `r` is kept in `vcs`. As a module proxy it has one version.
async fn direct_to(site: &Site, vcs: &str, root: &std::path::Path, trusted: &str) -> Direct {
    let page = format!("<meta name=\"go-import\" content=\"example.com/m {vcs} {}/r\">", site.url);
    let page = Instead::answer("200 OK", "Content-Type: text/html\r\n", &page);
    let list = Instead::answer("200 OK", "Content-Type: text/plain\r\n", "v1.0.0\n");
    site.script(move |seen| match seen.target.as_str() {
        "/r/example.com/m/@v/list" => Some(list.clone()),
        target => target.contains("go-get=1").then(|| page.clone()),
    });
    let authority = |url: &str| Url::parse(url).unwrap().authority().clone();
    let port: u16 = site.url.rsplit_once(':').unwrap().1.parse().unwrap();
    let mut named = Named::default();
    named.insert_at(authority("http://example.com"), SocketAddr::from(([127, 0, 0, 1], port)));
    // Nobody listens there: the go command, too, then tries without encryption where GOINSECURE says so.
    named.insert_at(authority("https://example.com"), SocketAddr::from(([127, 0, 0, 1], 1)));
    // A host of the operator's.
    named.insert(authority(&site.url));
    let client = Client::new(ClientOptions { named, ..ClientOptions::default() }).unwrap();
    let all = Patterns::new("*");
    let rules = DiscoveryRules {
        within: all.clone(),
        insecure: all.clone(),
        trusted: Patterns::new(trusted),
        ..DiscoveryRules::default()
    };
    let options = GitOptions { fresh: Duration::from_secs(3600), ..site.options() };
    Direct::new(DirectParts {
        map: RepositoryMap::default(),
        discovery: Arc::new(Discovery::new(client, rules)),
        insecure: all.clone(),
        git: vec![(all, Repositories::open(&root.join("own"), options).await.unwrap())],
        strangers: Some(Repositories::open(&root.join("strangers"), GitOptions::default()).await.unwrap()),
        command: None,
    })
}

async fn versions(direct: &Direct, path: &ModulePath) -> Vec<String> {
    direct.list(path).await.unwrap().iter().map(Version::to_string).collect()
}

#[tokio::test]
async fn who_is_told_of_a_change_sees_it_in_a_repository_that_was_found() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    let go_mod = commit(MAIN, None, "go.mod", "module example.com/m\n");
    site.import("r", &(go_mod + &tag("v1.0.0", MAIN)));
    let direct = direct(&site, root.path(), "example.com").await;
    let [path, other] = ["example.com/m", "example.com/m/other"].map(|path| ModulePath::parse(path).unwrap());
    assert_eq!(versions(&direct, &path).await, ["v1.0.0"]);
    site.import("r", &tag("v1.1.0", MAIN));
    direct.forget(&other);
    assert_eq!(versions(&direct, &path).await, ["v1.0.0"], "nobody was told of this one");
    direct.forget(&path);
    assert_eq!(versions(&direct, &path).await, ["v1.0.0", "v1.1.0"]);
}

/// Else whoever has a host could have what the operator may read shown as a module of the own host.
#[tokio::test]
async fn a_stranger_does_not_lead_to_the_hosts_of_the_operator() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    site.import("r", &(commit(MAIN, None, "go.mod", "module corp.example/secret\n") + &tag("v1.0.0", MAIN)));
    let path = ModulePath::parse("example.com/m").unwrap();
    for vcs in ["git", "mod"] {
        let stranger = direct_to(&site, vcs, root.path(), "corp.example").await;
        let refused = stranger.list(&path).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Rejected, "{refused}");
        assert!(site.seen().iter().all(|seen| seen.target.contains("go-get=1")), "{vcs} was asked there");
        let trusted = direct_to(&site, vcs, root.path(), "example.com").await;
        assert_eq!(versions(&trusted, &path).await, ["v1.0.0"]);
        site.forget();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_asked_before_a_change_is_no_answer_after_it() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    site.import("r", &(commit(MAIN, None, "a", "a") + &tag("v1.0.0", MAIN)));
    let options = GitOptions { fresh: Duration::from_secs(3600), ..site.options() };
    let repository = crate::served::open(&site, root.path(), options).await;
    site.script(|_| {
        std::thread::sleep(Duration::from_millis(300));
        None
    });
    let early = tokio::spawn({
        let repository = repository.clone();
        async move { repository.snapshot().refs().await.unwrap() }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    repository.refresh();
    let late = repository.snapshot().refs().await.unwrap();
    assert_eq!(*early.await.unwrap(), *late);
    assert_eq!(site.count().0, 2, "one listing for those who asked before, one for those who asked after");
    repository.snapshot().refs().await.unwrap();
    assert_eq!(site.count().0, 2, "which is remembered");
}
