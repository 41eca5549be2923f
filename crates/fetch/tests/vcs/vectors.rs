//! Two repositories, and what the `go` command made of them where GOPROXY was `direct`.

use std::collections::BTreeMap;
use std::path::Path;

use quipu_fetch::{Info, MAX_ZIP, Place, Resolver, Result, Snapshot, Staging, Tree, write_zip};
use quipu_module::{GoMod, H1, ModulePath, Version, check_zip, hash_go_mod, list_zip};
use serde_json::{Value, json};

use crate::repository::{Repository, scratch};
use crate::site::Site;

pub(crate) struct Vectors<T> {
    all: Value,
    repositories: BTreeMap<String, T>,
}

impl Vectors<Repository> {
    /// With the repositories as plain git reads them.
    pub(crate) fn load() -> Self {
        Self::load_with(|_, stream| Repository::import(stream.as_bytes()))
    }
}

impl Vectors<Snapshot> {
    /// With the repositories of a web site, which `site` gets, cached in `root`.
    async fn load_served(site: &Site, root: &Path) -> Self {
        let repositories = site.repositories(root).await;
        Self::load_with(|name, stream| {
            site.import(name, stream);
            repositories.repository(&site.remote(name)).unwrap().snapshot()
        })
    }
}

impl<T: Tree> Vectors<T> {
    fn load_with(open: impl Fn(&str, &str) -> T) -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/vectors/vcs_git.json");
        let all: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let sections: Vec<&String> = all.as_object().unwrap().keys().collect();
        assert_eq!(
            sections,
            ["create_from_vcs_difference", "description", "lists", "queries", "repositories"]
        );
        let import = |(name, repository): (&String, &Value)| {
            (name.clone(), open(name, text(&repository["fast_import"])))
        };
        let repositories = all["repositories"].as_object().unwrap().iter().map(import).collect();
        Self { all, repositories }
    }

    /// The repository of a module, and where it is in it.
    pub(crate) fn place(&self, module: &str) -> (&T, Place) {
        let name = module.splitn(4, '/').skip(1).take(2).collect::<Vec<_>>().join("/");
        let root = format!("github.com/{name}");
        let path: ModulePath = module.parse().unwrap();
        let place = Place::git(path, &root, "", &format!("https://{root}")).unwrap();
        (&self.repositories[&name], place)
    }

    /// Every module and what is asked about it.
    pub(crate) fn questions(&self) -> Vec<(String, String)> {
        let question = |case: &Value| (text(&case["module"]).to_owned(), text(&case["query"]).to_owned());
        self.cases("queries", 77).iter().map(question).collect()
    }

    fn cases(&self, section: &str, count: usize) -> &[Value] {
        let cases = self.all[section].as_array().unwrap();
        assert_eq!(cases.len(), count, "{section}");
        cases
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test]
async fn plain() {
    let vectors = Vectors::load();
    check_lists(&vectors).await;
    check_queries(&vectors).await;
}

/// From a web server through the fenced git and the cache of bare repositories: the same.
#[tokio::test]
async fn served() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    let vectors = Vectors::load_served(&site, root.path()).await;
    check_lists(&vectors).await;
    check_queries(&vectors).await;
}

async fn check_lists<T: Tree>(vectors: &Vectors<T>) {
    for case in vectors.cases("lists", 10) {
        let (repository, place) = vectors.place(text(&case["module"]));
        let versions = Resolver::new(repository, &place).list().await.unwrap();
        let versions: Vec<&str> = versions.iter().map(Version::as_str).collect();
        assert_eq!(json!(versions), case["versions"], "{}", case["module"]);
    }
}

async fn check_queries<T: Tree>(vectors: &Vectors<T>) {
    for case in vectors.cases("queries", 77) {
        check_query(vectors, case).await;
    }
}

