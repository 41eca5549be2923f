//! Evidence of databases that signed what cannot be true, two histories above all: kept, and told to whoever watches the server.

use quipu_verify::{Evidence, EvidenceDir, Kind};
use tracing::error;

/// Keeps a piece of evidence and says so in the log.
pub(crate) fn keep(dir: &EvidenceDir, evidence: &Evidence) {
    metrics::counter!("quipu_forks_seen_total").increment(1);
    let what = if evidence.kind() == Kind::Fork { "two histories" } else { "what its rules forbid" };
    match dir.put(evidence) {
        Ok(file) => error!(file = %file.display(), "a database signed {what}: evidence kept"),
        Err(error) => {
            error!(%error, %evidence, "a database signed {what}: cannot keep the evidence");
        }
    }
}
