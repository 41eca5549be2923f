//! Taking module files into the cache of a data directory, each by the way that a fetched one goes: staged, checked,
//! admitted by the log or who vouches for it, and only then visible.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use quipu_fetch::{Cache, CacheOptions, Policy};
use quipu_ledger::{Ledger, Vouch};
use quipu_module::{ModuleVersion, Patterns};
use quipu_note::VerifierKey;
use quipu_server::{Admission, AuditLog, Other, Vouching};
use serde_json::json;
use tokio::task::{JoinSet, spawn_blocking};

use super::bundle::{self, Proven};
use super::source::{Shelf, Source};
use super::{Verdict, compare};
use crate::config::Config;
use crate::keys::DataDir;
use crate::opening;
use crate::output::tell;
use crate::progress::Progress;
use crate::serve;
use crate::upstream::{self, Myself, Upstream};
use crate::view::View;

/// Module versions under way at once.
const AT_ONCE: usize = 8;

/// How to import.
pub(super) struct How {
    /// Say what would happen, and change nothing.
    pub(super) dry_run: bool,
    /// Print the outcome as JSON.
    pub(super) json: bool,
    /// The key of the log that a bundle is of.
    pub(super) db: Option<VerifierKey>,
}

/// What became of files.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// How many were taken in.
    pub(super) taken: u64,
    /// How many were there already, and agree.
    pub(super) there: u64,
    /// What contradicts the log, who vouches for it, or what is stored.
    pub(super) refused: Vec<String>,
    /// What could not be decided or stored now.
    pub(super) failed: Vec<String>,
    /// How many versions the upstream database would be asked about, in a dry run.
    pub(super) unproven: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.taken = self.taken.saturating_add(other.taken);
        self.there = self.there.saturating_add(other.there);
        self.refused.extend(other.refused);
        self.failed.extend(other.failed);
        self.unproven = self.unproven.saturating_add(other.unproven);
    }

    fn tell(&self, versions: usize, how: &How) -> Result<Verdict> {
        self.refused.iter().for_each(|text| eprintln!("DIFFERS: {text}"));
        self.failed.iter().for_each(|text| eprintln!("not taken: {text}"));
        let (refused, failed) = (self.refused.len(), self.failed.len());
        if self.unproven > 0 {
            eprintln!("the upstream database will be asked about {} of the versions", self.unproven);
        }
        if how.json {
            tell(json!({
                "versions": versions, "dry_run": how.dry_run, "taken": self.taken, "there": self.there,
                "differing": self.refused, "failed": self.failed, "unproven": how.dry_run.then_some(self.unproven),
            }))?;
        } else {
            let taken = if how.dry_run { "would be taken in" } else { "taken in" };
            tell(format_args!(
                "{versions} module versions: {} files {taken}, {} there already, {refused} differ, {failed} not taken",
                self.taken, self.there
            ))?;
        }
        Ok(Verdict::of(refused, failed))
    }
}

/// Takes in what the source holds and prints what came of it.
///
/// # Errors
/// The data directory cannot be used, or a bundle is not of the log that it should be of.
pub(super) fn run(config: &Config, source: Arc<Source>, how: &How) -> Result<Verdict> {
    config.check_patterns()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start threads")?;
    if how.dry_run {
        runtime.block_on(foresee(config, source, how))
    } else {
        runtime.block_on(import(config, source, how))
    }
}

async fn import(config: &Config, source: Arc<Source>, how: &How) -> Result<Verdict> {
    let (data, signer) = opening::found(config)?;
    let verifier = signer.verifier().clone();
    let ledger = opening::open_ledger(config, &data, signer, Vouch::Nothing)
        .context("module files are taken into the data directory itself: stop its server for that time")?;
    let outcome = take_in(config, source, how, &Place { data, verifier, ledger: ledger.clone() }).await;
    // Also after an error: the store must be closed before the program ends.
    ledger.shutdown().await;
    outcome
}

/// Where files are taken in.
struct Place {
    data: DataDir,
    verifier: VerifierKey,
    ledger: Ledger,
}

async fn take_in(config: &Config, source: Arc<Source>, how: &How, place: &Place) -> Result<Verdict> {
    let Place { data, verifier, ledger } = place;
    let vouching = match bundle::prove(&source, data, how).await? {
        Proven::NoBundle => vouching(config, data, verifier)?,
        Proven::By(client) => Vouching {
            upstream: Some(client),
            policy: Policy::default(),
            prefer: false,
            ..vouching(config, data, verifier)?
        },
        Proven::Not(verdict) => return Ok(verdict),
    };
    let audit = data.audit();
    let audit =
        AuditLog::open(&audit).with_context(|| format!("cannot use the audit log {}", audit.display()))?;
    // Before anything is taken in, the cache publishes what a crash of the server left on its way.
    let admission = Admission::new(ledger.clone(), vouching).noting_in(audit);
    let cache = open_cache(config, data, verifier, (&source, &admission))?;
    cache.recover().await;
    take_all(&cache, &source, ledger).await?.tell(source.versions.len(), how)
}

/// About which modules the upstream database is not asked: private ones, and those that are published here, are nobody's
/// business but ours. What is taken in first counts.
fn policy(config: &Config) -> Result<Policy> {
    Ok(Policy::new(Patterns::default(), upstream::ours(&config.set)?))
}

