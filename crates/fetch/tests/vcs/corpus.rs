//! Generated repositories: what is made of them here, and what the real `go` command makes of them.
//!
//! `QUIPU_VCS_VERSIONS` says how many zips are compared at least, `QUIPU_SEED` where the generator begins.

mod command;
mod site;
mod story;

use quipu_fetch::{Error, ErrorKind, History as _, Info, Place, Resolver, Result};
use quipu_module::semver::{self, Semver};
use quipu_module::{ModulePath, Version, format_pseudo, hash_go_mod};
use quipu_oracle::Rng;

use self::command::{Download, Go};
use self::site::{Import, Site};
use self::story::{MODULES, Story};
use crate::repository::Repository;
use crate::vectors::pack;

#[derive(Debug, Default)]
struct Tally {
    repositories: usize,
    lists: usize,
    versions: usize,
    refused: usize,
    zips_refused: usize,
}

#[tokio::test]
async fn generated_repositories_give_what_go_makes_of_them() {
    let Some(go) = Go::find() else { return };
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let wanted = number("QUIPU_VCS_VERSIONS").unwrap_or(200);
    let seed = seed();
    let mut rng = Rng::new(seed, "vcs");
    let mut tally = Tally::default();
    while tally.versions < wanted {
        let number = tally.repositories;
        compare(&go, &mut rng, &format!("r{number}"), &mut tally).await;
        tally.repositories += 1;
    }
    eprintln!("QUIPU_SEED={seed}: {tally:?}");
    assert!(
        tally.lists >= wanted / 20 && tally.refused >= wanted / 10 && tally.zips_refused >= wanted / 200,
        "{tally:?}"
    );
}

fn seed() -> u64 {
    match std::env::var("QUIPU_SEED").as_deref() {
        Ok("random") => std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0),
        Ok(text) => text.parse().unwrap(),
        Err(_) => 1,
    }
}

const HOST: &str = "github.com";

/// Makes one repository and compares everything about it.
async fn compare(go: &Go, rng: &mut Rng, name: &str, tally: &mut Tally) {
    let root = format!("{HOST}/acme/{name}");
    let story = Story::generate(rng, &root);
    let repository = Repository::import(story.stream.as_bytes());
    let site = tempfile::tempdir().unwrap();
    std::fs::create_dir(site.path().join("acme")).unwrap();
    std::os::unix::fs::symlink(repository.path(), site.path().join("acme").join(name)).unwrap();

    let site = Site { host: HOST, directory: site.path(), imports: imports(name) };
    let below = MODULES.iter().map(|suffix| (format!("{root}{suffix}"), root.clone(), ""));
    let imported = site.imports.iter().flat_map(|import| import.modules());
    let modules: Vec<(String, String, &str)> = below.chain(imported).collect();
    let listed = go.list(&site, modules.iter().map(|(module, ..)| module.as_str()));
    let mut questions = Vec::new();
    for ((module, root_path, subdirectory), listed) in modules.iter().zip(listed) {
        let path: ModulePath = module.parse().unwrap();
        let place = Place::git(path, root_path, subdirectory, &format!("https://{root}")).unwrap();
        let versions = Resolver::new(&repository, &place).list().await;
        let versions: Vec<String> =
            versions.iter().flatten().map(|version| version.as_str().to_owned()).collect();
        if let Some(listed) = listed {
            assert_eq!(listed, versions, "{module}\n{}", story.stream);
            tally.lists += 1;
        }
        let mut queries = queries(rng, &repository, &story, &place).await;
        queries.extend(versions);
        queries.sort();
        queries.dedup();
        questions.extend(queries.into_iter().map(|query| (place.clone(), query)));
    }
    let asked: Vec<String> =
        questions.iter().map(|(place, query)| format!("{}@{query}", place.module())).collect();
    let answers = go.download(&site, &asked);
    for ((place, query), theirs) in questions.iter().zip(&answers) {
        assert_eq!(theirs.path, place.module().as_str());
        let ours = ask(&repository, place, query).await;
        if let Err(difference) = judge(&repository, place, (&ours, theirs), tally).await {
            panic!("{}\n{}@{query}: {difference}", story.stream, place.module());
        }
    }
}

/// Paths of other hosts that lead to the repository `name`.
fn imports(name: &str) -> Vec<Import> {
    let import = |path: String, subdirectory, suffixes| Import {
        root: path,
        repository: format!("https://{HOST}/acme/{name}"),
        subdirectory,
        suffixes,
    };
    vec![
        import(format!("gopkg.in/acme/{name}.v1"), "", &[""]),
        import(format!("gopkg.in/acme/{name}.v2"), "", &[""]),
        import(format!("gopkg.in/acme/{name}.v2-unstable"), "", &[""]),
        import(format!("vanity.example/{name}"), "sub", &["", "/v2", "/inner"]),
        import(format!("vanity.example/whole/{name}/v2"), "", &[""]),
    ]
}

