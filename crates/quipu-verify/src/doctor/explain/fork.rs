//! The report that go prints when a database has signed two histories, turned back into what proves it.
//!
//! ```text
//! go.sum database server misbehavior detected!
//!
//! old database:
//!     <the older note, each line after a tab>
//! new database:
//!     <the newer note>
//! proof of misbehavior:
//!     <the root that the newer tree has at the size of the older, then the consistency proof, base64>
//! ```

use bytes::Bytes;
use quipu_note::VerifierKey;
use quipu_tlog::Hash;
use quipu_verify::Evidence;

/// A report as it was printed. Nothing of it is checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForkReport {
    older: String,
    newer: String,
    hashes: Vec<String>,
}

impl ForkReport {
    /// The first report in a text; none if there is none. What is missing of it is empty.
    pub(crate) fn find(text: &str) -> Option<Self> {
        let (_, report) = text.split_once(FIRST)?;
        let hashes = indented(report, PROOF).into_iter().filter(|line| !line.is_empty()).collect();
        Some(Self { older: note(report, OLDER), newer: note(report, NEWER), hashes })
    }

    /// Evidence that a third person can check.
    ///
    /// # Errors
    /// The report does not prove a fork by the owner of one of the keys; says why not.
    pub(crate) fn prove(&self, keys: &[VerifierKey]) -> Result<Evidence, String> {
        let hashes: Result<Vec<Hash>, _> = self.hashes.iter().map(|hash| hash.parse()).collect();
        let hashes = hashes.map_err(|e| format!("a line of the proof: {e}"))?;
        let (implied, proof) = hashes.split_first().ok_or("it has no proof")?;
        let notes = (Bytes::from(self.older.clone()), Bytes::from(self.newer.clone()));
        Evidence::prove(keys, notes, *implied, proof.to_vec()).map_err(|e| e.to_string())
    }
}

/// A note below a heading.
fn note(report: &str, heading: &str) -> String {
    let mut lines = indented(report, heading);
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

/// The lines below a heading up to the next one, without indent. Editors and terminals take blanks at the ends away, so
/// that the empty line of a note may have none.
fn indented(report: &str, heading: &str) -> Vec<String> {
    let lines = report.lines().skip_while(|line| line.trim() != heading).skip(1);
    let content = lines.take_while(|line| line.trim().is_empty() || line.starts_with([' ', '\t']));
    content.map(|line| line.trim().to_owned()).collect()
}

const FIRST: &str = "go.sum database server misbehavior detected!";
const OLDER: &str = "old database:";
const NEWER: &str = "new database:";
const PROOF: &str = "proof of misbehavior:";
