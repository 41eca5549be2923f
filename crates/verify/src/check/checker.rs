//! The checker: takes bundles in order, compares tiles, and lets the signed root decide who is wrong.

use quipu_tlog::{Hash, Tile, Tree};

use super::bundle::Bundle;
use super::hypothesis::Hypothesis;
use super::keys::{Keys, Suspects};
use super::report::{Fault, Faults, Report};

/// Checks a log, bundle by bundle. Holds eight bytes for each record and little else.
#[derive(Clone, Debug)]
pub struct Checker {
    /// What the log is if the records are right.
    by_records: Hypothesis,
    /// What it is if the level-0 tiles served are right; only once they contradict the records.
    by_tiles: Option<Hypothesis>,
    /// Entries of tiles that are wrong if the records are right, and those if the level-0 tiles are.
    wrong_by_records: Faults,
    wrong_by_tiles: Faults,
    /// What is wrong in any case.
    faults: Faults,
    keys: Keys,
    /// Records taken in; the last bundle may be partial, then nothing follows it.
    size: u64,
    last_time: Option<u64>,
}

/// A higher hash tile that is to be compared with the one served, by [`Checker::compare`].
#[derive(Clone, Debug)]
pub struct Expected {
    tile: Tile,
    by_records: Vec<u8>,
    /// If the level-0 tiles served are right, and that makes a difference.
    by_tiles: Option<Vec<u8>>,
}

impl Expected {
    /// The tile.
    pub fn tile(&self) -> Tile {
        self.tile
    }
}

/// Bundles came in another order than that of the log, or after a partial one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bundle out of order: got tile {got} after {size} records")]
pub struct OutOfOrder {
    got: u64,
    size: u64,
}

impl Checker {
    /// A checker at the beginning of a log; `expected` records are to come (a guess, for memory).
    pub fn new(expected: u64) -> Self {
        Self {
            by_records: Hypothesis::default(),
            by_tiles: None,
            wrong_by_records: Faults::default(),
            wrong_by_tiles: Faults::default(),
            faults: Faults::default(),
            keys: Keys::with_capacity(expected),
            size: 0,
            last_time: None,
        }
    }

    /// Records taken in so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes in the next bundle and the level-0 hash tile that is served for it (which may be wider; none if there is
    /// none). Returns the higher tiles that are complete now.
    ///
    /// # Errors
    /// [`OutOfOrder`] unless the bundle follows the one before.
    pub fn absorb(&mut self, bundle: &Bundle, served: Option<&[u8]>) -> Result<Vec<Expected>, OutOfOrder> {
        let width = u64::from(bundle.tile.width());
        if bundle.tile.first() != self.size {
            return Err(OutOfOrder { got: bundle.tile.n(), size: self.size });
        }
        self.size += width;
        self.follow_times(bundle);
        self.keys.extend(&bundle.keys);
        bundle.faults.iter().for_each(|fault| self.faults.add(fault.clone()));
        let served = self.level0(bundle, served);
        let Some(root) = bundle.root else {
            self.by_records.push_last(&bundle.hashes);
            if let Some(by_tiles) = &mut self.by_tiles {
                by_tiles.push_last(served.as_deref().unwrap_or(&bundle.hashes));
            }
            return Ok(Vec::new());
        };
        let by_records = self.by_records.push_full(root);
        let by_tiles = self.by_tiles.as_mut().map(|hypothesis| {
            let served = served.as_deref().and_then(|served| bundle.tile.root(served));
            hypothesis.push_full(served.unwrap_or(root))
        });
        Ok(pair(by_records, by_tiles))
    }

    /// The higher tiles that remain partial: to be compared when all bundles are in.
    pub fn open_tiles(&self) -> Vec<Expected> {
        pair(self.by_records.open_tiles(), self.by_tiles.as_ref().map(Hypothesis::open_tiles))
    }

    /// Compares a higher tile with what is served (which may be wider; none if there is none).
    pub fn compare(&mut self, expected: &Expected, served: Option<&[u8]>) {
        let Some(served) = self.long_enough(expected.tile, served) else { return };
        let by_tiles = expected.by_tiles.as_ref().unwrap_or(&expected.by_records);
        let differing =
            [(&mut self.wrong_by_records, &expected.by_records), (&mut self.wrong_by_tiles, by_tiles)];
        for (faults, expected_bytes) in differing {
            if let Some(entry) = first_difference(expected_bytes, served) {
                faults.add(Fault::Entry { tile: expected.tile, entry });
            }
        }
    }

