//! The writer's state from storage: the only way to get one, and only after what storage holds was checked.

use std::ops::Range;

use bytes::Bytes;
use quipu_tlog::{Frontier, Hash, StoredTileError, StoredTiles, Tile, TileLevel, leaf_hash};

use crate::round::{FULL, State, WIDTH, entries_at};
use crate::store::{Head, Micros, ReadError, Record, Store};

/// Why storage does not bear the head that it should bear.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// Storage could not be read.
    Read(ReadError),
    /// The tiles make another root than the head has.
    Root { size: u64, stored: Hash },
    /// Records, tiles and head contradict each other; says how.
    Damaged(String),
}

impl From<ReadError> for Unfit {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

/// The state at `head`, a head at or below the store's own. Its root is computed from the stored tiles and compared,
/// and the records that the last level-0 tile covers are hashed and compared with it.
pub(crate) fn restore(store: &dyn Store, head: &Head) -> Result<State, Unfit> {
    let frontier = frontier(store, head.size)?;
    let root = frontier.root();
    if root != head.root {
        return Err(Unfit::Root { size: head.size, stored: root });
    }
    let levels = (0..8).take_while(|&level| entries_at(level, head.size) > 0);
    let edge = levels.map(|level| edge(store, level, head.size)).collect::<Result<_, _>>()?;
    let state = State { head: *head, frontier, edge };
    check_last_tile(store, &state)?;
    Ok(state)
}

/// Takes the state from `state` to the store's head by hashing all records between; every tile that they change
/// must be in the store as computed.
pub(crate) fn replay(store: &dyn Store, state: State, head: &Head) -> Result<State, Unfit> {
    let (from, mut state) = (state.head, state);
    let mut full = Vec::new();
    let mut last = from.time;
    let mut next = from.size;
    while next < head.size {
        let piece = next..head.size.min(next + PIECE);
        for (record, index) in read(store, piece.clone())?.into_iter().zip(piece.clone()) {
            last = later(last, &record, index)?;
            state.push(leaf_hash(&record.text), &mut full);
        }
        next = piece.end;
    }
    if last > head.time {
        return Err(Unfit::Damaged("the head is older than its records".to_owned()));
    }
    let root = state.frontier.root();
    if root != head.root {
        return Err(Unfit::Root { size: head.size, stored: root });
    }
    state.head = *head;
    full.extend(crate::round::incomplete(from.size, head.size, &state.edge));
    for tile in full {
        let stored = store.tile(tile.level, tile.n)?;
        if stored.as_ref().and_then(|bytes| bytes.get(..tile.hashes.len())) != Some(&tile.hashes) {
            return Err(Unfit::Damaged(format!(
                "tile {} of level {} is not of its records",
                tile.n, tile.level
            )));
        }
    }
    Ok(state)
}

/// Records read at once.
const PIECE: u64 = 1024;

fn frontier(store: &dyn Store, size: u64) -> Result<Frontier, Unfit> {
    let tiles = StoredTiles::new(size, |tile: Tile| match tile.level() {
        TileLevel::Hashes(level) => store.tile(level, tile.n()).map(Option::unwrap_or_default),
        TileLevel::Data => Ok(Bytes::new()),
    });
    Frontier::restore(size, &tiles).map_err(|error| match error {
        quipu_tlog::ReadError::Reader(StoredTileError::Read(error)) => Unfit::Read(error),
        other => Unfit::Damaged(other.to_string()),
    })
}

fn edge(store: &dyn Store, level: u8, size: u64) -> Result<Vec<u8>, Unfit> {
    let entries = entries_at(level, size);
    let len = usize::try_from(entries % WIDTH).unwrap_or(0) * Hash::SIZE;
    if len == 0 {
        return Ok(Vec::new());
    }
    let tile = tile_of(store, level, entries / WIDTH)?;
    let own = tile.get(..len).ok_or_else(|| short(level, entries / WIDTH))?;
    let mut edge = Vec::with_capacity(FULL);
    edge.extend_from_slice(own);
    Ok(edge)
}

fn check_last_tile(store: &dyn Store, state: &State) -> Result<(), Unfit> {
    let size = state.head.size;
    let Some(last) = size.checked_sub(1) else { return Ok(()) };
    let first = last / WIDTH * WIDTH;
    let tile = tile_of(store, 0, last / WIDTH)?;
    let mut time = 0;
    for (record, index) in read(store, first..size)?.into_iter().zip(first..) {
        time = later(time, &record, index)?;
        let place = usize::try_from(index - first).unwrap_or(usize::MAX).saturating_mul(Hash::SIZE);
        let stored = tile.get(place..place.saturating_add(Hash::SIZE));
        if stored != Some(leaf_hash(&record.text).as_bytes().as_slice()) {
            return Err(Unfit::Damaged(format!(
                "record {index} does not have the hash that its tile has for it"
            )));
        }
    }
    if time > state.head.time {
        return Err(Unfit::Damaged("the head is older than its records".to_owned()));
    }
    Ok(())
}

fn later(last: Micros, record: &Record, index: u64) -> Result<Micros, Unfit> {
    if record.time > last {
        return Ok(record.time);
    }
    Err(Unfit::Damaged(format!("the time of record {index} does not increase")))
}

fn read(store: &dyn Store, range: Range<u64>) -> Result<Vec<Record>, Unfit> {
    let records = store.records(range.clone())?;
    if records.len() as u64 == range.end - range.start {
        return Ok(records);
    }
    Err(Unfit::Damaged(format!("{} records instead of {} to {}", records.len(), range.start, range.end)))
}

fn tile_of(store: &dyn Store, level: u8, n: u64) -> Result<Bytes, Unfit> {
    store.tile(level, n)?.ok_or_else(|| short(level, n))
}

fn short(level: u8, n: u64) -> Unfit {
    Unfit::Damaged(format!("tile {n} of level {level} is missing or too short"))
}

#[cfg(test)]
mod tests;
