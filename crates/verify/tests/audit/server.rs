//! A log in memory behind a source, with a place for lies.

use std::path::Path;
use std::sync::Mutex;

use bytes::Bytes;
use quipu_tlog::{Tile, TileLevel, format_checkpoint, join_entries};
use quipu_verify::audit::{AuditState, Layout, Options, Report, Source, audit};
use quipu_verify::check::{Fault, GoSum};
use quipu_verify::{Error, TransportError};

use crate::log::{Log, key, signed};

pub(crate) type Answer = Result<Bytes, TransportError>;

/// What becomes of the honest answer to a request.
type Lie<'a> = dyn Fn(&str, Answer) -> Answer + Sync + 'a;

/// Serves the first `size` records of a log, through a lie.
pub(crate) struct Server<'a> {
    pub(crate) log: &'a Log,
    pub(crate) size: u64,
    pub(crate) layout: Layout,
    lie: Box<Lie<'a>>,
    requests: Mutex<Vec<String>>,
}

impl<'a> Server<'a> {
    pub(crate) fn honest(log: &'a Log) -> Self {
        Self::lying(log, |_, honest| honest)
    }

    pub(crate) fn lying(log: &'a Log, lie: impl Fn(&str, Answer) -> Answer + Sync + 'a) -> Self {
        let (layout, lie) = (Layout::Sumdb, Box::new(lie));
        Self { log, size: log.size(), layout, lie, requests: Mutex::default() }
    }

    /// The same log when it was smaller; no tile is there that it did not have then.
    pub(crate) fn at(self, size: u64) -> Self {
        Self { size, ..self }
    }

    pub(crate) fn in_layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// What was asked for since this was called last.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    fn honest_answer(&self, path: &str) -> Answer {
        let not_found = || TransportError::NotFound("404".to_owned());
        if path == self.layout.head_path() {
            return Ok(match self.layout {
                Layout::Sumdb => self.log.note(self.size),
                Layout::TlogTiles => {
                    signed(&format_checkpoint("sum.example.test", &self.log.tree(self.size)))
                }
            }
            .into());
        }
        let tile = match self.layout {
            Layout::Sumdb => Tile::parse_sumdb(path).unwrap(),
            Layout::TlogTiles => Tile::parse_c2sp(path).unwrap(),
        };
        if !tile.is_in(self.size) {
            return Err(not_found());
        }
        if (self.layout, tile.level()) == (Layout::TlogTiles, TileLevel::Data) {
            let first = usize::try_from(tile.first()).unwrap();
            let records = &self.log.records[first..first + usize::from(tile.width())];
            return Ok(join_entries(records.iter().map(String::as_bytes)).unwrap().into());
        }
        Ok(self.log.tile(&tile).ok_or_else(not_found)?.into())
    }
}

impl Source for Server<'_> {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn get(&self, path: &str, max_bytes: usize) -> Answer {
        self.requests.lock().unwrap().push(path.to_owned());
        let body = (self.lie)(path, self.honest_answer(path))?;
        if body.len() > max_bytes { Err(TransportError::TooLarge(max_bytes)) } else { Ok(body) }
    }
}

/// Audits with the state in `dir`; progress is saved after every `step` data tiles.
pub(crate) fn audit_in(dir: &Path, server: &Server<'_>, step: u64) -> Result<Report, Error> {
    let mut state = AuditState::open(dir).unwrap();
    let options = Options { threads: 3, step, ..Options::default() };
    audit(server, (&[key()], &GoSum), &mut state, &options, &|progress| {
        assert!(progress.known <= progress.done && progress.done <= progress.total, "{progress:?}");
    })
}

/// Audits without any memory.
pub(crate) fn fresh(server: &Server<'_>) -> Result<Report, Error> {
    audit_in(tempfile::tempdir().unwrap().path(), server, 3)
}

/// What is wrong, in words.
pub(crate) fn faults(report: &Report) -> Vec<String> {
    report.findings.iter().map(|finding| finding.fault.to_string()).collect()
}

pub(crate) fn kinds(report: &Report) -> Vec<Fault> {
    report.findings.iter().map(|finding| finding.fault.clone()).collect()
}

/// Flips a bit of the body of one file.
pub(crate) fn flip<'a>(file: String, byte: usize) -> impl Fn(&str, Answer) -> Answer + Sync + 'a {
    move |path, answer| {
        let mut body = answer?.to_vec();
        if path == file {
            let byte = byte % body.len();
            body[byte] ^= 4;
        }
        Ok(body.into())
    }
}

/// Does the same for many things at once: most of an audit of a small log is waiting for the disk.
pub(crate) fn for_each<T: Send>(things: impl IntoIterator<Item = T>, work: impl Fn(T) + Sync) {
    let things = Mutex::new(things.into_iter().collect::<Vec<_>>());
    let one = || {
        while let Some(thing) = { things.lock().unwrap().pop() } {
            work(thing);
        }
    };
    std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(one))));
}
