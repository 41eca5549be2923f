//! The time of day, and how it is shown.

use std::time::SystemTime;

use quipu_module::format_rfc3339;

/// Seconds since 1970 UTC; 0 where the machine believes to be before that.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Seconds since 1970 as RFC 3339 in UTC; as they are where no calendar has them.
pub(crate) fn date(time: u64) -> String {
    format_rfc3339(i128::from(time) * 1_000_000_000).unwrap_or_else(|| time.to_string())
}
