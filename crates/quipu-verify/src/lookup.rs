//! `quipu-verify lookup`: what the log holds for a module version, proven.

use anyhow::{Result, anyhow};
use clap::Args;
use quipu_module::{ModuleVersion, SumKind};
use quipu_verify::Verified;
use serde_json::json;

use crate::database::{Database, Target};
use crate::exit::Exit;
use crate::output::tell;
use crate::report;
use crate::runtime::block_on;

/// Arguments of `lookup`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  quipu-verify lookup golang.org/x/text@v0.3.0\n  \
                        quipu-verify lookup --db \"$(quipu key show) https://go.corp\" corp.example/lib@v1.2.3\n\n\
                        Exit codes: 0 proven, 1 not found or not to be had, 3 the database misbehaved, provably, \
                        4 the answer is not what the signed tree holds.")]
pub(crate) struct Lookup {
    /// Module path and canonical version
    #[arg(value_name = "MODULE@VERSION", value_parser = module_version)]
    module: ModuleVersion,
    #[command(flatten)]
    target: Target,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

/// Looks up and prints.
///
/// # Errors
/// The database is not named properly, or the state cannot be used.
pub(crate) fn run(args: &Lookup) -> Result<Exit> {
    block_on(async {
        let database = Database::open(&args.target)?;
        match database.client()?.lookup(&args.module).await {
            Ok(verified) => print(&database, &verified, args.json),
            Err(error) => report::refusal(&database, &error, args.json),
        }
    })
}

fn print(database: &Database, verified: &Verified, as_json: bool) -> Result<Exit> {
    let (record, tree) = (verified.record.record(), verified.head.tree());
    if as_json {
        tell(json!({
            "verdict": Exit::Good.verdict(),
            "database": database.name(),
            "module": record.module.path().as_str(),
            "version": record.module.version().as_str(),
            "zip": record.zip.to_string(),
            "go_mod": record.go_mod.to_string(),
            "id": verified.id,
            "tree": { "size": tree.size, "root": tree.root.to_string() },
            "note": String::from_utf8_lossy(verified.head.note()),
        }))?;
    } else {
        tell(record.line(SumKind::Zip))?;
        tell(record.line(SumKind::GoMod))?;
        tell(format_args!(
            "proven: record {} of {}, in the signed tree of {} records (root {})",
            verified.id,
            database.name(),
            tree.size,
            tree.root
        ))?;
    }
    Ok(Exit::Good)
}

/// Reads `path@version`.
///
/// # Errors
/// It is none, or the version is no canonical one.
pub(crate) fn module_version(text: &str) -> Result<ModuleVersion> {
    let (path, version) = text
        .rsplit_once('@')
        .ok_or_else(|| anyhow!("want MODULE@VERSION, as in golang.org/x/text@v0.3.0"))?;
    Ok(ModuleVersion::parse(path, version)?)
}
