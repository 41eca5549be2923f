//! The server from outside, part by part.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod access;
mod admit;
mod embed;
mod feed;
mod hooks;
mod log;
#[path = "../common/minter.rs"]
mod minter;
mod oidc;
mod publish;
mod server;
