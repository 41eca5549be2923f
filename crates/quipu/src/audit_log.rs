//! `quipu audit-log check`: is the log of what was done to a server whole and unchanged.

use std::fs::File;
use std::io::BufReader;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use quipu_server::{AuditLog, check_audit_log};
use serde_json::json;

use crate::cli;
use crate::keys::DataDir;
use crate::output::tell;

/// Checks and prints.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn check(args: cli::AuditLogCheck) -> Result<ExitCode> {
    let file = args.file.unwrap_or_else(|| DataDir::new(args.data.data).audit());
    let open = || format!("cannot read {}", file.display());
    let log = BufReader::new(File::open(&file).with_context(open)?);
    let report = check_audit_log(log, args.known.as_deref()).with_context(open)?;
    let missing = args.known.is_some() && !report.holds_known;
    let good = report.fault.is_none() && !missing;
    if args.json {
        let fault = report.fault.as_ref().map(ToString::to_string);
        tell(json!({
            "good": good, "entries": report.entries, "last": report.last, "fault": fault,
            "known": args.known, "known_found": report.holds_known,
        }))?;
        return Ok(code(good));
    }
    if let Some(fault) = &report.fault {
        eprintln!("{}: {fault}", file.display());
    }
    if missing {
        eprintln!("{}: no line has the known hash: lines before it were changed, or cut off", file.display());
    }
    let (verdict, entries, last) = (if good { "good" } else { "NOT GOOD" }, report.entries, report.last);
    tell(format_args!("{verdict}: {entries} entries, the last one is {last}"))?;
    Ok(code(good))
}

fn code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::from(4) }
}

/// The audit log of a data directory that is there; the server may be writing to it too.
///
/// # Errors
/// There is no such directory, or the file cannot be used.
pub(crate) fn open(data: &DataDir) -> Result<AuditLog> {
    ensure!(data.path().is_dir(), "there is no data directory {}", data.path().display());
    let file = data.audit();
    AuditLog::open(&file).with_context(|| format!("cannot use the audit log {}", file.display()))
}

/// What stands in the audit log for whoever runs a command.
pub(crate) fn operator() -> String {
    format!("command line, uid {}", rustix::process::getuid().as_raw())
}
