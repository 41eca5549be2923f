//! Why the client did not give an answer: few kinds, named by what the caller should do.

use std::fmt;
use std::sync::Arc;

use crate::evidence::{Evidence, NotProven};
use crate::transport::TransportError;

/// Why there is no verified answer.
///
/// Nothing that a server sends can make the client say anything but the truth or one of these.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The database says that what was asked for does not exist: a module version it cannot find, or a tile beyond
    /// its signed tree. A missing piece of a proof is never this, but [`Error::Unavailable`].
    #[error("{0}")]
    NotFound(Failure),
    /// The database, or a piece of the proof, cannot be had now. Ask again later.
    #[error("{0}")]
    Unavailable(Failure),
    /// The answer is not in the form that the protocol demands. Asking again will rarely help.
    #[error("{0}")]
    Malformed(Failure),
    /// The answer is well formed, but the signed tree does not support it: a tile that does not hash to what is
    /// above it, a record that is not where the answer says, a note without a good signature. It must not be used.
    /// It is no proof of misbehaviour either, because tiles and answers are not signed; what shows the contradiction is
    /// in [`Failure::evidence`] if it can be shown.
    #[error("{0}")]
    Unproven(Failure),
    /// The database signed what cannot be true, such as two trees that contradict each other; its own signatures prove
    /// it ([`Kind::is_signed`](crate::Kind::is_signed)). Keep the evidence, tell a human, stop using it.
    #[error("{}: {}", .0.kind().headline(), .0.summary())]
    Misbehaved(Arc<Evidence>),
    /// What the client keeps between runs cannot be read, written or believed.
    #[error("{0}")]
    State(Failure),
}

/// What failed and why: each one line of bounded length, whatever a server may have put into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    what: String,
    why: String,
    evidence: Option<Arc<Evidence>>,
}

impl Failure {
    /// A failure of `what` (the resource or step), because of `why`.
    pub(crate) fn new(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self { what: one_line(&what.to_string()), why: one_line(&why.to_string()), evidence: None }
    }

    /// The resource or the step that failed, such as `/lookup/example.com/m@v1.0.0`.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What is wrong with it.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// What was served, beside the signed head that contradicts it: worth keeping, but no proof against the database,
    /// because what was served is not signed ([`Kind::unsigned`](crate::Kind::unsigned)).
    pub fn evidence(&self) -> Option<&Arc<Evidence>> {
        self.evidence.as_ref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl Error {
    /// Evidence worth keeping: always there in [`Error::Misbehaved`], where it is proof, and often in
    /// [`Error::Unproven`].
    pub fn evidence(&self) -> Option<&Arc<Evidence>> {
        match self {
            Self::Misbehaved(evidence) => Some(evidence),
            Self::NotFound(failure)
            | Self::Unavailable(failure)
            | Self::Malformed(failure)
            | Self::Unproven(failure)
            | Self::State(failure) => failure.evidence(),
        }
    }

    pub(crate) fn not_found(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::NotFound(Failure::new(what, why))
    }

    pub(crate) fn unavailable(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::Unavailable(Failure::new(what, why))
    }

    pub(crate) fn malformed(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::Malformed(Failure::new(what, why))
    }

    pub(crate) fn unproven(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::Unproven(Failure::new(what, why))
    }

    /// An answer that the signed tree contradicts, or a signature that does, with evidence of it if there is some.
    pub(crate) fn contradicted(
        what: impl fmt::Display,
        why: impl fmt::Display,
        evidence: Result<Evidence, NotProven>,
    ) -> Self {
        Self::Unproven(Failure { evidence: evidence.ok().map(Arc::new), ..Failure::new(what, why) })
    }

    pub(crate) fn state(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::State(Failure::new(what, why))
    }

    /// The error of a resource that the caller asked for by name: its absence is an answer.
    pub(crate) fn asked_for(path: &str, error: TransportError) -> Self {
        match error {
            TransportError::NotFound(why) => Self::not_found(path, why),
            other => Self::needed(path, &other),
        }
    }

    /// The error of a resource that a proof needs: its absence says nothing about what was asked for.
    pub(crate) fn needed(path: &str, error: &TransportError) -> Self {
        match error {
            TransportError::NotFound(_) | TransportError::Unavailable(_) => Self::unavailable(path, error),
            TransportError::TooLarge(_) => Self::malformed(path, error),
        }
    }
}

/// A text for a log line.
pub(crate) fn one_line(text: &str) -> String {
    let replaced = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut line: String = text.chars().take(MAX_CHARS).map(replaced).collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        line.push('…');
    }
    line
}

const MAX_CHARS: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_one_bounded_line() {
        let error = Error::unavailable("/latest", "500 boom\nERROR forged log line\u{1b}[2J");
        assert_eq!(error.to_string(), "/latest: 500 boom\u{fffd}ERROR forged log line\u{fffd}[2J");
        let long = Error::unavailable("/latest", "é".repeat(100_000)).to_string();
        assert_eq!(long, format!("/latest: {}…", "é".repeat(MAX_CHARS)));
    }
}