async fn check_query<T: Tree>(vectors: &Vectors<T>, case: &Value) {
    let about = format!("{}@{}", text(&case["module"]), text(&case["query"]));
    let (repository, place) = vectors.place(text(&case["module"]));
    let resolver = Resolver::new(repository, &place);
    let info = match text(&case["query"]) {
        "latest" => resolver.latest().await,
        "v1" | "v1.2" | "v3" => choose(&resolver, &place, text(&case["query"])).await,
        query => resolver.info(query).await,
    };
    let Some(expected) = case.get("info") else {
        let error = info.unwrap_err();
        assert_eq!((error.kind(), error.text()), (quipu_fetch::ErrorKind::NotFound, text(&case["error"])));
        return;
    };
    let info = info.unwrap_or_else(|error| panic!("{about}: {error}"));
    let ours: Value = serde_json::from_str(&info.format()).unwrap();
    assert_eq!(ours, *expected, "{about}");
    assert_eq!(info.version().as_str(), case["version"], "{about}");
    // What a query stands for stands for itself.
    let again = resolver.info(info.version().as_str()).await.unwrap();
    assert_eq!((again.version(), again.time()), (info.version(), info.time()), "{about}");

    let go_mod = resolver.go_mod(info.version()).await.unwrap();
    assert_eq!(go_mod, text(&case["mod"]), "{about}");
    assert_eq!(hash_go_mod(&go_mod).to_string(), case["mod_h1"], "{about}");
    check_packed(repository, &resolver, info.version(), case).await;
}

async fn check_packed<T: Tree>(repository: &T, resolver: &Resolver<'_, T>, version: &Version, case: &Value) {
    let about = version.as_str();
    let packed = pack(repository, resolver, version).await;
    let Some(hash) = case.get("zip_h1") else {
        let error = text(&case["error"]);
        match packed {
            // That the go command will not pack what a newer one is needed for is not for a proxy to decide.
            Ok(_) => assert!(error.contains("requires go >= 1.99"), "{about}"),
            Err(refused) => assert_eq!(refused.text(), error, "{about}"),
        }
        return;
    };
    let packed = packed.unwrap();
    assert_eq!(packed.hash.to_string(), *hash, "{about}");
    assert_eq!(json!(packed.files), case["zip_files"], "{about}");
}

/// A zip that was made: its hash, and the hashes of its files without the prefix of their names.
pub(crate) struct Packed {
    pub(crate) hash: H1,
    pub(crate) files: BTreeMap<String, String>,
}

pub(crate) async fn pack<T: Tree>(
    repository: &T,
    resolver: &Resolver<'_, T>,
    version: &Version,
) -> Result<Packed> {
    let contents = resolver.contents(version).await?;
    let (_directory, staging) = scratch();
    let mut staged = Staging::new(&staging).unwrap().create(MAX_ZIP).await?;
    write_zip(repository, &contents, &mut staged).await?;
    let zip = staged.finish().await?;
    let report = check_zip(&contents.version, zip.open().unwrap()).unwrap();
    let prefix = format!("{}/", contents.version);
    let files = list_zip(zip.open().unwrap()).unwrap().into_iter().map(|file| {
        let name = String::from_utf8(file.name).unwrap();
        let digits: String = file.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        (name.strip_prefix(&prefix).unwrap().to_owned(), digits)
    });
    Ok(Packed { hash: report.hash, files: files.collect() })
}

/// What the client makes of the list for `vX` and `vX.Y`.
async fn choose<T: Tree>(resolver: &Resolver<'_, T>, place: &Place, query: &str) -> Result<Info> {
    let versions = resolver.list().await?;
    let releases = versions.iter().filter(|version| !version.is_prerelease());
    let highest = releases.clone().next_back().unwrap();
    let go_mod = GoMod::parse_lax(&resolver.go_mod(highest).await?).unwrap();
    let is_good = |version: &&Version| {
        version.as_str().starts_with(&format!("{query}."))
            && !go_mod.retract.iter().any(|retraction| retraction.covers(version.as_str()))
    };
    match releases.rev().find(is_good) {
        Some(version) => resolver.info(version.as_str()).await,
        None => {
            let module = place.module();
            let text = format!("module {module}: no matching versions for query \"{query}\"");
            Err(quipu_fetch::Error::not_found(text))
        }
    }
}

#[tokio::test]
async fn attributes_that_change_what_is_exported_do_not_count() {
    let vectors = Vectors::load();
    let case = &vectors.all["create_from_vcs_difference"];
    let (repository, place) = vectors.place(text(&case["module"]));
    let resolver = Resolver::new(repository, &place);
    let hash = pack(repository, &resolver, &text(&case["version"]).parse().unwrap()).await.unwrap().hash;
    assert_eq!(hash.to_string(), case["go_command_h1"]);
    assert_ne!(hash.to_string(), case["x_mod_CreateFromVCS_h1"]);
}
