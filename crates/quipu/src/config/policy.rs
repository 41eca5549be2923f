//! The lists of the policy, as they stand in the file: what no flag could hold.

use quipu_server::policy;
use serde::{Deserialize, Serialize};

/// `[[policy.rule]]`: a rule about modules. The first that matches decides.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// What to do with what it matches.
    pub(crate) action: Action,
    /// Globs of module paths, comma-separated, as in GOPRIVATE.
    pub(crate) modules: String,
    /// Ranges of versions; none means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) versions: Vec<String>,
    /// What clients are told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
}

/// `[[policy.toolchain]]`: a rule about toolchains. The first that matches decides.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Toolchain {
    /// What to do with what it matches.
    pub(crate) action: Action,
    /// Ranges of Go versions; none means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) versions: Vec<String>,
    /// Globs of platforms (`linux-amd64`), comma-separated; empty means all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) platforms: String,
    /// What clients are told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
}

/// `[[policy.waiver]]`: what is offered although it is young.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Waiver {
    /// Globs of module paths, comma-separated, as in GOPRIVATE.
    pub(crate) modules: String,
    /// Ranges of versions; none means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) versions: Vec<String>,
    /// Why.
    pub(crate) reason: String,
    /// The last day on which it holds (`2026-12-31`), or the time at which it ends.
    pub(crate) until: String,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    /// Offers it.
    Allow,
    /// Refuses it.
    Deny,
}

impl From<Action> for policy::Action {
    fn from(action: Action) -> Self {
        match action {
            Action::Allow => Self::Allow,
            Action::Deny => Self::Deny,
        }
    }
}
