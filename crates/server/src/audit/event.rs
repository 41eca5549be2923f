//! What can stand in the audit log.

use std::net::IpAddr;

use quipu_module::format_rfc3339;
use serde::{Deserialize, Serialize};

use crate::wall_clock::since_1970;

/// Longest text of one field, in characters.
const MAX_FIELD: usize = 1000;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EventKind {
    /// The server started.
    Start,
    /// The server stopped; the detail says why, if nobody told it to.
    Stop,
    /// A version was published: it is in the log, and is served from now on.
    Publish,
    /// A version was offered that has another hash in the log.
    Conflict,
    /// A version was offered that breaks a rule.
    PublishRefused,
    /// A token was made.
    TokenNew,
    /// A token was revoked.
    TokenRevoked,
    /// Somebody came with credentials that are none here.
    AuthFailure,
    /// A webhook was taken.
    Webhook,
    /// Somebody sent a webhook that is not signed with a secret of this server.
    WebhookRefused,
    /// The policy refused a module or a version.
    PolicyRefused,
    /// The policy would have, but for the dry run.
    PolicyWouldRefuse,
    /// A version was let through although it is too young: by a waiver, or as a fix.
    PolicyExempt,
    /// A file that was sent or stored is not what is recorded, or cannot be a module's: it is refused and kept aside.
    Mismatch,
    /// Upstream says that a version is another commit than it was.
    MovedTag,
    /// A checksum database signed what cannot be true: the proof of it is kept.
    Evidence,
    /// A version was put into quarantine.
    QuarantineAdd,
    /// A version was taken out of quarantine.
    QuarantineRemove,
    /// Entries could not be written.
    Lost,
}

/// One entry. Control characters and everything beyond ASCII are escaped when it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub(super) kind: EventKind,
    /// Nanoseconds since 1970.
    pub(super) time: i128,
    pub(super) who: String,
    pub(super) peer: Option<IpAddr>,
    pub(super) what: String,
    pub(super) detail: String,
}

impl Event {
    /// Something that happens now.
    #[must_use]
    pub fn new(kind: EventKind) -> Self {
        let time = i128::try_from(since_1970().as_micros()).unwrap_or_default() * 1000;
        Self { kind, time, who: String::new(), peer: None, what: String::new(), detail: String::new() }
    }

    /// Who did it.
    #[must_use]
    pub fn who(mut self, who: &str) -> Self {
        self.who = clip(who);
        self
    }

    /// From where, if that is known.
    #[must_use]
    pub fn peer(mut self, peer: impl Into<Option<IpAddr>>) -> Self {
        self.peer = peer.into().map(|peer| peer.to_canonical());
        self
    }

    /// To what: a module version, a token.
    #[must_use]
    pub fn what(mut self, what: &str) -> Self {
        self.what = clip(what);
        self
    }

    /// Anything else worth knowing.
    #[must_use]
    pub fn detail(mut self, detail: &str) -> Self {
        self.detail = clip(detail);
        self
    }
}

fn clip(text: &str) -> String {
    text.chars().take(MAX_FIELD).collect()
}

/// The object of a line. Members that say nothing are left out.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    pub(super) seq: u64,
    time: String,
    pub(super) event: EventKind,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    who: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    what: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    detail: String,
}

impl Wire {
    pub(super) fn new(seq: u64, event: &Event) -> Self {
        let Event { kind, time, who, peer, what, detail } = event.clone();
        let time = format_rfc3339(time).unwrap_or_default();
        Self { seq, time, event: kind, who, peer, what, detail }
    }

    /// The JSON, of printable ASCII alone.
    pub(super) fn format(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        let mut ascii = String::with_capacity(json.len());
        for c in json.chars() {
            if c.is_ascii() && !c.is_ascii_control() {
                ascii.push(c);
            } else {
                // Whatever is not printable ASCII stands within a string, where every character may be escaped.
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    ascii.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
        ascii
    }
}