/// The rules for new records, as they are for the server, but for [`policy`].
fn vouching(config: &Config, data: &DataDir, verifier: &VerifierKey) -> Result<Vouching> {
    let name = verifier.name().to_string();
    let instance = format!("{name}-{}", verifier.id());
    let myself = Myself { name: &name, instance: &instance, urls: Vec::new() };
    let upstream = Upstream::new(config, &myself)?;
    let mut others = Vec::new();
    if let Some(database) = &upstream.database {
        others.push(Other { name: database.name().to_owned(), client: upstream.verifier(database, data)? });
    }
    Ok(Vouching { policy: policy(config)?, ..serve::vouching(config, data, &upstream, &others) })
}

fn open_cache(
    config: &Config,
    data: &DataDir,
    verifier: &VerifierKey,
    (source, admission): (&Arc<Source>, &Admission),
) -> Result<Cache> {
    let options = CacheOptions {
        owner: verifier.to_string(),
        disk_floor: serve::disk_floor(config),
        ..CacheOptions::default()
    };
    let shelf = Arc::new(Shelf(Arc::clone(source)));
    Cache::open_root(&data.modules(), shelf, admission.admit(), options)
        .with_context(|| format!("cannot use the module cache {}", data.modules().display()))
}

async fn take_all(cache: &Cache, source: &Arc<Source>, ledger: &Ledger) -> Result<Tally> {
    let mut progress = Progress::new("module versions", source.versions.len() as u64);
    let (mut tally, mut tasks, mut done) = (Tally::default(), JoinSet::new(), 0);
    let versions: Vec<ModuleVersion> = source.versions.keys().cloned().collect();
    let mut versions = versions.into_iter();
    loop {
        while tasks.len() < AT_ONCE
            && let Some(version) = versions.next()
        {
            let (cache, source) = (cache.clone(), Arc::clone(source));
            tasks.spawn(async move { take(&cache, &source, &version).await });
        }
        let Some(taken) = tasks.join_next().await else { return Ok(tally) };
        tally.add(taken.context("a task ended by a fault in the program")?);
        if let Some(why) = ledger.status().stopped {
            bail!("the log stopped: {why}. What was taken in stays; start again");
        }
        done += 1;
        progress.show(done);
    }
}

/// Takes the files of one version, up to the first that cannot be taken.
async fn take(cache: &Cache, source: &Arc<Source>, version: &ModuleVersion) -> Tally {
    let mut tally = Tally::default();
    let kinds = source.versions.get(version).into_iter().flat_map(|names| names.kinds());
    for kind in kinds {
        let good = match cache.open(version, kind) {
            Ok(Some(stored)) => {
                let (source, version) = (Arc::clone(source), version.clone());
                let compare = move || compare::difference(&source, &version, kind, &stored);
                note_there(&mut tally, spawn_blocking(compare).await)
            }
            Ok(None) => note_taken(&mut tally, version, cache.file(version, kind).await.map(drop)),
            Err(error) => note_taken(&mut tally, version, Err(error)),
        };
        // Without its go.mod a zip cannot be taken for the same reason; an .info is no use alone.
        if !good {
            break;
        }
    }
    tally
}

fn note_there(tally: &mut Tally, found: Result<Result<Option<String>>, tokio::task::JoinError>) -> bool {
    match found {
        Ok(Ok(None)) => tally.there += 1,
        Ok(Ok(Some(text))) => tally.refused.push(text),
        Ok(Err(error)) => tally.failed.push(format!("{error:#}")),
        Err(_) => tally.failed.push("a comparison ended by a fault in the program".to_owned()),
    }
    tally.refused.is_empty() && tally.failed.is_empty()
}

fn note_taken(tally: &mut Tally, version: &ModuleVersion, taken: quipu_fetch::Result<()>) -> bool {
    match taken {
        Ok(()) => tally.taken += 1,
        Err(error) => {
            let named = error.text().contains(version.path().as_str());
            let text = if named { error.to_string() } else { error.about(version).to_string() };
            if error.kind().is_wrong() { tally.refused.push(text) } else { tally.failed.push(text) }
        }
    }
    tally.refused.is_empty() && tally.failed.is_empty()
}

/// Says what an import would do, by what the log and the cache hold; also beside a running server.
async fn foresee(config: &Config, source: Arc<Source>, how: &How) -> Result<Verdict> {
    let data = DataDir::new(config.data());
    let asked = match bundle::prove(&source, &data, how).await? {
        Proven::Not(verdict) => return Ok(verdict),
        Proven::NoBundle if upstream::has_database(&config.set)? => Some(policy(config)?),
        Proven::NoBundle | Proven::By(_) => None,
    };
    let versions = source.versions.len();
    let work = move || {
        let view = View::open(&data)?;
        let mut progress = Progress::new("module versions", versions as u64);
        let mut tally = Tally::default();
        for (done, version) in (1..).zip(source.versions.keys()) {
            let mut foreseen = compare::foresee(&source, version, view.as_ref(), &data.modules())?;
            if asked.as_ref().is_none_or(|policy| policy.is_unverified(version.path())) {
                foreseen.unproven = 0;
            }
            tally.add(foreseen);
            progress.show(done);
        }
        Ok::<_, anyhow::Error>(tally)
    };
    spawn_blocking(work).await.context("the comparison ended by a fault in the program")??.tell(versions, how)
}
