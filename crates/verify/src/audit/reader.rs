//! Reading the head and tiles of a log, within limits and as wide as they must be.

use std::fmt;

use bytes::Bytes;
use quipu_note::VerifierKey;
use quipu_tlog::{Hash, TILE_WIDTH, Tile, TileLevel, leaf_hash, split_entries, split_records};

use super::source::{Layout, Source};
use crate::check::{AnyText, Fault, Rules};
use crate::client::Limits;
use crate::error::Error;
use crate::head::SignedHead;
use crate::transport::TransportError;

/// Reads a log; what it hands out has the right length and form, and nothing else is known of it.
pub(super) struct Reader<'a> {
    source: &'a dyn Source,
    limits: Limits,
}

/// Why a tile could not be read.
pub(super) enum Trouble {
    /// It is there and wrong.
    Found(Fault),
    /// It cannot be had.
    Stop(Error),
}

/// A data tile as it was served, which may be wider than the tree has it.
pub(super) struct DataTile {
    pub(super) tile: Tile,
    pub(super) body: Bytes,
    layout: Layout,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a dyn Source, limits: Limits) -> Self {
        Self { source, limits }
    }

    /// The signed head that the log has now.
    pub(super) fn head(&self, keys: &[VerifierKey]) -> Result<SignedHead, Error> {
        let path = self.source.layout().head_path();
        let note = self.get(path, self.limits.note_bytes).map_err(|e| Error::needed(path, &e))?;
        self.open(path, note, keys)
    }

    /// Opens a signed head in the layout of this log.
    pub(super) fn open(&self, what: &str, note: Bytes, keys: &[VerifierKey]) -> Result<SignedHead, Error> {
        match self.source.layout() {
            Layout::Sumdb => SignedHead::open(what, note, keys, self.limits.tree_size),
            Layout::TlogTiles => SignedHead::open_checkpoint(what, note, keys, self.limits.tree_size),
        }
    }

    /// The body of a hash tile, exactly as long as it must be.
    pub(super) fn hashes(&self, tile: &Tile) -> Result<Bytes, Trouble> {
        let first = match self.get(&self.path(tile), tile.hash_bytes()) {
            Ok(body) if body.len() == tile.hash_bytes() => return Ok(body),
            Ok(body) => return Err(Trouble::Found(Fault::Short { tile: *tile, bytes: body.len() })),
            Err(error) => self.too_large(tile, error)?,
        };
        let body = full(tile).and_then(|full| self.get(&self.path(&full), full.hash_bytes()).ok());
        match body.filter(|body| body.len() == usize::from(TILE_WIDTH) * Hash::SIZE) {
            Some(body) => Ok(body.slice(..tile.hash_bytes())),
            None => Err(self.stop(tile, &first)),
        }
    }

    /// A data tile, as wide as asked for or full: a server may drop partial tiles that have become full.
    pub(super) fn data(&self, tile: &Tile) -> Result<DataTile, Trouble> {
        let (limit, layout) = (self.limits.data_tile_bytes, self.source.layout());
        let first = match self.get(&self.path(tile), limit) {
            Ok(body) => return Ok(DataTile { tile: *tile, body, layout }),
            Err(error) => self.too_large(tile, error)?,
        };
        let wider = full(tile).and_then(|full| Some((full, self.get(&self.path(&full), limit).ok()?)));
        match wider {
            Some((tile, body)) => Ok(DataTile { tile, body, layout }),
            None => Err(self.stop(tile, &first)),
        }
    }

    /// The body that a hash tile has if what is served below it is right; none if that cannot be told.
    pub(super) fn below(&self, tile: &Tile) -> Option<Vec<u8>> {
        let mut body = Vec::with_capacity(tile.hash_bytes());
        let TileLevel::Hashes(level) = tile.level() else { return None };
        let Some(level) = level.checked_sub(1) else {
            let data = self.data(&Tile::new(TileLevel::Data, tile.n(), tile.width())?).ok()?;
            let records = data.records(tile.width(), &AnyText).ok()?;
            records.iter().for_each(|record| body.extend_from_slice(leaf_hash(record.text).as_bytes()));
            return Some(body);
        };
        for n in (tile.first()..).take(tile.width().into()) {
            let child = Tile::new(TileLevel::Hashes(level), n, TILE_WIDTH)?;
            body.extend_from_slice(child.root(&self.hashes(&child).ok()?)?.as_bytes());
        }
        Some(body)
    }

    fn path(&self, tile: &Tile) -> String {
        self.source.layout().tile_path(tile)
    }

    fn get(&self, path: &str, max_bytes: usize) -> Result<Bytes, TransportError> {
        let body = self.source.get(path, max_bytes)?;
        // The limit is the source's duty; whoever neglects it cannot do harm here.
        if body.len() > max_bytes { Err(TransportError::TooLarge(max_bytes)) } else { Ok(body) }
    }

    /// A tile that is too long is wrong; any other error is handed on.
    fn too_large(&self, tile: &Tile, error: TransportError) -> Result<TransportError, Trouble> {
        match error {
            TransportError::TooLarge(_) => {
                Err(Trouble::Found(Fault::Body { tile: *tile, why: error.to_string() }))
            }
            other => Ok(other),
        }
    }

    fn stop(&self, tile: &Tile, error: &TransportError) -> Trouble {
        Trouble::Stop(Error::needed(&self.path(tile), error))
    }
}

