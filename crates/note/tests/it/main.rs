//! The crate from the outside: the cases of the Go reference, a real head, properties.

mod ed25519;
mod notes_json;
mod properties;
mod public_database;
