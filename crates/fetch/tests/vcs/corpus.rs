//! Generated repositories: what is made of them here, from a real git server, and what the real `go` command makes of
//! them.
//!
//! `QUIPU_VCS_VERSIONS` says how many zips are compared at least, `QUIPU_SEED` where the generator begins.

mod command;
mod go_import;
mod ours;
mod story;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quipu_fetch::{Commit, Error, ErrorKind, Info, Place, Result};
use quipu_module::semver::{self, Semver};
use quipu_module::{H1, ModulePath, ModuleVersion, Version, format_pseudo, hash_go_mod};
use quipu_oracle::Rng;
use tokio::sync::Semaphore;

use self::command::{Download, Go, Site};
use self::go_import::Import;
use self::ours::{HOST, Ours};
use self::story::{MODULES, Story};

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
    let ours = Arc::new(Ours::start().await);
    while tally.versions < wanted {
        let number = tally.repositories;
        compare((&ours, &go), &mut rng, &format!("r{number}"), &mut tally).await;
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

/// Makes one repository and compares everything about it.
async fn compare((ours, go): (&Arc<Ours>, &Go), rng: &mut Rng, name: &str, tally: &mut Tally) {
    let root = format!("{HOST}/acme/{name}");
    let story = Story::generate(rng, &root);
    let imports = imports(name);
    let commits = ours.import(&format!("acme/{name}"), &story, &imports);
    let site = Site { directory: ours.root(), imports: &imports };

    let below = MODULES.iter().map(|suffix| (format!("{root}{suffix}"), root.clone(), ""));
    let imported = imports.iter().flat_map(|import| import.modules());
    let mut modules: Vec<(String, String, &str)> = below.chain(imported).collect();
    modules.retain(|(module, root, subdirectory)| {
        // Paths that lead to no module say little each time.
        story.has_go_mod(subdirectory, &module[root.len()..]) || rng.one_in(8)
    });
    let listed = go.list(&site, modules.iter().map(|(module, ..)| module.as_str()));
    let mut questions = Vec::new();
    for ((module, root_path, subdirectory), listed) in modules.iter().zip(listed) {
        let path: ModulePath = module.parse().unwrap();
        let place = Place::git(path, root_path, subdirectory, &format!("https://{root}")).unwrap();
        let versions = ours.list(&place).await;
        let versions: Vec<String> =
            versions.iter().flatten().map(|version| version.as_str().to_owned()).collect();
        if let Some(listed) = listed {
            assert_eq!(listed, versions, "{module}\n{}", story.stream);
            tally.lists += 1;
        }
        let mut queries = queries(rng, &commits, &story, &place);
        queries.extend(versions);
        queries.sort();
        queries.dedup();
        questions.extend(queries.into_iter().map(|query| (place.clone(), query)));
    }
    let asked: Vec<String> =
        questions.iter().map(|(place, query)| format!("{}@{query}", place.module())).collect();
    let answers = go.download(&site, &asked);
    let infos = questions.iter().map(|(place, query)| (place.clone(), query.clone()));
    let infos = at_once(infos.map(|(place, query)| ask(ours.clone(), place, query))).await;
    let versions: BTreeSet<ModuleVersion> =
        questions.iter().zip(&infos).filter_map(|((place, _), info)| found(place, info)).collect();
    let made = at_once(versions.into_iter().map(|version| make(ours.clone(), version))).await;
    let made: BTreeMap<ModuleVersion, Made> = made.into_iter().collect();
    let mut differences = Vec::new();
    for (((place, query), info), theirs) in questions.iter().zip(&infos).zip(&answers) {
        assert_eq!(theirs.path, place.module().as_str());
        let of_version = found(place, info).map(|version| &made[&version]);
        if let Err(difference) = judge(place, (info, of_version), theirs) {
            differences.push(format!("{}@{query}: {difference}", place.module()));
        }
    }
    assert!(differences.is_empty(), "{}\n{}", story.stream, differences.join("\n"));
    tally.refused += infos.iter().filter(|info| info.is_err()).count();
    tally.versions += made.values().filter(|made| made.zip.is_ok()).count();
    tally.zips_refused += made.values().filter(|made| made.go_mod.is_ok() && made.zip.is_err()).count();
}

/// What all `jobs` give, in order; a few run at once.
async fn at_once<T, F>(jobs: impl Iterator<Item = F>) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(4));
    let started: Vec<_> = jobs
        .map(|job| {
            let places = places.clone();
            tokio::spawn(async move {
                let _place = places.acquire().await.unwrap();
                job.await
            })
        })
        .collect();
    let mut results = Vec::new();
    for job in started {
        results.push(job.await.unwrap());
    }
    results
}

fn found(place: &Place, info: &Result<Info>) -> Option<ModuleVersion> {
    let version = info.as_ref().ok()?.version().clone();
    Some(ModuleVersion::new(place.module().clone(), version).unwrap())
}

