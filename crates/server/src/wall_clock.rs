//! The time of day of the machine.

use std::time::{Duration, SystemTime};

/// Time since 1970 UTC; nothing where the machine believes to be before that.
pub(crate) fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Seconds since 1970 UTC.
pub(crate) fn now() -> u64 {
    since_1970().as_secs()
}
