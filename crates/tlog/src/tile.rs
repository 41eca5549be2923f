//! Tiles: which hashes a tile holds, which tiles a tree has, and hashes computed from a tile.
//!
//! Tiles are of height 8: a hash tile of level L holds up to 256 consecutive hashes of tree level 8·L, a data
//! tile up to 256 consecutive records. A tile with fewer is partial; it is a prefix of every wider state.

use crate::hash::{Hash, node_hash};
use crate::node::{MAX_SIZE, Node};
use std::fmt;

/// Entries in a full tile.
pub const TILE_WIDTH: u16 = 1 << TILE_HEIGHT;

/// Tree levels from the entries of a tile to its root.
pub(crate) const TILE_HEIGHT: u8 = 8;

/// Levels of hash tiles in the largest tree.
const TILE_LEVELS: u8 = 8;

/// A tile with a given number of entries.
///
/// Parsing and geometry build only tiles that a tree of [`MAX_SIZE`] leaves has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    level: TileLevel,
    n: u64,
    width: u16,
}

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileLevel {
    /// Records.
    Data,
    /// Hashes of tree level 8 · this; 0 to 7.
    Hashes(u8),
}

impl TileLevel {
    /// The tile level whose entries correspond one to one: records have those of level 0.
    const fn number(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Hashes(level) => level,
        }
    }
}

impl Tile {
    /// Tile `n` of a level with `width` entries (1 to [`TILE_WIDTH`]), if a tree of [`MAX_SIZE`] leaves has it.
    pub fn new(level: TileLevel, n: u64, width: u16) -> Option<Self> {
        let available = available_width(level, n, MAX_SIZE);
        if width == 0 || width > available { None } else { Some(Self { level, n, width }) }
    }

    /// Tile `n` of a level, as wide as a tree of `size` leaves has it; none if it has no such tile.
    pub fn widest(level: TileLevel, n: u64, size: u64) -> Option<Self> {
        let width = available_width(level, n, size.min(MAX_SIZE));
        if width == 0 { None } else { Some(Self { level, n, width }) }
    }

    /// The hash tile, as wide as a tree of `size` leaves has it, from which the hash of `node` can be
    /// computed; none if the tree does not have that hash.
    pub fn containing(node: Node, size: u64) -> Option<Self> {
        if node.end() > size {
            return None;
        }
        let level = node.level() / TILE_HEIGHT;
        let inner = node.level() % TILE_HEIGHT;
        Self::widest(TileLevel::Hashes(level), node.index() >> (TILE_HEIGHT - inner), size)
    }

    /// What the tile holds.
    pub fn level(&self) -> TileLevel {
        self.level
    }

    /// Place within the level, from the left, from 0.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Number of entries, 1 to [`TILE_WIDTH`].
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Whether the tile has all its entries and will never change again.
    pub fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The first entry: an index of the tile's tree level (8 · L, or leaves for data).
    pub fn first(&self) -> u64 {
        self.n * u64::from(TILE_WIDTH)
    }

    /// The node of entry `i`, if the tile has it.
    pub fn node(&self, i: u16) -> Option<Node> {
        if i >= self.width {
            return None;
        }
        Node::new(self.level.number() * TILE_HEIGHT, self.first() + u64::from(i))
    }

    /// Bytes in the body of a hash tile.
    pub fn hash_bytes(&self) -> usize {
        usize::from(self.width) * Hash::SIZE
    }

    /// Whether a tree of `size` leaves has this tile with all its entries: what may be served at that size.
    pub fn is_in(&self, size: u64) -> bool {
        self.width <= available_width(self.level, self.n, size.min(MAX_SIZE))
    }

    /// The same tile with all entries that a tree of `size` leaves has; none if that tree has no such tile.
    pub fn widened(&self, size: u64) -> Option<Self> {
        Self::widest(self.level, self.n, size)
    }

    /// The hash tile one level above that covers this one, as wide as a tree of `size` leaves has it. None for
    /// data tiles, and if that tree has no such tile.
    pub(crate) fn parent(&self, size: u64) -> Option<Self> {
        let TileLevel::Hashes(level) = self.level else { return None };
        Self::widest(TileLevel::Hashes(level + 1), self.n >> TILE_HEIGHT, size)
    }

    /// The node of the whole tile; none unless it is a full hash tile.
    pub fn root_node(&self) -> Option<Node> {
        match self.level {
            TileLevel::Hashes(level) if self.is_full() => Node::new((level + 1) * TILE_HEIGHT, self.n),
            TileLevel::Hashes(_) | TileLevel::Data => None,
        }
    }

    /// The hash of [`root_node`](Self::root_node) from the tile's body; none if it has no such node or the body
    /// is not exactly as long as it must be.
    pub fn root(&self, body: &[u8]) -> Option<Hash> {
        self.hash(body, self.root_node()?)
    }

    /// The hash of `node` from the tile's body; none if this tile does not determine it or the body is not
    /// exactly as long as it must be. The body is taken as true.
    pub fn hash(&self, body: &[u8], node: Node) -> Option<Hash> {
        let TileLevel::Hashes(level) = self.level else { return None };
        if body.len() != self.hash_bytes() {
            return None;
        }
        let inner = node.level().checked_sub(level * TILE_HEIGHT).filter(|inner| *inner <= TILE_HEIGHT)?;
        let first = (node.index() << inner).checked_sub(self.first())?;
        let first = usize::try_from(first).ok()?;
        let (entries, _) = body.as_chunks::<{ Hash::SIZE }>();
        entries.get(first..first.checked_add(1 << inner)?).map(complete)
    }
}

/// The hash over 2^k entries.
fn complete(entries: &[[u8; Hash::SIZE]]) -> Hash {
    match entries {
        [] => Hash::EMPTY_TREE,
        [one] => Hash::from_bytes(*one),
        _ => {
            let (left, right) = entries.split_at(entries.len() / 2);
            node_hash(&complete(left), &complete(right))
        }
    }
}

/// How many hashes tile level `level` has in a tree of `size` leaves; 0 for levels that no tree has.
pub fn level_size(level: u8, size: u64) -> u64 {
    size.checked_shr(u32::from(level) * u32::from(TILE_HEIGHT)).unwrap_or(0)
}

/// How wide tile `n` of a level is in a tree of `size` leaves, 0 to [`TILE_WIDTH`].
fn available_width(level: TileLevel, n: u64, size: u64) -> u16 {
    let entries = level_size(level.number(), size);
    let first = n.saturating_mul(u64::from(TILE_WIDTH));
    let width = entries.saturating_sub(first).min(u64::from(TILE_WIDTH));
    u16::try_from(width).unwrap_or(TILE_WIDTH)
}

/// The hash tiles to write when a tree grows from `old` to `new` leaves: level by level, from the left, each as
/// wide as the new tree has it. Nothing if the tree does not grow. Data tiles change as those of level 0 do.
///
/// An iterator, because for hostile sizes there are more than fit anywhere.
pub fn new_tiles(old: u64, new: u64) -> impl Iterator<Item = Tile> {
    let new = new.min(MAX_SIZE);
    (0..TILE_LEVELS).flat_map(move |level| {
        let (from, to) = (level_size(level, old), level_size(level, new));
        let grows =
            if from < to { from / u64::from(TILE_WIDTH)..to.div_ceil(u64::from(TILE_WIDTH)) } else { 0..0 };
        grows.filter_map(move |n| Tile::widest(TileLevel::Hashes(level), n, new))
    })
}

impl fmt::Display for Tile {
    /// The path in the form of the Go checksum database.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sumdb_path())
    }
}
