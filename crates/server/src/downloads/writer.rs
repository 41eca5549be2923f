//! The thread that writes the record of downloads.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use quipu_module::ModuleVersion;
use tracing::{error, warn};

use super::day::Day;
use super::file::{self, DayFile};
use super::line::{Line, Parsed};
use super::{Sent, Told, lost};

/// What is written is on the disk at most so much later.
const SYNC_AFTER: Duration = Duration::from_secs(5);

/// Lines written at once.
const BATCH: usize = 1024;

pub(super) enum Message {
    Line(Box<Line>),
    End,
}

/// Where files are, and for how many days they stay.
pub(super) struct Kept {
    pub(super) directory: PathBuf,
    pub(super) days: u16,
}

/// Writes what is sent to it.
pub(super) struct Writer {
    kept: Kept,
    told: Arc<Told>,
    file: DayFile,
    /// Since when something is written that is not synced.
    unsynced: Option<Instant>,
    /// The day of which it was said that its file is full.
    full: Option<Day>,
}

impl Writer {
    /// Opens the file of today, whose downloads count as told.
    pub(super) fn open(kept: Kept, today: Day, told: Arc<Told>) -> io::Result<Self> {
        file::make(&kept.directory)?;
        file::prune(&kept.directory, today.before(kept.days))?;
        let file = kept.open_day(today, &told)?;
        Ok(Self { kept, told, file, unsynced: None, full: None })
    }

    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let left = self.unsynced.map_or(SYNC_AFTER, |since| SYNC_AFTER.saturating_sub(since.elapsed()));
            let (lines, end) = match messages.recv_timeout(left) {
                Ok(first) => gather(first, messages),
                Err(RecvTimeoutError::Timeout) => (Vec::new(), false),
                Err(RecvTimeoutError::Disconnected) => (Vec::new(), true),
            };
            for day in lines.chunk_by(|one, next| Day::of(one.time) == Day::of(next.time)) {
                self.write(day);
            }
            if self.unsynced.is_some_and(|since| end || since.elapsed() >= SYNC_AFTER) {
                self.sync();
            }
            if end {
                return;
            }
        }
    }

    /// Writes lines of one day.
    fn write(&mut self, lines: &[Line]) {
        match self.turn_to(lines).and_then(|()| self.file.add(lines)) {
            Ok(0) => {
                self.unsynced.get_or_insert_with(Instant::now);
            }
            Ok(without_room) => {
                lost(without_room);
                if self.full.replace(self.file.day) != Some(self.file.day) {
                    warn!(day = %self.file.day, "the record of today's downloads is full: further ones are not in it");
                }
            }
            Err(error) => {
                error!(%error, downloads = lines.len(), "the record of downloads cannot be written");
                lost(lines.len());
                self.told.forget_all();
            }
        }
    }

    /// Opens the file of the day of these lines, if it is another one.
    fn turn_to(&mut self, lines: &[Line]) -> io::Result<()> {
        let Some(day) = lines.first().map(|line| Day::of(line.time)) else { return Ok(()) };
        if day == self.file.day {
            return Ok(());
        }
        self.sync();
        self.file = self.kept.open_day(day, &self.told)?;
        file::prune(&self.kept.directory, day.before(self.kept.days))
    }

    fn sync(&mut self) {
        self.unsynced = None;
        if let Err(error) = self.file.sync() {
            error!(%error, "the record of downloads cannot be synced");
        }
    }
}

/// What waits, and whether it is the last.
fn gather(first: Message, messages: &Receiver<Message>) -> (Vec<Line>, bool) {
    let (mut lines, mut end) = (Vec::new(), false);
    for message in std::iter::once(first).chain(messages.try_iter().take(BATCH - 1)) {
        match message {
            Message::Line(line) => lines.push(*line),
            Message::End => end = true,
        }
    }
    (lines, end)
}

impl Kept {
    /// The file of a day, of whose downloads `told` knows from then on.
    fn open_day(&self, day: Day, told: &Told) -> io::Result<DayFile> {
        DayFile::open(&self.directory, day, |parsed| {
            let Parsed::Taken { holder, kind, module, .. } = parsed else { return };
            let Ok(module) = module.parse::<ModuleVersion>() else { return };
            let (path, version) = (module.path().escaped(), module.version().escaped());
            told.is_new(told.mark(day, *holder, Sent { path: &path, version: &version, kind: *kind }));
        })
    }
}
