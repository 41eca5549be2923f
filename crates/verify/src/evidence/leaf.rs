//! Evidence of the kinds `record`, `duplicate` and `changed`: records, each proven to be in a signed tree.
//!
//! ```text
//! head
//!     <the signed note, line by line>
//! index
//!     <place of the record in the log, from 0>
//! text
//!     <the record, line by line>
//! proof
//!     <hashes of the RFC 6962 audit path, base64>
//! ```
//!
//! `duplicate` has `index`, `text` and `proof` twice, the lower index first; `changed` has all of it twice, the smaller
//! tree first. A record that no record text can be (`quipu_tlog::is_record_text`) stands under `bytes`, base64 in one
//! line, instead of `text`.

use std::fmt;
use std::iter::once;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use quipu_tlog::{
    Hash, HashReader, ReadError, Tree, check_inclusion, is_record_text, leaf_hash, prove_inclusion,
};

use super::NotProven;
use super::claim::Heads;
use super::finding::Finding;
use crate::check::{GoSum, Rules as _};
use crate::text::{Sections, section, text_section};

/// A record, its place in a tree, and the proof that it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The place of the record in the log, from 0.
    pub index: u64,
    /// The record: what is hashed as the leaf.
    pub text: Bytes,
    /// The RFC 6962 audit path, from the leaf upwards.
    pub proof: Vec<Hash>,
}

impl Leaf {
    /// A record of the tree of `size` records, proven with the hashes of `reader`.
    ///
    /// # Errors
    /// The index lies outside the tree, or the reader fails.
    pub fn prove<R: HashReader>(
        size: u64,
        index: u64,
        text: Bytes,
        reader: &R,
    ) -> Result<Self, ReadError<R::Error>> {
        Ok(Self { index, text, proof: prove_inclusion(size, index, reader)? })
    }

    fn check(&self, tree: &Tree) -> Result<(), NotProven> {
        check_inclusion(&self.proof, tree, self.index, &leaf_hash(&self.text)).map_err(|e| {
            NotProven::new(format_args!(
                "the record is not shown to be record {} of the tree: {e}",
                self.index
            ))
        })
    }

    /// What no other record may share.
    fn key(&self) -> Result<&[u8], NotProven> {
        GoSum.key(&self.text).map_err(|e| NotProven::new(format_args!("record {}: {e}", self.index)))
    }

    pub(super) fn write(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        section(out, "index", once(self.index))?;
        if is_record_text(&self.text) {
            text_section(out, "text", &self.text)?;
        } else {
            section(out, "bytes", once(STANDARD.encode(&self.text)))?;
        }
        section(out, "proof", &self.proof)
    }

    pub(super) fn parse(sections: &mut Sections<'_>) -> Option<Self> {
        let index = sections.take_line("index")?.parse().ok()?;
        let text = match sections.take_text("text") {
            Some(text) => text,
            None => STANDARD.decode(sections.take_line("bytes")?).ok()?.into(),
        };
        Some(Self { index, text, proof: sections.take_hashes("proof")? })
    }
}

pub(super) fn find_record(heads: &Heads<'_>, head: &Bytes, leaf: &Leaf) -> Result<Finding, NotProven> {
    let tree = heads.open("head", head)?;
    leaf.check(&tree)?;
    match GoSum.key(&leaf.text) {
        Ok(_) => Err(NotProven::new("the record is as it should be")),
        Err(why) => Ok(Finding::Record { tree, index: leaf.index, why }),
    }
}

pub(super) fn find_duplicate(
    heads: &Heads<'_>,
    head: &Bytes,
    leaves: &[Leaf; 2],
) -> Result<Finding, NotProven> {
    let tree = heads.open("head", head)?;
    let [first, second] = leaves;
    if first.index >= second.index {
        return Err(NotProven::new("want two records, the one of lower index first"));
    }
    first.check(&tree)?;
    second.check(&tree)?;
    let key = first.key()?;
    if key != second.key()? {
        return Err(NotProven::new("the records are for different module versions"));
    }
    let key = String::from_utf8_lossy(key).trim_end().to_owned();
    Ok(Finding::Duplicate { tree, indexes: [first.index, second.index], key })
}

pub(super) fn find_changed(heads: &Heads<'_>, both: &[(Bytes, Leaf); 2]) -> Result<Finding, NotProven> {
    let [(older, was), (newer, is)] = both;
    let (older, newer) = (heads.open("older", older)?, heads.open("newer", newer)?);
    was.check(&older)?;
    is.check(&newer)?;
    if older.size > newer.size {
        return Err(NotProven::new("want the smaller tree first"));
    }
    if was.index != is.index {
        return Err(NotProven::new("the records are at different places"));
    }
    if was.text == is.text {
        return Err(NotProven::new("the records are the same"));
    }
    Ok(Finding::Changed { trees: [older, newer], index: is.index })
}
