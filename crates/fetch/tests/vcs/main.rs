//! The rules from repositories to module versions: against what the real `go` command made of them, and against
//! what it makes of generated ones.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod corpus;
mod direct;
mod faults;
mod fenced;
mod large;
mod odd;
mod repository;
mod served;
mod site;
mod vectors;
