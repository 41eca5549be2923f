//! What of all that could be had is offered: rules by path and version, a cooldown for what is new, and quarantine.
//!
//! The rules know nothing of HTTP, of files and of where modules come from: they are asked about a module version, with
//! its time and the present time handed in. [`Offering`] holds those in force; the filter in front of the module cache
//! applies them.

mod cooldown;
mod fixes;
mod offering;
mod quarantine;
mod rules;
mod toolchain;
mod versions;

pub use cooldown::{Cooldown, Waiver};
pub use fixes::Fixes;
pub use offering::{Decision, Decisions, LogDecisions, Offering, Outcome};
pub use quarantine::{Quarantine, Quarantined};
pub use rules::{Action, Rule, Rulebook};
pub use toolchain::ToolchainRule;
pub use versions::Versions;

/// Why something written about policy makes no sense; says what and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(String);

impl PolicyError {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// What kind of rule refused something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusedBy {
    /// An operator took this very version out.
    Quarantine,
    /// A deny rule.
    Rule,
    /// A rule about toolchains.
    Toolchain,
    /// It is too young.
    Cooldown,
}

impl RefusedBy {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Quarantine, Self::Rule, Self::Toolchain, Self::Cooldown];

    /// Its name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quarantine => "quarantine",
            Self::Rule => "rule",
            Self::Toolchain => "toolchain",
            Self::Cooldown => "cooldown",
        }
    }
}

/// A refusal: what kind of rule made it, and the line that the client is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The kind of rule.
    pub by: RefusedBy,
    /// What is refused and why, on one line.
    pub text: String,
}
