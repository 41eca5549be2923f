//! `quipu status`: how a running server is doing, as it says itself.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use quipu_tlog::parse_tree;
use serde_json::json;

use crate::cli;
use crate::output::tell;
use crate::remote::{Remote, block_on};
use crate::time::date;

/// Asks and prints.
///
/// # Errors
/// The server cannot be reached, or is none.
pub(crate) fn run(args: &cli::Status) -> Result<ExitCode> {
    let remote = Remote::new(&args.url, &args.caller)?;
    let (ready, checks, head, metrics) = block_on(ask(&remote))
        .with_context(|| format!("no word from {}: is the server running there? (--url)", args.url))?;
    let (size, root) = head;
    let mut figures: BTreeMap<&str, f64> = BTreeMap::new();
    for (name, value) in metrics.lines().filter_map(figure).filter(|(name, _)| SHOWN.contains(name)) {
        *figures.entry(name).or_default() += value;
    }
    let issuers: BTreeMap<_, _> =
        metrics.lines().filter_map(|line| labelled(line, "quipu_oidc_keys_time_seconds", "issuer")).collect();
    if args.json {
        let checks: BTreeMap<_, _> = checks.lines().filter_map(|line| line.split_once(": ")).collect();
        let issuers: BTreeMap<_, _> =
            issuers.into_iter().map(|(issuer, at)| (issuer, seconds(at).filter(|at| *at > 0))).collect();
        tell(json!({
            "ready": ready, "checks": checks, "size": size, "root": root, "issuers": issuers, "metrics": figures
        }))?;
    } else {
        tell(if ready { "ready" } else { "NOT READY" })?;
        tell(checks.trim_end())?;
        tell(format_args!("records: {size}\nroot: {root}"))?;
        let moved: Vec<_> = metrics.lines().filter_map(moved_tag).collect();
        if !moved.is_empty() {
            tell(format_args!("moved tags: {}", moved.join(", ")))?;
        }
        for (issuer, at) in issuers {
            tell(format_args!("takes ID tokens of: {issuer} ({})", keys_of(at)))?;
        }
        for (name, value) in figures {
            tell(format_args!("{name}: {value}"))?;
        }
    }
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

type Answers = (bool, String, (u64, String), String);

async fn ask(remote: &Remote) -> Result<Answers> {
    let text = |body: bytes::Bytes| String::from_utf8_lossy(&body).into_owned();
    let (ready, checks) = remote.get("/readyz", 64 << 10).await?;
    let (status, latest) = remote.get("/latest", 1 << 20).await?;
    ensure!(status == 200, "/latest answers {status}: is a token needed (--token-file)?");
    let latest = text(latest);
    let tree = latest.split_once("\n\n").and_then(|(tree, _)| parse_tree(format!("{tree}\n")).ok());
    let tree = tree.context("/latest is no signed tree")?;
    let (status, metrics) = remote.get("/metrics", 4 << 20).await?;
    ensure!(
        status == 200,
        "/metrics answers {status}: a token with the scope admin is needed (--token-file)"
    );
    Ok((ready == 200, text(checks), (tree.size, tree.root.to_string()), text(metrics)))
}

/// Name and value of a figure. Those that differ by their labels alone have one name, and are shown as their sum.
fn figure(line: &str) -> Option<(&str, f64)> {
    let (name, value) = line.rsplit_once(' ')?;
    let name = name.split('{').next()?;
    Some((name, value.parse().ok()?))
}

/// The version whose tag was moved, if the line says so.
fn moved_tag(line: &str) -> Option<&str> {
    let (version, value) = labelled(line, "quipu_tag_moved", "version")?;
    (value == "1").then_some(version)
}

/// What stands for the one label of a figure, and its value.
fn labelled<'a>(line: &'a str, name: &str, label: &str) -> Option<(&'a str, &'a str)> {
    let line = line.strip_prefix(name)?.strip_prefix('{')?.strip_prefix(label)?;
    line.strip_prefix("=\"")?.split_once("\"} ")
}

/// Of when the keys of an issuer are.
fn keys_of(at: &str) -> String {
    let time = seconds(at).filter(|at| *at > 0);
    time.map_or_else(|| "no keys yet".to_owned(), |time| format!("keys of {}", date(time)))
}

/// Seconds since 1970; at /metrics they stand without a fraction.
fn seconds(value: &str) -> Option<u64> {
    value.parse().ok()
}

/// The figures worth a look; all of them are at /metrics.
const SHOWN: [&str; 20] = [
    "quipu_log_head_time_seconds",
    "quipu_log_queue",
    "quipu_log_rounds",
    "quipu_log_round_commit_seconds",
    "quipu_log_round_guard_seconds",
    "quipu_cache_free_bytes",
    "quipu_cache_zip_bytes",
    "quipu_cache_quota_bytes",
    "quipu_cache_evicted_files_total",
    "quipu_cache_unlicensed_versions",
    "quipu_tags_moved",
    "quipu_records_unproven_total",
    "quipu_tls_certificate_expiry_seconds",
    "quipu_policy_rules",
    "quipu_policy_cooldown_days",
    "quipu_policy_waivers",
    "quipu_policy_known_fixes",
    "quipu_policy_dry_run",
    "quipu_policy_quarantined",
    "quipu_policy_refused_total",
];
