//! Audits of a log over a source: what is good passes, whatever is changed is named, and little is read twice.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod evidence;
mod faults;
mod good;
#[path = "../hostile/log.rs"]
mod log;
mod server;
mod steps;