    /// The verdict against the signed tree, and the keys that must be looked at again to be sure that none is there twice.
    pub fn finish(mut self, signed: &Tree) -> (Report, Suspects) {
        let empty = Tree { size: 0, root: Hash::EMPTY_TREE };
        let computed = self.by_records.tree().unwrap_or(empty);
        let served = self.by_tiles.as_ref().and_then(Hypothesis::tree);
        if computed == *signed {
            append(&mut self.faults, self.wrong_by_records);
        } else if served == Some(*signed) {
            append(&mut self.faults, self.wrong_by_tiles);
        } else {
            if computed.size != signed.size {
                self.faults.add(Fault::Size { records: computed.size, signed: signed.size });
            } else {
                self.faults.add(Fault::Root { computed, signed: signed.root });
            }
            append(&mut self.faults, undecided(self.wrong_by_records));
        }
        let report = Report { tree: computed, faults: self.faults.listed, more: self.faults.more };
        (report, self.keys.into_suspects())
    }

    fn follow_times(&mut self, bundle: &Bundle) {
        let Some((first, last)) = bundle.times else { return };
        if let Some(before) = self.last_time.filter(|before| first <= *before) {
            self.faults.add(Fault::Time { record: bundle.tile.first(), time: first, before });
        }
        self.last_time = Some(last);
    }

    /// Compares the level-0 tile served with the records. Returns it if it differs.
    fn level0(&mut self, bundle: &Bundle, served: Option<&[u8]>) -> Option<Vec<u8>> {
        let served = self.long_enough(bundle.tile, served)?;
        if served == bundle.hashes {
            return None;
        }
        if self.by_tiles.is_none() {
            self.by_tiles = Some(self.by_records.clone());
        }
        for entry in differences(&bundle.hashes, served) {
            self.wrong_by_records.add(Fault::Entry { tile: bundle.tile, entry });
            self.wrong_by_tiles.add(Fault::Record { record: bundle.tile.first() + u64::from(entry) });
        }
        Some(served.to_vec())
    }

    /// What is served of a tile, cut to the width that the tree has.
    fn long_enough<'a>(&mut self, tile: Tile, served: Option<&'a [u8]>) -> Option<&'a [u8]> {
        let served = served.unwrap_or_default();
        let cut = served.get(..tile.hash_bytes());
        if cut.is_none() {
            self.faults.add(Fault::Short { tile, bytes: served.len() });
        }
        cut
    }
}

fn pair(by_records: Vec<(Tile, Vec<u8>)>, by_tiles: Option<Vec<(Tile, Vec<u8>)>>) -> Vec<Expected> {
    let mut by_tiles = by_tiles.into_iter().flatten().map(|(_, hashes)| hashes);
    let pairs = by_records.into_iter();
    pairs.map(|(tile, by_records)| Expected { tile, by_records, by_tiles: by_tiles.next() }).collect()
}

/// The places at which two tile bodies differ.
pub(crate) fn differences<'a>(a: &'a [u8], b: &'a [u8]) -> impl Iterator<Item = u16> + 'a {
    let entries = a.chunks(Hash::SIZE).zip(b.chunks(Hash::SIZE));
    (0_u16..).zip(entries).filter(|(_, (a, b))| a != b).map(|(entry, _)| entry)
}

fn first_difference(a: &[u8], b: &[u8]) -> Option<u16> {
    if a == b { None } else { differences(a, b).next() }
}

/// What is wrong if it cannot be told which side is.
fn undecided(mut faults: Faults) -> Faults {
    for fault in &mut faults.listed {
        if let Fault::Entry { tile, entry } = *fault {
            *fault = Fault::Contradiction { tile, entry };
        }
    }
    faults
}

fn append(to: &mut Faults, from: Faults) {
    from.listed.into_iter().for_each(|fault| to.add(fault));
    to.more += from.more;
}
