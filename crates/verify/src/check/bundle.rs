//! The records of one data tile, hashed and judged.

use std::hash::{BuildHasher as _, RandomState};

use quipu_tlog::{Hash, TILE_WIDTH, Tile, TileLevel, leaf_hash};

use super::report::Fault;
use super::rules::Rules;

/// A record to be checked.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The record text.
    pub text: &'a [u8],
    /// When it was committed, if that is known; must strictly increase.
    pub time: Option<u64>,
}

/// Digests bundles of one log: its rules, and a secret with which keys are hashed, so that nobody can prepare records
/// whose keys collide. All bundles of one check must come from the same digester (or a clone).
#[derive(Clone, Debug)]
pub struct Digester<R> {
    rules: R,
    secret: RandomState,
}

/// What remains of the records of one data tile when they have been looked at.
#[derive(Clone, Debug)]
pub struct Bundle {
    pub(super) tile: Tile,
    /// The body of the level-0 hash tile that these records have.
    pub(super) hashes: Vec<u8>,
    /// The root of that tile, if it is full.
    pub(super) root: Option<Hash>,
    /// The key of each good record, hashed.
    pub(super) keys: Vec<u64>,
    /// The first and last time known, if any.
    pub(super) times: Option<(u64, u64)>,
    pub(super) faults: Vec<Fault>,
}

impl<R: Rules> Digester<R> {
    /// A digester for a log with these rules.
    pub fn new(rules: R) -> Self {
        Self { rules, secret: RandomState::new() }
    }

    /// Hashes and judges the records of data tile `n`: all 256 of them, or those there are in the last tile. None if
    /// there are none, more than 256, or no log has such a tile.
    pub fn digest<'a>(&self, n: u64, entries: impl IntoIterator<Item = Entry<'a>>) -> Option<Bundle> {
        let first = n.checked_mul(TILE_WIDTH.into())?;
        let mut hashes = Vec::with_capacity(usize::from(TILE_WIDTH) * Hash::SIZE);
        let mut keys = Vec::with_capacity(TILE_WIDTH.into());
        let mut times = None;
        let mut faults = Vec::new();
        let mut width: u16 = 0;
        for entry in entries {
            if width == TILE_WIDTH {
                return None;
            }
            let record = first + u64::from(width);
            hashes.extend_from_slice(leaf_hash(entry.text).as_bytes());
            match self.key_hash(entry.text) {
                Ok(key) => keys.push(key),
                Err(why) => faults.push(Fault::Rule { record, why }),
            }
            follow_time(record, entry.time, &mut times, &mut faults);
            width += 1;
        }
        let tile = Tile::new(TileLevel::Hashes(0), n, width)?;
        let root = tile.root(&hashes);
        Some(Bundle { tile, hashes, root, keys, times, faults })
    }

    /// The key of a record as the checker knows it.
    pub(super) fn key_hash(&self, text: &[u8]) -> Result<u64, String> {
        self.rules.key(text).map(|key| self.secret.hash_one(key))
    }

    pub(super) fn rules(&self) -> &R {
        &self.rules
    }
}

impl Bundle {
    /// The level-0 hash tile of these records, to be compared with the one served.
    pub fn tile(&self) -> Tile {
        self.tile
    }
}

fn follow_time(record: u64, time: Option<u64>, times: &mut Option<(u64, u64)>, faults: &mut Vec<Fault>) {
    let Some(time) = time else { return };
    match times {
        None => *times = Some((time, time)),
        Some((_, last)) => {
            if time <= *last {
                faults.push(Fault::Time { record, time, before: *last });
            }
            *last = time;
        }
    }
}
