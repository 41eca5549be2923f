//! `quipu-verify evidence`: what evidence files prove, checked offline.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use quipu_note::VerifierKey;
use quipu_verify::{Evidence, Finding};
use serde_json::{Value, json};

use crate::database::Known;
use crate::exit::Exit;
use crate::output::tell;
use crate::sums::read_bounded;

/// Arguments of `evidence`.
#[derive(Debug, Args)]
#[command(name = "evidence")]
#[command(after_help = "Example:\n  quipu-verify evidence --db sum.golang.org 0123456789abcdef.evidence\n\n\
                        Nobody is asked: the files and the key of the database are enough. Know the key from \
                        elsewhere than from who sent you the file.\n\n\
                        Exit codes: 3 a file proves that the database misbehaved, 1 a file proves nothing, 4 what was \
                        served contradicts the database's signed tree, but nothing proves who served it. Of several \
                        files the first of these counts.")]
pub(crate) struct Accusations {
    /// Evidence files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    known: Known,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

/// Checks and prints.
///
/// # Errors
/// The database is not named properly, or nothing can be printed.
pub(crate) fn run(args: &Accusations) -> Result<Exit> {
    let (name, key) = args.known.key()?;
    let keys = [key];
    let checked: Vec<_> = args.files.iter().map(|file| (file.as_path(), check(file, &keys))).collect();
    let outcomes = checked.iter().map(|(_, outcome)| exit(outcome));
    let exit = [Exit::Misbehaved, Exit::Failed].into_iter().find(|exit| outcomes.clone().any(|e| e == *exit));
    let exit = exit.unwrap_or(Exit::Differs);
    if args.json {
        let files: Vec<Value> = checked.iter().map(as_json).collect();
        tell(json!({ "verdict": exit.verdict(), "database": name, "files": files }))?;
        return Ok(exit);
    }
    for (file, outcome) in &checked {
        let file = file.display();
        match outcome {
            Ok(finding) if finding.kind().is_signed() => {
                tell(format_args!("{file}: MISBEHAVIOUR PROVEN: {name}: {}", finding.sentence()))?;
            }
            Ok(finding) => tell(format_args!("{file}: shown: {name}: {}", finding.sentence()))?,
            Err(error) => eprintln!("quipu-verify: {file}: {error:#}"),
        }
    }
    Ok(exit)
}

fn check(file: &Path, keys: &[VerifierKey]) -> Result<Finding> {
    let text = String::from_utf8(read_bounded(file, MAX_EVIDENCE)?)?;
    let evidence: Evidence = text.parse()?;
    let accused = || match evidence.keys() {
        [key] if !keys.iter().any(|known| known.to_string() == *key) => {
            format!("it accuses the owner of another key, {key:?}, which --db must name to be checked")
        }
        _ => format!("evidence of the kind {:?}", evidence.kind().name()),
    };
    evidence.check(keys).with_context(accused)
}

fn exit(outcome: &Result<Finding>) -> Exit {
    match outcome {
        Ok(finding) if finding.kind().is_signed() => Exit::Misbehaved,
        Ok(_) => Exit::Differs,
        Err(_) => Exit::Failed,
    }
}

fn as_json((file, outcome): &(&Path, Result<Finding>)) -> Value {
    let file = file.display().to_string();
    let verdict = exit(outcome).verdict();
    match outcome {
        Ok(finding) => json!({
            "file": file,
            "verdict": verdict,
            "kind": finding.kind().name(),
            "sentence": finding.sentence(),
        }),
        Err(error) => json!({ "file": file, "verdict": verdict, "error": format!("{error:#}") }),
    }
}

const MAX_EVIDENCE: u64 = 4 << 20;
