//! Pure tree arithmetic of one round: what it writes, and the proof by a second path that this is right.

use bytes::Bytes;
use quipu_tlog::{Frontier, Hash, MAX_SIZE, TILE_WIDTH, leaf_hash};

use crate::store::{Entry, Head, Micros, Round, TileState};

/// What the writer carries from round to round: the head, and the right edge of the tree.
///
/// There is one for a log just founded, one after every round, and one from storage only after that was checked.
#[derive(Clone, Debug)]
pub struct State {
    pub(crate) head: Head,
    pub(crate) frontier: Frontier,
    /// For each tile level the hashes of its incomplete last tile, 32 bytes each; missing levels have none.
    pub(crate) edge: Vec<Vec<u8>>,
}

impl State {
    /// The state of a log without records, founded at `time`, or at the end of the year 9999 if that is later.
    pub fn founded(time: Micros) -> Self {
        let head = Head { size: 0, root: Hash::EMPTY_TREE, time: time.min(LAST_TIME) };
        Self { head, frontier: Frontier::new(), edge: Vec::new() }
    }

    /// The head of the log.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Appends one leaf to the tree and hands out a tile that became full.
    pub(crate) fn push(&mut self, leaf: Hash, full: &mut Vec<TileState>) {
        let edge = &mut self.edge;
        self.frontier.push_with(leaf, |node, hash| {
            if !node.level().is_multiple_of(8) {
                return;
            }
            let level = node.level() / 8;
            let place = usize::from(level);
            if edge.len() <= place {
                edge.resize(place + 1, Vec::new());
            }
            let Some(tile) = edge.get_mut(place) else { return };
            tile.extend_from_slice(hash.as_bytes());
            if tile.len() == FULL {
                let hashes = Bytes::from(std::mem::take(tile));
                full.push(TileState { level, n: node.index() / WIDTH, hashes });
            }
        });
    }
}

/// The tree would outgrow what sizes or times can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log is as large as a log can be")]
pub struct AtTheEnd;

/// Builds the round that appends `entries` (no key twice) at time `now`, and the state after it. The times of the records
/// increase strictly, whatever the clock says. The round carries no notes.
///
/// # Errors
/// [`AtTheEnd`] if sizes or times would overflow.
pub fn build(state: &State, entries: Vec<Entry>, now: Micros) -> Result<(Round, State), AtTheEnd> {
    let first = state.head.time.checked_add(1).ok_or(AtTheEnd)?.max(now.min(LAST_TIME));
    first.checked_add(entries.len() as u64).ok_or(AtTheEnd)?;
    assemble(state, (first..).zip(entries).collect())
}

/// Builds the round that appends records whose times are known, as when a log is restored; otherwise like [`build`].
/// The times must increase strictly, from after the head's own; [`crate::recheck()`] says if they do not.
///
/// # Errors
/// [`AtTheEnd`] if the size would overflow.
pub fn assemble(state: &State, records: Vec<(Micros, Entry)>) -> Result<(Round, State), AtTheEnd> {
    let old = state.head.size;
    let size = old.checked_add(records.len() as u64).filter(|&size| size < MAX_SIZE).ok_or(AtTheEnd)?;
    let mut next = state.clone();
    let mut tiles = Vec::new();
    for (_, entry) in &records {
        next.push(leaf_hash(entry.text()), &mut tiles);
    }
    tiles.extend(incomplete(old, size, &next.edge));
    let time = records.last().map_or(state.head.time, |(time, _)| *time);
    next.head = Head { size, root: next.frontier.root(), time };
    Ok((Round { records, tiles, head: next.head, notes: Vec::new() }, next))
}

/// The last tile of each level, where it is incomplete and has grown between the two sizes.
pub(crate) fn incomplete(old: u64, new: u64, edge: &[Vec<u8>]) -> impl Iterator<Item = TileState> {
    (0_u8..).zip(edge).filter_map(move |(level, hashes)| {
        let entries = entries_at(level, new);
        let grown = entries > entries_at(level, old) && !hashes.is_empty();
        grown.then(|| TileState { level, n: entries / WIDTH, hashes: Bytes::copy_from_slice(hashes) })
    })
}

/// Hashes that a tree of this size has at a tile level.
pub(crate) fn entries_at(level: u8, size: u64) -> u64 {
    size.checked_shr(8 * u32::from(level)).unwrap_or(0)
}

/// Hashes in a full tile.
pub(crate) const WIDTH: u64 = TILE_WIDTH as u64;
/// Bytes of a full tile.
pub(crate) const FULL: usize = TILE_WIDTH as usize * Hash::SIZE;
/// The end of the year 9999: a clock that says more is not believed.
const LAST_TIME: Micros = 253_402_300_799_999_999;

#[cfg(test)]
mod tests;
