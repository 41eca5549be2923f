//! `quipu fsck`: everything that can be known of a log from its files, compared with everything else.
//!
//! The store is read as it is on the disk, also beside a running server. Every row is read with its checksums; the
//! verifier's checker goes over all records and hash tiles up to the root; every record must be found by its key; every
//! signed head that was kept must be signed by the log's key and have the root of the tree; the guard must remember a head of
//! this very tree; and name, key and identity files must tell of the same log. So what a flipped bit changes is found,
//! or it lies where nothing of the log is.

mod fork;
mod heads;
mod source;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use quipu_ledger::{Guarded, Head, RealDisk, Store as _, default_guard, read_identity};
use quipu_note::VerifierKey;
use quipu_rocks::{OpenError, RocksStore};
use quipu_tlog::{Hash, Tree};
use quipu_verify::check::{CheckError, GoSum, Options, check_log};

use crate::cli;
use crate::keys::{self, DataDir};
use crate::progress::Progress;
use crate::store;
use source::Source;
use verdict::{Findings, Verdict};

/// Checks a log and prints the verdict.
///
/// # Errors
/// What kept it from being checked.
pub(crate) fn run(args: &cli::Fsck) -> Result<ExitCode> {
    let started = Instant::now();
    let guard = args.guard.clone().unwrap_or_else(|| default_guard(&args.dir));
    let data = DataDir::new(&args.dir);
    let mut verdict =
        check(&data, guard).with_context(|| format!("{} could not be checked", args.dir.display()))?;
    verdict.keep_evidence(&data.evidence());
    verdict.tell(started.elapsed(), args.json)
}

/// Checks a log without printing anything but its progress.
///
/// # Errors
/// What kept it from being checked.
pub(crate) fn check(data: &DataDir, guard: PathBuf) -> Result<Verdict> {
    Fsck { data: data.clone(), guard }.check()
}

struct Fsck {
    data: DataDir,
    guard: PathBuf,
}

/// What the small files say.
struct Card {
    name: String,
    keys: Vec<VerifierKey>,
}

impl Fsck {
    fn check(&self) -> Result<Verdict> {
        let mut found = Findings::default();
        let verifier = self.data.verifier()?;
        // The guard follows the store, so it is read first and again after the store was opened.
        let before = self.guarded(&mut found)?;
        let card = self.card(&verifier, before.as_ref(), &mut found)?;
        let mut verdict = Verdict::new(self.data.path(), &card.name, before.as_ref().map(|guard| guard.head));
        if let Some(store) = self.open(before.as_ref(), &mut found)? {
            let after = self.guarded(&mut found)?;
            let head = store.head()?.unwrap_or(EMPTY);
            self.compare_guard(before.as_ref(), after.as_ref(), &head, &mut found);
            verdict.tree = Tree { size: head.size, root: head.root };
            check_store(&store, &head, &mut found)?;
            let guarded = before.as_ref().map(|guard| guard.head).filter(|guard| guard.size <= head.size);
            verdict.heads = heads::check(&store, &head, guarded, &card, &mut found)?;
        }
        Ok(verdict.finish(found))
    }

    fn guarded(&self, found: &mut Findings) -> Result<Option<Guarded>> {
        let mut last = None;
        // What is being overwritten just now may look damaged once, not three times.
        for _ in 0..3 {
            match Guarded::read(&RealDisk, &self.guard) {
                Ok(guard) => return Ok(guard),
                Err(quipu_ledger::SealError::Damaged(why)) => last = Some(why),
                Err(error) => {
                    return Err(error).with_context(|| format!("the guard {}", self.guard.display()));
                }
            }
        }
        found.add(format!("guard {}: {}", self.guard.display(), last.unwrap_or_default()));
        Ok(None)
    }

