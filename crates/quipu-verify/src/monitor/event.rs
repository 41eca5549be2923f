//! What is reported: new versions, and whatever else somebody should know of a database.

use std::fmt;

use quipu_module::{ModuleVersion, Record};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The kinds of events, as they are named in JSON and in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// A record that is new in the log.
    Version,
    /// A record in the log that breaks the rules for records.
    BadRecord,
    /// A place serves a smaller head than before; it is part of the same history.
    Rollback,
    /// Two signed heads that cannot both be true.
    Fork,
    /// The log has not grown, or nobody has answered, for too long.
    Stall,
    /// A place did not answer, several times in a row.
    Unreachable,
    /// A place answers something that is not in the form of the protocol.
    Malformed,
    /// A place answers something that its signed tree does not support.
    Unproven,
    /// What is remembered here cannot be read or written.
    State,
    /// What was wrong is so no more.
    Recovered,
}

impl Kind {
    /// All of them.
    pub(super) const ALL: [Self; 10] = [
        Self::Version,
        Self::BadRecord,
        Self::Rollback,
        Self::Fork,
        Self::Stall,
        Self::Unreachable,
        Self::Malformed,
        Self::Unproven,
        Self::State,
        Self::Recovered,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::BadRecord => "bad_record",
            Self::Rollback => "rollback",
            Self::Fork => "fork",
            Self::Stall => "stall",
            Self::Unreachable => "unreachable",
            Self::Malformed => "malformed",
            Self::Unproven => "unproven",
            Self::State => "state",
            Self::Recovered => "recovered",
        }
    }
}

/// Something about the database itself, or about a place where it is served. Kept until it is delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Alert {
    /// Counts the alerts of this database, from 0.
    pub(super) number: u64,
    pub(super) kind: Kind,
    /// When it was noticed, in seconds since 1970.
    pub(super) time: u64,
    /// The place that it was noticed at, or `records` for their contents.
    pub(super) from: String,
    pub(super) text: String,
    /// The size of the largest head seen then.
    pub(super) size: u64,
    /// The file with the evidence.
    pub(super) evidence: Option<String>,
}

/// An event, to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Version { id: u64, record: Record },
    BadRecord { id: u64, why: String, text: String },
    Alert(Alert),
}

impl Event {
    /// The event of a record that keeps the rules. None if it is no record of this very module after all.
    pub(super) fn version(id: u64, module: &ModuleVersion, text: &str) -> Option<Self> {
        Record::find(text, module).ok().map(|record| Self::Version { id, record })
    }

    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Version { .. } => Kind::Version,
            Self::BadRecord { .. } => Kind::BadRecord,
            Self::Alert(alert) => alert.kind,
        }
    }

    /// The event as an object. Its `key` is the same whenever the event is delivered again, and no other event of the
    /// database has it.
    pub(super) fn json(&self, database: &str) -> Value {
        let kind = self.kind().name();
        match self {
            Self::Version { id, record } => json!({
                "kind": kind,
                "key": format!("record-{id}"),
                "database": database,
                "id": id,
                "module": record.module.path().as_str(),
                "version": record.module.version().as_str(),
                "zip": record.zip.to_string(),
                "go_mod": record.go_mod.to_string(),
            }),
            Self::BadRecord { id, why, text } => json!({
                "kind": kind,
                "key": format!("record-{id}"),
                "database": database,
                "id": id,
                "text": format!("record {id} breaks the rules: {why}"),
                "record": text,
            }),
            Self::Alert(alert) => json!({
                "kind": kind,
                "key": format!("alert-{}", alert.number),
                "database": database,
                "time": alert.time,
                "from": alert.from,
                "text": alert.text,
                "size": alert.size,
                "evidence": alert.evidence,
            }),
        }
    }
}

impl fmt::Display for Event {
    /// One line for people, and for tools that split at spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { id, record } => {
                let (path, version) = (record.module.path(), record.module.version());
                write!(f, "{id} {path} {version} {} {}", record.zip, record.go_mod)
            }
            Self::BadRecord { id, why, .. } => write!(f, "bad_record: record {id} breaks the rules: {why}"),
            Self::Alert(alert) => write!(f, "{}: {}: {}", alert.kind.name(), alert.from, alert.text),
        }
    }
}
