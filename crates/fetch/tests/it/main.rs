//! The crate from outside: against scripted servers, real disks and the real `go` command.
#![expect(clippy::duplicate_mod, reason = "a cache does the same wherever its files are")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod client;
mod command;
mod database;
mod discover;
mod full_disk;
mod go;
mod in_directory;
mod in_memory;
mod power_cut;
mod proxy;
mod support;
mod tls;
