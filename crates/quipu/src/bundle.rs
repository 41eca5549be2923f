//! Bundles: module files with the part of a checksum database that proves them, for whoever has no network.
//!
//! A bundle is a directory (or a tar of one) that a plain file server, or `GOPROXY=file://`, can serve to a go command. The
//! manifest says what else it is: of which log, at which head, and what it holds. It is signed by nobody and trusted in
//! nothing: what it says of the log is checked against the signed head, and its hashes only find accidental damage early.

mod manifest;
mod writer;

pub(crate) use manifest::{Entry, Manifest};
pub(crate) use writer::Writer;

/// The name of the manifest.
pub(crate) const MANIFEST: &str = "quipu-bundle";

/// Where the resources of a database lie in a bundle, as below any proxy.
pub(crate) fn database(name: &str) -> String {
    format!("sumdb/{name}")
}
