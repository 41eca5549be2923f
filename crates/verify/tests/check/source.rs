//! A log in memory that can be damaged.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::Range;

use bytes::Bytes;
use quipu_tlog::{Frontier, Tile, TileLevel, Tree, leaf_hash};
use quipu_verify::check::{AnyText, LogSource, Options, Report, Rules, StoredRecord, check_log};

#[derive(Clone, Default)]
pub(crate) struct Source {
    pub(crate) records: Vec<StoredRecord>,
    /// The widest state of each hash tile.
    pub(crate) tiles: BTreeMap<(u8, u64), Vec<u8>>,
    frontier: Frontier,
}

impl Source {
    pub(crate) fn new(texts: impl IntoIterator<Item = String>) -> Self {
        let mut source = Self::default();
        for (time, text) in (1..).zip(texts) {
            let tiles = &mut source.tiles;
            source.frontier.push_with(leaf_hash(text.as_bytes()), |node, hash| {
                if node.level() % 8 == 0 {
                    let place = (node.level() / 8, node.index() / 256);
                    tiles.entry(place).or_default().extend_from_slice(hash.as_bytes());
                }
            });
            source.records.push(StoredRecord { text: text.into(), time: Some(time) });
        }
        source
    }

    /// Each record has its number twice, so that no flipped bit turns it into another.
    pub(crate) fn numbered(size: u64) -> Self {
        Self::new((0..size).map(|i| format!("record {i} {i}\n")))
    }

    pub(crate) fn tree(&self) -> Tree {
        Tree { size: self.frontier.size(), root: self.frontier.root() }
    }

    pub(crate) fn flip_record(&mut self, record: u64, bit: usize) {
        let text = &mut self.records[usize::try_from(record).unwrap()].text;
        let mut changed = text.to_vec();
        let bit = bit % (8 * changed.len());
        changed[bit / 8] ^= 1 << (bit % 8);
        *text = changed.into();
    }

    pub(crate) fn flip_tile(&mut self, tile: (u8, u64), byte: usize) {
        self.tiles.get_mut(&tile).unwrap()[byte] ^= 4;
    }

    pub(crate) fn check(&self) -> Report {
        self.check_against(&self.tree(), AnyText)
    }

    pub(crate) fn check_against(&self, signed: &Tree, rules: impl Rules) -> Report {
        check_log(self, signed, rules, Options { threads: 2 }, |_| {}).unwrap()
    }
}

impl LogSource for Source {
    type Error = Infallible;

    fn records(&self, range: Range<u64>) -> Result<Vec<StoredRecord>, Infallible> {
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        Ok(self.records.get(range).unwrap_or_default().to_vec())
    }

    fn tile(&self, tile: &Tile) -> Result<Option<Bytes>, Infallible> {
        let TileLevel::Hashes(level) = tile.level() else { return Ok(None) };
        Ok(self.tiles.get(&(level, tile.n())).map(|hashes| Bytes::copy_from_slice(hashes)))
    }
}
