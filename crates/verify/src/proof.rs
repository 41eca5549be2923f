//! Proof files: that records are in a log, for whoever has the file and the verifier key of the database.
//!
//! [`GoSumProof`] proves all lines of a go.sum against one signed head; [`TlogProof`] proves one record in the form of
//! [C2SP tlog-proof](https://c2sp.org/tlog-proof), which other programs read too. Both are made of what
//! [`Client::prove`](crate::Client::prove) gives, and checked with nothing but the keys: no network, no state. The
//! formats are the subject of `docs/FORMATS.md`.

mod go_sum;
mod tlog;

use std::sync::Arc;

use quipu_tlog::Hash;

use crate::head::SignedHead;
use crate::record::AuthenticatedRecord;

pub use go_sum::{GoSumProof, ProvenLines};
pub use tlog::TlogProof;

/// Records that were all shown to be in one signed tree, and the one proof of that.
#[derive(Clone, Debug)]
pub struct ProvenRecords {
    /// The head of the tree.
    pub head: Arc<SignedHead>,
    /// The records with their places in the log, which rise.
    pub records: Vec<(u64, AuthenticatedRecord)>,
    /// As [`check_records`](quipu_tlog::check_records) takes it; for a single record its audit path.
    pub proof: Vec<Hash>,
}

/// A text is not a proof of this form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed proof: want a text that begins with `{0}`, exactly as it was written")]
pub struct MalformedProof(&'static str);
