//! Evidence of databases that signed what cannot be true, two histories above all: kept, and told to whoever watches the server.

use quipu_verify::{Evidence, EvidenceDir, Kind};
use tracing::error;

use crate::audit::{AuditLog, Event, EventKind};

/// Keeps a piece of evidence and says so in the log, and once for each in the audit log, if there is one.
pub(crate) fn keep(dir: &EvidenceDir, evidence: &Evidence, audit: Option<&AuditLog>) {
    metrics::counter!("quipu_forks_seen_total").increment(1);
    let what = if evidence.kind() == Kind::Fork { "two histories" } else { "what its rules forbid" };
    match dir.put(evidence) {
        Ok(kept) => {
            error!(file = %kept.file.display(), "a database signed {what}: evidence kept");
            if let Some(audit) = audit.filter(|_| kept.is_new) {
                audit.note(event(evidence, &kept.file.file_name().unwrap_or_default().to_string_lossy()));
            }
        }
        Err(error) => {
            error!(%error, %evidence, "a database signed {what}: cannot keep the evidence");
        }
    }
}

fn event(evidence: &Evidence, file: &str) -> Event {
    // Keys begin with the name of their database.
    let accused = evidence.keys().first().and_then(|key| key.split('+').next()).unwrap_or_default();
    let detail = format!("{}: {}: {}", file, evidence.kind().headline(), evidence.summary());
    Event::new(EventKind::Evidence).what(accused).detail(&detail)
}
