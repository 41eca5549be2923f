//! `quipu restore`: records brought back from a backup and newer copies, accepted only if they make the tree that was
//! guarded; or, without a backup, the operator's word on a moved directory or a lost guard.

mod source;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use quipu_ledger::{Guarded, Head, Micros, RealDisk, Store as _, Vouch};
use quipu_note::SignerKey;
use quipu_rocks::RocksStore;

use crate::cli;
use crate::config::Config;
use crate::keys::{self, DataDir};
use crate::opening::open_ledger;
use crate::output::tell;
use crate::progress::Progress;
use crate::replay::{PIECE, Replay};
use crate::store;
use source::Source;

/// Restores, and says what came of it.
///
/// # Errors
/// What kept it from being done; the data directory holds no log then that it did not hold before.
pub(crate) fn run(args: cli::Restore) -> Result<ExitCode> {
    let config = Config::resolve(args.configured.settings, args.configured.config.as_deref())?;
    let data = DataDir::new(config.data());
    let vouch = match (args.moved, args.new_guard) {
        (true, _) => Vouch::Moved,
        (_, true) => Vouch::NewGuard,
        _ => Vouch::Nothing,
    };
    let Some(from) = &args.from else {
        ensure!(data.has_log(), "{} holds no log: name the backup to restore from", data.path().display());
        return settle(&config, &data, vouch);
    };
    let servers = args.newer.iter().filter(|newer| newer.contains("://")).count();
    ensure!(
        args.token.token_file.is_none() || servers <= 1,
        "a token is for one server: name one URL with --newer, or no token (--token-file, QUIPU_TOKEN_FILE)"
    );
    let from = DataDir::new(from);
    let guarded = guarded(&config, vouch)?;
    prepare(&data, &from)?;
    let signer = signer(&config, &data)?;
    let mut sources = vec![Source::dir(&from, &signer)?];
    for newer in &args.newer {
        sources.push(Source::new(newer, &signer, &args.token)?);
    }
    let work = data.path().join("log.restoring");
    if work.exists() {
        fs::remove_dir_all(&work).with_context(|| format!("cannot clear {}", work.display()))?;
    }
    let outcome = rebuild(&sources, guarded, &work).and_then(|verdict| match verdict {
        None => {
            fs::rename(&work, data.log()).context("cannot put the restored log in its place").map(|()| None)
        }
        different => Ok(different),
    });
    if let Ok(None) = outcome {
        let vouch = if vouch == Vouch::Nothing { Vouch::Moved } else { vouch };
        return settle(&config, &data, vouch);
    }
    let _ = fs::remove_dir_all(&work);
    if let Some(different) = outcome? {
        eprintln!("{different}");
        return Ok(ExitCode::from(4));
    }
    Ok(ExitCode::FAILURE)
}

