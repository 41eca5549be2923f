//! The crate from the outside: the cases of the Go reference, properties, tampering.

mod common;
mod geometry;
mod multi;
mod proofs;
mod records_json;
mod tamper;
mod texts;
mod tiles_json;
mod tlog_json;
mod trees_json;
