//! Signed heads: trees that the database vouched for.

use bytes::Bytes;
use quipu_note::{OpenError, VerifierKey, open};
use quipu_tlog::{MAX_SIZE, MalformedTree, Tree, parse_checkpoint, parse_tree};

use crate::error::Error;
use crate::evidence::Evidence;
use crate::fault;
use crate::strict;

/// A tree, and the note of the database that says so. Exists only if the signature is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    tree: Tree,
    note: Bytes,
}

impl SignedHead {
    /// Opens a note that came as (or in) `what`, as strictly as this crate is. Trees of `max_size` records or more are
    /// not believed.
    pub(crate) fn open(what: &str, note: Bytes, keys: &[VerifierKey], max_size: u64) -> Result<Self, Error> {
        Self::open_as(what, note, (keys, max_size), |text| parse_tree(text))
    }

    /// The same for a C2SP checkpoint, whose origin must be the name of the first key.
    pub(crate) fn open_checkpoint(
        what: &str,
        note: Bytes,
        keys: &[VerifierKey],
        max_size: u64,
    ) -> Result<Self, Error> {
        let origin = keys.first().map_or("", |key| key.name().as_str());
        Self::open_as(what, note, (keys, max_size), |text| parse_checkpoint(text, origin))
    }

    fn open_as(
        what: &str,
        note: Bytes,
        (keys, max_size): (&[VerifierKey], u64),
        parse: impl FnOnce(&str) -> Result<Tree, MalformedTree>,
    ) -> Result<Self, Error> {
        let opened = open(&note, keys).map_err(|e| match e {
            OpenError::Malformed => {
                Error::malformed(what, format_args!("reading tree note: {e}: {}", fault::of_note(&note)))
            }
            OpenError::InvalidSignature { .. } => Error::contradicted(
                what,
                format_args!("reading tree note: {e}"),
                Evidence::prove_signature(keys, note.clone()),
            ),
            _ => Error::unproven(what, format_args!("reading tree note: {e}")),
        })?;
        let malformed = |e: String| Error::malformed(what, format_args!("reading tree note: {e}"));
        let tree =
            parse(&opened.text).map_err(|e| Error::malformed(what, format_args!("reading tree: {e}")))?;
        strict::check_tree(&opened.text, &tree, max_size.min(MAX_SIZE)).map_err(malformed)?;
        strict::check_signatures(&note, &opened).map_err(malformed)?;
        Ok(Self { tree, note })
    }

    /// The size and root of the tree.
    pub fn tree(&self) -> Tree {
        self.tree
    }

    /// Number of records in the tree.
    pub fn size(&self) -> u64 {
        self.tree.size
    }

    /// The signed note, as it was received.
    pub fn note(&self) -> &Bytes {
        &self.note
    }
}
