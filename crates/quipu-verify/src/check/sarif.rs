//! The findings as SARIF 2.1.0, for code scanning services.

use std::path::{Component, Path};

use anyhow::Result;
use quipu_tlog::leaf_hash;
use serde_json::{Value, json};

use super::claims::Place;
use super::finding::{Finding, Rule};
use super::outcome::Outcome;

/// The outcome as a SARIF log with one run.
///
/// # Errors
/// None that could be named.
pub(super) fn format(database: &str, outcome: &Outcome) -> Result<String> {
    let rules: Vec<Value> = Rule::ALL.into_iter().map(rule).collect();
    let results: Vec<Value> = outcome.findings.iter().map(|finding| result(database, finding)).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "quipu-verify",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules,
            }},
            "invocations": [{ "executionSuccessful": true, "exitCode": outcome.exit() as u8 }],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    Ok(serde_json::to_string_pretty(&log)?)
}

fn rule(rule: Rule) -> Value {
    json!({
        "id": rule.id(),
        "shortDescription": { "text": rule.text() },
        "defaultConfiguration": { "level": level(rule) },
    })
}

const fn level(rule: Rule) -> &'static str {
    if rule.is_difference() { "error" } else { "warning" }
}

fn result(database: &str, finding: &Finding) -> Value {
    let mut physical = json!({ "artifactLocation": artifact(&finding.place.file) });
    if let Some(line) = finding.place.line {
        physical["region"] = json!({ "startLine": line });
    }
    json!({
        "ruleId": finding.rule.id(),
        "ruleIndex": Rule::ALL.iter().position(|rule| *rule == finding.rule),
        "level": level(finding.rule),
        "message": { "text": message(database, finding) },
        "locations": [{ "physicalLocation": physical }],
        "partialFingerprints": { "quipuFinding/v1": fingerprint(finding) },
    })
}

fn message(database: &str, finding: &Finding) -> String {
    let subject = finding.subject_text().unwrap_or_else(|| finding.place.to_string());
    match finding.expected {
        Some(expected) => {
            let origin = finding.place.origin.text();
            format!("{subject} is {expected} ({origin}), but: {} ({database}).", finding.why)
        }
        None => format!("{subject}: {}.", finding.why),
    }
}

/// The same for the same finding as long as it stands in the same file, whatever the line.
fn fingerprint(finding: &Finding) -> String {
    let Place { file, line: _, origin } = &finding.place;
    let subject = finding.subject_text().unwrap_or_else(|| finding.why.clone());
    let expected = finding.expected.map(|hash| hash.to_string()).unwrap_or_default();
    let parts = [finding.rule.id(), &uri(file), origin.text(), &subject, &expected];
    let hash = leaf_hash(parts.join("\n").as_bytes());
    hash.as_bytes().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn artifact(file: &Path) -> Value {
    let uri = uri(file);
    if uri.starts_with("file:") {
        json!({ "uri": uri })
    } else {
        json!({ "uri": uri, "uriBaseId": "%SRCROOT%" })
    }
}

/// A path below the current directory relative to it, any other as a `file` URI.
fn uri(file: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let file = if file.is_absolute() { file.to_owned() } else { here.join(file) };
    let relative = file.strip_prefix(&here).ok().filter(|path| {
        path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
    });
    match relative {
        Some(path) => escaped(&path.components().collect::<std::path::PathBuf>()),
        None => format!("file://{}", escaped(&file)),
    }
}

fn escaped(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=@".contains(&byte);
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    bytes
        .map(|&byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