/// What is asked about a module besides its listed versions.
async fn queries(rng: &mut Rng, repository: &Repository, story: &Story, place: &Place) -> Vec<String> {
    let mut queries = vec!["latest".to_owned(), "HEAD".into(), "nothing".into()];
    queries.extend(story.branches.iter().cloned());
    for tag in &story.tags {
        queries.push(tag.strip_prefix(&place.tag_prefix()).unwrap_or(tag).to_owned());
    }
    let refs = repository.refs().await.unwrap();
    let ids: Vec<&str> = refs.heads.values().chain(refs.tags.values()).map(|id| id.as_str()).collect();
    for _ in 0..4 {
        let id = rng.pick(&ids);
        queries.push(id[..[6, 7, 12, 40][rng.below(4)]].to_owned());
        let base = rng.pick(&["", "v0.1.0", "v1.0.0", "v1.1.0", "v2.0.0", "v1.0.0-rc.1", "v3.0.0", "v1.2.2"]);
        let commit = repository.commit(id).await.unwrap().unwrap();
        let time = commit.time + i64::from(rng.one_in(8));
        let major = rng.pick(&["", "v1", "v2", "v3"]);
        let pseudo = format_pseudo(major, base, time, commit.id.short()).unwrap();
        let suffix = if rng.one_in(5) && !base.is_empty() { "+incompatible" } else { "" };
        queries.push(format!("{pseudo}{suffix}"));
        queries.push(format!("v{}.0.0+incompatible", rng.between(1, 3)));
    }
    // Shortened versions are resolved from the list by whoever asks.
    queries.retain(|query| Semver::parse(query).is_none() || query.matches('.').count() > 1);
    queries
}

async fn ask(repository: &Repository, place: &Place, query: &str) -> Result<Info> {
    let resolver = Resolver::new(repository, place);
    if query == "latest" {
        return resolver.latest().await;
    }
    let info = resolver.info(query).await;
    // A client that does not get what it asked for asks for the canonical form.
    match (info, semver::canonical_version(query)) {
        (Err(error), Some(canonical)) if canonical != query => {
            resolver.info(&canonical).await.map_err(|other| if is_final(&other) { other } else { error })
        }
        (info, _) => info,
    }
}

/// Whether the `go` command takes an error for more than mere absence.
fn is_final(error: &Error) -> bool {
    ["major version", "resolves to version", "invalid pseudo-version"]
        .iter()
        .any(|part| error.text().contains(part))
}

/// Compares our answer with that of the command.
async fn judge(
    repository: &Repository,
    place: &Place,
    (ours, theirs): (&Result<Info>, &Download),
    tally: &mut Tally,
) -> std::result::Result<(), String> {
    let same = |what: &str, ours: &str, theirs: &str| {
        if ours == theirs { Ok(()) } else { Err(format!("{what}: ours {ours:?}, theirs {theirs:?}")) }
    };
    let (info, file) = match (ours, &theirs.info) {
        (Ok(info), Some(file)) => (info, file),
        (Ok(info), None) => return Err(format!("ours {}, theirs {:?}", info.format(), theirs.error)),
        (Err(error), Some(_)) => return Err(format!("ours {error}, theirs {}", theirs.version)),
        (Err(error), None) => {
            tally.refused += 1;
            assert_eq!(error.kind(), ErrorKind::NotFound);
            return same("error", error.text(), theirs.error.as_deref().unwrap_or_default());
        }
    };
    let read = |file: &std::path::Path| std::fs::read(file).unwrap();
    let their_info = Info::parse(place.module(), &read(file)).map_err(|error| error.to_string())?;
    same("version", info.version().as_str(), &theirs.version)?;
    same("info", &without_reference(info), &without_reference(&their_info))?;
    let resolver = Resolver::new(repository, place);
    // A version that was just found may be refused when it is asked for by name: tags of the root look like those of
    // the module then.
    let their_error = theirs.error.as_deref().unwrap_or_default();
    let (go_mod, their_go_mod) = match (resolver.go_mod(info.version()).await, &theirs.go_mod) {
        (Ok(go_mod), Some(file)) => (go_mod, read(file)),
        (Err(error), None) => return same("error of go.mod", error.text(), their_error),
        (Ok(_), None) => return Err(format!("a go.mod, but theirs: {their_error}")),
        (Err(error), Some(_)) => return Err(format!("no go.mod: {error}")),
    };
    same("go.mod", &hash_go_mod(&go_mod).to_string(), &hash_go_mod(&their_go_mod).to_string())?;
    let zip = pack(repository, &resolver, info.version()).await;
    match (&zip, &theirs.sum) {
        (Ok(zip), Some(sum)) => {
            tally.versions += 1;
            same("zip", &zip.hash.to_string(), sum)
        }
        (Err(error), None) => {
            tally.zips_refused += 1;
            same("error of the zip", error.text(), their_error.lines().next().unwrap_or_default())
        }
        (Ok(_), None) => Err(format!("a zip, but theirs: {their_error}")),
        (Err(error), Some(_)) => Err(format!("no zip: {error}")),
    }
}

/// The reference in an info is that of the query by which the version was found first.
fn without_reference(info: &Info) -> String {
    let mut origin = info.origin().cloned().unwrap_or_default();
    origin.reference.clear();
    Info::new(Version::clone(info.version()), info.time().map(str::to_owned), Some(origin)).unwrap().format()
}