/// Opens the log with the operator's word, which writes guard and identity anew and signs the head; closes it again.
fn settle(config: &Config, data: &DataDir, vouch: Vouch) -> Result<ExitCode> {
    let signer = signer(config, data)?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let head = runtime.block_on(async {
        let ledger = open_ledger(config, data, signer, vouch)?;
        let head = ledger.head();
        ledger.shutdown().await;
        anyhow::Ok(head)
    })?;
    tell(format_args!(
        "{} holds the log of {} records, root {}, guarded by {}. Start it: quipu serve --data {}",
        data.path().display(),
        head.size(),
        head.head.root,
        config.guard().display(),
        data.path().display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The head to be reached; none if the operator vouches that the guard is lost.
fn guarded(config: &Config, vouch: Vouch) -> Result<Option<Head>> {
    let file = config.guard();
    let guard = Guarded::read(&RealDisk, &file).with_context(|| format!("the guard {}", file.display()))?;
    match (guard, vouch) {
        (Some(_), Vouch::NewGuard) => {
            bail!("there is a guard {}: it stays as long as it can be read", file.display())
        }
        (Some(guard), _) => Ok(Some(guard.head)),
        (None, Vouch::NewGuard) => Ok(None),
        (None, _) => bail!(
            "there is no guard {}: without it nobody can tell which head the records must lead to. Name the right one \
             (--guard); if it is lost, make sure that no client or mirror knows a larger head than these copies, name \
             every newer copy (--newer), and say so with --new-guard",
            file.display()
        ),
    }
}

/// Makes the data directory a place to restore into: no log, and the name and key of the one to come.
fn prepare(data: &DataDir, from: &DataDir) -> Result<()> {
    set_aside_empty(data)?;
    ensure!(
        !data.log().exists(),
        "{} is there: keep what it holds and move it away (mv {} {}.before-restore), then restore again",
        data.log().display(),
        data.log().display(),
        data.log().display()
    );
    let verifier = from.verifier()?;
    data.create()?;
    data.introduce(&verifier)
}

/// A very first start that was interrupted leaves a store without any records behind.
fn set_aside_empty(data: &DataDir) -> Result<()> {
    let Ok(store) = RocksStore::open_read_only(data.log(), &store::options()) else {
        return Ok(());
    };
    if store.head()?.is_some() {
        return Ok(());
    }
    drop(store);
    let aside = data.path().join("log.empty");
    if aside.exists() {
        fs::remove_dir_all(&aside).with_context(|| format!("cannot remove {}", aside.display()))?;
    }
    fs::rename(data.log(), &aside).with_context(|| format!("cannot set {} aside", data.log().display()))
}

/// The signing key, which a restore needs and never makes.
fn signer(config: &Config, data: &DataDir) -> Result<SignerKey> {
    let file = config.set.key.clone().unwrap_or_else(|| data.signer());
    let key = keys::load(&file)?.with_context(|| {
        format!(
            "the signing key {} is missing; a backup holds none. Put it there (mode 0400) or name it (--key): without it \
             the log cannot go on",
            file.display()
        )
    })?;
    data.introduce(key.verifier())?;
    Ok(key)
}

/// Writes the records of all sources, one after the other, up to the guarded head. A sentence if they do not lead there.
fn rebuild(sources: &[Source], guarded: Option<Head>, work: &Path) -> Result<Option<String>> {
    let most = sources.iter().max_by_key(|source| source.signed());
    if let (Some(guarded), Some(most)) = (guarded, most)
        && most.signed() > guarded.size
    {
        bail!(
            "{most} has a signed head of {} records, the guard only remembers {}: the guard is an older copy. Name the right \
             one (--guard); going on from this one would fork the log",
            most.signed(),
            guarded.size
        );
    }
    let end = guarded.map_or_else(|| sources.iter().map(Source::size).max().unwrap_or(0), |head| head.size);
    let time = if end == 0 { guarded.map_or(0, |head| head.time) } else { 0 };
    let mut replay =
        Replay::begin(work, time, sources.first().map(|source| source.notes(0)).transpose()?.flatten())?;
    let mut progress = Progress::new("records", end);
    let mut untimed = 0;
    for source in sources {
        while replay.head().size < end.min(source.size()) {
            let first = replay.head().size;
            let last = end.min(source.size()).min((first / PIECE + 1) * PIECE);
            let records = source.records(first..last)?;
            untimed += records.iter().filter(|(time, _)| time.is_none()).count();
            let times = Times { after: replay.head().time, end, latest: guarded.map(|head| head.time) };
            let records = times.fill(first, records);
            let notes = (first + 1..=last).map(|size| source.notes(size));
            let notes = notes.filter_map(Result::transpose).collect::<Result<_>>()?;
            replay.append(records, notes).with_context(|| source.to_string())?;
            progress.show(last);
        }
    }
    drop(progress);
    if untimed > 0 {
        eprintln!(
            "{untimed} records came from copies that do not know their times: they got times after those before them"
        );
    }
    Ok(guarded.and_then(|guarded| differs(replay.head(), &guarded)))
}

/// Times for records from copies that have none: as late as the guarded head allows, always rising.
struct Times {
    after: Micros,
    end: u64,
    latest: Option<Micros>,
}

impl Times {
    fn fill(&self, first: u64, records: Vec<(Option<Micros>, bytes::Bytes)>) -> Vec<(Micros, bytes::Bytes)> {
        let mut last = self.after;
        let records = (first..).zip(records).map(|(index, (time, text))| {
            let to_come = self.end.saturating_sub(index).saturating_sub(1);
            let latest = self.latest.map_or(0, |latest| latest.saturating_sub(to_come));
            last = time.unwrap_or_else(|| latest.max(last.saturating_add(1)));
            (last, text)
        });
        records.collect()
    }
}

fn differs(head: &Head, guarded: &Head) -> Option<String> {
    let Head { size, root, .. } = guarded;
    let problem = if head.size < *size {
        format!("the copies hold {} records, but a head of {size} may have been signed", head.size)
    } else if head.root != *root {
        format!("{size} records make the root {}, but {root} may have been signed", head.root)
    } else {
        return None;
    };
    Some(format!(
        "NOT RESTORED: {problem}. Name a newer copy (--newer: another quipu, a mirror, another backup). If there is none, this \
         log is closed for ever under its name, because going on would show two histories under one key. Its records stay \
         valid and can be served from a mirror. To open a successor: `quipu serve --data NEW-DIRECTORY --name NEW-NAME` makes a \
         new key and an empty log; `quipu import` fills it from the go.sum files there are; and clients need its new GOSUMDB line"
    ))
}
