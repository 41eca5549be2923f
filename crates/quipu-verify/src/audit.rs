//! `quipu-verify audit`: the whole log, or what is new of it.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use quipu_verify::audit::{
    AuditState, FileTree, Finding, Layout, Options, Remote, Report, Rollback, Source, audit,
};
use quipu_verify::check::{Fault, GoSum};
use quipu_verify::{DirState, Error, Evidence, Fetch, Transport, TransportError};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::database::{Database, Target};
use crate::exit::Exit;
use crate::output::tell;
use crate::progress::Progress;
use crate::report;
use crate::runtime::block_on;

/// Arguments of `audit`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  quipu-verify audit --db \"$(quipu key show) https://go.corp\"\n  \
                        quipu-verify audit --db \"$KEY file:///srv/log-mirror\" --full --json\n\n\
                        Checks every record, every tile, the signed root, and that no module version is there twice; \
                        the next time only what is new. Interrupt it at any time: it goes on where it was. A \
                        directory may also hold a log in the layout of C2SP tlog-tiles (with a file `checkpoint`).\n\n\
                        Exit codes: 0 all is good, 1 the audit could not be carried through, 3 the database signed \
                        two histories, a record that breaks the rules, or two for one module version (evidence files \
                        are written and named), 4 what is served is not what was signed (kept too, but not signed), or \
                        the log has shrunk. In the layout of tlog-tiles there is no evidence, and 4 instead of 3.")]
pub(crate) struct Audit {
    #[command(flatten)]
    target: Target,
    /// Check everything again, also what earlier audits have checked; the heads seen are not forgotten
    #[arg(long)]
    full: bool,
    /// Threads, each with a request of its own [default: one for each processor for files, else 32]
    #[arg(long, value_name = "N", visible_alias = "jobs", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Option<u16>,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

/// Audits and prints the verdict.
///
/// # Errors
/// The database is not named properly, or the state cannot be used.
pub(crate) fn run(args: &Audit) -> Result<Exit> {
    block_on(async {
        let database = Database::open(&args.target)?;
        // The audit works on threads of its own, which wait for the runtime.
        let handle = Handle::current();
        match tokio::task::block_in_place(|| carry_out(args, &database, &handle))? {
            Ok(report) => print(&database, &report, args.json),
            Err(error) => report::refusal(&database, &error, args.json),
        }
    })
}

fn carry_out(args: &Audit, database: &Database, handle: &Handle) -> Result<Result<Report, Error>> {
    match database.files() {
        Some(files) => {
            let source = FileTree::open(files)?;
            carry_out_on(&source, database, (args, Options::default().threads))
        }
        None => {
            let transport = Patient { inner: database.transport().clone(), tries: args.target.tries() };
            let source = Remote::new(Arc::new(transport), |fetch| handle.block_on(fetch));
            carry_out_on(&source, database, (args, REQUESTS))
        }
    }
}

fn carry_out_on(
    source: &dyn Source,
    database: &Database,
    (args, threads): (&Audit, usize),
) -> Result<Result<Report, Error>> {
    let (heads, state) = match source.layout() {
        Layout::Sumdb => (Some(open_heads(database.dir())?), "audit"),
        // The same trees in other words: each layout has its own memory.
        Layout::TlogTiles => (None, "audit-tlog-tiles"),
    };
    let mut state = match AuditState::open(database.dir().join(state)) {
        Ok(state) => state,
        Err(error) => return Ok(Err(error)),
    };
    if let Some(heads) = heads {
        state = state.with_heads(heads);
    }
    if args.full {
        state.start_over();
    }
    let options = Options { threads: args.threads.map_or(threads, usize::from), ..Options::default() };
    let bar = OnceLock::new();
    let show = |progress: quipu_verify::audit::Progress| {
        bar.get_or_init(|| Progress::new("auditing", progress.total)).show(progress.done);
    };
    let outcome = audit(source, (database.keys(), &GoSum), &mut state, &options, &show);
    if source.layout() == Layout::TlogTiles && outcome.as_ref().is_ok_and(|report| !report.is_good()) {
        eprintln!(
            "quipu-verify: {}: no evidence is made: this is a log in the layout of tlog-tiles, and evidence holds heads \
             of the checksum database",
            database.name()
        );
    }
    Ok(outcome)
}

fn open_heads(dir: &Path) -> Result<Arc<DirState>> {
    let state = DirState::open(dir).with_context(|| format!("cannot use the state in {}", dir.display()))?;
    Ok(Arc::new(state))
}

/// Asks again for what may only just now not be had: an audit is many requests, and one that fails ends it.
struct Patient {
    inner: Arc<dyn Transport>,
    tries: u32,
}

impl Transport for Patient {
    fn get<'a>(&'a self, path: &'a str, max_bytes: usize) -> Fetch<'a> {
        Box::pin(async move {
            let mut pause = FIRST_PAUSE;
            for _ in 1..self.tries {
                match self.inner.get(path, max_bytes).await {
                    Err(TransportError::Unavailable(_)) => tokio::time::sleep(pause).await,
                    outcome => return outcome,
                }
                pause *= 4;
            }
            self.inner.get(path, max_bytes).await
        })
    }
}

fn print(database: &Database, report: &Report, as_json: bool) -> Result<Exit> {
    let exit = verdict(report);
    if as_json {
        let kept = keep(database, report, |_| {});
        tell(as_value(database, (report, &kept), exit))?;
        return Ok(exit);
    }
    keep(database, report, |fault| eprintln!("quipu-verify: {}: {fault}", database.name()));
    if report.more > 0 {
        eprintln!("quipu-verify: {}: and {} faults more", database.name(), report.more);
    }
    tell(summary(database.name(), report))?;
    Ok(exit)
}

fn verdict(report: &Report) -> Exit {
    match (report.is_good(), report.misbehaviour()) {
        (true, _) => Exit::Good,
        (false, Some(_)) => Exit::Misbehaved,
        (false, None) => Exit::Differs,
    }
}

/// Tells each fault and keeps the evidence of it, in one file if several share it. The paths of the files.
fn keep<'a>(database: &Database, audited: &'a Report, tell: impl Fn(&Fault)) -> Vec<Option<String>> {
    let mut kept: Vec<(&Arc<Evidence>, Option<String>)> = Vec::new();
    let mut keep = |finding: &'a Finding| {
        tell(&finding.fault);
        let evidence = finding.evidence.as_ref()?;
        if let Some((_, file)) = kept.iter().find(|(before, _)| Arc::ptr_eq(before, evidence)) {
            return file.clone();
        }
        let file = report::keep(database, evidence);
        kept.push((evidence, file.clone()));
        file
    };
    audited.findings.iter().map(&mut keep).collect()
}

