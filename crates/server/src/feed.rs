//! The feed: which module version came into the log when, as lines of JSON for programs that follow the whole log, and as
//! Atom for people who follow one module.
//!
//! A view of the ledger and nothing of its own: records carry times that increase strictly, so a time leads to an index
//! by binary search, a line never comes before one that was there already, and no page can be filled by one instant.

mod ask;
mod atom;
mod line;
mod quiet;

use std::sync::Arc;

use bytes::Bytes;
use quipu_ledger::{Error, Ledger, Most, Record};
use quipu_module::ModulePath;
use tokio::sync::Semaphore;

use crate::filter::Filter;
use crate::reply::{self, Freshness, Refusal, Reply};
use ask::Ask;
use line::Line;
use quiet::Quiet;

/// Pages made at once; each reads the store for a few milliseconds.
const AT_ONCE: usize = 4;

/// Bytes of a line of the index, about.
const LINE: usize = 128;

/// Records read at once where nothing is shown.
const LARGE_STEP: usize = 2000;

/// Versions in an Atom feed: the newest ones.
const ENTRIES: usize = 100;

/// Records of a module that are looked through for these where the newest are refused.
const LOOKED_THROUGH: usize = 4000;

/// The handlers of the feed.
pub(crate) struct Feed {
    view: Arc<View>,
    turns: Semaphore,
}

/// What the threads that read need.
struct View {
    ledger: Ledger,
    filter: Arc<Filter>,
    /// The log's name.
    name: String,
    /// Where the index shows nothing.
    quiet: Quiet,
}

impl Feed {
    /// The feed of the log called `name`; what `filter` refuses is left out unless it is asked for.
    pub(crate) fn new(ledger: Ledger, filter: Arc<Filter>, name: String) -> Self {
        let view = View { ledger, filter, name, quiet: Quiet::default() };
        Self { view: Arc::new(view), turns: Semaphore::new(AT_ONCE) }
    }

    /// `/index?since=…&limit=…&module=…&include=all`.
    pub(crate) async fn index(&self, query: &str) -> Reply {
        let ask = match Ask::parse(query) {
            Ok(ask) => ask,
            Err(why) => return reply::refuse(&Refusal::BadRequest(why)),
        };
        match self.read(move |view| view.page(&ask)).await {
            Ok(page) => {
                let freshness = if page.full { Freshness::Seconds(60) } else { Freshness::Revalidate };
                reply::ok(Bytes::from(page.lines), reply::TEXT, freshness)
            }
            Err(refusal) => reply::refuse(&refusal),
        }
    }

    /// `/feed/<escaped module path>`: the newest versions of a module that can be had, as Atom.
    pub(crate) async fn atom(&self, escaped: &str) -> Reply {
        let path = match ModulePath::unescape(escaped) {
            Ok(path) => path,
            Err(error) => return reply::refuse(&Refusal::NotFound(error.to_string())),
        };
        match self.read(move |view| view.atom(&path)).await {
            Ok(Followed::Feed(feed)) => reply::ok(Bytes::from(feed), reply::ATOM, Freshness::Revalidate),
            Ok(Followed::Withheld(why)) => reply::refuse(&Refusal::Forbidden(why)),
            Ok(Followed::Unknown) => {
                reply::refuse(&Refusal::NotHere(format!("{escaped}: no version of it is in this log")))
            }
            Err(refusal) => reply::refuse(&refusal),
        }
    }

    /// Reads where waiting for the disk harms nobody.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&View) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Refusal> {
        let fault = || Refusal::Unavailable("the log cannot be read now".to_owned());
        let _turn = self.turns.acquire().await.map_err(|_| fault())?;
        let view = Arc::clone(&self.view);
        let read = tokio::task::spawn_blocking(move || work(&view)).await.map_err(|_| fault())?;
        read.map_err(|error| {
            tracing::error!(%error, "reading the log failed");
            fault()
        })
    }
}

