//! `quipu-verify prove`: a file that proves the lines of a go.sum to others.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use quipu_module::{ModuleVersion, Record, SumLine};
use quipu_tlog::Tree;
use quipu_verify::proof::{GoSumProof, ProvenRecords, TlogProof};
use quipu_verify::replace_file;
use serde_json::json;

use crate::database::{Database, Target};
use crate::exit::{Exit, wrong_usage};
use crate::lookup::module_version;
use crate::output::tell;
use crate::report;
use crate::runtime::block_on;
use crate::sums::{Line, Sums};

/// Arguments of `prove`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  quipu-verify prove go.sum -o go.sum.proof\n  \
                        quipu-verify prove --c2sp golang.org/x/text@v0.3.0 -o text.tlog-proof\n\n\
                        Whoever has the file checks it with quipu-verify verify-proof, offline. Lines of modules \
                        that GONOSUMDB (by default GOPRIVATE) keeps from databases are left out.\n\n\
                        Exit codes: 0 all is proven and written, 1 something is not in the log or not to be had, \
                        3 the database misbehaved, provably, 4 the log holds another hash. Nothing is written unless 0.")]
pub(crate) struct Prove {
    /// Files like go.sum
    #[arg(value_name = "GO.SUM", required_unless_present = "c2sp")]
    files: Vec<PathBuf>,
    /// Prove the record of one module version, as a C2SP tlog-proof
    #[arg(long, value_name = "MODULE@VERSION", value_parser = module_version, conflicts_with = "files")]
    c2sp: Option<ModuleVersion>,
    /// File to write the proof to
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Also prove what GONOSUMDB (by default GOPRIVATE) keeps from databases: this tells the database their names
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    target: Target,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

/// Proves and writes.
///
/// # Errors
/// A file cannot be read or written, or has nothing to prove; the database is not named properly, or the state cannot be
/// used.
pub(crate) fn run(args: &Prove) -> Result<Exit> {
    let sums = Sums::read(&args.files, args.all)?;
    if sums.lines.is_empty() && args.c2sp.is_none() {
        return Err(wrong_usage(format!("no lines to prove, and {} kept from databases", sums.private)));
    }
    let mut modules: Vec<ModuleVersion> = sums.lines.iter().map(|line| line.sum.module.clone()).collect();
    modules.extend(args.c2sp.clone());
    modules.sort_unstable();
    modules.dedup();
    block_on(async {
        let database = Database::open(&args.target)?;
        match database.client()?.prove(&modules).await {
            Ok(proven) => write(args, &database, &proven, &sums),
            Err(error) => report::refusal(&database, &error, args.json),
        }
    })
}

fn write(args: &Prove, database: &Database, proven: &ProvenRecords, sums: &Sums) -> Result<Exit> {
    let logged: BTreeMap<&ModuleVersion, &Record> =
        proven.records.iter().map(|(_, record)| (&record.record().module, record.record())).collect();
    let differences: Vec<String> = sums.lines.iter().filter_map(|line| difference(&logged, line)).collect();
    if !differences.is_empty() {
        return differ(database, &differences, args.json);
    }
    let keys = database.keys();
    let proof = if args.c2sp.is_some() {
        TlogProof::new(proven, keys)?.to_string()
    } else {
        let mut lines: Vec<SumLine> = sums.lines.iter().map(|line| line.sum.clone()).collect();
        lines.sort_unstable();
        lines.dedup();
        GoSumProof::new(proven, &lines, keys)?.to_string()
    };
    replace_file(&args.output, proof.as_bytes())
        .with_context(|| format!("cannot write {}", args.output.display()))?;
    told(args, database, proven, sums)
}

/// How a line differs from what the log holds.
fn difference(logged: &BTreeMap<&ModuleVersion, &Record>, line: &Line) -> Option<String> {
    let logged = logged.get(&line.sum.module)?.line(line.sum.kind);
    let wrong = logged.hash != line.sum.hash;
    wrong.then(|| format!("{}: {}, but the log holds {}", line.place(), line.sum, logged.hash))
}

fn differ(database: &Database, differences: &[String], as_json: bool) -> Result<Exit> {
    if as_json {
        tell(json!({
            "verdict": Exit::Differs.verdict(),
            "database": database.name(),
            "differences": differences,
        }))?;
    } else {
        differences.iter().for_each(|difference| eprintln!("quipu-verify: {difference}"));
    }
    Ok(Exit::Differs)
}

fn told(args: &Prove, database: &Database, proven: &ProvenRecords, sums: &Sums) -> Result<Exit> {
    let (file, Tree { size, root }) = (args.output.display(), proven.head.tree());
    let (lines, records) = (sums.lines.len(), proven.records.len());
    if args.json {
        tell(json!({
            "verdict": Exit::Good.verdict(),
            "database": database.name(),
            "file": file.to_string(),
            "lines": if args.c2sp.is_some() { 2 } else { lines },
            "private": sums.private,
            "records": records,
            "tree": { "size": size, "root": root.to_string() },
        }))?;
        return Ok(Exit::Good);
    }
    if sums.private > 0 {
        eprintln!(
            "quipu-verify: {} lines are of private modules and left out; --all takes them in",
            sums.private
        );
    }
    let what = match &args.c2sp {
        Some(module) => format!("the record of {module}"),
        None => format!("{lines} lines in {records} records"),
    };
    let name = database.name();
    tell(format_args!(
        "{file}: {what} of {name}, proven in the signed tree of {size} records (root {root})"
    ))?;
    Ok(Exit::Good)
}
