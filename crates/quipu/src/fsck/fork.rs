//! Two signed heads that cannot both be true, as proof for a third person.

use bytes::Bytes;
use quipu_ledger::{ReadError, Store as _};
use quipu_note::VerifierKey;
use quipu_rocks::RocksStore;
use quipu_tlog::{StoredTiles, Tile, TileLevel, Tree, prove_consistency, tree_root};
use quipu_verify::Evidence;

/// What was signed, as far as a proof needs it.
#[derive(Default)]
pub(super) struct Witness {
    /// The largest head that is one of the log's own tree.
    ours: Option<(Tree, Bytes)>,
    /// The smallest head of another tree.
    other: Option<(Tree, Bytes)>,
}

impl Witness {
    /// Takes in a signed note of the log's own tree, or of another one. Sizes rise.
    pub(super) fn take(&mut self, tree: Tree, note: &Bytes, ours: bool) {
        if ours {
            self.ours = Some((tree, note.clone()));
        } else if self.other.is_none() {
            self.other = Some((tree, note.clone()));
        }
    }

    /// Proof that two histories were signed. None if there is but one; or if the other one is longer than all that was
    /// signed of the log's own, because then nothing tells how it began.
    pub(super) fn evidence(self, store: &RocksStore, keys: &[VerifierKey]) -> Option<Evidence> {
        let ((newer, newer_note), (older, older_note)) = (self.ours?, self.other?);
        let missing = |tile: Tile| ReadError::Corrupt(format!("{tile} is missing"));
        let tiles = StoredTiles::new(newer.size, |tile: Tile| match tile.level() {
            TileLevel::Hashes(level) => store.tile(level, tile.n())?.ok_or_else(|| missing(tile)),
            TileLevel::Data => Err(missing(tile)),
        });
        let implied = tree_root(older.size, &tiles).ok()?;
        let proof = if older.size == newer.size {
            Vec::new()
        } else {
            prove_consistency(newer.size, older.size, &tiles).ok()?
        };
        Evidence::prove(keys, (older_note, newer_note), implied, proof).ok()
    }
}
