//! The steps of an audit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fmt, io, thread};

use quipu_note::VerifierKey;
use quipu_tlog::{TILE_WIDTH, Tile, TileLevel};

use super::accuser::Accuser;
use super::crown::Crown;
use super::findings::{Finding, Findings};
use super::leaves::Leaves;
use super::parallel::parallel;
use super::reader::{Reader, Trouble};
use super::runs::Twins;
use super::sorter::Sorter;
use super::source::{Layout, Source};
use super::state::AuditState;
use super::twins::{MAX_SUSPECTS, Recheck};
use crate::check::Rules;
use crate::client::Limits;
use crate::error::Error;
use crate::evidence::Evidence;
use crate::head::SignedHead;
use crate::timeline;

/// How to go about an audit.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What is not exceeded; [`Limits::parallel`] means nothing here.
    pub limits: Limits,
    /// Threads that read and hash; over a network as many as there should be requests in flight.
    pub threads: usize,
    /// Data tiles after which progress is saved. Sixteen bytes for each record of so many are held in memory.
    pub step: u64,
}

impl Default for Options {
    /// As many threads as there are processors; progress is saved every 2,097,152 records (32 MiB of memory).
    fn default() -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        Self { limits: Limits::default(), threads, step: 8192 }
    }
}

/// How far an audit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Records known before this run, which are not read again.
    pub known: u64,
    /// Records that are done, with those.
    pub done: u64,
    /// Records of the log.
    pub total: u64,
}

/// The outcome of an audit that could be carried through.
#[derive(Clone, Debug)]
pub struct Report {
    /// The head that the log has now.
    pub head: SignedHead,
    /// Records that earlier runs had checked.
    pub known: u64,
    /// The log has shrunk: nothing was checked.
    pub rollback: Option<Rollback>,
    /// What is wrong with the log, in its order; of each kind at most some dozens.
    pub findings: Vec<Finding>,
    /// How many more there are.
    pub more: u64,
    /// Records that could not be checked because a tile above or around them is wrong.
    pub unchecked: u64,
}

/// A head smaller than one seen before.
#[derive(Clone, Debug)]
pub struct Rollback {
    /// The largest head seen, of an earlier run.
    pub seen: SignedHead,
    /// Why it could not be checked whether the larger tree begins with the smaller one; none if it does.
    pub unproven: Option<String>,
}

impl Report {
    /// Whether everything is as it should be.
    pub fn is_good(&self) -> bool {
        self.rollback.is_none() && self.findings.is_empty() && self.unchecked == 0
    }

    /// Proof, among the findings, that the log's key has signed what it must not; the first one.
    pub fn misbehaviour(&self) -> Option<&Arc<Evidence>> {
        misbehaviour(&self.findings)
    }
}

impl fmt::Display for Rollback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a head of {} records was seen before", self.seen.size())
    }
}

