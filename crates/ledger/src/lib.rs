//! The log engine: store, rounds, sequencer, head guard. Knows bytes only: no HTTP, no Go rules, no RocksDB.

mod store;

pub use store::{CommitError, Entry, Head, Micros, Notes, ReadError, Record, Round, Store, TileState};
