//! Checking a whole log: every record, every tile, the signed root.
//!
//! The core does no input or output. [`Digester::digest`] hashes and judges the records of one data tile; it is the
//! expensive part, knows nothing of the other bundles and may run on any thread. [`Checker::absorb`] takes bundles in
//! order, compares them with the level-0 tiles served and says which higher tiles are complete and to be compared;
//! [`Checker::finish`] gives the verdict. [`check_log`] drives all of this over a [`LogSource`].
//!
//! # Who is wrong
//!
//! When a record and its hash in a tile contradict each other, either may be damaged. The checker follows both
//! hypotheses to the end, "the records are right" and "the level-0 tiles are right", and the signed root decides
//! between them. So a flipped bit is blamed on the record or on the tile that it is in.

mod bundle;
mod checker;
mod common;
mod hypothesis;
mod keys;
mod log;
mod report;
mod rules;

pub use bundle::{Bundle, Digester, Entry};
pub(crate) use checker::differences;
pub use checker::{Checker, Expected, OutOfOrder};
pub use keys::{Recheck, Suspects};
pub use log::{CheckError, LogSource, Options, StoredRecord, check_log};
pub use report::{Fault, Report};
pub use rules::{AnyText, GoSum, Rules};
