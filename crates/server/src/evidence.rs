//! Evidence of databases that signed two histories: kept, and told to whoever watches the server.

use quipu_verify::{Evidence, EvidenceDir};
use tracing::error;

/// Keeps a piece of evidence and says so in the log.
pub(crate) fn keep(dir: &EvidenceDir, evidence: &Evidence) {
    metrics::counter!("quipu_forks_seen_total").increment(1);
    match dir.put(evidence) {
        Ok(file) => error!(file = %file.display(), "a database signed two histories: evidence kept"),
        Err(error) => {
            error!(%error, %evidence, "a database signed two histories: cannot keep the evidence");
        }
    }
}
