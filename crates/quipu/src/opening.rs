//! Opening the log that the settings name: its directory, its keys, its store.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use quipu_ledger::{Guarded, Ledger, OpenError, OpenOptions, RealDisk, SealError, Vouch, read_identity};
use quipu_note::SignerKey;
use quipu_rocks::RocksStore;
use tracing::warn;

use crate::config::Config;
use crate::keys::{self, DataDir};
use crate::store;

const MIB: u64 = 1 << 20;

/// The data directory and the signing key, both made at the very first start.
///
/// # Errors
/// They are not of one log, or something says that there was another log before.
pub(crate) fn found(config: &Config) -> Result<(DataDir, SignerKey)> {
    let data = DataDir::new(config.data());
    refuse_to_start_over(config, &data)?;
    data.create()?;
    let signer = keys::signer(&data, config.set.key.as_deref(), config.set.name.as_deref())?;
    data.introduce(signer.verifier())?;
    Ok((data, signer))
}

/// Where something says that there was a log, and its store or its key are missing, nothing new is made: what the ledger
/// would refuse is refused before there is an empty store and its like to be mistaken for the log.
fn refuse_to_start_over(config: &Config, data: &DataDir) -> Result<()> {
    let (guard, key) = (config.guard(), config.set.key.clone().unwrap_or_else(|| data.signer()));
    ensure!(
        !guard.exists() || data.has_log() || key.exists(),
        "the guard {} knows a log, but {} holds neither its records nor its key: the data directory is wrong, or its \
         content is lost. Name the right directory (--data), or bring the log back with `quipu restore` and the key from \
         where you keep it; starting from nothing would fork the log",
        guard.display(),
        data.path().display()
    );
    if data.has_store_files() {
        return Ok(());
    }
    let names = || (guard.display().to_string(), data.path().display().to_string());
    let refusal = match Guarded::read(&RealDisk, &guard) {
        Ok(Some(known)) if known.head.size > 0 => {
            let (guard, data) = names();
            OpenError::GuardWithoutStore { guard, data, size: known.head.size }
        }
        Ok(None) if read_identity(&RealDisk, data.path())?.is_some() => {
            let (guard, data) = names();
            OpenError::StoreWithoutGuard { guard, data, size: 0 }
        }
        Ok(_) => return Ok(()),
        Err(SealError::Damaged(why)) => OpenError::GuardDamaged { file: names().0, why },
        Err(error) => return Err(error).with_context(|| format!("the guard {}", guard.display())),
    };
    Err(refusal.into())
}

/// Opens the log, or refuses; with what the operator vouches for.
///
/// # Errors
/// The store, a key or the log is refused.
pub(crate) fn open_ledger(
    config: &Config,
    data: &DataDir,
    signer: SignerKey,
    vouch: Vouch,
) -> Result<Ledger> {
    let log = &config.set.log;
    let mut options = quipu_rocks::Options::default();
    options.tell = |text| warn!("{text}");
    if let Some(mib) = log.cache_mib {
        options.cache_bytes = usize::try_from(u64::from(mib) * MIB).context("[log] cache_mib")?;
    }
    let store = RocksStore::open(data.log(), &options).map_err(|error| store::refused(error, data))?;
    let mut signers = vec![signer];
    for file in log.more_keys.as_deref().unwrap_or_default().split(',').filter(|file| !file.is_empty()) {
        signers.push(keys::load(Path::new(file))?.with_context(|| format!("there is no key {file}"))?);
    }
    let mut random = [0; 16];
    getrandom::fill(&mut random).context("no randomness")?;
    let mut open = OpenOptions::new(Arc::new(store), data.path(), signers, random);
    open.guard = config.guard();
    open.vouch = vouch;
    if let Some(mib) = log.reserve_mib {
        open.room.reserve = u64::from(mib) * MIB;
    }
    if let Some(appends) = config.set.limits.appends {
        open.limits.queue = appends.max(1);
    }
    Ok(Ledger::open(open)?)
}
