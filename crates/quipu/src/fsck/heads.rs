//! The heads that were signed, and the one that is guarded, against the tree.

use anyhow::Result;
use quipu_ledger::{Head, Notes, ReadError, Store as _};
use quipu_note::{VerifierKey, open};
use quipu_rocks::RocksStore;
use quipu_tlog::{Frontier, Hash, TILE_WIDTH, Tree, parse_checkpoint, parse_tree};

use super::Card;
use super::fork::Witness;
use super::verdict::Findings;
use crate::progress::Progress;

/// Checks every head kept, and the guarded one if any. Returns how many signed heads there are.
pub(super) fn check(
    store: &RocksStore,
    head: &Head,
    guarded: Option<Head>,
    card: &Card,
    found: &mut Findings,
) -> Result<u64> {
    let mut progress = Progress::new("records (comparing signed heads)", head.size);
    let mut roots = Roots { store, frontier: Frontier::new(), tile: None };
    let (mut guarded, mut witness) = (guarded, Witness::default());
    let mut count = 0;
    let visited = store.each_notes(|notes| {
        if let Some(guard) = guarded.take_if(|guard| guard.size < notes.size) {
            compare_guarded(&mut roots, &guard, found);
        }
        count += 1;
        progress.show(notes.size);
        compare_signed(&mut roots, &notes, card, (&mut *found, &mut witness));
    });
    if let Some(guard) = guarded {
        compare_guarded(&mut roots, &guard, found);
    }
    if let Err(error) = visited {
        found.read(error)?;
    }
    found.fork = witness.evidence(store, &card.keys);
    Ok(count)
}

fn compare_guarded(roots: &mut Roots<'_>, guard: &Head, found: &mut Findings) {
    let size = guard.size;
    match roots.at(size) {
        Ok(root) if root == guard.root => {}
        Ok(root) => {
            found.add(format!("guard: the root of {size} records is {root}, guarded was {}", guard.root))
        }
        Err(error) => found.add(format!("guard: the root of {size} records cannot be made: {error}")),
    }
}

fn compare_signed(
    roots: &mut Roots<'_>,
    notes: &Notes,
    card: &Card,
    (found, witness): (&mut Findings, &mut Witness),
) {
    let size = notes.size;
    let trees = [
        ("database note", opened(&notes.sumdb, &card.keys).and_then(|text| parse_tree(&text).ok())),
        (
            "checkpoint",
            opened(&notes.checkpoint, &card.keys).and_then(|text| parse_checkpoint(&text, &card.name).ok()),
        ),
    ];
    let root = match roots.at(size) {
        Ok(root) => root,
        Err(error) => {
            return found.add(format!("signed head of {size}: its root cannot be made: {error}"));
        }
    };
    if let Some(tree) = trees[0].1.filter(|tree| tree.size == size) {
        witness.take(tree, &notes.sumdb, tree.root == root);
    }
    for (what, tree) in trees {
        match tree {
            Some(tree) if tree == (Tree { size, root }) => {}
            Some(tree) if tree.size != size => {
                found.add(format!("signed head of {size}: its {what} says {} records", tree.size));
            }
            Some(tree) => {
                found.add(format!(
                    "signed head of {size}: its {what} has the root {}, the log has {root}",
                    tree.root
                ));
            }
            None => {
                found.add(format!("signed head of {size}: its {what} is not one signed with the log's key"))
            }
        }
    }
}

fn opened(note: &[u8], keys: &[VerifierKey]) -> Option<String> {
    open(note, keys).ok().map(|note| note.text)
}

/// Roots of the log at rising sizes, from its level-0 tiles.
struct Roots<'a> {
    store: &'a RocksStore,
    frontier: Frontier,
    tile: Option<(u64, bytes::Bytes)>,
}

impl Roots<'_> {
    fn at(&mut self, size: u64) -> Result<Hash, ReadError> {
        while self.frontier.size() < size {
            let index = self.frontier.size();
            let leaf = self.leaf(index)?;
            self.frontier.push(leaf);
        }
        Ok(self.frontier.root())
    }

    fn leaf(&mut self, index: u64) -> Result<Hash, ReadError> {
        let missing = || ReadError::Corrupt(format!("the hash of record {index} is missing"));
        let n = index / u64::from(TILE_WIDTH);
        if self.tile.as_ref().is_none_or(|(have, _)| *have != n) {
            self.tile = Some((n, self.store.tile(0, n)?.ok_or_else(missing)?));
        }
        let (_, hashes) = self.tile.as_ref().ok_or_else(missing)?;
        let place = usize::try_from(index % u64::from(TILE_WIDTH)).unwrap_or(usize::MAX);
        let hash = hashes.chunks_exact(Hash::SIZE).nth(place).and_then(|hash| hash.try_into().ok());
        hash.map(Hash::from_bytes).ok_or_else(missing)
    }
}
