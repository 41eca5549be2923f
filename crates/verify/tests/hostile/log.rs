//! A log in memory, honest by itself.

use quipu_note::{Note, SignerKey, VerifierKey, sign};
use quipu_tlog::{Frontier, Hash, Tile, TileLevel, Tree, format_tree, join_records, leaf_hash};
use zeroize::Zeroizing;

/// Records and every hash that tiles hold.
#[derive(Clone, Default)]
pub(crate) struct Log {
    pub(crate) records: Vec<String>,
    /// The hashes of tree level 8 · i.
    levels: Vec<Vec<Hash>>,
    frontier: Frontier,
    /// The tree after each record.
    trees: Vec<Tree>,
}

impl Log {
    pub(crate) fn new(records: impl IntoIterator<Item = String>) -> Self {
        let mut log = Self::default();
        records.into_iter().for_each(|record| log.push(record));
        log
    }

    /// A log of `size` records for `filler.test/m<i>`.
    pub(crate) fn filler(size: u64) -> Self {
        Self::new((0..size).map(|i| record(&format!("filler.test/m{i}"), 'z')))
    }

    pub(crate) fn push(&mut self, record: String) {
        let levels = &mut self.levels;
        self.frontier.push_with(leaf_hash(record.as_bytes()), |node, hash| {
            if node.level() % 8 == 0 {
                let level = usize::from(node.level() / 8);
                levels.resize_with(levels.len().max(level + 1), Vec::new);
                levels[level].push(*hash);
            }
        });
        self.records.push(record);
        self.trees.push(Tree { size: self.frontier.size(), root: self.frontier.root() });
    }

    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(crate) fn tree(&self, size: u64) -> Tree {
        match usize::try_from(size).unwrap().checked_sub(1) {
            None => Tree { size: 0, root: Hash::EMPTY_TREE },
            Some(last) => self.trees[last],
        }
    }

    /// The body of a tile, if the whole log has it.
    pub(crate) fn tile(&self, tile: &Tile) -> Option<Vec<u8>> {
        let range = usize::try_from(tile.first()).ok()?..;
        match tile.level() {
            TileLevel::Data => Some(join_records(self.records.get(range)?.get(..tile.width().into())?)),
            TileLevel::Hashes(level) => {
                let hashes = self.levels.get(usize::from(level))?.get(range)?.get(..tile.width().into())?;
                Some(hashes.iter().flat_map(|hash| *hash.as_bytes()).collect())
            }
        }
    }

    /// The signed tree of the first `size` records.
    pub(crate) fn note(&self, size: u64) -> String {
        signed(&format_tree(&self.tree(size)))
    }
}

/// A record with hashes that depend on `salt`.
pub(crate) fn record(path: &str, salt: char) -> String {
    let hash = |kind: &str| leaf_hash(format!("{salt}{kind}{path}").as_bytes());
    format!("{path} v1.0.0 h1:{}\n{path} v1.0.0/go.mod h1:{}\n", hash("zip"), hash("mod"))
}

/// A note with this text, signed by the database.
pub(crate) fn signed(text: &str) -> String {
    sign(&Note::new(text), &[&signer()]).unwrap()
}

pub(crate) fn key() -> VerifierKey {
    signer().verifier().clone()
}

fn signer() -> SignerKey {
    SignerKey::from_seed("sum.example.test".parse().unwrap(), &Zeroizing::new([0x42; 32]))
}
