//! Bundles on their way in: everything in them is proven by the signed head before anything is taken.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use quipu_fetch::FileKind;
use quipu_module::{ModuleVersion, Record};
use quipu_note::VerifierKey;
use quipu_verify as verify;
use quipu_verify::State as _;
use serde_json::json;
use tokio::task::{JoinSet, spawn_blocking};

use super::source::Source;
use super::take::How;
use super::{Verdict, compare};
use crate::bundle::{Entry, Manifest, database};
use crate::files::{Files, digest};
use crate::keys::DataDir;
use crate::output::tell;
use crate::progress::Progress;

/// Records proven at once.
const AT_ONCE: usize = 8;

/// Most faults that are named.
const MAX_FAULTS: usize = 100;

/// Whether a source is proven.
pub(super) enum Proven {
    /// It is no bundle: others have to vouch for it.
    NoBundle,
    /// All of it, by this client of the bundle's log.
    By(verify::Client),
    /// It is not; the reasons are printed.
    Not(Verdict),
}

/// Proves a bundle: its head is signed by the key and continues the head seen last; each version's record is in that tree;
/// each file has the hash of its record, and the bytes that the manifest says.
///
/// # Errors
/// No key is known for it, or it cannot be read.
pub(super) async fn prove(source: &Arc<Source>, data: &DataDir, how: &How) -> Result<Proven> {
    let Some(manifest) = &source.manifest else { return Ok(Proven::NoBundle) };
    let key = key(manifest, data, how)?;
    let client = client(source, &key, data, how)?;
    let mut faults = Vec::new();
    match client.refresh().await {
        Ok(head) if head.served.tree() == manifest.head => check_all(&client, source, &mut faults).await?,
        Ok(head) => faults.push(format!(
            "its head has {} records, the manifest says {}",
            head.served.size(),
            manifest.head.size
        )),
        Err(verify::Error::Misbehaved(evidence)) => return accuse(data, &evidence, how),
        Err(error) => faults.push(explain(&error, data, key.name().as_str())),
    }
    if faults.is_empty() {
        let files = (Arc::clone(source), manifest.files.clone());
        faults = spawn_blocking(move || check_bytes(&files.0.files, &files.1)).await.context("a fault")??;
    }
    if faults.is_empty() {
        return Ok(Proven::By(client));
    }
    faults.iter().for_each(|fault| eprintln!("REFUSED: {fault}"));
    if how.json {
        tell(json!({ "versions": source.versions.len(), "taken": 0, "refused": faults }))?;
    } else {
        tell("the bundle is refused; nothing of it was taken in")?;
    }
    Ok(Proven::Not(Verdict::Differs))
}

/// The key that the bundle must be signed with: the one named, else that of this very log.
fn key(manifest: &Manifest, data: &DataDir, how: &How) -> Result<VerifierKey> {
    let own = || data.verifier().ok().filter(|own| own.name() == manifest.database.name());
    let key = how.db.clone().or_else(own).with_context(|| {
        format!(
            "the bundle is of {}: say with --db that log's key, as you have it from its operator",
            manifest.database.name()
        )
    })?;
    ensure!(key == manifest.database, "the bundle says it is of {}, but the key is {key}", manifest.database);
    Ok(key)
}

fn client(source: &Arc<Source>, key: &VerifierKey, data: &DataDir, how: &How) -> Result<verify::Client> {
    let carried = Carried { files: source.files.clone(), prefix: database(key.name().as_str()) };
    let dir = data.sumdb(key.name().as_str());
    let state: Arc<dyn verify::State> = if how.dry_run {
        let memory = verify::MemoryState::new();
        let seen = if dir.exists() { verify::DirState::open(&dir)?.latest()? } else { None };
        seen.map_or(Ok(true), |note| memory.replace_latest(None, &note))?;
        Arc::new(memory)
    } else {
        Arc::new(verify::DirState::open(&dir).with_context(|| format!("cannot use {}", dir.display()))?)
    };
    Ok(verify::Client::new(vec![key.clone()], Arc::new(carried), state, verify::Limits::default())?)
}

