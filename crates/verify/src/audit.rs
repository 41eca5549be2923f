//! Auditing a log that somebody else serves: every record, every tile, the signed root, and no key twice, once; later
//! only what is new.
//!
//! [`audit`] reads a log through a [`Source`] and believes only what its signed head proves. All tiles are checked from
//! above, each as soon as it is read, so the first wrong byte is named at once and nothing else becomes doubtful. What
//! was checked is remembered in an [`AuditState`]: an audit that was interrupted goes on where it was, and the next one
//! reads only what is new.
//!
//! What is proven when the report is good: the head is signed by the log's key, and is an extension of the largest one
//! that this state has seen; the tiles served are exactly those of that tree; each record keeps the rules; and no two of
//! all records, also of those checked by earlier audits, have the same key.
//!
//! Of what is wrong there is [evidence](crate::Evidence) beside the findings where there can be some: proof of misbehaviour for
//! records that were signed and must not be, and for finding the fault what was served in place of what was signed.

mod accuser;
mod crown;
mod findings;
mod leaves;
mod parallel;
mod reader;
mod run;
mod runs;
mod siphash;
mod sorter;
mod source;
mod state;
mod twins;

pub use findings::Finding;
pub use run::{Options, Progress, Report, Rollback, audit};
pub use source::{FileTree, Layout, Remote, Source};
pub use state::AuditState;
