//! Days, by which the record of downloads is divided: those of UTC.

use std::fmt;
use std::str::FromStr;

use quipu_module::{format_rfc3339, parse_rfc3339};

/// Seconds in a day.
const SECONDS: u64 = 86_400;

/// A day, in days since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Day(u64);

impl Day {
    /// The day of a time in seconds since 1970.
    pub(super) const fn of(time: u64) -> Self {
        Self(time / SECONDS)
    }

    /// When it begins, in seconds since 1970.
    pub(super) const fn start(self) -> u64 {
        self.0.saturating_mul(SECONDS)
    }

    /// The day so many days before.
    pub(super) fn before(self, days: u16) -> Self {
        Self(self.0.saturating_sub(days.into()))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = format_rfc3339(i128::from(self.start()) * 1_000_000_000).unwrap_or_default();
        f.write_str(time.split('T').next().unwrap_or_default())
    }
}

/// No day is written so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoDay;

impl FromStr for Day {
    type Err = NoDay;

    fn from_str(text: &str) -> Result<Self, NoDay> {
        let nanos = parse_rfc3339(&format!("{text}T00:00:00Z")).ok_or(NoDay)?;
        u64::try_from(nanos / 1_000_000_000).map(Self::of).map_err(|_| NoDay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_written_as_dates() {
        for (time, text) in [(0, "1970-01-01"), (951_868_799, "2000-02-29"), (951_868_800, "2000-03-01")] {
            let day = Day::of(time);
            assert_eq!(day.to_string(), text);
            assert_eq!(text.parse(), Ok(day));
        }
        assert_eq!(Day::of(951_868_800).before(1).to_string(), "2000-02-29");
        assert_eq!(Day::of(5).before(7), Day::of(0));
        for wrong in ["", "2000-02-30", "2000-2-3", "2000-02-03x", "1969-12-31", "2000-02-03T00:00:00Z"] {
            assert_eq!(wrong.parse::<Day>(), Err(NoDay), "{wrong}");
        }
    }
}
