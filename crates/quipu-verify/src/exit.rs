//! How the program ends: five exit codes, the same for every command.

use std::process::ExitCode;

use quipu_verify::Error;

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// All that was to be checked is good.
    Good = 0,
    /// It could not be checked, or something failed.
    Failed = 1,
    /// The arguments make no sense.
    Usage = 2,
    /// The database provably misbehaved; the evidence is in a file.
    Misbehaved = 3,
    /// It was checked, and something is not as it should be.
    Differs = 4,
}

impl Exit {
    /// The code for an error that nobody dealt with.
    pub(crate) fn of_error(error: &anyhow::Error) -> Self {
        if error.is::<WrongUsage>() { Self::Usage } else { Self::Failed }
    }

    /// What an error of the verifying client means: proven, contradicted by the signed tree, or not to be known.
    pub(crate) fn of_refusal(error: &Error) -> Self {
        match error {
            Error::Misbehaved(_) => Self::Misbehaved,
            Error::Unproven(_) => Self::Differs,
            Error::NotFound(_) | Error::Unavailable(_) | Error::Malformed(_) | Error::State(_) => {
                Self::Failed
            }
        }
    }

    /// The code in a word, for machines.
    pub(crate) const fn verdict(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Misbehaved => "misbehaved",
            Self::Differs => "differs",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The arguments, well-formed each, make no sense.
#[derive(Debug)]
pub(crate) struct WrongUsage(pub(crate) String);

impl std::fmt::Display for WrongUsage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongUsage {}

/// An error that ends the program with the exit code for wrong usage.
pub(crate) fn wrong_usage(text: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(WrongUsage(text.into()))
}
