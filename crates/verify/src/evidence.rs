//! Proof that a database misbehaved, for a third person: complete, offline, in a text format of its own.
//!
//! ```text
//! quipu evidence v1: fork
//! key
//!     <verifier key>
//! older
//!     <the signed note of the older tree, line by line>
//! newer
//!     <the signed note of the newer tree, line by line>
//! proof
//!     <root that the newer tree has at the size of the older, base64>
//!     <hashes of the RFC 6962 consistency proof from that root to the newer tree, base64>
//! ```
//!
//! Lines that begin with a tab are content, the others headings; the last line ends in LF too. There is one `key` line
//! or more. The keys say who is accused and prove nothing: the reader must know from elsewhere that they are the
//! database's.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use quipu_note::VerifierKey;
use quipu_tlog::{Hash, Tree, check_consistency, parse_tree};

use crate::head::SignedHead;

/// Two trees signed by the same database, of which the newer does not begin with the older.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    keys: Vec<String>,
    older: Bytes,
    newer: Bytes,
    implied: Hash,
    proof: Vec<Hash>,
}

/// What checked evidence proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork {
    /// The older tree, as signed.
    pub older: Tree,
    /// The newer tree, as signed; at least as large.
    pub newer: Tree,
    /// The root that the newer tree has at the size of the older, which is not the older's.
    pub implied: Hash,
}

impl Evidence {
    /// Evidence from its parts, not yet checked: signed notes, the root that the newer tree implies for the size of
    /// the older, and the consistency proof from that to the newer tree (empty if the sizes are equal).
    pub(crate) fn new(
        keys: &[VerifierKey],
        older: &SignedHead,
        newer: &SignedHead,
        implied: Hash,
        proof: Vec<Hash>,
    ) -> Self {
        let (older, newer) = (older.note().clone(), newer.note().clone());
        Self { keys: keys.iter().map(VerifierKey::to_string).collect(), older, newer, implied, proof }
    }

    /// Evidence from the signed notes of an older tree and of a newer one (or two of one size), the root that the newer has
    /// at the size of the older, and the consistency proof from that to the newer (empty if the sizes are equal): only if
    /// they prove a fork by the owner of one of `keys`.
    ///
    /// # Errors
    /// [`NotProven`] with the reason.
    pub fn prove(
        keys: &[VerifierKey],
        (older, newer): (Bytes, Bytes),
        implied: Hash,
        proof: Vec<Hash>,
    ) -> Result<Self, NotProven> {
        let names = keys.iter().map(VerifierKey::to_string).collect();
        let evidence = Self { keys: names, older, newer, implied, proof };
        evidence.check(keys).map(|_| evidence)
    }

    /// The verifier keys of the accused, as the accuser knows them.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The signed note of the older (or equally large) tree.
    pub fn older(&self) -> &[u8] {
        &self.older
    }

    /// The signed note of the newer tree.
    pub fn newer(&self) -> &[u8] {
        &self.newer
    }

    /// The two trees in one line, not checked: size and root of both.
    pub fn summary(&self) -> String {
        let tree = |note: &[u8]| {
            let text = String::from_utf8_lossy(note);
            let mut lines = text.lines().skip(1).map(str::to_owned);
            (lines.next().unwrap_or_default(), lines.next().unwrap_or_default())
        };
        let ((older, older_root), (newer, newer_root)) = (tree(&self.older), tree(&self.newer));
        format!(
            "{older} records with root {older_root} and {newer} records with root {newer_root}, of which the first \
             {older} have root {}",
            self.implied
        )
    }

    /// Checks that this proves a fork by the owner of one of `keys`. Needs nothing else, no network and no state.
    ///
    /// The keys must come from somewhere else than the evidence.
    ///
    /// # Errors
    /// [`NotProven`] with the reason.
    pub fn check(&self, keys: &[VerifierKey]) -> Result<Fork, NotProven> {
        let older = open_tree("older", &self.older, keys)?;
        let newer = open_tree("newer", &self.newer, keys)?;
        let implied = Tree { size: older.size, root: self.implied };
        if older.size == 0 && newer.size > 0 {
            return Err(NotProven("every tree begins with the empty one".to_owned()));
        }
        if older.size == newer.size {
            self.check_same_size(&newer)?;
        } else {
            check_consistency(&self.proof, &newer, &implied)
                .map_err(|e| NotProven(format!("the newer tree does not begin as claimed: {e}")))?;
        }
        if older.root == self.implied {
            return Err(NotProven("the newer tree begins with the older: they agree".to_owned()));
        }
        Ok(Fork { older, newer, implied: self.implied })
    }

    fn check_same_size(&self, newer: &Tree) -> Result<(), NotProven> {
        if newer.root != self.implied || !self.proof.is_empty() {
            return Err(NotProven("for trees of one size the root itself is the whole proof".to_owned()));
        }
        Ok(())
    }
}

impl fmt::Display for Evidence {
    /// Writes the text format.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}\nkey")?;
        self.keys.iter().try_for_each(|key| writeln!(f, "\t{key}"))?;
        for (heading, note) in [("older", &self.older), ("newer", &self.newer)] {
            writeln!(f, "{heading}")?;
            String::from_utf8_lossy(note).lines().try_for_each(|line| writeln!(f, "\t{line}"))?;
        }
        writeln!(f, "proof\n\t{}", self.implied)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "\t{hash}"))
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

/// Evidence does not prove what it claims; the text says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the evidence proves nothing: {0}")]
pub struct NotProven(String);

/// A text is not evidence in the format of version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed evidence: want a text that begins with `{FIRST_LINE}`, exactly as it was written")]
pub struct MalformedEvidence;

/// Opens a note as the `go` command would: evidence should convince everybody.
fn open_tree(which: &str, note: &[u8], keys: &[VerifierKey]) -> Result<Tree, NotProven> {
    let note = quipu_note::open(note, keys).map_err(|e| NotProven(format!("{which} note: {e}")))?;
    parse_tree(&note.text).map_err(|e| NotProven(format!("{which} note: {e}")))
}

fn parse(text: &str) -> Option<Evidence> {
    let mut lines = text.lines().peekable();
    let mut heading = |name: &str| {
        lines.next_if_eq(&name)?;
        let mut content = Vec::new();
        while let Some(line) = lines.peek().and_then(|line| line.strip_prefix('\t')) {
            content.push(line.to_owned());
            lines.next();
        }
        Some(content)
    };
    heading(FIRST_LINE)?;
    let keys = heading("key")?;
    let older = join_lines(&heading("older")?);
    let newer = join_lines(&heading("newer")?);
    let hashes: Vec<Hash> = heading("proof")?.iter().map(|hash| hash.parse().ok()).collect::<Option<_>>()?;
    let (implied, proof) = hashes.split_first()?;
    Some(Evidence { keys, older, newer, implied: *implied, proof: proof.to_vec() })
}

fn join_lines(lines: &[String]) -> Bytes {
    lines.iter().flat_map(|line| [line, "\n"]).collect::<String>().into()
}

const FIRST_LINE: &str = "quipu evidence v1: fork";
const MAX_TEXT: usize = 4 << 20;
