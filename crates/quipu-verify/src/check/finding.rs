//! What is wrong: one finding for each claim that the log does not bear out.

use quipu_module::{H1, ModuleVersion, SumKind};

use super::claims::{Claim, Place};

/// The kinds of findings. Their ids are for other programs to rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rule {
    /// The log holds another hash.
    Differs,
    /// The database says that it does not have the module version.
    NotInLog,
    /// The database's answer is not what its signed tree holds.
    Unproven,
    /// The file does not have the form that it should have, so that it cannot be what the log holds.
    Malformed,
    /// It could not be checked.
    Unchecked,
}

impl Rule {
    /// All of them.
    pub(super) const ALL: [Self; 5] =
        [Self::Differs, Self::NotInLog, Self::Unproven, Self::Malformed, Self::Unchecked];

    /// The id.
    pub(super) const fn id(self) -> &'static str {
        match self {
            Self::Differs => "hash-differs",
            Self::NotInLog => "not-in-log",
            Self::Unproven => "answer-unproven",
            Self::Malformed => "malformed",
            Self::Unchecked => "not-checked",
        }
    }

    /// What it means.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Differs => "The log holds another hash of this module version",
            Self::NotInLog => "The log does not hold this module version",
            Self::Unproven => "The database's answer is not what its signed tree holds",
            Self::Malformed => "The file is not of the form that it should have",
            Self::Unchecked => "The module version could not be checked",
        }
    }

    /// Whether it was checked and found wrong.
    pub(super) const fn is_difference(self) -> bool {
        !matches!(self, Self::Unchecked)
    }
}

/// Something wrong at some place.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) rule: Rule,
    pub(super) place: Place,
    /// Of what module and which of its hashes; none if the place does not say.
    pub(super) subject: Option<(ModuleVersion, SumKind)>,
    /// The hash that the place claims.
    pub(super) expected: Option<H1>,
    /// The hash in the log, and the record's id.
    pub(super) logged: Option<(H1, u64)>,
    /// Why, in words.
    pub(super) why: String,
}

impl Finding {
    /// A finding about a place that claims nothing.
    pub(super) fn new(rule: Rule, place: Place, why: impl Into<String>) -> Self {
        Self { rule, place, subject: None, expected: None, logged: None, why: why.into() }
    }

    /// The same of a known module.
    pub(super) fn about(self, module: ModuleVersion, kind: SumKind) -> Self {
        Self { subject: Some((module, kind)), ..self }
    }

    /// A finding about a claim.
    pub(super) fn of(claim: Claim, rule: Rule, why: impl Into<String>) -> Self {
        let Claim { module, kind, hash, place } = claim;
        Self { expected: Some(hash), ..Self::new(rule, place, why).about(module, kind) }
    }

    /// What is compared, as the go command would name it.
    pub(super) fn subject_text(&self) -> Option<String> {
        let (module, kind) = self.subject.as_ref()?;
        Some(format!("{} {}{}", module.path(), module.version(), suffix(*kind)))
    }
}

/// As in the second field of a go.sum line.
pub(super) const fn suffix(kind: SumKind) -> &'static str {
    match kind {
        SumKind::Zip => "",
        SumKind::GoMod => "/go.mod",
    }
}
