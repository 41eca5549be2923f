//! Proofs of single records in the form of [C2SP tlog-proof](https://c2sp.org/tlog-proof).
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <the record, base64>
//! index <place of the record in the log, from 0>
//! <hashes of the RFC 6962 audit path, base64, one a line>
//!
//! <the signed note of the tree>
//! ```
//!
//! The form allows any data under `extra`, or none, and it proves nothing about it. Here it is the record, so that the file
//! is complete: the record is believed because its hash is the proven leaf.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use quipu_module::Record;
use quipu_note::{VerifierKey, open};
use quipu_tlog::{Hash, Tree, check_inclusion, leaf_hash, parse_checkpoint, parse_tree};

use super::go_sum::exact;
use super::{MalformedProof, ProvenLines, ProvenRecords};
use crate::evidence::NotProven;
use crate::strict;

/// A proof that one record is in a log. Nothing in it is authentic before it is [checked](Self::check).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    extra: Option<Vec<u8>>,
    index: u64,
    proof: Vec<Hash>,
    checkpoint: Bytes,
}

impl TlogProof {
    /// The proof of a single record.
    ///
    /// # Errors
    /// [`NotProven`] with the reason, for example that there is more than one.
    pub fn new(proven: &ProvenRecords, keys: &[VerifierKey]) -> Result<Self, NotProven> {
        let [(index, record)] = proven.records.as_slice() else {
            return Err(NotProven::new("want exactly one record"));
        };
        let made = Self {
            extra: Some(record.text().as_bytes().to_vec()),
            index: *index,
            proof: proven.proof.clone(),
            checkpoint: proven.head.note().clone(),
        };
        made.check(keys, &[])?;
        Ok(made)
    }

    /// Checks the proof with the keys of the database, which must come from somewhere else than the file, and gives what
    /// it proves.
    ///
    /// The record is the one under `extra`, or else that one of `candidates` which is the leaf: the form itself says nothing
    /// of what is proven. The checkpoint may be the note of a Go checksum database or one whose origin is the name of a
    /// key.
    ///
    /// # Errors
    /// [`NotProven`] with the reason.
    pub fn check(&self, keys: &[VerifierKey], candidates: &[Record]) -> Result<ProvenLines, NotProven> {
        let tree = self.open(keys)?;
        let inside = self.extra.as_ref().and_then(|text| exact(std::str::from_utf8(text).ok()?));
        let found = inside.iter().chain(candidates).find(|record| {
            let leaf = leaf_hash(record.to_string().as_bytes());
            check_inclusion(&self.proof, &tree, self.index, &leaf).is_ok()
        });
        match found {
            Some(record) => Ok(ProvenLines::of(tree, record)),
            None if inside.is_none() && candidates.is_empty() => {
                Err(NotProven::new("the record is not in the file: name a go.sum that has its two lines"))
            }
            None => Err(NotProven::new("the record is not shown to be in the tree")),
        }
    }

    /// The place of the record in the log.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// What the text of such a proof begins with.
    pub const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

    fn open(&self, keys: &[VerifierKey]) -> Result<Tree, NotProven> {
        let malformed = |e: &dyn fmt::Display| NotProven::new(format_args!("checkpoint: {e}"));
        let note = open(&self.checkpoint, keys).map_err(|e| malformed(&e))?;
        strict::check_signatures(&self.checkpoint, &note).map_err(|e| malformed(&e))?;
        let own = |key: &VerifierKey| parse_checkpoint(&note.text, key.name().as_str()).ok();
        let signers = keys.iter().filter(|key| note.verified.iter().any(|by| by.name() == key.name()));
        match signers.filter_map(own).next() {
            Some(tree) => Ok(tree),
            None => parse_tree(&note.text).map_err(|e| malformed(&e)),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (head, checkpoint) = text.split_once("\n\n")?;
        let mut lines = head.split('\n').peekable();
        lines.next_if_eq(&Self::FIRST_LINE)?;
        let extra = lines.next_if(|line| line.starts_with("extra "));
        let extra = extra.and_then(|line| line.strip_prefix("extra ")).map(|data| STANDARD.decode(data));
        let index = lines.next()?.strip_prefix("index ")?.parse().ok()?;
        let proof: Vec<Hash> = lines.map(|hash| hash.parse().ok()).collect::<Option<_>>()?;
        let checkpoint = Bytes::copy_from_slice(checkpoint.as_bytes());
        Some(Self { extra: extra.transpose().ok()?, index, proof, checkpoint })
    }
}

impl fmt::Display for TlogProof {
    /// Writes the text format.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", Self::FIRST_LINE)?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", String::from_utf8_lossy(&self.checkpoint))
    }
}

impl FromStr for TlogProof {
    type Err = MalformedProof;

    /// Reads what is in the one spelling of the form, and nothing longer than 4 MiB.
    fn from_str(text: &str) -> Result<Self, MalformedProof> {
        let proof = if text.len() > MAX_TEXT { None } else { Self::parse(text) };
        proof.filter(|proof| proof.to_string() == text).ok_or(MalformedProof(Self::FIRST_LINE))
    }
}

const MAX_TEXT: usize = 4 << 20;