/// Checks every version: its record, and its files against that.
async fn check_all(client: &verify::Client, source: &Arc<Source>, faults: &mut Vec<String>) -> Result<()> {
    let mut progress = Progress::new("module versions proven", source.versions.len() as u64);
    let (mut tasks, mut done) = (JoinSet::new(), 0);
    let mut versions = source.versions.keys();
    loop {
        while tasks.len() < AT_ONCE
            && faults.len() < MAX_FAULTS
            && let Some(version) = versions.next()
        {
            let (client, source, version) = (client.clone(), Arc::clone(source), version.clone());
            tasks.spawn(async move { check(&client, source, &version).await });
        }
        let Some(found) = tasks.join_next().await else { return Ok(()) };
        faults.extend(found.context("a check ended by a fault in the program")??);
        done += 1;
        progress.show(done);
    }
}

async fn check(client: &verify::Client, source: Arc<Source>, version: &ModuleVersion) -> Result<Vec<String>> {
    let complete =
        source.versions.get(version).is_some_and(|names| names.kinds().any(|kind| kind == FileKind::GoMod));
    if !complete {
        return Ok(vec![format!("{version}: there is no .mod, so nothing that a record could prove")]);
    }
    match client.lookup(version).await {
        Ok(verified) => {
            let record: Record = verified.record.record().clone();
            spawn_blocking(move || compare::with_record(&source, &record)).await.context("a fault")?
        }
        Err(error) => Ok(vec![format!("{version}: {error}")]),
    }
}

/// Finds what is missing or has other bytes than the manifest says: damage that no record tells of, as in an `.info`.
fn check_bytes(files: &Files, entries: &BTreeMap<String, Entry>) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for (name, entry) in entries {
        match files.find(name)? {
            Some(piece) if piece.len() == entry.length && digest(piece.clone())? == entry.sha256 => {}
            Some(_) => faults.push(format!("{name}: not the bytes that the manifest tells of")),
            None => faults.push(format!("{name}: in the manifest, but not there")),
        }
        if faults.len() >= MAX_FAULTS {
            break;
        }
    }
    Ok(faults)
}

fn explain(error: &verify::Error, data: &DataDir, name: &str) -> String {
    match error {
        verify::Error::Unavailable(failure) => format!(
            "{failure}: the bundle does not show that its head continues the one seen here before. Export it with --since \
             {}/latest (a copy of that file), or with --all",
            data.sumdb(name).display()
        ),
        other => other.to_string(),
    }
}

fn accuse(data: &DataDir, evidence: &verify::Evidence, how: &How) -> Result<Proven> {
    let file = verify::EvidenceDir::new(&data.evidence()).put(evidence);
    let file = file.context("misbehaviour is proven, but its evidence cannot be kept")?.file;
    eprintln!("MISBEHAVIOUR PROVEN: {}: {}", evidence.kind().headline(), evidence.summary());
    if how.json {
        tell(json!({ "taken": 0, "evidence": file }))?;
    } else {
        tell(format_args!("evidence: {}", file.display()))?;
    }
    Ok(Proven::Not(Verdict::Misbehaved))
}

/// The resources of a database as a bundle carries them.
struct Carried {
    files: Files,
    prefix: String,
}

impl Carried {
    fn read(&self, path: &str, max_bytes: usize) -> Result<Bytes, verify::TransportError> {
        use verify::TransportError::{NotFound, TooLarge, Unavailable};
        let name = format!("{}{path}", self.prefix);
        match self.files.read(&name, u64::try_from(max_bytes).unwrap_or(u64::MAX)) {
            Ok(Some(body)) => Ok(body.into()),
            // A tile that is not there may be elsewhere; a record that is not there was not exported.
            Ok(None) if path.starts_with("/lookup/") => Err(NotFound("not in the bundle".to_owned())),
            Ok(None) => Err(Unavailable("not in the bundle".to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => Err(TooLarge(max_bytes)),
            Err(error) => Err(Unavailable(error.to_string())),
        }
    }
}

impl verify::Transport for Carried {
    fn get<'a>(&'a self, path: &'a str, max_bytes: usize) -> verify::Fetch<'a> {
        Box::pin(std::future::ready(self.read(path, max_bytes)))
    }
}
