//! Proof that a database misbehaved, for a third person: complete, offline, in a text format of its own.
//!
//! ```text
//! quipu evidence v1: <kind>
//! key
//!     <verifier key>
//! <the sections of the kind>
//! ```
//!
//! Lines that begin with a tab are content, the others headings; the last line ends in LF too. There is one `key` line
//! or more. The keys say who is accused and prove nothing: the reader must know from elsewhere that they are the
//! database's. The sections are `docs/FORMATS.md`'s subject.
//!
//! Whoever makes a piece of evidence checks it by that: every `prove_…` fails unless what it makes is proof.

mod claim;
mod finding;
mod fork;
mod leaf;
mod served;

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use quipu_module::ModuleVersion;
use quipu_note::VerifierKey;
use quipu_tlog::{Hash, Tile};

use crate::text::{Sections, section};
use claim::{Claim, Heads};
use served::Served;

pub use finding::{Finding, Fork, Kind};
pub use leaf::Leaf;
pub use served::Subtree;

/// Something false that a database signed, or that was served in its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    keys: Vec<String>,
    claim: Claim,
}

impl Evidence {
    /// Two signed trees of which the newer does not begin with the older: the notes of both (or two of one size), the
    /// root that the newer has at the size of the older, and the consistency proof from that to the newer (empty if the
    /// sizes are equal).
    ///
    /// # Errors
    /// [`NotProven`] with the reason, unless this proves a fork by the owner of one of `keys`.
    pub fn prove(
        keys: &[VerifierKey],
        (older, newer): (Bytes, Bytes),
        implied: Hash,
        proof: Vec<Hash>,
    ) -> Result<Self, NotProven> {
        Self::checked(keys, Claim::Fork(fork::Claim { older, newer, implied, proof }))
    }

    /// A record that the rules of a Go checksum database ([`GoSum`](crate::check::GoSum)) forbid, in the tree of the
    /// signed note `head`.
    ///
    /// # Errors
    /// [`NotProven`] with the reason.
    pub fn prove_record(keys: &[VerifierKey], head: Bytes, leaf: Leaf) -> Result<Self, NotProven> {
        Self::checked(keys, Claim::Record { head, leaf })
    }

    /// Two records for one module version in the tree of the signed note `head`, the one of lower index first.
    ///
    /// # Errors
    /// [`NotProven`] with the reason.
    pub fn prove_duplicate(keys: &[VerifierKey], head: Bytes, leaves: [Leaf; 2]) -> Result<Self, NotProven> {
        Self::checked(keys, Claim::Duplicate { head, leaves: Box::new(leaves) })
    }

    /// Two different records at one index, each in the tree of the signed note beside it, the smaller tree first.
    ///
    /// # Errors
    /// [`NotProven`] with the reason.
    pub fn prove_changed(
        keys: &[VerifierKey],
        older: (Bytes, Leaf),
        newer: (Bytes, Leaf),
    ) -> Result<Self, NotProven> {
        Self::checked(keys, Claim::Changed(Box::new([older, newer])))
    }

    /// A hash tile with this body, or a data tile that had this record at the place of `signed`, while the tree of the
    /// signed note `head` has `signed` there.
    ///
    /// `content` is the whole body of a hash tile, and that one record of a data tile.
    ///
    /// # Errors
    /// [`NotProven`] with the reason.
    pub fn prove_tile(
        keys: &[VerifierKey],
        head: Bytes,
        (tile, content): (Tile, Bytes),
        signed: Subtree,
    ) -> Result<Self, NotProven> {
        Self::checked(keys, Claim::Tile(Served { head, place: tile, content, signed }))
    }

    /// The bodies of all tiles that the root of the signed note `head` is made of
    /// ([`TilePlan::tiles`](quipu_tlog::TilePlan::tiles) without wanted hashes, in that order), which do not add up to it.
    ///
    /// # Errors
    /// [`NotProven`] with the reason.
    pub fn prove_tiles(
        keys: &[VerifierKey],
        head: Bytes,
        tiles: Vec<(Tile, Bytes)>,
    ) -> Result<Self, NotProven> {
        Self::checked(keys, Claim::Tiles { head, tiles })
    }

