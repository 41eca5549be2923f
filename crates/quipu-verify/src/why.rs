//! `quipu-verify why`: who holds which hashes of a module version, and why they differ.

mod direct;
mod files;
mod here;
mod proxy;
mod show;
mod verdict;
mod view;

use std::path::Path;

use anyhow::{Context as _, Result};
use clap::Args;
use quipu_module::ModuleVersion;
use quipu_verify::{Client, Error};

use self::verdict::Log;
use self::view::{Held, Kind, View};
use crate::database::{Database, Target};
use crate::exit::Exit;
use crate::goenv::kept_from;
use crate::lookup::module_version;
use crate::report;
use crate::runtime::block_on;

/// Arguments of `why`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  quipu-verify why golang.org/x/text@v0.3.0\n  \
                  quipu-verify why --direct github.com/google/uuid@v1.6.0\n  \
                  quipu-verify why --offline corp.example/lib@v1.2.3\n\n\
                  Exit codes: 0 all agree, 1 something could not be asked and the rest agrees, 3 the database signed \
                  two histories, 4 they do not agree.")]
pub(crate) struct Why {
    /// Module path and canonical version
    #[arg(value_name = "MODULE@VERSION", value_parser = module_version)]
    module: ModuleVersion,
    #[command(flatten)]
    target: Target,
    /// Also have the go command fetch the version from the module's own repository
    #[arg(long, conflicts_with = "offline")]
    direct: bool,
    /// Also ask databases and proxies that GONOSUMDB and GONOPROXY (by default GOPRIVATE) keep the name from
    #[arg(long)]
    all: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

/// Looks everywhere, compares and prints.
///
/// # Errors
/// The arguments make no sense, or the state cannot be used.
pub(crate) fn run(args: &Why) -> Result<Exit> {
    let downloads = tempfile::tempdir().context("no place for downloads")?;
    block_on(async {
        let database = Database::open(&args.target)?;
        let log = match ask_log(&database.client()?, args).await {
            Ok(log) => log,
            Err(error) => return report::refusal(&database, &error, args.json),
        };
        let mut views = vec![log_view(database.name(), &log)];
        views.extend(here::views(&args.module));
        views.extend(ask_proxies(args, downloads.path()).await?);
        views.push(ask_origin(args, downloads.path()).await);
        let verdict = verdict::judge(&log, &views);
        let differences = files::differences(&args.module, &views);
        show::show(&args.module, &views, &differences, &verdict, args.json)?;
        Ok(verdict.exit)
    })
}

/// What the log holds. An error is proven misbehaviour, which ends everything.
async fn ask_log(client: &Client, args: &Why) -> Result<Log, Error> {
    if keeps_name("GONOSUMDB", args) {
        return Ok(Log::NotAsked(
            "GONOSUMDB keeps the name from databases, and --all is not given".to_owned(),
        ));
    }
    match client.lookup(&args.module).await {
        Ok(verified) => Ok(Log::Holds(verified.record.record().clone(), verified.id)),
        Err(error @ Error::Misbehaved(_)) => Err(error),
        Err(Error::NotFound(why)) => Ok(Log::Absent(why.why().to_owned())),
        Err(error @ Error::Unproven(_)) => Ok(Log::Unproven(error.to_string())),
        Err(error) => Ok(Log::Unknown(error.to_string())),
    }
}

fn log_view(name: &str, log: &Log) -> View {
    let view = View::new(Kind::Log, format!("log {name}"));
    let both = |held: Held| View { zip: held.clone(), go_mod: held, ..view.clone() };
    match log {
        Log::Holds(record, id) => {
            let held = |hash| Held::Hash(hash, format!("record {id}, proven"));
            View { zip: held(record.zip), go_mod: held(record.go_mod), ..view }
        }
        Log::Absent(why) => both(Held::Absent(why.clone())),
        Log::Unproven(why) | Log::Unknown(why) => both(Held::Failed(why.clone())),
        Log::NotAsked(why) => both(Held::NotAsked(why.clone())),
    }
}

async fn ask_proxies(args: &Why, downloads: &Path) -> Result<Vec<View>> {
    let not_asked = |why: &str| {
        let held = Held::NotAsked(why.to_owned());
        let view = View::new(Kind::Proxy, "proxy".to_owned());
        Ok(vec![View { zip: held.clone(), go_mod: held, ..view }])
    };
    if args.target.offline {
        return not_asked("--offline");
    }
    if keeps_name("GONOPROXY", args) {
        return not_asked("GONOPROXY keeps the name from proxies, and --all is not given");
    }
    match args.target.goproxy() {
        Some(list) => proxy::views(&args.module, &list, args.target.timeout(), downloads).await,
        None => not_asked("GOPROXY is not set"),
    }
}

async fn ask_origin(args: &Why, downloads: &Path) -> View {
    let view = View::new(Kind::Direct, "repository".to_owned());
    if args.direct {
        return direct::view(&args.module, downloads).await;
    }
    let held = Held::NotAsked("--direct asks".to_owned());
    View { zip: held.clone(), go_mod: held, ..view }
}

/// Whether the go command would not tell the name of the module.
fn keeps_name(variable: &str, args: &Why) -> bool {
    !args.all && kept_from(variable).matches(args.module.path())
}
