//! The crate from outside: against scripted servers, real disks and the real `go` command.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod answers;
mod client;
mod command;
mod database;
mod discover;
mod files;
mod freshness;
mod full_disk;
mod go;
mod proxy;
mod publish;
mod recovery;
mod retention;
mod support;
mod tls;
