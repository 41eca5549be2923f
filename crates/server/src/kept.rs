//! What was answered and can never change, kept in memory while it is asked for: full tiles, and records.

use std::hash::{Hash, RandomState};

use bytes::Bytes;
use http::HeaderValue;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quipu_tlog::Tile;

/// Bytes of tiles kept: all hash tiles of three million records, which every client needs, or what is audited just now.
const TILES: u64 = 144 << 20;

/// Bytes of records kept: some 40,000.
const RECORDS: u64 = 16 << 20;

/// What an entry costs besides its bytes: key, index, the table's own.
const OVERHEAD: u64 = 160;

/// The two forms in which a path can name a tile; they never clash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    Sumdb,
    C2sp,
}

/// What a tile is answered with.
#[derive(Clone)]
pub(crate) struct KeptTile {
    pub(crate) body: Bytes,
    /// Its strong validator.
    pub(crate) tag: Option<HeaderValue>,
}

/// Tiles by what they are, records by the part of the path that names them.
pub(crate) struct Kept {
    tiles: Cache<(Tile, Form), KeptTile, Weight, RandomState>,
    records: Cache<Box<str>, (u64, Bytes), Weight, RandomState>,
}

impl Kept {
    pub(crate) fn new() -> Self {
        let (tiles, records) = (TILES / 8192, RECORDS / 400);
        Self { tiles: cache(tiles, TILES), records: cache(records, RECORDS) }
    }

    /// The answer for a full tile.
    pub(crate) fn tile(&self, tile: Tile, form: Form) -> Option<KeptTile> {
        self.tiles.get(&(tile, form))
    }

    pub(crate) fn keep_tile(&self, tile: Tile, form: Form, kept: &KeptTile) {
        self.tiles.insert((tile, form), kept.clone());
    }

    /// Index and text of the record of an escaped module version. Every head since then covers it.
    pub(crate) fn record(&self, module: &str) -> Option<(u64, Bytes)> {
        self.records.get(module)
    }

    pub(crate) fn keep_record(&self, module: &str, index: u64, text: &Bytes) {
        // A copy of its own: it may share a large buffer with its neighbours in the log.
        self.records.insert(module.into(), (index, Bytes::copy_from_slice(text)));
    }
}

fn cache<K: Eq + Hash, V: Clone>(items: u64, bytes: u64) -> Cache<K, V, Weight, RandomState>
where
    Weight: Weighter<K, V>,
{
    let items = usize::try_from(items).unwrap_or(1024);
    Cache::with(items, bytes, Weight, RandomState::new(), DefaultLifecycle::default())
}

/// Entries weigh what they take in memory.
#[derive(Clone)]
struct Weight;

impl Weighter<(Tile, Form), KeptTile> for Weight {
    fn weight(&self, _: &(Tile, Form), kept: &KeptTile) -> u64 {
        OVERHEAD + (kept.tag.as_ref().map_or(0, HeaderValue::len) + kept.body.len()) as u64
    }
}

impl Weighter<Box<str>, (u64, Bytes)> for Weight {
    fn weight(&self, key: &Box<str>, (_, text): &(u64, Bytes)) -> u64 {
        OVERHEAD + (key.len() + text.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use quipu_tlog::TileLevel;

    use super::*;

    #[test]
    fn the_budget_holds_and_what_is_asked_for_stays() {
        let kept = Kept::new();
        let data = |n| Tile::new(TileLevel::Data, n, 256).unwrap();
        let answer = KeptTile { body: Bytes::from(vec![7; 50_000]), tag: None };
        let top = Tile::new(TileLevel::Hashes(0), 7, 256).unwrap();
        kept.keep_tile(top, Form::Sumdb, &answer);
        for n in 0..5000 {
            kept.keep_tile(data(n), Form::C2sp, &answer);
            assert!(kept.tile(top, Form::Sumdb).is_some(), "{n}");
        }
        assert!(kept.tile(data(4999), Form::C2sp).is_some());
        assert!(kept.tile(data(4999), Form::Sumdb).is_none() && kept.tile(top, Form::C2sp).is_none());
        assert!(kept.tiles.weight() <= TILES);
        assert!((1200..=TILES / 50_000).contains(&(kept.tiles.len() as u64)), "{}", kept.tiles.len());
        for n in 0..100_000 {
            kept.keep_record(&n.to_string(), n, &Bytes::from_static(&[1; 190]));
        }
        assert!(kept.records.weight() <= RECORDS && kept.records.len() > 30_000, "{}", kept.records.len());
        assert_eq!(kept.record("99999").map(|(index, _)| index), Some(99_999));
    }
}
