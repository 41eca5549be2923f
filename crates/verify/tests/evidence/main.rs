//! Evidence: what is proven by each kind, that nothing changed proves it, and that nothing true can be accused.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod forks;
#[path = "../hostile/log.rs"]
#[expect(dead_code, reason = "not every file that shares the log needs all of it")]
mod log;
mod served;
mod signed;
mod vectors;
