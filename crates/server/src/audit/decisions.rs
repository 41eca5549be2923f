//! Refusals of the policy in the audit log.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::audit::{AuditLog, Event, EventKind};
use crate::policy::{Decision, Decisions, LogDecisions};

/// The same refusal stands in the audit log at most so often: clients ask again and again.
const EVERY: Duration = Duration::from_secs(3600);

/// Refusals remembered at most; then all are forgotten, and written once more.
const REMEMBERED: usize = 10_000;

/// Writes refusals into the audit log, the same one at most once an hour, besides the line of log for each.
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
        let Decision { path, version, by, text, enforced } = decision;
        let what = version.map_or_else(|| path.to_string(), |version| format!("{path}@{version}"));
        if self.is_due(&format!("{what} {} {enforced}", by.name())) {
            let kind = if *enforced { EventKind::PolicyRefused } else { EventKind::PolicyWouldRefuse };
            self.audit.note(Event::new(kind).what(&what).detail(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use quipu_module::ModulePath;

    use super::*;
    use crate::policy::RefusedBy;

    #[test]
    fn the_same_refusal_is_written_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("audit.log");
        let audit = AuditLog::open(&file).unwrap();
        let decisions = AuditDecisions::new(audit.clone());
        let path = ModulePath::parse("example.com/m").unwrap();
        for by in [RefusedBy::Rule, RefusedBy::Rule, RefusedBy::Quarantine] {
            decisions.note(&Decision { path: &path, version: None, by, text: "why", enforced: true });
        }
        audit.close();
        let written = std::fs::read_to_string(file).unwrap();
        assert_eq!(written.matches("\"policy-refused\"").count(), 2, "{written}");
        assert!(written.contains("example.com/m"));
    }
}
