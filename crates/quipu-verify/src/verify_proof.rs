//! `quipu-verify verify-proof`: what proof files prove, checked offline.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use quipu_module::{Record, SumKind, SumLine};
use quipu_note::VerifierKey;
use quipu_tlog::Tree;
use quipu_verify::proof::{GoSumProof, ProvenLines, TlogProof};
use serde_json::json;

use crate::database::Known;
use crate::exit::Exit;
use crate::output::tell;
use crate::sums::{Line, Sums, read_bounded};

/// Arguments of `verify-proof`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  quipu-verify verify-proof go.sum.proof --go-sum go.sum\n  \
                        quipu-verify verify-proof --db sum.corp+1234abcd+AZ... text.tlog-proof\n\n\
                        Nobody is asked: the files and the key of the database are enough. A proof is of the past: that \
                        these lines are in the log, not what the log holds since.\n\n\
                        Exit codes: 0 proven, 1 a file proves nothing, 4 a line of a go.sum is not proven, or with \
                        another hash.")]
pub(crate) struct VerifyProof {
    /// Proofs: of a go.sum as prove writes them, or C2SP tlog-proof files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Files like go.sum, all lines of which must be proven
    #[arg(long, value_name = "FILE")]
    go_sum: Vec<PathBuf>,
    /// Also demand proof of what GONOSUMDB (by default GOPRIVATE) keeps from databases
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    known: Known,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

/// A proof that is good.
struct Good<'a> {
    file: &'a Path,
    proven: ProvenLines,
}

/// Checks and prints.
///
/// # Errors
/// A file cannot be read, is no proof, or proves nothing; or the database is not named properly.
pub(crate) fn run(args: &VerifyProof) -> Result<Exit> {
    let (name, key) = args.known.key()?;
    let keys = [key];
    let sums = Sums::read(&args.go_sum, args.all)?;
    let candidates = records(&sums.lines);
    let check = |file| Ok(Good { file, proven: check(file, &keys, &candidates)? });
    let good: Vec<Good<'_>> = match args.files.iter().map(|file| check(file)).collect::<Result<_>>() {
        Err(error) if args.json => return failed(&name, &error),
        outcome => outcome?,
    };
    let differences: Vec<String> = sums.lines.iter().filter_map(|line| difference(&good, line)).collect();
    let exit = if differences.is_empty() { Exit::Good } else { Exit::Differs };
    if args.json {
        tell(json!({
            "verdict": exit.verdict(),
            "database": name,
            "proofs": good.iter().map(as_json).collect::<Vec<_>>(),
            "go_sum": { "lines": sums.lines.len(), "private": sums.private },
            "differences": differences,
        }))?;
        return Ok(exit);
    }
    for Good { file, proven } in &good {
        let Tree { size, root } = proven.tree();
        let (file, lines) = (file.display(), proven.lines().len());
        tell(format_args!(
            "{file}: proven: {lines} lines are in the signed tree of {size} records of {name} (root {root})"
        ))?;
    }
    differences.iter().for_each(|difference| eprintln!("quipu-verify: {difference}"));
    if sums.private > 0 {
        eprintln!("quipu-verify: {} lines of private modules are not looked at; --all does", sums.private);
    }
    if !args.go_sum.is_empty() && exit == Exit::Good {
        tell(format_args!("all {} lines of go.sum are proven", sums.lines.len()))?;
    }
    Ok(exit)
}

fn failed(name: &str, error: &anyhow::Error) -> Result<Exit> {
    let exit = Exit::Failed;
    tell(json!({ "verdict": exit.verdict(), "database": name, "error": format!("{error:#}") }))?;
    Ok(exit)
}

fn check(file: &Path, keys: &[VerifierKey], candidates: &[Record]) -> Result<ProvenLines> {
    let within = || file.display().to_string();
    let text = String::from_utf8(read_bounded(file, MAX_PROOF)?).with_context(within)?;
    let proven = if text.starts_with(TlogProof::FIRST_LINE) {
        text.parse::<TlogProof>().with_context(within)?.check(keys, candidates)
    } else {
        text.parse::<GoSumProof>().with_context(within)?.check(keys)
    };
    proven.with_context(within)
}

/// The records that a log would have for lines, as far as both lines are there.
fn records(lines: &[Line]) -> Vec<Record> {
    let mut sorted: Vec<&SumLine> = lines.iter().map(|line| &line.sum).collect();
    sorted.sort_unstable();
    let both = |pair: &[&SumLine]| match pair {
        [zip, go_mod]
            if zip.module == go_mod.module && zip.kind == SumKind::Zip && go_mod.kind == SumKind::GoMod =>
        {
            Some(Record { module: zip.module.clone(), zip: zip.hash, go_mod: go_mod.hash })
        }
        _ => None,
    };
    sorted.windows(2).filter_map(both).collect()
}

/// How a line differs from what is proven.
fn difference(good: &[Good<'_>], Line { sum, .. }: &Line) -> Option<String> {
    let proven = good.iter().find_map(|good| good.proven.hash(&sum.module, sum.kind));
    match proven {
        Some(hash) if hash == sum.hash => None,
        Some(hash) => Some(format!("{sum}, but proven is {hash}")),
        None => Some(format!("{sum} is not proven")),
    }
}

fn as_json(Good { file, proven }: &Good<'_>) -> serde_json::Value {
    json!({
        "file": file.display().to_string(),
        "lines": proven.lines().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "tree": { "size": proven.tree().size, "root": proven.tree().root.to_string() },
    })
}

const MAX_PROOF: u64 = 64 << 20;
