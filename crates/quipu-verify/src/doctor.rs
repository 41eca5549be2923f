//! `quipu-verify doctor`: what is the matter with the go command of this machine.

mod explain;
mod files;
mod finding;
mod heads;
mod leaks;
mod modules;
mod netrc;
mod places;
mod project;
mod settings;
mod sumdb_cache;
mod text;
mod unverified;
mod version;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Args;
use quipu_module::Patterns;
use quipu_verify::{MemoryState, Transport};

use self::finding::{Finding, Group, Report, Severity};
use self::heads::Kept;
use self::leaks::Scene;
use self::netrc::Netrc;
use self::places::PUBLIC_DATABASE;
use self::project::Project;
use self::settings::Settings;
use crate::database::{Database, Target};
use crate::exit::Exit;
use crate::net::Files;
use crate::runtime::block_on;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Reads only: nothing of go's is changed, and nothing but `go env` is run. Passwords and \
                  tokens are never printed.\n\nExamples:\n  quipu-verify doctor\n  quipu-verify doctor -C \
                  ~/src/app --private 'git.corp.example,github.com/acme'\n  quipu-verify doctor --offline \
                  --json\n  go build ./... 2>&1 | quipu-verify doctor --explain -\n\nExit codes: 0 \
                  nothing worse than notes, 1 could not check, 3 the database signed two histories (the \
                  evidence is in a file), 4 problems or warnings."
)]
pub(crate) struct Doctor {
    /// Directory of the project
    #[arg(short = 'C', value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Module paths that must not leave, as in GOPRIVATE
    #[arg(long, value_name = "PATTERNS", default_value = "")]
    private: String,
    /// Check all tiles, lookups and zips in the caches, however long it takes
    #[arg(long)]
    deep: bool,
    /// Explain what go printed, in this file or on stdin (-), instead
    #[arg(long, value_name = "FILE", conflicts_with_all = ["private", "deep"])]
    explain: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// Looks at everything and prints what it found.
///
/// # Errors
/// Wrong usage: the database is not named properly, or what is to be explained cannot be read.
pub(crate) fn run(args: &Doctor) -> Result<Exit> {
    let mut report = Report::default();
    block_on(async {
        let settings = Settings::read().await;
        match &args.explain {
            Some(file) => explain::explain(&mut report, file, &target(args, &settings)),
            None => examine(&mut report, args, &settings).await,
        }
    })?;
    report.print(args.json)
}

async fn examine(report: &mut Report, args: &Doctor, settings: &Settings) -> Result<()> {
    if !args.dir.is_dir() {
        return Err(crate::exit::wrong_usage(format!("-C: {} is no directory", args.dir.display())));
    }
    if let Some(why) = &settings.no_go {
        let what = format!("{why}: the settings are those of the environment and of go's file of settings");
        let why = "go may have others built in";
        report.extend([Finding::new((Group::Setup, Severity::Note), "no-go", what, why)]);
    }
    let project = Project::find(&args.dir, settings.get("GOWORK"));
    let (netrc, private) = (Netrc::read(settings.home.as_deref()), Patterns::new(&args.private));
    let known = known_modules(settings);
    let scene = Scene { settings, project: &project, netrc: &netrc, private: &private, known: &known };
    report.extend(leaks::findings(&scene));
    report.extend(unverified::findings(settings, &project, &private));
    memory(report, args, settings).await?;
    if let Some(mod_cache) = settings.mod_cache() {
        modules::examine(report, &mod_cache, args.deep);
    }
    Ok(())
}

/// What go remembers of its database: head, tiles, lookups.
async fn memory(report: &mut Report, args: &Doctor, settings: &Settings) -> Result<()> {
    let (Some(heads), Some(mod_cache)) = (settings.heads(), settings.mod_cache()) else {
        report.fail("what go remembers: neither GOPATH nor HOME is set");
        return Ok(());
    };
    if args.target.db.is_none() && !matches!(settings.database(), Ok(Some(_))) {
        report.skip("what go remembers of databases: GOSUMDB names none, and --db neither");
        report.extend(heads::others(&heads, ""));
        return Ok(());
    }
    let database = Database::open(&target(args, settings))?;
    let kept = Kept::of(database.name(), &heads, &mod_cache);
    report.extend(heads::others(&heads, database.name()));
    if !kept.latest.exists() && !kept.cache.exists() {
        return Ok(());
    }
    let offline = args.target.offline;
    let Some(state) = heads::examine(report, &database, &kept, database.transport(), offline).await? else {
        report.skip("cached tiles and lookups: there is no head to check them against");
        return Ok(());
    };
    let tiles: Arc<dyn Transport> = if offline { cached(&kept.cache)? } else { database.transport().clone() };
    check_cache(report, args, &database, (&kept, state, tiles)).await
}

async fn check_cache(
    report: &mut Report,
    args: &Doctor,
    database: &Database,
    (kept, state, tiles): (&Kept, Arc<MemoryState>, Arc<dyn Transport>),
) -> Result<()> {
    let (offline, deep) = (args.target.offline, args.deep);
    let checks = sumdb_cache::Checks { database, kept, state, tiles, offline, deep };
    sumdb_cache::examine(report, &checks).await
}

/// The cache as if it were a server: trusted no more than one.
fn cached(cache: &Path) -> Result<Arc<dyn Transport>> {
    let dir = std::path::absolute(cache).with_context(|| cache.display().to_string())?;
    Ok(Arc::new(Files::below(&format!("file://{}", dir.display()), "")?))
}

/// The arguments with the settings in the place of what was not given.
fn target(args: &Doctor, settings: &Settings) -> Target {
    let setting = |name: &str| Some(settings.get(name).to_owned()).filter(|value| !value.is_empty());
    let mut target = args.target.clone();
    target.db = target.db.or_else(|| setting("GOSUMDB")).or_else(|| Some(PUBLIC_DATABASE.to_owned()));
    target.proxy = target.proxy.or_else(|| setting("GOPROXY"));
    target
}

/// The modules that the public database was asked about from here, and had.
fn known_modules(settings: &Settings) -> Vec<String> {
    let Some(mod_cache) = settings.mod_cache() else { return Vec::new() };
    let public = mod_cache.join("cache/download/sumdb").join(PUBLIC_DATABASE);
    sumdb_cache::looked_up(&public).into_iter().map(|module| module.path().to_string()).collect()
}
