//! The log engine: store, rounds, sequencer, head guard. Knows bytes only: no HTTP, no Go rules, no RocksDB.
//!
//! A log is a sequence of records, each unique by its key, over which a Merkle tree (RFC 6962) grows. Its heads are signed
//! twice: as the note of a Go checksum database, and as a C2SP tlog-checkpoint. What this crate promises:
//!
//! - **Signed ⇒ guarded ⇒ durable.** A head is signed only after its records are durable and after the [guard]
//!   remembers it in a file of its own. A signature may be lost in a crash; it never exists for what can be lost.
//! - **One tree.** Never two roots for one size. A store that is behind its guard, or has another tree, is not opened.
//! - **One record per key.** The first text stays; another one is [`Error::Conflict`].
//! - **Readers see signed heads only**, whatever is in the store beyond.
//! - **Nobody guesses.** A commit or sync whose outcome is unknown ends the writer; the next start reads the disk.
//!
//! [`Ledger`] is the handle to append and to read. [`Store`] is what it asks of storage; [`MemoryStore`] is the one that
//! comes with it. [`Sealer`] is guard and signers behind one interface.

mod clock;
mod decide;
mod durable;
mod error;
mod file_sealer;
pub mod guard;
mod head;
mod identity;
mod ledger;
mod memory;
mod open;
mod queue;
mod recheck;
mod refusal;
mod restore;
mod round;
mod seal;
mod space;
mod store;
mod writer;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

pub use clock::{Clock, SystemClock};
pub use durable::{BLOCK, Disk, DiskFile, Lock, RealDisk};
pub use error::Error;
pub use file_sealer::FileSealer;
pub use guard::Guarded;
pub use head::SignedHead;
pub use identity::{Identity, Instance};
pub use ledger::{Ledger, OpenOptions, Status, default_guard};
pub use memory::MemoryStore;
pub use open::{Setup, Vouch, read_identity, start};
pub use queue::Limits;
pub use recheck::recheck;
pub use refusal::OpenError;
pub use round::{AtTheEnd, State, assemble, build};
pub use seal::{SealError, Sealed, Sealer};
pub use space::Room;
pub use store::{
    CommitError, Entry, Head, Micros, Most, Notes, ReadError, Record, Round, Store, TileState, group_of,
};
pub use writer::{Receipt, RoundStats, Writer};
