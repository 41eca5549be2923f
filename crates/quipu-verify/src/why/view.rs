//! What one place holds of a module version.

use std::path::PathBuf;

use quipu_module::{H1, SumKind};

use crate::local::NoHash;

/// The kinds of places, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The checksum database.
    Log,
    /// A go.sum file here.
    GoSum,
    /// The note of the go command of what it downloaded.
    Recorded,
    /// The files in the module cache.
    Cache,
    /// A proxy.
    Proxy,
    /// The module's own repository.
    Direct,
}

/// A hash, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// This hash, and where exactly.
    Hash(H1, String),
    /// It says that it does not have it, or it is not there.
    Absent(String),
    /// It has something that is no such file: why, and where exactly.
    Damaged(String, String),
    /// It could not be asked.
    Failed(String),
    /// It was not asked.
    NotAsked(String),
    /// It is no place for such a hash.
    Nothing,
}

impl Held {
    /// The hash, if there is one.
    pub(super) const fn hash(&self) -> Option<H1> {
        match self {
            Self::Hash(hash, _) => Some(*hash),
            _ => None,
        }
    }

    /// The hash of a file, found at `place`.
    pub(super) fn of(hash: Result<H1, NoHash>, place: impl Into<String>) -> Self {
        match hash {
            Ok(hash) => Self::Hash(hash, place.into()),
            Err(why @ NoHash::Absent) => Self::Absent(why.to_string()),
            Err(NoHash::Damaged(why)) => Self::Damaged(why, place.into()),
            Err(NoHash::Unreadable(why)) => Self::Failed(why),
        }
    }
}

/// A place and what it holds.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) kind: Kind,
    /// What to call it.
    pub(super) label: String,
    pub(super) zip: Held,
    pub(super) go_mod: Held,
    /// Where its zip can be read.
    pub(super) file: Option<PathBuf>,
}

impl View {
    /// A place that holds nothing yet.
    pub(super) const fn new(kind: Kind, label: String) -> Self {
        Self { kind, label, zip: Held::Nothing, go_mod: Held::Nothing, file: None }
    }

    /// What it holds of one of the two.
    pub(super) const fn held(&self, kind: SumKind) -> &Held {
        match kind {
            SumKind::Zip => &self.zip,
            SumKind::GoMod => &self.go_mod,
        }
    }
}
