//! The kinds of evidence side by side: what each holds, how it is written, read and checked.

use std::fmt;

use bytes::Bytes;
use quipu_module::ModuleVersion;
use quipu_note::{OpenError, VerifierKey, open};
use quipu_tlog::{Tile, Tree, parse_tree};

use super::finding::{Finding, Kind};
use super::leaf::Leaf;
use super::served::{self, Served};
use super::{NotProven, fork, leaf};
use crate::text::{Sections, text_section};

/// What a piece of evidence claims, with all that proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    Fork(fork::Claim),
    Record { head: Bytes, leaf: Leaf },
    Duplicate { head: Bytes, leaves: Box<[Leaf; 2]> },
    Changed(Box<[(Bytes, Leaf); 2]>),
    Tile(Served<Tile>),
    Tiles { head: Bytes, tiles: Vec<(Tile, Bytes)> },
    Answer(Served<ModuleVersion>),
    Signature { note: Bytes },
}

impl Claim {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Fork(_) => Kind::Fork,
            Self::Record { .. } => Kind::Record,
            Self::Duplicate { .. } => Kind::Duplicate,
            Self::Changed(_) => Kind::Changed,
            Self::Tile(_) => Kind::Tile,
            Self::Tiles { .. } => Kind::Tiles,
            Self::Answer(_) => Kind::Answer,
            Self::Signature { .. } => Kind::Signature,
        }
    }

    pub(super) fn notes(&self) -> Vec<&Bytes> {
        match self {
            Self::Fork(fork) => vec![&fork.older, &fork.newer],
            Self::Changed(both) => both.iter().map(|(head, _)| head).collect(),
            Self::Record { head, .. } | Self::Duplicate { head, .. } | Self::Tiles { head, .. } => vec![head],
            Self::Tile(Served { head, .. }) | Self::Answer(Served { head, .. }) => vec![head],
            Self::Signature { note } => vec![note],
        }
    }

    /// What is found by checking, with heads opened as `heads` says.
    pub(super) fn find(&self, heads: &Heads<'_>) -> Result<Finding, NotProven> {
        match self {
            Self::Fork(fork) => fork.find(heads),
            Self::Record { head, leaf } => leaf::find_record(heads, head, leaf),
            Self::Duplicate { head, leaves } => leaf::find_duplicate(heads, head, leaves),
            Self::Changed(both) => leaf::find_changed(heads, both),
            Self::Tile(served) => served.find(heads, Kind::Tile),
            Self::Tiles { head, tiles } => served::find_tiles(heads, head, tiles),
            Self::Answer(served) => served.find(heads, Kind::Answer),
            Self::Signature { note } => heads.find_false_signature(note),
        }
    }

    /// Writes the sections of the kind.
    pub(super) fn write(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fork(fork) => fork.write(out),
            Self::Record { head, leaf } => {
                text_section(out, "head", head)?;
                leaf.write(out)
            }
            Self::Duplicate { head, leaves } => {
                text_section(out, "head", head)?;
                leaves.iter().try_for_each(|leaf| leaf.write(out))
            }
            Self::Changed(both) => both.iter().try_for_each(|(head, leaf)| {
                text_section(out, "head", head)?;
                leaf.write(out)
            }),
            Self::Tile(served) => served.write(out),
            Self::Tiles { head, tiles } => served::write_tiles(out, head, tiles),
            Self::Answer(served) => served.write(out),
            Self::Signature { note } => text_section(out, "note", note),
        }
    }

    /// Reads what [`Claim::write`] writes, and more.
    pub(super) fn parse(kind: Kind, sections: &mut Sections<'_>) -> Option<Self> {
        if kind == Kind::Fork {
            return fork::Claim::parse(sections).map(Self::Fork);
        }
        if kind == Kind::Signature {
            return Some(Self::Signature { note: sections.take_text("note")? });
        }
        let head = sections.take_text("head")?;
        Some(match kind {
            Kind::Record => Self::Record { head, leaf: Leaf::parse(sections)? },
            Kind::Duplicate => {
                let leaves = Box::new([Leaf::parse(sections)?, Leaf::parse(sections)?]);
                Self::Duplicate { head, leaves }
            }
            Kind::Changed => {
                let older = (head, Leaf::parse(sections)?);
                let newer = (sections.take_text("head")?, Leaf::parse(sections)?);
                Self::Changed(Box::new([older, newer]))
            }
            Kind::Tile => Self::Tile(Served::parse(head, sections)?),
            Kind::Tiles => Self::Tiles { head, tiles: served::parse_tiles(sections)? },
            Kind::Answer => Self::Answer(Served::parse(head, sections)?),
            Kind::Fork | Kind::Signature => return None,
        })
    }
}

/// How heads are opened.
pub(super) enum Heads<'a> {
    /// Only those that one of these keys signed: as the `go` command would, for evidence should convince everybody.
    SignedBy(&'a [VerifierKey]),
    /// All, for telling what is claimed.
    Unsigned,
}

impl Heads<'_> {
    pub(super) fn open(&self, which: &str, note: &[u8]) -> Result<Tree, NotProven> {
        let because = |e: &dyn fmt::Display| NotProven::new(format_args!("{which} note: {e}"));
        let text = match self {
            Self::SignedBy(keys) => open(note, keys).map_err(|e| because(&e))?.text,
            Self::Unsigned => match open(note, &[]) {
                Err(OpenError::Unverified(note)) => note.text,
                Err(e) => return Err(because(&e)),
                Ok(note) => note.text,
            },
        };
        parse_tree(&text).map_err(|e| because(&e))
    }

    fn find_false_signature(&self, note: &[u8]) -> Result<Finding, NotProven> {
        let Self::SignedBy(keys) = self else {
            return Ok(Finding::Signature { key: "the database".to_owned() });
        };
        match open(note, keys) {
            Err(OpenError::InvalidSignature { name, id }) => {
                Ok(Finding::Signature { key: format!("{name}+{id}") })
            }
            Err(e) => Err(NotProven::new(format_args!("no signature is a false one: {e}"))),
            Ok(_) => Err(NotProven::new("the signature is good")),
        }
    }
}
