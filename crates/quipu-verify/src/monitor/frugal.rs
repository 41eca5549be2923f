//! State for somebody who reads a log once, from one end to the other, and keeps nothing of it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use quipu_module::ModuleVersion;
use quipu_tlog::{Tile, TileLevel};
use quipu_verify::{DirState, State};

/// Keeps the head and the few higher tiles in a directory, as all commands do; the many of level 0, each of which is
/// needed while its 256 records are read, only a while in memory; records never.
#[derive(Debug)]
pub(super) struct FrugalState {
    dir: DirState,
    /// The last tiles of level 0, newest first.
    recent: Mutex<VecDeque<(Tile, Bytes)>>,
}

impl FrugalState {
    pub(super) const fn new(dir: DirState) -> Self {
        Self { dir, recent: Mutex::new(VecDeque::new()) }
    }

    /// A panic elsewhere leaves at worst a tile out.
    fn recent(&self) -> MutexGuard<'_, VecDeque<(Tile, Bytes)>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State for FrugalState {
    fn latest(&self) -> io::Result<Option<Bytes>> {
        self.dir.latest()
    }

    fn replace_latest(&self, old: Option<&[u8]>, new: &[u8]) -> io::Result<bool> {
        self.dir.replace_latest(old, new)
    }

    fn tile(&self, tile: &Tile) -> Option<Bytes> {
        match tile.level() {
            TileLevel::Data => None,
            TileLevel::Hashes(0) => {
                let recent = self.recent();
                let (_, body) =
                    recent.iter().find(|(kept, _)| kept.n() == tile.n() && kept.width() >= tile.width())?;
                body.get(..tile.hash_bytes()).map(|_| body.slice(..tile.hash_bytes()))
            }
            TileLevel::Hashes(_) => self.dir.tile(tile),
        }
    }

    fn keep_tile(&self, tile: &Tile, body: &Bytes) -> io::Result<()> {
        match tile.level() {
            TileLevel::Data => Ok(()),
            TileLevel::Hashes(0) => {
                let mut recent = self.recent();
                recent.retain(|(kept, _)| kept.n() != tile.n());
                recent.truncate(RECENT - 1);
                recent.push_front((*tile, body.clone()));
                Ok(())
            }
            TileLevel::Hashes(_) => self.dir.keep_tile(tile, body),
        }
    }

    fn lookup(&self, _: &ModuleVersion) -> Option<Bytes> {
        None
    }

    fn keep_lookup(&self, _: &ModuleVersion, _: &Bytes) -> io::Result<()> {
        Ok(())
    }
}

/// Tiles in memory, of 8 KiB each.
const RECENT: usize = 64;

#[cfg(test)]
mod tests {
    use quipu_tlog::TILE_WIDTH;

    use super::*;

    fn tile(n: u64, width: u16) -> Tile {
        Tile::new(TileLevel::Hashes(0), n, width).unwrap()
    }

    #[test]
    fn the_newest_tiles_are_there_in_all_widths_and_nothing_is_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let state = FrugalState::new(DirState::open(dir.path()).unwrap());
        for n in 0..1000 {
            let body = Bytes::from(vec![7; tile(n, TILE_WIDTH).hash_bytes()]);
            state.keep_tile(&tile(n, TILE_WIDTH), &body).unwrap();
        }
        assert_eq!(state.tile(&tile(999, 3)).unwrap().len(), 96);
        assert_eq!(state.tile(&tile(0, 3)), None);
        state.keep_tile(&tile(999, 2), &Bytes::from_static(&[1; 64])).unwrap();
        assert_eq!(state.tile(&tile(999, 3)), None);
        assert_eq!(state.recent().len(), RECENT);
        assert!(!dir.path().join("tile").exists());
    }
}