/// A page of the index.
struct Page {
    lines: Vec<u8>,
    /// It has as many lines as were asked for, so what comes later does not change it.
    full: bool,
}

/// A module as those who follow it see it.
enum Followed {
    /// As Atom.
    Feed(String),
    /// All its versions are refused; why the newest is.
    Withheld(String),
    /// The log has none of it.
    Unknown,
}

impl View {
    fn page(&self, ask: &Ask) -> Result<Page, Error> {
        let mut next = self.ledger.first_since(ask.since)?;
        let mut page = Page { lines: Vec::with_capacity(ask.limit * LINE), full: false };
        let mut count = 0;
        // Where nothing is shown, reading goes on in large steps.
        let mut step = ask.limit;
        loop {
            if ask.is_filtered_whole() {
                next = self.quiet.skip(next);
            }
            let (records, after) = self.some(ask, next, step)?;
            if records.is_empty() {
                return Ok(page);
            }
            let before = count;
            let lines = records.iter().filter_map(|(_, record)| Line::of(record));
            for line in lines.filter(|line| ask.all || self.filter.shows(line.path, line.version)) {
                line.write(&mut page.lines);
                count += 1;
                if count == ask.limit {
                    page.full = true;
                    return Ok(page);
                }
            }
            if count == before && ask.is_filtered_whole() {
                self.quiet.note(next..after);
            }
            step = if count == before { LARGE_STEP } else { ask.limit - count };
            next = after;
        }
    }

    /// At most `most` records at or past the index `from` that are asked for, and the index to go on from.
    fn some(&self, ask: &Ask, from: u64, most: usize) -> Result<(Vec<(u64, Record)>, u64), Error> {
        let records = match &ask.module {
            Some(path) => self.ledger.group(&group(path), from, Most::First(most))?,
            None => {
                let end = self.ledger.head().size().min(from.saturating_add(most as u64)).max(from);
                (from..).zip(self.ledger.records(from..end)?.unwrap_or_default()).collect()
            }
        };
        let after = records.last().map_or(from, |(index, _)| index + 1);
        Ok((records, after))
    }

    fn atom(&self, path: &ModulePath) -> Result<Followed, Error> {
        let newest = self.newest(path, ENTRIES)?;
        // Where some of the newest are refused, older ones take their places.
        let is_whole = newest.read < ENTRIES || newest.shown.len() == ENTRIES;
        let newest = if is_whole { newest } else { self.newest(path, LOOKED_THROUGH)? };
        let lines: Vec<_> =
            newest.shown.iter().filter_map(|record| Some((Line::of(record)?, record))).collect();
        Ok(match newest.withheld {
            _ if !lines.is_empty() => Followed::Feed(atom::format(&self.name, path, &lines)),
            Some(why) => Followed::Withheld(why),
            None => Followed::Unknown,
        })
    }

    /// What is shown of the last `most` records of the module, as many as a feed has.
    fn newest(&self, path: &ModulePath, most: usize) -> Result<Newest, Error> {
        let records = self.ledger.group(&group(path), 0, Most::Last(most))?;
        let mut newest = Newest { read: records.len(), shown: Vec::new(), withheld: None };
        for (_, record) in records.into_iter().rev() {
            let Some(line) = Line::of(&record) else { continue };
            match self.filter.withheld(line.path, line.version) {
                None if newest.shown.len() == ENTRIES => break,
                None => newest.shown.push(record),
                Some(refused) => {
                    newest.withheld.get_or_insert(refused.text);
                }
            }
        }
        Ok(newest)
    }
}

/// The newest records of a module.
struct Newest {
    /// How many were read.
    read: usize,
    /// Those that are shown, the newest first.
    shown: Vec<Record>,
    /// Why the newest that is not shown is not.
    withheld: Option<String>,
}

/// What the keys of a module's records begin with, up to the version.
fn group(path: &ModulePath) -> Vec<u8> {
    format!("{path} ").into_bytes()
}
