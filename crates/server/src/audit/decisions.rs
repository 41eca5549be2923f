//! Decisions of the policy in the audit log.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::asker::Asker;
use crate::audit::{AuditLog, Event, EventKind};
use crate::policy::{Decision, Decisions, LogDecisions, Outcome};

/// The same decision for the same client stands in the audit log at most so often: clients ask again and again.
const EVERY: Duration = Duration::from_secs(3600);

/// Decisions remembered at most; then all are forgotten, and written once more.
const REMEMBERED: usize = 10_000;

/// Writes decisions into the audit log, the same one for the same client at most once an hour, besides the line of log for
/// each.
pub struct AuditDecisions {
    audit: AuditLog,
    written: Mutex<HashMap<String, Instant>>,
}

impl AuditDecisions {
    /// Into this audit log.
    #[must_use]
    pub fn new(audit: AuditLog) -> Self {
        Self { audit, written: Mutex::default() }
    }

    fn is_due(&self, what: &str) -> bool {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.get(what).is_some_and(|last| last.elapsed() < EVERY) {
            return false;
        }
        if written.len() >= REMEMBERED {
            written.clear();
        }
        written.insert(what.to_owned(), Instant::now());
        true
    }
}

impl Decisions for AuditDecisions {
    fn note(&self, decision: &Decision<'_>) {
        LogDecisions.note(decision);
        let Decision { path, version, by, text, outcome } = decision;
        let what = version.map_or_else(|| path.to_string(), |version| format!("{path}@{version}"));
        let asker = Asker::current();
        let who = asker.who();
        // Where no token is shown it is the address that tells one client from another.
        let client = if who.is_empty() { format!("{:?}", asker.peer) } else { who.clone() };
        if self.is_due(&format!("{what} {by} {outcome:?} {client}")) {
            let kind = match outcome {
                Outcome::Refused => EventKind::PolicyRefused,
                Outcome::WouldBeRefused => EventKind::PolicyWouldRefuse,
                Outcome::Exempt => EventKind::PolicyExempt,
            };
            self.audit.note(Event::new(kind).who(&who).peer(asker.peer).what(&what).detail(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use quipu_module::ModulePath;

    use super::*;

    #[tokio::test]
    async fn the_same_decision_for_the_same_client_is_written_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("audit.log");
        let audit = AuditLog::open(&file).unwrap();
        let decisions = AuditDecisions::new(audit.clone());
        let path = ModulePath::parse("example.com/m").unwrap();
        let note =
            |by, outcome| decisions.note(&Decision { path: &path, version: None, by, text: "why", outcome });
        for by in ["rule", "rule", "quarantine"] {
            note(by, Outcome::Refused);
        }
        for peer in ["192.0.2.7", "192.0.2.7", "192.0.2.8"] {
            let asker = Asker { holder: None, peer: peer.parse().ok() };
            asker.scope(async { note("waiver", Outcome::Exempt) }).await;
        }
        audit.close();
        let written = std::fs::read_to_string(file).unwrap();
        assert_eq!(written.matches("\"policy-refused\"").count(), 2, "{written}");
        assert_eq!(written.matches("\"policy-exempt\"").count(), 2, "{written}");
        for peer in ["192.0.2.7", "192.0.2.8"] {
            assert!(
                written.contains(&format!("\"peer\":\"{peer}\",\"what\":\"example.com/m\"")),
                "{written}"
            );
        }
    }
}
