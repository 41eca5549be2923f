//! The program against databases on loopback, honest ones and liars: what it prints, and how it ends.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod audit;
mod audit_refusals;
mod check;
mod doctor;
#[path = "../../../verify/tests/hostile/log.rs"]
mod log;
mod lookup;
mod modules;
mod monitor;
mod monitor_delivery;
mod monitor_trouble;
mod proofs;
mod refusals;
mod run;
mod running;
mod site;
mod why;
#[path = "../../../quipu/tests/ops/support/zip.rs"]
mod zip;
