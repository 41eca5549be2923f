//! `quipu-verify check`: every hash in go.sum files or module caches against the log.

mod ask;
mod claims;
mod finding;
mod outcome;
mod sarif;
mod show;
mod tree;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use quipu_module::Patterns;
use quipu_verify::{Client, Error};

use self::ask::ask;
use self::claims::Input;
use self::outcome::{Outcome, Seen};
use crate::database::{Database, Target};
use crate::exit::{Exit, wrong_usage};
use crate::goenv::kept_from;
use crate::report;
use crate::runtime::block_on;

/// Arguments of `check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  quipu-verify check\n  quipu-verify check go.sum tools/go.sum --sarif quipu.sarif\n  \
                  quipu-verify check --db \"$(quipu key show) https://go.corp\" --all\n  \
                  quipu-verify check \"$(go env GOMODCACHE)\" --offline\n\n\
                  Exit codes: 0 the log holds every hash, 1 some could not be checked, 3 the database signed two \
                  histories, 4 the log holds another hash, or none."
)]
pub(crate) struct Check {
    /// Files like go.sum and go.work.sum, and module caches: GOMODCACHE or the tree of a proxy
    /// [default: go.sum and go.work.sum here]
    #[arg(value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    target: Target,
    /// Also check what GONOSUMDB (by default GOPRIVATE) keeps from databases: this tells their names
    #[arg(long)]
    all: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    /// Also write the findings as SARIF 2.1.0; - is stdout
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
}

/// Checks and prints.
///
/// # Errors
/// The arguments make no sense, a file cannot be read, or the state cannot be used.
pub(crate) fn run(args: &Check) -> Result<Exit> {
    if args.json && args.sarif.as_deref() == Some(Path::new("-")) {
        return Err(wrong_usage("--json and --sarif - both want stdout"));
    }
    let skip = if args.all { Patterns::default() } else { kept_from("GONOSUMDB") };
    let (input, skipped) = read(&args.paths, &skip)?;
    block_on(async {
        let database = Database::open(&args.target)?;
        let client = database.client()?;
        match compare(&client, input, args.target.offline).await {
            Ok(outcome) => print(&database, &Outcome { skipped, ..outcome }, args),
            Err(error) => report::refusal(&database, &error, args.json),
        }
    })
}

/// All claims, and the number of those that were skipped.
fn read(paths: &[PathBuf], skip: &Patterns) -> Result<(Input, usize)> {
    let mut input = Input::default();
    let mut skipped = 0;
    for path in named_or_here(paths)? {
        if !path.is_dir() {
            input.add_go_sum(&path)?;
        } else if path.join(GO_SUM).is_file() {
            input.add_go_sum(&path.join(GO_SUM))?;
        } else {
            skipped += input.add_tree(&path, skip)?;
        }
    }
    let all = input.claims.len();
    input.claims.retain(|claim| !skip.matches(claim.module.path()));
    skipped += all - input.claims.len();
    Ok((input, skipped))
}

fn named_or_here(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    if !paths.is_empty() {
        return Ok(paths.to_vec());
    }
    let here: Vec<_> =
        [GO_SUM, "go.work.sum"].map(PathBuf::from).into_iter().filter(|p| p.exists()).collect();
    let none = "there is no go.sum here: name a file like it, or a module cache";
    (!here.is_empty()).then_some(here).with_context(|| none.to_owned())
}

/// Compares with the log under one head: the latest, or offline the one remembered.
async fn compare(client: &Client, input: Input, offline: bool) -> Result<Outcome, Error> {
    let served = if offline { None } else { Some(client.refresh().await?.served.size()) };
    let modules: BTreeSet<_> = input.claims.iter().map(|claim| claim.module.clone()).collect();
    let answers = ask(client, modules.into_iter().collect(), offline).await;
    if let Some(error) = ask::misbehaviour(&answers) {
        return Err(error.clone());
    }
    Ok(Outcome::new(input, &answers, Seen { head: client.head(), served, unkept: client.unkept() }))
}

fn print(database: &Database, outcome: &Outcome, args: &Check) -> Result<Exit> {
    outcome.warn(database.name());
    let to_stdout = match args.sarif.as_deref() {
        Some(path) if path == Path::new("-") => true,
        Some(path) => {
            let text = sarif::format(database.name(), outcome)?;
            std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
            false
        }
        None => false,
    };
    if to_stdout {
        crate::output::tell(sarif::format(database.name(), outcome)?)?;
    } else if args.json {
        show::json(database.name(), outcome)?;
    } else {
        show::text(database.name(), outcome)?;
    }
    Ok(outcome.exit())
}

const GO_SUM: &str = "go.sum";
