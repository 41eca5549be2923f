//! The other side of the comparison: modules straight from a web site of git repositories, as a server has them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use quipu_fetch::{
    Client, ClientOptions, Commit, Direct, DirectParts, Discovery, DiscoveryRules, GitOptions, Info, MAX_ZIP,
    Named, Oid, Place, Remote, Repositories, RepositoryMap, Resolver, Result, Snapshot, Staging,
    Upstream as _, Url,
};
use quipu_module::{H1, ModuleVersion, Patterns, Query, Version, check_zip};

use super::go_import::Import;
use super::story::Story;
use crate::site::{Instead, Seen, Site, git};

/// The host whose repositories are named; all others are asked where theirs are.
pub(crate) const HOST: &str = "github.com";

/// The hosts that say by go-import tags where repositories are.
pub(crate) const TELLING: &str = "gopkg.in,vanity.example";

/// What a server with a web site of repositories makes of modules.
pub(crate) struct Ours {
    site: Site,
    direct: Direct,
    repositories: Repositories,
    imports: Arc<Mutex<Vec<Import>>>,
    staging: Staging,
    _scratch: tempfile::TempDir,
}

impl Ours {
    pub(crate) async fn start() -> Self {
        let (site, scratch) = (Site::start().await, tempfile::tempdir().unwrap());
        let imports = Arc::<Mutex<Vec<Import>>>::default();
        site.script({
            let imports = imports.clone();
            move |seen| page(seen, &imports.lock().unwrap())
        });
        // Nobody changes a repository after it was made.
        let options = GitOptions { fresh: Duration::from_secs(3600), ..site.options() };
        let repositories = Repositories::open(&scratch.path().join("git"), options).await.unwrap();
        let direct = direct(&site, repositories.clone());
        let staging = Staging::new(&scratch.path().join("staging")).unwrap();
        Self { site, direct, repositories, imports, staging, _scratch: scratch }
    }

    /// Serves the repository of `story` as `name`, and the paths that lead to it. Gives its commits.
    pub(crate) fn import(&self, name: &str, story: &Story, imports: &[Import]) -> Vec<Commit> {
        let path = self.site.import_as(name, &story.stream, story.format);
        add_what_does_not_count(&path);
        let here = |import: &Import| Import { repository: self.here(&import.repository), ..import.clone() };
        *self.imports.lock().unwrap() = imports.iter().map(here).collect();
        let listed = git(&path, &["log", "--branches", "--tags", "--format=%H %ct"], b"");
        let commits = listed.lines().map(|line| line.split_once(' ').unwrap());
        commits
            .map(|(id, time)| Commit { id: Oid::parse(id).unwrap(), time: time.parse().unwrap() })
            .collect()
    }

    pub(crate) fn root(&self) -> &Path {
        self.site.root()
    }

    /// The repository itself, for questions about it.
    pub(crate) fn snapshot(&self, place: &Place) -> Snapshot {
        let remote = Remote::parse(&self.here(place.url())).unwrap();
        self.repositories.repository(&remote).unwrap().snapshot()
    }

    pub(crate) async fn list(&self, place: &Place) -> Result<Vec<Version>> {
        self.direct.list(place.module()).await
    }

    /// What `query` stands for, with the address that the repository has for everybody else.
    pub(crate) async fn info(&self, place: &Place, query: &str) -> Result<Info> {
        let info = self.ask(place, query).await?.format().replace(&self.site.url, &format!("https://{HOST}"));
        Info::parse(place.module(), info.as_bytes())
    }

    async fn ask(&self, place: &Place, query: &str) -> Result<Info> {
        if query == "latest" {
            return self.direct.latest(place.module()).await;
        }
        match Query::parse(query) {
            Ok(query) => self.direct.info(place.module(), &query).await,
            // What has a slash cannot be asked of a proxy, but the rules know it.
            Err(_) => Resolver::new(&self.snapshot(place), place).info(query).await,
        }
    }

    pub(crate) async fn go_mod(&self, version: &ModuleVersion) -> Result<Bytes> {
        self.direct.go_mod(version).await
    }

    /// The hash of the zip, which was checked.
    pub(crate) async fn zip(&self, version: &ModuleVersion) -> Result<H1> {
        let mut staged = self.staging.create(MAX_ZIP).await?;
        self.direct.zip(version, &mut staged).await?;
        let zip = staged.finish().await?;
        Ok(check_zip(version, zip.open().unwrap()).unwrap().hash)
    }

    fn here(&self, url: &str) -> String {
        url.replace(&format!("https://{HOST}"), &self.site.url)
    }
}

fn direct(site: &Site, repositories: Repositories) -> Direct {
    let authority = |url: &str| Url::parse(url).unwrap().authority().clone();
    let port: u16 = site.url.rsplit_once(':').unwrap().1.parse().unwrap();
    let mut named = Named::default();
    for host in TELLING.split(',') {
        named.insert_at(authority(&format!("http://{host}")), SocketAddr::from(([127, 0, 0, 1], port)));
        // Nobody listens there, and GOINSECURE then allows the other.
        named.insert_at(authority(&format!("https://{host}")), SocketAddr::from(([127, 0, 0, 1], 1)));
    }
    let client = Client::new(ClientOptions { named, ..ClientOptions::default() }).unwrap();
    let (all, insecure) = (Patterns::new("*"), Patterns::new(TELLING));
    let rules = DiscoveryRules {
        within: all.clone(),
        insecure: insecure.clone(),
        trusted: all.clone(),
        ..DiscoveryRules::default()
    };
    let mut map = RepositoryMap::default();
    map.add(&format!("{HOST}/acme/*"), &format!("{}/acme/$1", site.url)).unwrap();
    Direct::new(DirectParts {
        map,
        discovery: Arc::new(Discovery::new(client, rules)),
        insecure,
        git: vec![(all, repositories)],
        strangers: None,
        command: None,
    })
}

/// References other than branches and tags, to commits that nothing else leads to; and commits that stand for others.
fn add_what_does_not_count(path: &Path) {
    let tips = git(path, &["for-each-ref", "--format=%(objectname)", "refs/heads"], b"");
    let Some(tip) = tips.lines().next() else { return };
    let tree = git(path, &["hash-object", "-t", "tree", "-w", "/dev/null"], b"");
    let identity = "A <a@example.com> 1500000000 +0000";
    let commit =
        format!("tree {}\nparent {tip}\nauthor {identity}\ncommitter {identity}\n\nempty\n", tree.trim());
    let hidden = git(path, &["hash-object", "-t", "commit", "-w", "--stdin"], commit.as_bytes());
    let replaced = format!("refs/replace/{tip}");
    for name in [replaced.as_str(), "refs/notes/commits", "refs/pull/1/head", "refs/stash"] {
        git(path, &["update-ref", name, hidden.trim()], b"");
    }
}

/// The page with the tag of the path that is asked for, if that is what is asked for.
fn page(seen: &Seen, imports: &[Import]) -> Option<Instead> {
    let path = seen.target.strip_suffix("?go-get=1")?;
    let path = format!("{}{path}", seen.headers.get("host")?);
    let import = imports.iter().find(|import| import.is_above(&path));
    Some(match import {
        Some(import) => Instead::answer("200 OK", "Content-Type: text/html\r\n", &import.page()),
        None => Instead::answer("404 Not Found", "", ""),
    })
}
