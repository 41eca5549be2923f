//! The feed: reads new records tile by tile, and delivers what is to be reported, in order and at least once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use quipu_module::{ModuleVersion, Patterns};
use quipu_tlog::{TILE_WIDTH, Tile, TileLevel, split_records};
use quipu_verify::check::{GoSum, Rules as _};
use quipu_verify::{Client, Error};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::event::Event;
use super::rounds::uneven;
use super::shared::Shared;
use super::sinks::{Refusal, Sinks, Stage};
use super::watch::Outcome;

/// Reads and delivers.
pub(super) struct Feed {
    shared: Arc<Shared>,
    sinks: Sinks,
    /// Of which modules new versions are reported; none for all.
    patterns: Option<Patterns>,
    /// How often something may fail in a row before that is the end; none for a monitor that goes on.
    patience: Option<u32>,
    /// Tiles that are being fetched, in order.
    ahead: Ahead,
    /// The alert that is being delivered, and how far that has come.
    alert: (u64, Stage),
    /// Failures in a row.
    failures: u32,
    saved: Instant,
    progress: (Instant, u64),
}

impl Feed {
    pub(super) fn new(
        shared: Arc<Shared>,
        client: Client,
        sinks: Sinks,
        patterns: Option<Patterns>,
        patience: Option<u32>,
    ) -> Self {
        let ahead = Ahead { client, tiles: VecDeque::new() };
        let (alert, now) = ((0, Stage::default()), Instant::now());
        let (failures, saved, progress) = (0, now, (now, 0));
        Self { shared, sinks, patterns, patience, ahead, alert, failures, saved, progress }
    }

    /// Delivers until it is time to stop; what is still undelivered then is remembered.
    ///
    /// # Errors
    /// Nothing can be remembered or printed any more.
    pub(super) async fn run(mut self) -> Result<()> {
        while !self.shared.is_stopped() {
            if !self.work().await? {
                self.shared.wait().await;
            }
        }
        // Whoever stops because of an alert wants it told, if that can be done at once.
        self.alerts().await?;
        self.shared.save()
    }

    /// Delivers all that there is. Says whether it could.
    ///
    /// # Errors
    /// Nothing can be remembered or printed any more.
    pub(super) async fn drain(mut self) -> Result<bool> {
        while self.patience.is_none_or(|most| self.failures < most) {
            if !self.work().await? {
                self.shared.save()?;
                return Ok(true);
            }
        }
        self.shared.save()?;
        Ok(false)
    }

    /// Does what is to be done next. Says whether there was anything.
    async fn work(&mut self) -> Result<bool> {
        if self.shared.with(|watch| watch.undelivered().is_some()) {
            if !self.alerts().await? {
                self.back_off().await;
            }
            return Ok(true);
        }
        match self.shared.with(|watch| watch.unread()) {
            Some((position, size)) => self.records(position, size).await.map(|()| true),
            None => Ok(false),
        }
    }

    /// Delivers the alerts. Says whether all could be.
    async fn alerts(&mut self) -> Result<bool> {
        while let Some(alert) = self.shared.with(|watch| watch.undelivered().cloned()) {
            let number = alert.number;
            if self.alert.0 != number {
                self.alert = (number, Stage::default());
            }
            let mut stage = self.alert.1;
            let delivered = self.deliver(&Event::Alert(alert), &mut stage).await?;
            self.alert.1 = stage;
            if !delivered {
                return Ok(false);
            }
            self.shared.with(|watch| watch.delivered(number));
            self.save()?;
        }
        Ok(true)
    }

    /// Reads the tile in which the record at `position` is, and reports what is new in it.
    async fn records(&mut self, position: u64, size: u64) -> Result<()> {
        let read = async {
            let tile = Tile::widest(TileLevel::Data, position / u64::from(TILE_WIDTH), size)?;
            Some((tile, self.ahead.take(tile, size).await))
        };
        let (tile, body) = read.await.context("no log has so many records")?;
        let body = match body {
            Ok(body) => body,
            Err(error) => {
                self.shared.refuse(RECORDS, &error);
                self.back_off().await;
                return Ok(());
            }
        };
        self.shared.take(RECORDS, Outcome::Good);
        self.failures = 0;
        for (id, event) in events(tile, &body, position, self.patterns.as_ref()) {
            if !self.insist(&event).await? {
                return Ok(());
            }
            self.shared.with(|watch| {
                watch.count_event(event.kind());
                watch.reported(id + 1);
            });
            if self.sinks.is_external() {
                self.save()?;
            }
        }
        let end = tile.first() + u64::from(tile.width());
        self.shared.with(|watch| watch.reported(end));
        self.progress(end, size);
        if end == size || self.saved.elapsed() > SAVE_AFTER { self.save() } else { Ok(()) }
    }

    /// Delivers an event, however often that must be tried; alerts pass it meanwhile. Says whether it was delivered:
    /// not if it is time to stop.
    async fn insist(&mut self, event: &Event) -> Result<bool> {
        let mut stage = Stage::default();
        while !self.shared.is_stopped() && self.patience.is_none_or(|most| self.failures < most) {
            if self.deliver(event, &mut stage).await? {
                return Ok(true);
            }
            self.save()?;
            self.back_off().await;
            self.alerts().await?;
        }
        Ok(false)
    }

