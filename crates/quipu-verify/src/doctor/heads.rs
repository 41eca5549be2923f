//! The head that the go command remembers of its database: signed by the right key, and still what the log begins with?

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use quipu_verify::{Client, DirState, Error, Fetch, Kind, Limits, MemoryState, Refreshed, State, Transport};

use super::files::{files_below, read_small};
use super::finding::{Finding, Group, Report, Severity};
use super::text::{shell_path, some_of, without_credentials};
use crate::database::Database;
use crate::report::keep_evidence;

/// The places where the go command keeps what it knows of one database.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// The file with the head.
    pub(crate) latest: PathBuf,
    /// The directory with tiles and lookups.
    pub(crate) cache: PathBuf,
}

impl Kept {
    /// What is kept of the database `name`, below the directories of heads and of modules.
    pub(crate) fn of(name: &str, heads: &Path, mod_cache: &Path) -> Self {
        let cache = mod_cache.join("cache/download/sumdb").join(name);
        Self { latest: heads.join(name).join("latest"), cache }
    }

    /// The command that makes go forget a database, and keeps the head for whoever looks into it.
    pub(crate) fn forget(&self) -> String {
        let (latest, cache) = (shell_path(&self.latest), shell_path(&self.cache));
        let aside = shell_path(&self.latest.with_extension("suspect"));
        format!("mv {latest} {aside} && rm -rf {cache}")
    }
}

/// The databases that the go command remembers heads of.
pub(crate) fn remembered(heads: &Path) -> Vec<String> {
    let files = files_below(heads, &[], MAX_FILES);
    let mut names: Vec<String> =
        files.iter().filter_map(|file| file.name.strip_suffix("/latest").map(str::to_owned)).collect();
    names.sort();
    names
}

/// Takes note of the heads of other databases than the one in use.
pub(crate) fn others(heads: &Path, name: &str) -> Option<Finding> {
    let others: Vec<String> = remembered(heads).into_iter().filter(|other| other != name).collect();
    let what = format!("go also remembers heads of {}", some_of(&others));
    let why =
        "it was set to these databases at some time, here or by an environment; --db checks one of them";
    (!others.is_empty()).then(|| Finding::new((Group::Heads, Severity::Note), "other-heads", what, why))
}

/// Checks the head, and gives a client that believes nothing else, for checking the cache; none if no tree can be
/// believed.
///
/// # Errors
/// Nothing of it is the database's fault: no memory can be had or the like.
pub(crate) async fn examine(
    report: &mut Report,
    database: &Database,
    kept: &Kept,
    transport: &Arc<dyn Transport>,
    offline: bool,
) -> Result<Option<Arc<MemoryState>>> {
    let state = Arc::new(MemoryState::new());
    let note = match read_small(&kept.latest, MAX_NOTE) {
        Ok(note) => Some(note).filter(|note| !note.is_empty()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            report.fail(format_args!("{}: {error}", kept.latest.display()));
            return Ok(None);
        }
    };
    if let Some(note) = &note {
        state.replace_latest(None, note)?;
    }
    let opened = Client::new(database.keys().to_vec(), transport.clone(), state.clone(), Limits::default());
    let client = match opened {
        Ok(client) => client,
        Err(error) => {
            report.extend([not_ours(database, kept, &error)]);
            return Ok(None);
        }
    };
    if offline {
        report
            .skip("whether the head that go remembers is consistent with the log's present one (--offline)");
        return Ok(note.map(|_| state));
    }
    let stored = client.head().map(|head| head.size());
    match compare(database, &client, transport, &state).await {
        Ok(seen) => {
            report.extend(relation(database, kept, stored, &seen));
            Ok(Some(state))
        }
        Err(Error::Unavailable(why)) => {
            let why = without_credentials(&why.to_string());
            report.fail(format_args!("the head of {}: {why}", database.name()));
            Ok(None)
        }
        Err(error) => {
            refused(report, database, kept, &error);
            Ok(None)
        }
    }
}

