//! Telling why there is no verified answer, and keeping the evidence if there is some.

use anyhow::Result;
use quipu_verify::{Error, Evidence};
use serde_json::json;

use crate::database::Database;
use crate::exit::Exit;
use crate::output::tell;

/// Says why the database's answer was refused: in words on stderr, or as JSON on stdout. Proven misbehaviour is kept
/// in a file first.
///
/// # Errors
/// Nothing can be written.
pub(crate) fn refusal(database: &Database, error: &Error, as_json: bool) -> Result<Exit> {
    let exit = Exit::of_refusal(error);
    let evidence = keep_evidence(database, error);
    if as_json {
        tell(json!({
            "verdict": exit.verdict(),
            "database": database.name(),
            "error": error.to_string(),
            "evidence": evidence,
        }))?;
    } else {
        eprintln!("quipu-verify: {}: {error}", database.name());
    }
    Ok(exit)
}

/// Keeps the evidence in an error, if there is some, as [`keep`] does.
pub(crate) fn keep_evidence(database: &Database, error: &Error) -> Option<String> {
    keep(database, error.evidence()?)
}

/// Keeps evidence in a file, and prints its path. None if no file could be written: then proof of misbehaviour is printed
/// itself, so that it is not lost.
pub(crate) fn keep(database: &Database, evidence: &Evidence) -> Option<String> {
    let is_proof = evidence.kind().is_signed();
    let what = if is_proof { "MISBEHAVIOUR PROVEN, the evidence" } else { "what was served" };
    match database.evidence().put(evidence) {
        Ok(kept) => {
            let file = kept.file.display().to_string();
            eprintln!("quipu-verify: {what} is in {file}");
            Some(file)
        }
        Err(failure) if is_proof => {
            eprintln!("quipu-verify: {what} cannot be kept ({failure}); this is it:\n{evidence}");
            None
        }
        Err(failure) => {
            eprintln!("quipu-verify: {what} cannot be kept ({failure})");
            None
        }
    }
}