    async fn deliver(&mut self, event: &Event, stage: &mut Stage) -> Result<bool> {
        match self.sinks.deliver(event, stage).await {
            Ok(()) => {
                self.failures = 0;
                Ok(true)
            }
            Err(Refusal::Later(why)) => {
                self.shared.with(super::watch::Watch::undeliverable);
                if self.failures.is_power_of_two() || self.failures == 0 {
                    eprintln!("quipu-verify: cannot deliver an event, will try again: {why}");
                }
                Ok(false)
            }
            Err(Refusal::Never(error)) => Err(error).context("cannot print an event"),
        }
    }

    /// Waits after a failure: a second, two, four and so on up to a minute.
    async fn back_off(&mut self) {
        self.failures += 1;
        if self.patience.is_some_and(|most| self.failures >= most) {
            return;
        }
        let time = Duration::from_secs(1 << self.failures.saturating_sub(1).min(6)).min(SLOWEST);
        self.shared.pause(uneven(time)).await;
    }

    fn save(&mut self) -> Result<()> {
        self.saved = Instant::now();
        self.shared.save()
    }

    /// Says now and then how far it is, if there is far to go.
    fn progress(&mut self, position: u64, size: u64) {
        let (last, from) = self.progress;
        let passed = last.elapsed();
        if passed < PROGRESS_AFTER {
            return;
        }
        self.progress = (Instant::now(), position);
        if from > 0 && size - position > FAR {
            let rate = position.saturating_sub(from) as f64 / passed.as_secs_f64();
            eprintln!("quipu-verify: at record {position} of {size}, {rate:.0} a second");
        }
    }
}

/// What is to be reported of a tile, from the record at `position` on. The tile is proven.
fn events(tile: Tile, body: &[u8], position: u64, patterns: Option<&Patterns>) -> Vec<(u64, Event)> {
    let records = split_records(body, tile.width()).unwrap_or_default();
    let numbered = (tile.first()..).zip(records).filter(|(id, _)| *id >= position);
    numbered.filter_map(|(id, text)| event(id, text, patterns).map(|event| (id, event))).collect()
}

fn event(id: u64, text: &str, patterns: Option<&Patterns>) -> Option<Event> {
    let module = match module(text) {
        Ok(module) => module,
        Err(why) => return Some(bad_record(id, why, text)),
    };
    if !patterns.is_none_or(|patterns| patterns.matches(module.path())) {
        return None;
    }
    let version = Event::version(id, &module, text);
    Some(version.unwrap_or_else(|| bad_record(id, "no lines of its module".to_owned(), text)))
}

/// The module version that a record is of, if the record keeps the rules.
fn module(text: &str) -> Result<ModuleVersion, String> {
    let key = GoSum.key(text.as_bytes())?;
    let key = str::from_utf8(key).map_err(|e| e.to_string())?;
    let (path, version) = key.trim_end().split_once(' ').ok_or("no version")?;
    ModuleVersion::parse(path, version).map_err(|e| e.to_string())
}

fn bad_record(id: u64, why: String, text: &str) -> Event {
    Event::BadRecord { id, why, text: text.chars().take(MAX_TEXT).collect() }
}

/// Fetches tiles before they are needed.
struct Ahead {
    client: Client,
    tiles: VecDeque<(Tile, JoinHandle<Result<Bytes, Error>>)>,
}

impl Ahead {
    /// A tile; those that follow it in a log of this size are on their way then.
    async fn take(&mut self, tile: Tile, size: u64) -> Result<Bytes, Error> {
        if self.tiles.front().is_none_or(|(first, _)| *first != tile) {
            self.forget();
        }
        let mut next = self.tiles.back().map_or(tile.n(), |(last, _)| last.n() + 1);
        while self.tiles.len() < AHEAD
            && let Some(tile) = Tile::widest(TileLevel::Data, next, size)
        {
            let client = self.client.clone();
            self.tiles.push_back((tile, tokio::spawn(async move { client.tile(tile).await })));
            next += 1;
        }
        match self.tiles.pop_front() {
            // A task that panicked is as good as none.
            Some((_, fetch)) => match fetch.await {
                Ok(outcome) => outcome,
                Err(_) => self.client.tile(tile).await,
            },
            None => self.client.tile(tile).await,
        }
    }

    fn forget(&mut self) {
        self.tiles.drain(..).for_each(|(_, fetch)| fetch.abort());
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.forget();
    }
}

/// The name under which what is wrong with records and their tiles is reported.
const RECORDS: &str = "records";
/// Tiles under way at once.
const AHEAD: usize = 4;
const SAVE_AFTER: Duration = Duration::from_secs(1);
const SLOWEST: Duration = Duration::from_secs(60);
const PROGRESS_AFTER: Duration = Duration::from_secs(10);
/// Records still to be read that make it worth to say so.
const FAR: u64 = 20_000;
/// Characters that are shown of a record that breaks the rules.
const MAX_TEXT: usize = 4096;