    /// Name, verifier key, identity, guard and signing key must be of one log.
    fn card(&self, verifier: &VerifierKey, guard: Option<&Guarded>, found: &mut Findings) -> Result<Card> {
        let name = verifier.name().to_string();
        if let Some(other) = self.data.name()?.filter(|other| *other != name) {
            found.add(format!("file name: it says {other}, the verifier key is that of {name}"));
        }
        let mut keys = vec![verifier.clone()];
        let identity = match read_identity(&RealDisk, self.data.path()) {
            Ok(identity) => identity.map(|(identity, _)| identity),
            Err(error @ quipu_ledger::OpenError::GuardDamaged { .. }) => {
                found.add(error.to_string());
                None
            }
            Err(error) => return Err(error.into()),
        };
        if let (Some(identity), Some(guard)) = (&identity, guard)
            && identity.instance != guard.identity.instance
        {
            found.add(format!(
                "ledger.id: founded as {}, the guard as {}",
                identity.instance, guard.identity.instance
            ));
        }
        for identity in identity.iter().chain(guard.map(|guard| &guard.identity)) {
            if identity.name != name {
                found.add(format!(
                    "the identity is that of {}, the verifier key that of {name}",
                    identity.name
                ));
            }
            // A key that is there twice would be ambiguous.
            for key in identity.keys.iter().filter_map(|key| key.parse::<VerifierKey>().ok()) {
                if key.name() == verifier.name() && !keys.contains(&key) {
                    keys.push(key);
                }
            }
            if !identity.keys.contains(&verifier.to_string()) {
                found.add(format!("the keys of the log are {}, not {verifier}", identity.keys.join(" and ")));
            }
        }
        self.signing_key(verifier, found);
        Ok(Card { name, keys })
    }

    fn signing_key(&self, verifier: &VerifierKey, found: &mut Findings) {
        match keys::load(&self.data.signer()) {
            Ok(Some(key)) if key.verifier() != verifier => {
                found.add(format!("signer.key: its verifier key is {}, not {verifier}", key.verifier()));
            }
            Ok(_) => {}
            // Whoever checks need not be able to sign.
            Err(error) if unreadable(&error) => {}
            Err(error) => found.add(format!("{error:#}")),
        }
    }

    fn open(&self, guard: Option<&Guarded>, found: &mut Findings) -> Result<Option<RocksStore>> {
        match RocksStore::open_read_only(self.data.log(), &store::options()) {
            Ok(store) => Ok(Some(store)),
            Err(OpenError::Read(quipu_ledger::ReadError::Corrupt(why))) => {
                found.add(format!("the store does not open: {why}"));
                Ok(None)
            }
            Err(OpenError::Missing(dir)) if guard.is_some_and(|guard| guard.head.size > 0) => {
                found.add(format!("{dir}: there is no store, but a guard"));
                Ok(None)
            }
            Err(error) => Err(store::refused(error, &self.data)),
        }
    }

    /// What was guarded before the store was opened is in the store; what is in the store was guarded soon after.
    fn compare_guard(
        &self,
        before: Option<&Guarded>,
        after: Option<&Guarded>,
        head: &Head,
        found: &mut Findings,
    ) {
        let (Some(before), Some(after)) = (before, after) else {
            if !self.data.is_backup() {
                found.add(format!("there is no guard {}: name it with --guard", self.guard.display()));
            }
            return;
        };
        let guarded = before.head.size;
        if guarded > head.size {
            found.add(format!("the store ends at record {}, but a head of {guarded} was guarded", head.size));
        }
        if head.size.saturating_sub(after.head.size) > MAX_ROUND {
            found.add(format!(
                "the store has {} records, the guard knows only {}",
                head.size, after.head.size
            ));
        }
    }
}

/// Rows, records, tiles and root.
fn check_store(store: &RocksStore, head: &Head, found: &mut Findings) -> Result<()> {
    let mut rows = Progress::new("records (reading every row)", head.size);
    match store.scrub(|progress| rows.show(progress.rows.min(head.size))) {
        Ok(scrubbed) => scrubbed.torn.into_iter().for_each(|torn| found.note(torn)),
        Err(error) => found.read(error)?,
    }
    drop(rows);
    let mut records = Progress::new("records", head.size);
    let source = Source(store);
    let signed = Tree { size: head.size, root: head.root };
    match check_log(&source, &signed, GoSum, Options::default(), |done| records.show(done)) {
        Ok(report) => found.report(&report),
        Err(CheckError::Records { range, error }) => {
            found.at(&format!("records {} to {}", range.start, range.end - 1), error)?
        }
        Err(CheckError::Tile { tile, error }) => found.at(&tile.to_string(), error)?,
        Err(error @ CheckError::Count { .. }) => found.add(error.to_string()),
    }
    Ok(())
}

fn unreadable(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::PermissionDenied)
}

/// A store can be ahead of its guard by one round, and no round has more records.
const MAX_ROUND: u64 = 65_536;

const EMPTY: Head = Head { size: 0, root: Hash::EMPTY_TREE, time: 0 };
