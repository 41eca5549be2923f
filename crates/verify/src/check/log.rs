//! Checking a log that can be read: bundles side by side on several threads, the rest in order.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use quipu_tlog::{TILE_WIDTH, Tile, Tree};

use super::bundle::{Bundle, Digester, Entry};
use super::checker::{Checker, Expected};
use super::keys::{Recheck, Suspects};
use super::report::Report;
use super::rules::Rules;

/// A log that can be read whole: a store, a directory of tiles.
pub trait LogSource: Sync {
    /// Why something could not be read.
    type Error: fmt::Display + Send;

    /// The records of a half-open range of at most 256 indexes that all lie in the tree that is checked.
    ///
    /// # Errors
    /// When any of them cannot be read; fewer than asked for are an error as well.
    fn records(&self, range: Range<u64>) -> Result<Vec<StoredRecord>, Self::Error>;

    /// The hashes of a tile as they are stored or served, at least as many as the tile is wide if they are there; none
    /// if there is no such tile.
    ///
    /// # Errors
    /// When it cannot be known.
    fn tile(&self, tile: &Tile) -> Result<Option<Bytes>, Self::Error>;
}

/// A record as a source has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// The record text.
    pub text: Bytes,
    /// When it was committed, if the source knows; must strictly increase.
    pub time: Option<u64>,
}

/// How to go about a check.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Threads that read and hash.
    pub threads: usize,
}

impl Default for Options {
    /// As many threads as there are processors to run on.
    fn default() -> Self {
        Self { threads: thread::available_parallelism().map_or(1, usize::from) }
    }
}

/// The check could not be carried through.
#[derive(Debug, thiserror::Error)]
pub enum CheckError<E: fmt::Display> {
    /// Records could not be read.
    #[error("records {} to {}: {error}", .range.start, .range.end.saturating_sub(1))]
    Records {
        /// The records asked for.
        range: Range<u64>,
        /// Why.
        error: E,
    },
    /// The source returned another number of records than was asked for.
    #[error("records {} to {}: the source has {got} of them", .range.start, .range.end.saturating_sub(1))]
    Count {
        /// The records asked for.
        range: Range<u64>,
        /// How many there were.
        got: usize,
    },
    /// A tile could not be read.
    #[error("{tile}: {error}")]
    Tile {
        /// The tile.
        tile: Tile,
        /// Why.
        error: E,
    },
}

/// Checks the whole log against the tree that was signed: each record by the rules and by its hash, each hash tile,
/// the root, and that no key is there twice.
///
/// `progress` is told now and then how many records are done.
///
/// # Errors
/// [`CheckError`] if the source cannot be read. What is wrong with the log is in the report.
pub fn check_log<S: LogSource, R: Rules>(
    source: &S,
    signed: &Tree,
    rules: R,
    options: Options,
    mut progress: impl FnMut(u64),
) -> Result<Report, CheckError<S::Error>> {
    let run = Run { source, signed, digester: Digester::new(rules), threads: options.threads.max(1) };
    let mut checker = Checker::new(signed.size);
    let bundles = signed.size.div_ceil(TILE_WIDTH.into());
    let mut next = 0;
    while next < bundles {
        let batch = next..bundles.min(next.saturating_add(run.batch()));
        for read in run.read_batch(batch.clone())? {
            run.absorb(&mut checker, &read)?;
        }
        next = batch.end;
        progress(checker.size());
    }
    let open = checker.open_tiles();
    run.compare(&mut checker, &open)?;
    let (report, suspects) = checker.finish(signed);
    run.recheck(report, suspects)
}

struct Run<'a, S, R> {
    source: &'a S,
    signed: &'a Tree,
    digester: Digester<R>,
    threads: usize,
}

/// A bundle and the level-0 tile that is stored for it.
struct ReadBundle {
    bundle: Bundle,
    served: Option<Bytes>,
}

impl<S: LogSource, R: Rules> Run<'_, S, R> {
    /// Bundles worked on at once: enough that threads rarely wait for each other, few enough to fit in memory.
    fn batch(&self) -> u64 {
        64 * self.threads as u64
    }

    /// Reads and digests bundles on all threads; returns them in order.
    fn read_batch(&self, batch: Range<u64>) -> Result<Vec<ReadBundle>, CheckError<S::Error>> {
        let next = AtomicU64::new(batch.start);
        let done = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= batch.end {
                            break;
                        }
                        let read = self.read(n);
                        done.lock().unwrap_or_else(PoisonError::into_inner).push((n, read));
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_unstable_by_key(|(n, _)| *n);
        done.into_iter().map(|(_, read)| read).collect()
    }

    fn read(&self, n: u64) -> Result<ReadBundle, CheckError<S::Error>> {
        let range = self.range(n);
        let records = self.records(range.clone())?;
        let entries = records.iter().map(|record| Entry { text: &record.text, time: record.time });
        let bundle = self.digester.digest(n, entries);
        let bundle = bundle.ok_or(CheckError::Count { range, got: records.len() })?;
        let served = self.tile(&bundle.tile())?;
        Ok(ReadBundle { bundle, served })
    }

    fn absorb(&self, checker: &mut Checker, read: &ReadBundle) -> Result<(), CheckError<S::Error>> {
        // Bundles come in order here; were one left out, the size in the verdict would tell.
        let expected = checker.absorb(&read.bundle, read.served.as_deref()).unwrap_or_default();
        self.compare(checker, &expected)
    }

    fn compare(&self, checker: &mut Checker, expected: &[Expected]) -> Result<(), CheckError<S::Error>> {
        for expected in expected {
            let served = self.tile(&expected.tile())?;
            checker.compare(expected, served.as_deref());
        }
        Ok(())
    }

    /// Looks at all records again if keys seem to be there twice.
    fn recheck(&self, mut report: Report, suspects: Suspects) -> Result<Report, CheckError<S::Error>> {
        if suspects.is_empty() {
            return Ok(report);
        }
        let mut recheck = Recheck::new(&self.digester, suspects);
        for n in 0..self.signed.size.div_ceil(TILE_WIDTH.into()) {
            let range = self.range(n);
            for (index, record) in range.clone().zip(self.records(range)?) {
                if let Some(fault) = recheck.record(index, &record.text) {
                    report.add(fault);
                }
            }
        }
        Ok(report)
    }

    fn range(&self, n: u64) -> Range<u64> {
        let width = u64::from(TILE_WIDTH);
        n * width..self.signed.size.min((n + 1) * width)
    }

    fn records(&self, range: Range<u64>) -> Result<Vec<StoredRecord>, CheckError<S::Error>> {
        let records = self.source.records(range.clone());
        let records = records.map_err(|error| CheckError::Records { range: range.clone(), error })?;
        if records.len() as u64 != range.end - range.start {
            return Err(CheckError::Count { range, got: records.len() });
        }
        Ok(records)
    }

    fn tile(&self, tile: &Tile) -> Result<Option<Bytes>, CheckError<S::Error>> {
        self.source.tile(tile).map_err(|error| CheckError::Tile { tile: *tile, error })
    }
}
