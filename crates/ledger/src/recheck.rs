//! The second path: what is about to be stored, hashed again from its bytes alone.
//!
//! [`crate::round::build`] appends leaf by leaf to a frontier. Here the tree is split from the top as RFC 6962 §2.1
//! defines it, with only the right edge of the old tree's tiles taken as known; from that come the root, and every hash that the
//! round's tiles must hold. A bit flipped in memory, or an error in either path, makes the two differ, before
//! anything is written.

use std::collections::BTreeMap;

use quipu_tlog::{Hash, Node, leaf_hash, node_hash, tree_nodes};

use crate::round::{State, WIDTH, entries_at};
use crate::store::{Round, TileState};

/// Checks that a round is what `state` and the round's own record texts demand: size, times, root and every tile.
///
/// # Errors
/// A sentence that says what differs.
pub fn recheck(state: &State, round: &Round) -> Result<(), String> {
    let old = state.head.size;
    let new = round.head.size;
    if old.checked_add(round.records.len() as u64) != Some(new) {
        return Err(format!("{} records on top of {old} do not make {new}", round.records.len()));
    }
    check_times(state, round)?;
    let mut tree = Tree { old, peaks: peaks(state)?, round, levels: BTreeMap::new() };
    let root = tree.subtree(0, new)?;
    if root != round.head.root {
        return Err(format!(
            "the root of size {new} is {root} by one path and {} by another",
            round.head.root
        ));
    }
    check_tiles(state, round, &tree.levels)
}

fn check_times(state: &State, round: &Round) -> Result<(), String> {
    let times = round.records.iter().map(|(time, _)| *time);
    let mut last = state.head.time;
    for (time, index) in times.zip(state.head.size..) {
        if time <= last {
            return Err(format!("the time of record {index} does not increase"));
        }
        last = time;
    }
    if round.head.time < last { Err("the head is older than its records".to_owned()) } else { Ok(()) }
}

/// The complete subtrees that the old tree consists of, by their ranges of leaves; made from the right edge, not from
/// the frontier.
fn peaks(state: &State) -> Result<BTreeMap<(u64, u64), Hash>, String> {
    let nodes = tree_nodes(state.head.size).map_err(|error| error.to_string())?;
    nodes.iter().map(|node| Ok(((node.first_leaf(), node.end()), peak(state, node)?))).collect()
}

fn peak(state: &State, node: &Node) -> Result<Hash, String> {
    let (level, height) = (node.level() / 8, node.level() % 8);
    let edge = edge_of(state, level, entries_at(level, state.head.size))?;
    let first = usize::try_from((node.index() << height) % WIDTH).unwrap_or(usize::MAX);
    let hashes = edge.chunks_exact(Hash::SIZE).skip(first).take(1 << height);
    let mut row: Vec<Hash> =
        hashes.filter_map(|hash| Some(Hash::from_bytes(hash.try_into().ok()?))).collect();
    for _ in 0..height {
        row = row
            .chunks_exact(2)
            .filter_map(|pair| pair.first().zip(pair.last()))
            .map(|(l, r)| node_hash(l, r))
            .collect();
    }
    row.first().copied().ok_or_else(|| format!("{node} is not on the right edge"))
}

struct Tree<'a> {
    /// Leaves known before; their subtrees are in `peaks`.
    old: u64,
    peaks: BTreeMap<(u64, u64), Hash>,
    round: &'a Round,
    /// Hashes of new complete subtrees at tile levels, left to right.
    levels: BTreeMap<u8, Vec<Hash>>,
}

impl Tree<'_> {
    /// The hash of the leaves from `start` to before `end`.
    fn subtree(&mut self, start: u64, end: u64) -> Result<Hash, String> {
        if end <= self.old {
            let known = self.peaks.get(&(start, end)).copied();
            return known.ok_or_else(|| format!("leaves {start} to {end} are not a subtree of the old tree"));
        }
        let count = end - start;
        let hash = match count {
            0 => return Ok(Hash::EMPTY_TREE),
            1 => self.leaf(start)?,
            _ => {
                let middle = start + count.next_power_of_two() / 2;
                let left = self.subtree(start, middle)?;
                node_hash(&left, &self.subtree(middle, end)?)
            }
        };
        let level = count.trailing_zeros();
        if count.is_power_of_two() && level.is_multiple_of(8) {
            self.levels.entry(u8::try_from(level / 8).unwrap_or(u8::MAX)).or_default().push(hash);
        }
        Ok(hash)
    }

    fn leaf(&self, index: u64) -> Result<Hash, String> {
        let place = usize::try_from(index - self.old).ok();
        let record = place.and_then(|place| self.round.records.get(place));
        let (_, entry) = record.ok_or_else(|| format!("record {index} is missing"))?;
        Ok(leaf_hash(entry.text()))
    }
}

/// Checks that the round's tiles are all that the round must change, each with exactly the right hashes.
fn check_tiles(state: &State, round: &Round, levels: &BTreeMap<u8, Vec<Hash>>) -> Result<(), String> {
    let mut tiles: Vec<&TileState> = round.tiles.iter().collect();
    tiles.sort_by_key(|tile| (tile.level, tile.n));
    let mut tiles = tiles.into_iter();
    for (&level, fresh) in levels {
        let old = entries_at(level, state.head.size);
        let mut bytes = edge_of(state, level, old)?.to_vec();
        bytes.extend(fresh.iter().flat_map(|hash| hash.as_bytes()));
        if entries_at(level, round.head.size) != old + fresh.len() as u64 {
            return Err(format!("level {level} has gaps"));
        }
        for (n, hashes) in (old / WIDTH..).zip(bytes.chunks(crate::round::FULL)) {
            let tile = tiles.next();
            if !tile.is_some_and(|tile| tile.level == level && tile.n == n && tile.hashes == hashes) {
                return Err(format!("tile {n} of level {level} is missing or wrong"));
            }
        }
    }
    tiles
        .next()
        .map_or(Ok(()), |tile| Err(format!("tile {} of level {} does not belong", tile.n, tile.level)))
}

/// The hashes that the last, incomplete tile of a level had before the round.
fn edge_of(state: &State, level: u8, old: u64) -> Result<&[u8], String> {
    let edge = state.edge.get(usize::from(level)).map_or(&[][..], Vec::as_slice);
    let fits = edge.len() as u64 == old % WIDTH * Hash::SIZE as u64;
    if fits { Ok(edge) } else { Err(format!("the right edge of level {level} does not fit the head")) }
}