/// A record of a data tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) text: &'a [u8],
    /// The length of its key, if it is known already that the record is good.
    pub(super) key_len: Option<usize>,
}

impl DataTile {
    /// The first `width` records.
    pub(super) fn records(&self, width: u16, rules: &impl Rules) -> Result<Vec<Record<'_>>, Fault> {
        let mut records = match self.layout {
            Layout::Sumdb => match split_good(&self.body, self.tile.width(), rules) {
                Some(records) => records,
                None => self.found(split_records(&self.body, self.tile.width()))?,
            },
            Layout::TlogTiles => self.found(split_entries(&self.body, self.tile.width()))?,
        };
        records.truncate(width.into());
        Ok(records)
    }

    fn found<'a, T, E>(&self, texts: Result<Vec<&'a T>, E>) -> Result<Vec<Record<'a>>, Fault>
    where
        T: AsRef<[u8]> + ?Sized,
        E: fmt::Display,
    {
        let texts = texts.map_err(|e| Fault::Body { tile: self.tile, why: e.to_string() })?;
        Ok(texts.into_iter().map(|text| Record { text: text.as_ref(), key_len: None }).collect())
    }
}

/// Takes a data tile apart as [`split_records`] does, if the rules know at a glance that all its records are good.
fn split_good<'a>(body: &'a [u8], width: u16, rules: &impl Rules) -> Option<Vec<Record<'a>>> {
    let mut records = Vec::with_capacity(width.into());
    let mut rest = body;
    for _ in 0..width {
        let (key_len, record_len) = rules.first(rest)?;
        let (text, after) = rest.split_at_checked(record_len)?;
        records.push(Record { text, key_len: Some(key_len) });
        rest = match after {
            [b'\n', after @ ..] => after,
            [] => after,
            _ => return None,
        };
    }
    rest.is_empty().then_some(records)
}

/// The full state of a partial tile.
fn full(tile: &Tile) -> Option<Tile> {
    Tile::new(tile.level(), tile.n(), TILE_WIDTH).filter(|full| full != tile)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::GoSum;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever the short cut takes apart is what comes out the long way, however a tile is damaged.
        #[test]
        fn the_short_cut_splits_alike(
            records in prop::collection::vec(0..40_u32, 1..5),
            more in "\n{0,2}",
            change in prop::option::of((any::<usize>(), prop::sample::select(b"\n a/+0".to_vec()))),
            width in 0..6_u16,
        ) {
            let hash = "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
            let text = |i: &u32| format!("a.b/m{i} v1.0.{i} {hash}\na.b/m{i} v1.0.{i}/go.mod {hash}\n");
            let mut body = records.iter().map(text).collect::<Vec<_>>().join("\n").into_bytes();
            if let Some((at, byte)) = change {
                let at = at % body.len();
                body[at] = byte;
            }
            body.extend_from_slice(more.as_bytes());
            if let Some(good) = split_good(&body, width, &GoSum) {
                let texts: Vec<&[u8]> = good.iter().map(|record| record.text).collect();
                let long: Vec<&[u8]> = split_records(&body, width).unwrap().into_iter().map(str::as_bytes).collect();
                prop_assert_eq!(texts, long);
                for record in good {
                    prop_assert_eq!(GoSum.key(record.text), Ok(&record.text[..record.key_len.unwrap()]));
                }
            } else if change.is_none() && more.len() < 2 {
                prop_assert_ne!(usize::from(width), records.len());
            }
        }
    }
}
