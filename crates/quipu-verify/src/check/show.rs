//! The outcome in words and as JSON.

use std::io;

use serde_json::{Value, json};

use super::finding::{Finding, Rule, suffix};
use super::outcome::Outcome;
use crate::output::{printable, tell};

/// Prints the outcome for people.
///
/// # Errors
/// It cannot be written.
pub(super) fn text(database: &str, outcome: &Outcome) -> io::Result<()> {
    for finding in &outcome.findings {
        tell(paragraph(database, finding))?;
    }
    tell(summary(database, outcome))
}

/// What and where, then the hashes one below the other.
fn paragraph(database: &str, finding: &Finding) -> String {
    let place = &finding.place;
    let subject = finding.subject_text().map_or_else(String::new, |subject| format!(" {subject}:"));
    let mut text = printable(&format!("{place}:{subject} {}", headline(finding)));
    if let Some((logged, id)) = finding.logged
        && let Some(expected) = finding.expected
    {
        text.push_str(&format!("\n    {expected}  {}", place.origin.text()));
        text.push_str(&format!("\n    {logged}  record {id} of {database}, proven"));
    }
    text
}

fn headline(finding: &Finding) -> String {
    match finding.rule {
        Rule::Differs => "the log holds another hash".to_owned(),
        Rule::NotInLog => format!("not in the log: {}", finding.why),
        Rule::Unproven => format!("not what the signed tree holds: {}", finding.why),
        Rule::Malformed => finding.why.clone(),
        Rule::Unchecked => format!("could not be checked: {}", finding.why),
    }
}

fn summary(database: &str, outcome: &Outcome) -> String {
    let count = |rule| outcome.count(rule);
    let all = outcome.agree + outcome.findings.len();
    let mut parts = vec![format!("{} agree", outcome.agree)];
    for (number, what) in [
        (count(Rule::Differs), "differ"),
        (count(Rule::NotInLog), "not in the log"),
        (count(Rule::Unproven), "not proven"),
        (count(Rule::Malformed), "malformed"),
        (count(Rule::Unchecked), "not checked"),
        (outcome.skipped, "skipped (GONOSUMDB)"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    let head = outcome.seen.head.as_ref().map_or_else(String::new, |head| {
        let tree = head.tree();
        format!(", whose signed tree has {} records (root {})", tree.size, tree.root)
    });
    let sources = printable(&outcome.sources.join(", "));
    format!("checked {all} hashes of {sources} against {database}{head}: {}", parts.join(", "))
}

/// Prints the outcome for machines.
///
/// # Errors
/// It cannot be written.
pub(super) fn json(database: &str, outcome: &Outcome) -> io::Result<()> {
    let tree = outcome.seen.head.as_ref().map(|head| head.tree());
    let findings: Vec<Value> = outcome.findings.iter().map(finding).collect();
    tell(json!({
        "verdict": outcome.exit().verdict(),
        "database": database,
        "tree": tree.map(|tree| json!({ "size": tree.size, "root": tree.root.to_string() })),
        "served_size": outcome.seen.served,
        "sources": outcome.sources,
        "modules": outcome.modules,
        "agree": outcome.agree,
        "skipped": outcome.skipped,
        "findings": findings,
    }))
}

fn finding(finding: &Finding) -> Value {
    let subject = finding.subject.as_ref();
    json!({
        "rule": finding.rule.id(),
        "file": finding.place.file.display().to_string(),
        "line": finding.place.line,
        "from": finding.place.origin.text(),
        "module": subject.map(|(module, _)| module.path().as_str()),
        "version": subject.map(|(module, kind)| format!("{}{}", module.version(), suffix(*kind))),
        "expected": finding.expected.map(|hash| hash.to_string()),
        "logged": finding.logged.map(|(hash, _)| hash.to_string()),
        "id": finding.logged.map(|(_, id)| id),
        "why": finding.why,
    })
}
