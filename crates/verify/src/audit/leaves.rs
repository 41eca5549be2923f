//! The records of one data tile against the hash tile above them, and by the rules.

use bytes::Bytes;
use quipu_tlog::{Hash, TILE_WIDTH, Tile, TileLevel, leaf_hash};

use super::crown::{Crown, parent_fault};
use super::findings::Findings;
use super::reader::{DataTile, Reader, Record, Trouble};
use super::runs::Key;
use super::siphash::Secret;
use crate::check::{Fault, Rules, differences};
use crate::error::Error;

/// Checks data tiles, on any thread and in any order.
pub(super) struct Leaves<'a, R> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) crown: &'a Crown<'a>,
    pub(super) findings: &'a Findings,
    pub(super) rules: &'a R,
    pub(super) secret: Secret,
    /// Records before this are known; of them only the hashes are looked at.
    pub(super) from: u64,
}

/// What is known about a level-0 tile.
struct Judged {
    /// Its right hashes; none if it cannot be told.
    right: Option<Bytes>,
    served: Option<Bytes>,
}

impl<R: Rules> Leaves<'_, R> {
    /// Checks data tile `n` and the level-0 hash tile; hands out the keys of its records.
    pub(super) fn check(&self, n: u64) -> Result<Vec<Key>, Error> {
        let size = self.crown.tree().size;
        let tiles = [TileLevel::Data, TileLevel::Hashes(0)].map(|level| Tile::widest(level, n, size));
        let [Some(data), Some(hashes)] = tiles else { return Ok(Vec::new()) };
        let served = match self.reader.data(&data) {
            Ok(served) => served,
            Err(trouble) => return self.without_records(trouble, &hashes),
        };
        let records = match served.records(data.width(), self.rules) {
            Ok(records) => records,
            Err(fault) => {
                self.findings.add(fault, vec![(served.tile, served.body.clone())]);
                return self.without(&hashes);
            }
        };
        let computed = leaf_hashes(&records);
        let judged = self.judge(&hashes, &computed)?;
        let Some(right) = judged.right else {
            self.findings.add_unchecked(data.width().into());
            return Ok(Vec::new());
        };
        if let Some(tile) = judged.served.filter(|tile| *tile != right) {
            self.findings.add_entries(hashes, &tile, &right);
        }
        let wrong: Vec<u16> =
            if right == computed { Vec::new() } else { differences(&computed, &right).collect() };
        for entry in &wrong {
            let shown = vec![(served.tile, served.body.clone()), (hashes, right.clone())];
            self.findings.add(Fault::Record { record: data.first() + u64::from(*entry) }, shown);
        }
        Ok(self.keys(&served, &data, &records, &wrong))
    }

    /// Finds out which hashes are right: those of the records, or those of the tile that is served.
    fn judge(&self, tile: &Tile, computed: &[u8]) -> Result<Judged, Error> {
        if !tile.is_full() {
            // A root tile: authenticated, and compared with what is served, before anything else.
            return Ok(Judged { right: self.crown.tile(0, tile.n())?, served: None });
        }
        let Some(above) = self.crown.above(tile)? else {
            return Ok(Judged { right: None, served: None });
        };
        let root_is_right = |body: &[u8]| tile.root(body) == Some(above.entry);
        let records_are_right = root_is_right(computed);
        match self.reader.hashes(tile) {
            Ok(served) if records_are_right => {
                let right =
                    if served == computed { served.clone() } else { Bytes::copy_from_slice(computed) };
                Ok(Judged { right: Some(right), served: Some(served) })
            }
            Ok(served) if root_is_right(&served) => Ok(Judged { right: Some(served), served: None }),
            Ok(served) => {
                let shown = vec![(*tile, served), (above.tile, above.body.clone())];
                self.findings.add(parent_fault(*tile, &above), shown);
                Ok(Judged { right: None, served: None })
            }
            Err(Trouble::Found(fault)) => {
                self.findings.add(fault, Vec::new());
                let right = records_are_right.then(|| Bytes::copy_from_slice(computed));
                Ok(Judged { right, served: None })
            }
            Err(Trouble::Stop(error)) => Err(error),
        }
    }

    fn without_records(&self, trouble: Trouble, hashes: &Tile) -> Result<Vec<Key>, Error> {
        match trouble {
            Trouble::Found(fault) => {
                self.findings.add(fault, Vec::new());
                self.without(hashes)
            }
            Trouble::Stop(error) => Err(error),
        }
    }

    /// The records cannot be read: looks at the hash tile alone.
    fn without(&self, hashes: &Tile) -> Result<Vec<Key>, Error> {
        self.crown.tile(0, hashes.n())?;
        self.findings.add_unchecked(hashes.width().into());
        Ok(Vec::new())
    }

    /// Judges those records that are right and new by the rules.
    fn keys(&self, served: &DataTile, data: &Tile, records: &[Record<'_>], wrong: &[u16]) -> Vec<Key> {
        let mut keys = Vec::with_capacity(records.len());
        for (entry, (record, found)) in (0_u16..).zip((data.first()..).zip(records)) {
            if record < self.from || wrong.contains(&entry) {
                continue;
            }
            let known = found.key_len.and_then(|len| found.text.get(..len));
            match known.map_or_else(|| self.rules.key(found.text), Ok) {
                Ok(key) => keys.push(Key { hash: self.secret.hash(key), record }),
                Err(why) => {
                    let shown = vec![(served.tile, served.body.clone())];
                    self.findings.add(Fault::Rule { record, why }, shown);
                }
            }
        }
        keys
    }
}

fn leaf_hashes(records: &[Record<'_>]) -> Vec<u8> {
    let mut hashes = Vec::with_capacity(usize::from(TILE_WIDTH) * Hash::SIZE);
    records.iter().for_each(|record| hashes.extend_from_slice(leaf_hash(record.text).as_bytes()));
    hashes
}
