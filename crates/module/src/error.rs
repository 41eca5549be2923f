//! The one error of this crate: a kind to branch on and a text to show.

use std::{fmt, io};

/// What a caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input breaks a rule of Go modules and always will: refuse it.
    Malformed,
    /// A reader that was handed in failed. This says nothing about the content: try again.
    Read,
    /// A writer that was handed in failed. This says nothing about the content: try again.
    Write,
}

/// Why an input was refused. The text follows the wording of the `go` command.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<io::Error>,
}

impl Error {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Malformed, message: message.into(), source: None }
    }

    pub(crate) fn read(source: io::Error) -> Self {
        Self { kind: ErrorKind::Read, message: format!("read failed: {source}"), source: Some(source) }
    }

    pub(crate) fn write(source: io::Error) -> Self {
        Self { kind: ErrorKind::Write, message: format!("write failed: {source}"), source: Some(source) }
    }

    /// The same error with `context` and a colon in front of its text.
    pub(crate) fn within(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|e| e as _)
    }
}
