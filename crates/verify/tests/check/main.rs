//! The checker of whole logs: what is good passes, and whatever is changed is named.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod faults;
mod good;
mod rules;
mod source;
