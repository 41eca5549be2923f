//! The client against a database that lies: every lie ends in the right kind of error.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod accusations;
mod anything;
mod cves;
mod forks;
mod kept;
mod lies;
mod log;
mod server;
mod tiles;
mod transcripts;
mod vantages;
