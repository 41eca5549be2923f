//! Settles by the records themselves whether two that have the same hash of their key have the same key.

use quipu_tlog::{HashReader as _, Node, TILE_WIDTH, Tile, TileLevel, leaf_hash};

use super::crown::Crown;
use super::findings::Findings;
use super::reader::{DataTile, Reader, Trouble};
use super::runs::Twins;
use crate::check::{Fault, Rules};
use crate::error::Error;

/// Suspects that are looked at; with more than these a log is bad beyond counting.
pub(super) const MAX_SUSPECTS: usize = 128;

/// Looks at suspects again.
pub(super) struct Recheck<'a, R> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) crown: &'a Crown<'a>,
    pub(super) findings: &'a Findings,
    pub(super) rules: &'a R,
}

impl<R: Rules> Recheck<'_, R> {
    /// Reads both records again, authenticates them, and compares their keys.
    pub(super) fn compare(&self, (first, second): Twins) -> Result<(), Error> {
        let (tile_a, a) = self.record(first)?;
        let (tile_b, b) = self.record(second)?;
        let key = self.rules.key(&a).ok();
        if key.is_some() && key == self.rules.key(&b).ok() {
            let key = String::from_utf8_lossy(key.unwrap_or_default()).trim_end().to_owned();
            let shown = vec![(tile_a.tile, tile_a.body), (tile_b.tile, tile_b.body)];
            self.findings.add(Fault::Duplicate { first, second, key }, shown);
        }
        Ok(())
    }

    /// A record that is what the signed tree says.
    fn record(&self, record: u64) -> Result<(DataTile, Vec<u8>), Error> {
        let what = format!("record {record}");
        let changed = || Error::unproven(&what, "it was served rightly before and is not now");
        let tile = Tile::widest(TileLevel::Data, record / u64::from(TILE_WIDTH), self.crown.tree().size);
        let tile = tile.ok_or_else(changed)?;
        let served = match self.reader.data(&tile) {
            Ok(served) => served,
            Err(Trouble::Found(fault)) => return Err(Error::unproven(&what, fault)),
            Err(Trouble::Stop(error)) => return Err(error),
        };
        let records =
            served.records(tile.width(), self.rules).map_err(|fault| Error::unproven(&what, fault))?;
        let place = usize::try_from(record - tile.first()).ok();
        let text = place.and_then(|place| records.get(place)).ok_or_else(changed)?.text.to_vec();
        let node = Node::leaf(record).ok_or_else(changed)?;
        let hashes = self.crown.read_hashes(&[node])?;
        if hashes != [leaf_hash(&text)] {
            return Err(changed());
        }
        Ok((served, text))
    }
}