/// Compares what go remembers with what is served, and both with what this program remembers from its other commands.
async fn compare(
    database: &Database,
    client: &Client,
    transport: &Arc<dyn Transport>,
    state: &Arc<MemoryState>,
) -> Result<Refreshed, Error> {
    let seen = client.refresh().await?;
    if let Some(note) = own_head(database) {
        let saying = Arc::new(Saying { note, way: transport.clone() });
        let again = Client::new(database.keys().to_vec(), saying, state.clone(), Limits::default())?;
        again.refresh().await?;
    }
    Ok(seen)
}

/// How the remembered head relates to the served one. Both are known to be of one history.
fn relation(database: &Database, kept: &Kept, stored: Option<u64>, seen: &Refreshed) -> Option<Finding> {
    let name = database.name();
    let (stored, served) = (stored?, seen.served.size());
    if served < stored {
        let what = format!("{name} serves a tree of {served} records, and go has seen one of {stored}");
        let why = "the log was rolled back, or a cache in between is old: go does not notice, and gets no \
                   records that it lost. If the log grows differently from there, every client stops with \
                   a SECURITY ERROR";
        let finding = Finding::new((Group::Heads, Severity::Problem), "rolled-back", what, why);
        return Some(finding.repair(format!(
            "cp {} .   # keep it: it is signed, and proves what was there",
            shell_path(&kept.latest)
        )));
    }
    let what = format!(
        "the tree of {stored} records that go remembers of {name} begins the one of {served} records"
    );
    let why = "this client was not shown another history";
    Some(Finding::new((Group::Heads, Severity::Note), "head-consistent", what, why))
}

/// The remembered head is not one of this key.
fn not_ours(database: &Database, kept: &Kept, error: &Error) -> Finding {
    let what = format!(
        "the head that go remembers of {} is not signed with the key in use: {error}",
        database.name()
    );
    let why = "go stops at the next lookup. Either the key in GOSUMDB is wrong, or the database changed \
               it: ask its operators, and only then make go forget what it remembers";
    Finding::new((Group::Heads, Severity::Problem), "head-of-another-key", what, why).repair(kept.forget())
}

/// Takes note of an answer that cannot be believed, and of a fork above all.
pub(crate) fn refused(report: &mut Report, database: &Database, kept: &Kept, error: &Error) {
    let name = database.name();
    if let Error::Misbehaved(evidence) = error {
        report.proven(keep_evidence(database, error));
        let (id, why) = match evidence.kind() {
            Kind::Fork => (
                "fork",
                "it, or whoever has its key, shows different people different logs, or changed what was \
                 logged. Stop using it, keep the evidence and the remembered head, tell its operators and \
                 the other users",
            ),
            _ => ("misbehaviour", "its own signature proves it. Keep the evidence, and tell its operators"),
        };
        let what = format!("{name}: {}: {}", evidence.kind().headline(), evidence.summary());
        let finding = Finding::new((Group::Heads, Severity::Problem), id, what, why);
        report.extend([finding.repair(format!("cp {} .", shell_path(&kept.latest)))]);
        return;
    }
    let why = without_credentials(&error.to_string());
    let what = format!("what {name} serves does not prove its head: {why}");
    let why = "go would stop here too. A proxy or cache in between serves damaged or old tiles, or the \
               database lies";
    let finding = Finding::new((Group::Heads, Severity::Problem), "head-unproven", what, why);
    report.extend([
        finding.repair("quipu-verify doctor --db 'KEY URL'   # the database itself instead of the proxy")
    ]);
}

/// The head that this program itself remembers of the database, from its other commands.
fn own_head(database: &Database) -> Option<Bytes> {
    if !database.dir().join("latest").is_file() {
        return None;
    }
    DirState::open(database.dir()).ok()?.latest().ok()?
}

/// A way to a database that says this head of it.
struct Saying {
    note: Bytes,
    way: Arc<dyn Transport>,
}

impl Transport for Saying {
    fn get<'a>(&'a self, path: &'a str, max_bytes: usize) -> Fetch<'a> {
        if path == "/latest" {
            return Box::pin(std::future::ready(Ok(self.note.clone())));
        }
        self.way.get(path, max_bytes)
    }
}

const MAX_NOTE: u64 = 1 << 20;
const MAX_FILES: usize = 10_000;
