//! [`quipu_ledger::Store`] on RocksDB: one log in one directory.
//!
//! Five families of rows and two single rows, all extended and never changed:
//!
//! | family | row | value |
//! |---|---|---|
//! | `record` | run of 64 consecutive records | time, key length and text of each |
//! | `key` | 8 bytes of SHA-256 of the key | indices of the records with that hash |
//! | `group` | 8 bytes of SHA-256 of a group, index of a record in it | nothing |
//! | `tile` | level and number | the hashes the tile has so far |
//! | `note` | tree size | both signed notes |
//! | `default` | `head`, `format` | size, root, time; the version of this layout |
//!
//! A commit is one synced write batch over all of them. The bytes are described in `docs/FORMATS.md`.

mod commit;
mod framing;
mod group;
mod heads;
mod open;
mod row;
mod scrub;
mod stats;
mod store;
#[cfg(test)]
mod tests;
mod tuning;
mod watch;

pub use open::OpenError;
pub use scrub::{Progress, Scrubbed};
pub use stats::Stats;
pub use store::RocksStore;
pub use tuning::Options;
