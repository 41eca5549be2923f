//! The time of day and the stop watch: handed in, so that a run can be simulated.

use std::time::{Duration, Instant, SystemTime};

use crate::store::Micros;

/// Where the engine gets the time from.
pub trait Clock: Send + Sync + 'static {
    /// The time of day. It may jump in either direction: record times still increase strictly.
    fn now(&self) -> Micros;

    /// Time since some fixed moment; never goes back. Only for measuring how long things take.
    fn elapsed(&self) -> Duration;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose stop watch starts now.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    fn now(&self) -> Micros {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}
