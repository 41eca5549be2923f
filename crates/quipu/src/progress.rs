//! How far a long command is: a line on stderr that is rewritten in place, on a terminal only.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// A line that counts up to a known end.
pub(crate) struct Progress {
    what: &'static str,
    total: u64,
    started: Instant,
    /// When the line was last written; none off a terminal.
    shown: Option<Instant>,
    wrote: bool,
}

const EVERY: Duration = Duration::from_millis(100);

impl Progress {
    /// A line about `total` of `what` (a plural).
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        let now = Instant::now();
        Self { what, total, started: now, shown: io::stderr().is_terminal().then_some(now), wrote: false }
    }

    /// Shows that `done` are done, unless the line was written a moment ago.
    pub(crate) fn show(&mut self, done: u64) {
        let Some(shown) = self.shown else { return };
        if shown.elapsed() < EVERY {
            return;
        }
        let percent = done.saturating_mul(100).checked_div(self.total).unwrap_or(100);
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let rate = done.saturating_mul(1000).checked_div(millis).unwrap_or(0);
        let (what, total) = (self.what, self.total);
        let _ = write!(io::stderr(), "\r\x1b[K{percent:3} %  {done} of {total} {what}, {rate}/s");
        self.shown = Some(Instant::now());
        self.wrote = true;
    }
}

impl Drop for Progress {
    /// Takes the line away.
    fn drop(&mut self) {
        if self.wrote {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