    /// A record that was given in answer to a lookup as the one at the place of `signed`, while the tree of the signed
    /// note `head` has `signed` there.
    ///
    /// # Errors
    /// [`NotProven`] with the reason.
    pub fn prove_answer(
        keys: &[VerifierKey],
        head: Bytes,
        (module, text): (ModuleVersion, Bytes),
        signed: Subtree,
    ) -> Result<Self, NotProven> {
        Self::checked(keys, Claim::Answer(Served { head, place: module, content: text, signed }))
    }

    /// A note that names one of `keys` as its signer, with a signature that is not by that key.
    ///
    /// # Errors
    /// [`NotProven`] with the reason.
    pub fn prove_signature(keys: &[VerifierKey], note: Bytes) -> Result<Self, NotProven> {
        Self::checked(keys, Claim::Signature { note })
    }

    /// What kind of evidence this is.
    pub fn kind(&self) -> Kind {
        self.claim.kind()
    }

    /// The verifier keys of the accused, as the accuser knows them.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The signed notes in it, in their order: of a fork the older (or equally large) tree's first.
    pub fn notes(&self) -> Vec<&Bytes> {
        self.claim.notes()
    }

    /// What it shows, in one line; no signature was checked for this.
    pub fn summary(&self) -> String {
        let found = self.claim.find(&Heads::Unsigned);
        crate::error::one_line(&found.map_or_else(|why| why.to_string(), |finding| finding.to_string()))
    }

    /// Checks that this is proof against the owner of one of `keys`, and says of what. Needs nothing else, no network
    /// and no state.
    ///
    /// The keys must come from somewhere else than the evidence.
    ///
    /// # Errors
    /// [`NotProven`] with the reason.
    pub fn check(&self, keys: &[VerifierKey]) -> Result<Finding, NotProven> {
        self.claim.find(&Heads::SignedBy(keys))
    }

    fn checked(keys: &[VerifierKey], claim: Claim) -> Result<Self, NotProven> {
        let evidence = Self { keys: keys.iter().map(VerifierKey::to_string).collect(), claim };
        evidence.check(keys)?;
        let text = evidence.to_string();
        if text.len() > MAX_TEXT {
            return Err(NotProven::new("it would be longer than the 4 MiB that are read"));
        }
        // What cannot be read again would convince nobody.
        if text.parse().as_ref() == Ok(&evidence) {
            Ok(evidence)
        } else {
            Err(NotProven::new(MalformedEvidence))
        }
    }
}

impl fmt::Display for Evidence {
    /// Writes the text format.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}{}", self.kind().name())?;
        section(f, "key", &self.keys)?;
        self.claim.write(f)
    }
}

impl FromStr for Evidence {
    type Err = MalformedEvidence;

    /// Reads exactly what is written, and nothing longer than 4 MiB.
    fn from_str(text: &str) -> Result<Self, MalformedEvidence> {
        let evidence = if text.len() > MAX_TEXT { None } else { parse(text) };
        evidence.filter(|evidence| evidence.to_string() == text).ok_or(MalformedEvidence)
    }
}

fn parse(text: &str) -> Option<Evidence> {
    let (first, rest) = text.strip_prefix(FIRST_LINE)?.split_once('\n')?;
    let kind = Kind::of_name(first)?;
    let mut sections = Sections::of(rest);
    let keys = sections.take("key")?.into_iter().map(str::to_owned).collect();
    let claim = Claim::parse(kind, &mut sections)?;
    sections.end()?;
    Some(Evidence { keys, claim })
}

/// Evidence, or a proof, does not prove what it claims; the text says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it proves nothing: {0}")]
pub struct NotProven(String);

impl NotProven {
    pub(crate) fn new(why: impl fmt::Display) -> Self {
        Self(crate::error::one_line(&why.to_string()))
    }
}

/// A text is not evidence in the format of version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed evidence: want a text that begins with `{FIRST_LINE}`, exactly as it was written")]
pub struct MalformedEvidence;

/// The first line up to the kind.
const FIRST_LINE: &str = "quipu evidence v1: ";
const MAX_TEXT: usize = 4 << 20;
