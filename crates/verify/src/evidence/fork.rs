//! Evidence of the kind `fork`.
//!
//! ```text
//! older
//!     <the signed note of the older tree, line by line>
//! newer
//!     <the signed note of the newer tree, line by line>
//! proof
//!     <root that the newer tree has at the size of the older, base64>
//!     <hashes of the RFC 6962 consistency proof from that root to the newer tree, base64>
//! ```

use std::fmt;
use std::iter::once;

use bytes::Bytes;
use quipu_tlog::{Hash, Tree, check_consistency};

use super::NotProven;
use super::claim::Heads;
use super::finding::{Finding, Fork};
use crate::text::{Sections, section, text_section};

/// Two trees signed by the same database, of which the newer does not begin with the older.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) older: Bytes,
    pub(super) newer: Bytes,
    /// The root that the newer tree has at the size of the older.
    pub(super) implied: Hash,
    /// From there to the newer tree.
    pub(super) proof: Vec<Hash>,
}

impl Claim {
    pub(super) fn find(&self, heads: &Heads<'_>) -> Result<Finding, NotProven> {
        let older = heads.open("older", &self.older)?;
        let newer = heads.open("newer", &self.newer)?;
        let implied = Tree { size: older.size, root: self.implied };
        if older.size == 0 && newer.size > 0 {
            return Err(NotProven::new("every tree begins with the empty one"));
        }
        if older.size == newer.size {
            self.check_same_size(&newer)?;
        } else {
            check_consistency(&self.proof, &newer, &implied)
                .map_err(|e| NotProven::new(format_args!("the newer tree does not begin as claimed: {e}")))?;
        }
        if older.root == self.implied {
            return Err(NotProven::new("the newer tree begins with the older: they agree"));
        }
        Ok(Finding::Fork(Fork { older, newer, implied: self.implied }))
    }

    fn check_same_size(&self, newer: &Tree) -> Result<(), NotProven> {
        if newer.root != self.implied || !self.proof.is_empty() {
            return Err(NotProven::new("for trees of one size the root itself is the whole proof"));
        }
        Ok(())
    }

    pub(super) fn write(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        text_section(out, "older", &self.older)?;
        text_section(out, "newer", &self.newer)?;
        section(out, "proof", once(&self.implied).chain(&self.proof))
    }

    pub(super) fn parse(sections: &mut Sections<'_>) -> Option<Self> {
        let older = sections.take_text("older")?;
        let newer = sections.take_text("newer")?;
        let hashes = sections.take_hashes("proof")?;
        let (implied, proof) = hashes.split_first()?;
        Some(Self { older, newer, implied: *implied, proof: proof.to_vec() })
    }
}