/// Audits the log of `source`, whose heads are signed with one of `keys`: all of it, or what `state` does not know yet.
///
/// `progress` is told of each data tile, from several threads at once.
///
/// # Errors
/// [`Error::Misbehaved`] if the log has signed two trees that cannot both be true; the others if the audit cannot be
/// carried through, which says nothing about what was not reached. What is wrong with the tiles and records of the log is
/// in the report; if there is none because the audit broke off, what is proven by then is [`Error::Misbehaved`] too.
pub fn audit<R: Rules>(
    source: &dyn Source,
    (keys, rules): (&[VerifierKey], &R),
    state: &mut AuditState,
    options: &Options,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Report, Error> {
    let outcome = attempt(source, (keys, rules), state, options, progress);
    state.restore();
    outcome
}

fn attempt<R: Rules>(
    source: &dyn Source,
    (keys, rules): (&[VerifierKey], &R),
    state: &mut AuditState,
    options: &Options,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Report, Error> {
    let reader = Reader::new(source, options.limits);
    let findings = Findings::default();
    let head = reader.head(keys)?;
    let seen = state.heads()?.into_iter().map(|note| open_seen(&reader, note, keys));
    let seen = seen.collect::<Result<Vec<_>, _>>()?;
    seen.iter().try_for_each(|seen| timeline::compare_sizes(keys, seen, &head))?;
    let known = state.done;
    if let Some(seen) = seen.iter().filter(|seen| seen.size() > head.size()).max_by_key(|seen| seen.size()) {
        let unproven = compare_older(&reader, keys, &head, seen)?;
        let rollback = Some(Rollback { seen: seen.clone(), unproven });
        return Ok(Report { head, known, rollback, findings: Vec::new(), more: 0, unchecked: 0 });
    }
    let crown = Crown::new(&reader, &findings, head.tree())?;
    let mut outcome = Ok(());
    if let Some(crown) = &crown {
        seen.iter().try_for_each(|seen| timeline::compare(keys, seen, &head, crown))?;
        state.remember(head.note())?;
        let run = Run { reader: &reader, crown, findings: &findings, rules, options, progress };
        outcome = run.all(state);
    }
    let mut found = findings.take();
    // Evidence holds heads of the checksum database, not checkpoints.
    if source.layout() == Layout::Sumdb {
        Accuser { keys, head: &head, crown: crown.as_ref() }.accuse(&mut found.findings);
    }
    if let Err(error) = outcome {
        // Whoever is convicted does not get away by falling silent.
        return Err(misbehaviour(&found.findings).cloned().map_or(error, Error::Misbehaved));
    }
    let (more, unchecked) = (found.more, found.unchecked);
    Ok(Report { head, known, rollback: None, findings: found.findings, more, unchecked })
}

fn misbehaviour(findings: &[Finding]) -> Option<&Arc<Evidence>> {
    findings
        .iter()
        .filter_map(|finding| finding.evidence.as_ref())
        .find(|evidence| evidence.kind().is_signed())
}

/// Opens the head of the state. If that fails no other head may be believed, for it could be a fork.
fn open_seen(reader: &Reader<'_>, note: bytes::Bytes, keys: &[VerifierKey]) -> Result<SignedHead, Error> {
    let what = "head seen before";
    reader
        .open(what, note, keys)
        .map_err(|e| Error::state(what, format_args!("{e} (has the log changed its key?)")))
}

/// Checks that the tree seen before begins with the smaller one that is served now, as far as the tiles can be had.
fn compare_older(
    reader: &Reader<'_>,
    keys: &[VerifierKey],
    head: &SignedHead,
    seen: &SignedHead,
) -> Result<Option<String>, Error> {
    let findings = Findings::default();
    let outcome = match Crown::new(reader, &findings, seen.tree()) {
        Ok(Some(crown)) => timeline::compare(keys, head, seen, &crown),
        Ok(None) => return Ok(Some("the tiles served do not lead to the larger tree".to_owned())),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => Ok(None),
        Err(error @ Error::Misbehaved(_)) => Err(error),
        Err(error) => Ok(Some(error.to_string())),
    }
}

struct Run<'a, R> {
    reader: &'a Reader<'a>,
    crown: &'a Crown<'a>,
    findings: &'a Findings,
    rules: &'a R,
    options: &'a Options,
    progress: &'a (dyn Fn(Progress) + Sync),
}

impl<R: Rules> Run<'_, R> {
    fn all(&self, state: &mut AuditState) -> Result<(), Error> {
        let (known, size) = (state.done, self.crown.tree().size);
        let done = AtomicU64::new(known);
        let step = self.options.step.max(1).saturating_mul(TILE_WIDTH.into());
        if known < size {
            self.probe(known)?;
        }
        while state.done < size {
            let end = (state.done / step * step).saturating_add(step).min(size);
            self.step(state, end, &done, known)?;
            state.done = end;
            // Beyond a fault nothing counts as done: the next audit shall find it again. After the last step comes more.
            if end < size && self.findings.is_empty() {
                state.save()?;
            }
        }
        self.settle(state)
    }

    /// Reads the first data tile that is needed: a proxy that passes on no data tiles is found out before hours are spent.
    fn probe(&self, from: u64) -> Result<(), Error> {
        let tile = Tile::widest(TileLevel::Data, from / u64::from(TILE_WIDTH), self.crown.tree().size);
        match tile.map(|tile| self.reader.data(&tile)) {
            Some(Err(Trouble::Stop(error))) => Err(Error::unavailable(
                error,
                "hash tiles are served, but the records are not. An audit needs the data tiles, which many proxies do not \
                 pass on: ask the database itself, or a copy of it",
            )),
            _ => Ok(()),
        }
    }

    /// Checks the records up to `end`, which is at the end of a tile or of the log.
    fn step(&self, state: &mut AuditState, end: u64, done: &AtomicU64, known: u64) -> Result<(), Error> {
        let width = u64::from(TILE_WIDTH);
        let total = self.crown.tree().size;
        let range = state.done / width..end.div_ceil(width);
        self.crown.forget();
        self.prepare(&range)?;
        let leaves = Leaves {
            reader: self.reader,
            crown: self.crown,
            findings: self.findings,
            rules: self.rules,
            secret: state.secret,
            from: state.done,
        };
        let sorter = Sorter::new();
        parallel(self.options.threads, range, |n| {
            sorter.add(&leaves.check(n)?);
            let new = end.min((n + 1) * width) - leaves.from.max(n * width);
            let done = done.fetch_add(new, Ordering::Relaxed) + new;
            (self.progress)(Progress { known, done, total });
            Ok(())
        })?;
        state.runs.add(sorter.finish(), self.options.threads).map_err(kept_keys)
    }

    /// Authenticates the tiles above a range of level-0 tiles, from the top down.
    fn prepare(&self, range: &std::ops::Range<u64>) -> Result<(), Error> {
        let shift = |level: u8| 8 * u32::from(level);
        for level in (1..=MAX_LEVEL).rev() {
            let above = range.start >> shift(level)..(range.end.saturating_sub(1) >> shift(level)) + 1;
            parallel(self.options.threads, above, |n| self.crown.tile(level, n).map(drop))?;
        }
        Ok(())
    }

    /// Compares all keys, and makes everything checked now known for good.
    fn settle(&self, state: &mut AuditState) -> Result<(), Error> {
        if state.runs.loose.is_empty() {
            return Ok(());
        }
        let mut suspects: Vec<Twins> = Vec::new();
        let mut more = 0;
        let take = &mut |twins| if suspects.len() < MAX_SUSPECTS { suspects.push(twins) } else { more += 1 };
        state.runs.settle(take).map_err(kept_keys)?;
        suspects.sort_unstable();
        let recheck =
            Recheck { reader: self.reader, crown: self.crown, findings: self.findings, rules: self.rules };
        suspects.iter().try_for_each(|twins| recheck.compare(*twins))?;
        self.findings.add_more(more);
        if self.findings.is_empty() { state.save() } else { Ok(()) }
    }
}

fn kept_keys(error: io::Error) -> Error {
    Error::state("keys of the records", error)
}

/// The highest level of hash tiles.
const MAX_LEVEL: u8 = 7;
