//! One file that proves every line of a go.sum against one signed head.
//!
//! ```text
//! quipu proof v1: go.sum
//! head
//!     <the signed note, line by line>
//! record
//!     <place of the record in the log, from 0> <both, zip or go.mod>
//!     <path> <version> h1:<hash>
//!     <path> <version>/go.mod h1:<hash>
//! proof
//!     <hashes of the proof of all records, base64>
//! ```
//!
//! There is one section `record` or more; the places rise. The word after the place says for which of the two lines the
//! proof was made. The proof is what [`check_records`] takes: no hash in it can be left out.

use std::collections::BTreeMap;
use std::fmt;
use std::iter::once;
use std::str::FromStr;

use bytes::Bytes;
use quipu_module::{H1, ModuleVersion, Record, SumKind, SumLine};
use quipu_note::VerifierKey;
use quipu_tlog::{Hash, Tree, check_records, leaf_hash};

use super::{MalformedProof, ProvenRecords};
use crate::client::Limits;
use crate::evidence::NotProven;
use crate::head::SignedHead;
use crate::text::{Sections, section, text_section};

/// A proof that the lines of a go.sum are in a log. Nothing in it is authentic before it is [checked](Self::check).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoSumProof {
    head: Bytes,
    /// By place.
    records: Vec<Entry>,
    proof: Vec<Hash>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    index: u64,
    lines: Lines,
    record: Record,
}

/// For which lines of a record the proof was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lines {
    Both,
    Zip,
    GoMod,
}

impl GoSumProof {
    /// The proof for `lines`, each of which must be a line of one of the records; of each record a line must be wanted.
    ///
    /// # Errors
    /// [`NotProven`] with the reason: a line is not in the records, or with another hash.
    pub fn new(proven: &ProvenRecords, lines: &[SumLine], keys: &[VerifierKey]) -> Result<Self, NotProven> {
        let mut wanted: BTreeMap<&ModuleVersion, [bool; 2]> = BTreeMap::new();
        for line in lines {
            wanted.entry(&line.module).or_default()[usize::from(line.kind == SumKind::GoMod)] = true;
        }
        let entry = |(index, record): &(u64, crate::record::AuthenticatedRecord)| {
            let lines = Lines::of(*wanted.get(&record.record().module)?)?;
            Some(Entry { index: *index, lines, record: exact(record.text())? })
        };
        let records = proven.records.iter().map(entry).collect::<Option<_>>();
        let records = records
            .ok_or_else(|| NotProven::new("a record is not wanted, or is not just two go.sum lines"))?;
        let made = Self { head: proven.head.note().clone(), records, proof: proven.proof.clone() };
        let checked = made.check(keys)?;
        for line in lines {
            checked.covers(line)?;
        }
        if made.to_string().len() > MAX_TEXT {
            return Err(NotProven::new("it would be longer than the 64 MiB that are read"));
        }
        Ok(made)
    }

    /// Checks the proof with the keys of the database, which must come from somewhere else than the file, and gives what it
    /// proves.
    ///
    /// # Errors
    /// [`NotProven`] with the reason.
    pub fn check(&self, keys: &[VerifierKey]) -> Result<ProvenLines, NotProven> {
        let head = SignedHead::open("head", self.head.clone(), keys, Limits::default().tree_size)
            .map_err(NotProven::new)?;
        let leaf = |entry: &Entry| (entry.index, leaf_hash(entry.record.to_string().as_bytes()));
        let leaves: Vec<(u64, Hash)> = self.records.iter().map(leaf).collect();
        check_records(&self.proof, &head.tree(), &leaves)
            .map_err(|e| NotProven::new(format_args!("the records are not shown to be in the tree: {e}")))?;
        let hashes = self.records.iter().map(|entry| {
            let Record { module, zip, go_mod } = &entry.record;
            (module.clone(), (*zip, *go_mod))
        });
        let lines = self.records.iter().flat_map(|entry| {
            entry.lines.kinds().iter().map(|kind| entry.record.line(*kind)).collect::<Vec<_>>()
        });
        Ok(ProvenLines { tree: head.tree(), hashes: hashes.collect(), lines: lines.collect() })
    }

    /// Records in it; at least one.
    pub fn records(&self) -> usize {
        self.records.len()
    }

    /// What the text of such a proof begins with.
    pub const FIRST_LINE: &str = "quipu proof v1: go.sum";