/// What is made of a version.
struct Made {
    go_mod: Result<H1>,
    zip: Result<H1>,
}

async fn make(ours: Arc<Ours>, version: ModuleVersion) -> (ModuleVersion, Made) {
    let go_mod = ours.go_mod(&version).await.map(|go_mod| hash_go_mod(&go_mod));
    let zip = match &go_mod {
        Ok(_) => ours.zip(&version).await,
        Err(error) => Err(error.clone()),
    };
    (version, Made { go_mod, zip })
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
fn queries(rng: &mut Rng, commits: &[Commit], story: &Story, place: &Place) -> Vec<String> {
    let mut queries = vec!["latest".to_owned(), "HEAD".into()];
    queries.extend(rng.one_in(6).then(|| "nothing".to_owned()));
    queries.extend(story.branches.iter().filter(|_| rng.one_in(2)).cloned());
    for tag in &story.tags {
        let own = tag.strip_prefix(&place.tag_prefix());
        // Those of other modules are unknown here, most of them.
        if own.is_some_and(|own| !own.contains('/')) || rng.one_in(6) {
            queries.push(own.unwrap_or(tag).to_owned());
        }
    }
    for _ in 0..6 {
        let id = commits[rng.below(commits.len())].id.as_str();
        queries.push(id[..[6, 7, 12, 40, 64][rng.below(5)].min(id.len())].to_owned());
    }
    for _ in 0..2 {
        let commit = &commits[rng.below(commits.len())];
        let base = rng.pick(&["", "v0.1.0", "v1.0.0", "v1.1.0", "v2.0.0", "v1.0.0-rc.1", "v3.0.0", "v1.2.2"]);
        let time = commit.time + i64::from(rng.one_in(8));
        let major = rng.pick(&["", "v1", "v2", "v3"]);
        let pseudo = format_pseudo(major, base, time, commit.id.short()).unwrap();
        let suffix = if rng.one_in(5) && !base.is_empty() { "+incompatible" } else { "" };
        queries.push(format!("{pseudo}{suffix}"));
    }
    queries.push(format!("v{}.0.0+incompatible", rng.between(1, 3)));
    // Shortened versions are resolved from the list by whoever asks.
    queries.retain(|query| Semver::parse(query).is_none() || query.matches('.').count() > 1);
    queries
}

async fn ask(ours: Arc<Ours>, place: Place, query: String) -> Result<Info> {
    let info = ours.info(&place, &query).await;
    // A client that does not get what it asked for asks for the canonical form.
    match (info, semver::canonical_version(&query)) {
        (Err(error), Some(canonical)) if canonical != query => {
            ours.info(&place, &canonical).await.map_err(|other| if is_final(&other) { other } else { error })
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

/// Compares our answer, and what was made of the version, with those of the command.
fn judge(
    place: &Place,
    (answer, made): (&Result<Info>, Option<&Made>),
    theirs: &Download,
) -> std::result::Result<(), String> {
    let same = |what: &str, ours: &str, theirs: &str| {
        if ours == theirs { Ok(()) } else { Err(format!("{what}: ours {ours:?}, theirs {theirs:?}")) }
    };
    let their_error = theirs.error.as_deref().unwrap_or_default();
    let (info, made, file) = match (answer, made, &theirs.info) {
        (Ok(info), Some(made), Some(file)) => (info, made, file),
        (Ok(info), ..) => return Err(format!("ours {}, theirs {their_error:?}", info.format())),
        (Err(error), _, Some(_)) => return Err(format!("ours {error}, theirs {}", theirs.version)),
        (Err(error), _, None) => {
            if error.kind() != ErrorKind::NotFound {
                return Err(format!("a fault: {error}"));
            }
            return same("error", error.text(), their_error);
        }
    };
    let read = |file: &std::path::Path| std::fs::read(file).unwrap();
    let their_info = Info::parse(place.module(), &read(file)).map_err(|error| error.to_string())?;
    same("version", info.version().as_str(), &theirs.version)?;
    same("info", &without_reference(info), &without_reference(&their_info))?;
    // A version that was just found may be refused when it is asked for by name: tags of the root look like those of
    // the module then.
    match (&made.go_mod, &theirs.go_mod) {
        (Ok(hash), Some(file)) => {
            same("go.mod", &hash.to_string(), &hash_go_mod(&read(file)).to_string())?;
        }
        (Err(error), None) => return same("error of go.mod", error.text(), their_error),
        (Ok(_), None) => return Err(format!("a go.mod, but theirs: {their_error}")),
        (Err(error), Some(_)) => return Err(format!("no go.mod: {error}")),
    }
    match (&made.zip, &theirs.sum) {
        (Ok(hash), Some(sum)) => same("zip", &hash.to_string(), sum),
        (Err(error), None) => {
            // Names that are no text are printed without what stands for their bytes.
            let theirs = their_error.lines().next().unwrap_or_default().replace('\u{fffd}', "");
            same("error of the zip", error.text(), &theirs)
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
