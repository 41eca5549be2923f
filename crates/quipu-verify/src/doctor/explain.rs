//! What go printed, in plain words: whose word stands against whose, and what to do.

mod fork;
mod messages;

use std::io::{self, Read as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use quipu_module::ModuleVersion;

use super::finding::{Finding, Group, Report, Severity};
use super::text::{shell, without_credentials};
use crate::database::{Database, Target};
use crate::exit::wrong_usage;
use fork::ForkReport;

/// Explains the text of a file, or of stdin if it is `-`.
///
/// # Errors
/// It cannot be read, or `--db` makes no sense where it is needed.
pub(crate) fn explain(report: &mut Report, file: &Path, target: &Target) -> Result<()> {
    let text = read(file)?;
    if let Some(found) = ForkReport::find(&text) {
        fork(report, &found, target)?;
    }
    report.extend(mismatches(&text));
    report.extend(messages::known(&text));
    if report.is_empty() {
        report.fail("nothing in this text is a message of go about checksums that is known here");
    }
    Ok(())
}

fn read(file: &Path) -> Result<String> {
    let mut text = Vec::new();
    if file == Path::new("-") {
        io::stdin().lock().take(MAX_TEXT).read_to_end(&mut text).context("cannot read stdin")?;
    } else {
        let source =
            std::fs::File::open(file).map_err(|e| wrong_usage(format!("{}: {e}", file.display())))?;
        source.take(MAX_TEXT).read_to_end(&mut text).with_context(|| file.display().to_string())?;
    }
    Ok(String::from_utf8_lossy(&text).replace("\r\n", "\n"))
}

/// Makes evidence of a fork report, and says whether it proves anything.
fn fork(report: &mut Report, found: &ForkReport, target: &Target) -> Result<()> {
    let database = Database::open(&Target { offline: true, ..target.clone() })?;
    let name = database.name();
    match found.prove(database.keys()) {
        Ok(evidence) => {
            let error = quipu_verify::Error::Misbehaved(std::sync::Arc::new(evidence.clone()));
            report.proven(crate::report::keep_evidence(&database, &error));
            let what =
                format!("go's report proves that {name} has signed two histories: {}", evidence.summary());
            let why = "both trees have its signature, and the second does not begin with the first: some \
                       were shown another log than others, or the log was changed. No module is at fault. \
                       Stop using the database, keep the file, tell its operators and other users; do not \
                       remove what go remembers before";
            let finding = Finding::new((Group::Said, Severity::Problem), "fork-report", what, why);
            report
                .extend([finding.repair("quipu-verify doctor   # which of the two this machine remembers")]);
        }
        Err(reason) => {
            let what = format!(
                "go reports two histories of a database, and the text proves none of {name}: {reason}"
            );
            let why = "the text is incomplete or changed, or it is about another database: name its key \
                       with --db, and give the whole output of go";
            report.extend([Finding::new(
                (Group::Said, Severity::Warning),
                "fork-report-unproven",
                what,
                why,
            )]);
        }
    }
    Ok(())
}

/// Every `checksum mismatch`, with the two that disagree.
fn mismatches(text: &str) -> Vec<Finding> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if !line.trim_end().ends_with("checksum mismatch") {
            continue;
        }
        let mut claims = lines.iter().skip(at + 1).take(3).filter_map(|line| claim(line));
        let downloaded = claims.find(|(who, _)| *who == "downloaded");
        let (Some((_, downloaded)), Some((who, recorded))) = (downloaded, claims.next()) else { continue };
        if found.len() < MAX_MISMATCHES {
            found.push(mismatch(line, downloaded, who, recorded));
        }
    }
    found
}

/// A line `who: h1:…`.
fn claim(line: &str) -> Option<(&str, &str)> {
    let (who, hash) = line.trim().rsplit_once(": ")?;
    hash.trim().starts_with("h1:").then(|| (who.trim(), hash.trim()))
}

fn mismatch(line: &str, downloaded: &str, who: &str, recorded: &str) -> Finding {
    let module = module_in(line).map_or_else(|| "a module".to_owned(), |module| module.to_string());
    let of = if line.contains("go.mod: checksum") { "the go.mod of " } else { "" };
    let in_file =
        who == "go.sum" || who.ends_with(".sum") && (who == "go.work.sum" || who.contains(['/', '\\']));
    let who = without_credentials(who);
    let what = format!("{of}{module}: what was downloaded hashes to {downloaded}, and {who} says {recorded}");
    let (id, why) = if in_file {
        (
            "mismatch-go-sum",
            "the word of the proxy or repository of today stands against that of the first download, \
             which somebody committed to go.sum. Either the version was changed after that (a moved tag, \
             an attack on origin or proxy), or go.sum holds a false first download. The log decides: if \
             it agrees with go.sum, do not change go.sum, and get the module elsewhere; if it agrees with \
             the download, find out who wrote that line",
        )
    } else {
        (
            "mismatch-database",
            "the word of the proxy or repository stands against that of the log, which holds what the \
             world got first. The download is not what others have under this version: a moved tag, a \
             private copy, or an attack on origin or proxy. Nothing wrong came into the project; do not \
             switch the database off, get the module elsewhere or take another version",
        )
    };
    let finding = Finding::new((Group::Said, Severity::Problem), id, what, why);
    finding.repair(format!("quipu-verify why {}", shell(&module)))
}

/// The last module version that a line names before it says what is wrong.
fn module_in(line: &str) -> Option<ModuleVersion> {
    let words = line.split(|c: char| c.is_whitespace() || "\"'()".contains(c)).rev();
    words.map(|word| word.trim_end_matches([':', ','])).find_map(|word| {
        let (path, version) = word.split_once('@')?;
        ModuleVersion::parse(path, version.strip_suffix("/go.mod").unwrap_or(version)).ok()
    })
}

/// Nothing that go prints is longer, but logs of CI around it are.
const MAX_TEXT: u64 = 16 << 20;
const MAX_MISMATCHES: usize = 20;

#[cfg(test)]
#[path = "explain/tests.rs"]
mod tests;