/// The verdict in one line.
fn summary(name: &str, report: &Report) -> String {
    let tree = report.head.tree();
    if let Some(rollback) = &report.rollback {
        return format!("ROLLED BACK: {}", rolled_back(name, tree.size, rollback));
    }
    let (size, root) = (tree.size, tree.root);
    if !report.is_good() {
        let faults = report.findings.len() as u64 + report.more;
        let unchecked = match report.unchecked {
            0 => String::new(),
            unchecked => format!(", {unchecked} records could not be checked"),
        };
        let verdict = if report.misbehaviour().is_some() { "MISBEHAVIOUR PROVEN" } else { "FAULTY" };
        let s = if faults == 1 { "" } else { "s" };
        return format!(
            "{verdict}: {name}: {faults} fault{s} in the log of {size} records (root {root}){unchecked}"
        );
    }
    let new = match report.known {
        0 => String::new(),
        known => format!(" ({} new)", size - known.min(size)),
    };
    format!(
        "good: {name}: {size} records{new}, every tile and record as signed, no module version twice (root {root})"
    )
}

fn rolled_back(name: &str, size: u64, rollback: &Rollback) -> String {
    let seen = rollback.seen.size();
    let fits = match &rollback.unproven {
        None => "which begins with it".to_owned(),
        Some(why) => format!("and whether that begins with it cannot be checked: {why}"),
    };
    format!("{name} shows a head of {size} records after one of {seen}, {fits}")
}

fn as_value(database: &Database, (report, kept): (&Report, &[Option<String>]), exit: Exit) -> Value {
    let tree = report.head.tree();
    let faults = report.findings.iter().zip(kept).map(|(finding, file)| {
        let tiles: Vec<String> = finding.served.iter().map(|(tile, _)| tile.sumdb_path()).collect();
        let kind = finding.evidence.as_ref().map(|evidence| evidence.kind().name());
        json!({ "fault": finding.fault.to_string(), "tiles": tiles, "kind": kind, "evidence": file })
    });
    let rollback = report.rollback.as_ref().map(|rollback| {
        json!({
            "seen": rollback.seen.size(),
            "served": tree.size,
            "seen_note": String::from_utf8_lossy(rollback.seen.note()),
            "unproven": rollback.unproven,
        })
    });
    json!({
        "verdict": exit.verdict(),
        "database": database.name(),
        "summary": summary(database.name(), report),
        "tree": { "size": tree.size, "root": tree.root.to_string() },
        "note": String::from_utf8_lossy(report.head.note()),
        "known": report.known,
        "new": tree.size.saturating_sub(report.known),
        "unchecked": report.unchecked,
        "evidence": gravest(report, kept),
        "faults": faults.collect::<Vec<_>>(),
        "more_faults": report.more,
        "rollback": rollback,
    })
}

/// The file to look at first: proof, if that is the verdict.
fn gravest<'a>(report: &Report, kept: &'a [Option<String>]) -> Option<&'a String> {
    let convicted = report.misbehaviour().is_some();
    report.findings.iter().zip(kept).find_map(|(finding, file)| {
        let is_proof = finding.evidence.as_ref().is_some_and(|evidence| evidence.kind().is_signed());
        file.as_ref().filter(|_| is_proof == convicted)
    })
}

/// Requests in flight over a network.
const REQUESTS: usize = 32;
/// Before a second try; each later pause is four times as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
