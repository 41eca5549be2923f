//! The suspicious client of a Go checksum database.
//!
//! [`Client`] looks up records through a [`Transport`] that it does not trust and believes only what the signed tree
//! of the database proves; what it has to remember lies in a [`State`]. [`Evidence`] is what remains when a database has
//! signed two trees that cannot both be true. [`check`] checks a whole log.
//!
//! The library opens no connection, starts no task and looks at no clock.

pub mod check;
mod client;
mod error;
mod evidence;
mod flight;
mod head;
mod record;
mod state;
mod strict;
mod tiles;
mod timeline;
mod transport;

pub use client::{Client, Limits, Verified};
pub use error::{Error, Failure};
pub use evidence::{Evidence, Fork, MalformedEvidence, NotProven};
pub use head::SignedHead;
pub use record::AuthenticatedRecord;
pub use state::{DirState, MemoryState, State};
pub use transport::{Fetch, Transport, TransportError};
