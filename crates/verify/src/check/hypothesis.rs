//! One idea of what the log is: its tiles and root if certain level-0 hashes are right.

use quipu_tlog::{Frontier, Hash, TILE_WIDTH, Tile, TileLevel, Tree};

/// The tree over level-0 tiles taken in one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Hypothesis {
    /// The tree whose leaves are the roots of the full level-0 tiles.
    tiles: Frontier,
    /// The last level-0 tile, if it is partial.
    last: Frontier,
    /// The hashes so far in the open tile of level 1, 2, ….
    open: Vec<Vec<u8>>,
}

impl Hypothesis {
    /// Takes in a full level-0 tile by its root. Hands out the higher tiles that are complete now.
    pub(super) fn push_full(&mut self, root: Hash) -> Vec<(Tile, Vec<u8>)> {
        self.tiles.push(root);
        let mut complete = Vec::new();
        let mut entry = root;
        for level in 1_u8.. {
            let Some(tile) = self.push_entry(level, &entry) else { break };
            let Some(root) = tile.0.root(&tile.1) else { break };
            entry = root;
            complete.push(tile);
        }
        complete
    }

    /// Takes in the partial level-0 tile at the end.
    pub(super) fn push_last(&mut self, hashes: &[u8]) {
        let (hashes, _) = hashes.as_chunks::<{ Hash::SIZE }>();
        hashes.iter().for_each(|hash| self.last.push(Hash::from_bytes(*hash)));
    }

    /// The higher tiles that stay partial.
    pub(super) fn open_tiles(&self) -> Vec<(Tile, Vec<u8>)> {
        let levels = (1_u8..).zip(&self.open);
        levels.filter_map(|(level, hashes)| Some((self.tile(level, hashes)?, hashes.clone()))).collect()
    }

    /// The tree over everything taken in.
    pub(super) fn tree(&self) -> Option<Tree> {
        let size = self.tiles.size().checked_mul(TILE_WIDTH.into())?.checked_add(self.last.size())?;
        let hashes = [self.tiles.hashes(), self.last.hashes()].concat();
        let root = Frontier::from_hashes(size, hashes).ok()?.root();
        Some(Tree { size, root })
    }

    /// Adds an entry to the open tile of a level; the tile if it is full now.
    fn push_entry(&mut self, level: u8, entry: &Hash) -> Option<(Tile, Vec<u8>)> {
        let at = usize::from(level) - 1;
        if self.open.len() <= at {
            self.open.resize_with(at + 1, Vec::new);
        }
        let hashes = self.open.get_mut(at)?;
        hashes.extend_from_slice(entry.as_bytes());
        if hashes.len() < usize::from(TILE_WIDTH) * Hash::SIZE {
            return None;
        }
        let hashes = std::mem::take(hashes);
        Some((self.tile(level, &hashes)?, hashes))
    }

    /// The newest tile of a level, with these hashes.
    fn tile(&self, level: u8, hashes: &[u8]) -> Option<Tile> {
        let width = u16::try_from(hashes.len() / Hash::SIZE).ok()?;
        // Entries of this level so far: one for each complete subtree of 256^(level - 1) level-0 tiles.
        let entries = self.tiles.size() >> (8 * u32::from(level - 1));
        let n = entries.checked_sub(width.into())? / u64::from(TILE_WIDTH);
        Tile::new(TileLevel::Hashes(level), n, width)
    }
}