    fn parse(text: &str) -> Option<Self> {
        let mut sections = Sections::of(text);
        sections.take(Self::FIRST_LINE).filter(Vec::is_empty)?;
        let head = sections.take_text("head")?;
        let mut records = Vec::new();
        while let Some(lines) = sections.take("record") {
            records.push(Entry::parse(&lines)?);
        }
        let proof = sections.take_hashes("proof")?;
        sections.end()?;
        let rising = records.is_sorted_by(|a, b| a.index < b.index);
        (rising && !records.is_empty()).then_some(Self { head, records, proof })
    }
}

impl fmt::Display for GoSumProof {
    /// Writes the text format.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", Self::FIRST_LINE)?;
        text_section(f, "head", &self.head)?;
        for Entry { index, lines, record } in &self.records {
            section(f, "record", once(format_args!("{index} {}", lines.name())))?;
            writeln!(f, "\t{}\n\t{}", record.line(SumKind::Zip), record.line(SumKind::GoMod))?;
        }
        section(f, "proof", &self.proof)
    }
}

impl FromStr for GoSumProof {
    type Err = MalformedProof;

    /// Reads exactly what is written, and nothing longer than 64 MiB.
    fn from_str(text: &str) -> Result<Self, MalformedProof> {
        let proof = if text.len() > MAX_TEXT { None } else { Self::parse(text) };
        proof.filter(|proof| proof.to_string() == text).ok_or(MalformedProof(Self::FIRST_LINE))
    }
}

impl Entry {
    fn parse(lines: &[&str]) -> Option<Self> {
        let [place, zip, go_mod] = lines else { return None };
        let (index, lines) = place.split_once(' ')?;
        let record = exact(&format!("{zip}\n{go_mod}\n"))?;
        Some(Self { index: index.parse().ok()?, lines: Lines::of_name(lines)?, record })
    }
}

impl Lines {
    const fn of(zip_and_go_mod: [bool; 2]) -> Option<Self> {
        match zip_and_go_mod {
            [true, true] => Some(Self::Both),
            [true, false] => Some(Self::Zip),
            [false, true] => Some(Self::GoMod),
            [false, false] => None,
        }
    }

    const fn kinds(self) -> &'static [SumKind] {
        match self {
            Self::Both => &[SumKind::Zip, SumKind::GoMod],
            Self::Zip => &[SumKind::Zip],
            Self::GoMod => &[SumKind::GoMod],
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Zip => "zip",
            Self::GoMod => "go.mod",
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        [Self::Both, Self::Zip, Self::GoMod].into_iter().find(|lines| lines.name() == name)
    }
}

/// What a checked proof proves to be in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenLines {
    tree: Tree,
    hashes: BTreeMap<ModuleVersion, (H1, H1)>,
    lines: Vec<SumLine>,
}

impl ProvenLines {
    /// What a single record proves, for which it need not be in a go.sum.
    pub(super) fn of(tree: Tree, record: &Record) -> Self {
        let hashes = BTreeMap::from([(record.module.clone(), (record.zip, record.go_mod))]);
        let lines = [SumKind::Zip, SumKind::GoMod].map(|kind| record.line(kind));
        Self { tree, hashes, lines: lines.to_vec() }
    }

    /// The tree that the records are in.
    pub fn tree(&self) -> Tree {
        self.tree
    }

    /// The lines that the proof was made for, in the order of the log.
    pub fn lines(&self) -> &[SumLine] {
        &self.lines
    }

    /// The hash that the log has for a line; none if the proof does not have the record. It may be more than the lines
    /// that the proof was made for.
    pub fn hash(&self, module: &ModuleVersion, kind: SumKind) -> Option<H1> {
        let (zip, go_mod) = self.hashes.get(module)?;
        Some(if kind == SumKind::Zip { *zip } else { *go_mod })
    }

    fn covers(&self, line: &SumLine) -> Result<(), NotProven> {
        match self.hash(&line.module, line.kind) {
            Some(hash) if hash == line.hash => Ok(()),
            Some(hash) => Err(NotProven::new(format_args!("{line}: the log has {hash}"))),
            None => Err(NotProven::new(format_args!("{line}: no record of it"))),
        }
    }
}

/// A record that is just its two lines.
pub(super) fn exact(text: &str) -> Option<Record> {
    text.parse().ok()
}

/// Enough for a go.sum of 100,000 lines in any log.
const MAX_TEXT: usize = 64 << 20;
