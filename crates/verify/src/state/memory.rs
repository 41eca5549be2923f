//! State that ends with the process.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use quipu_module::ModuleVersion;
use quipu_tlog::{Tile, TileLevel};

use super::{State, narrow};

/// Keeps everything in memory, without a limit: for tests and for programs that end soon.
#[derive(Debug, Default)]
pub struct MemoryState {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    latest: Option<Bytes>,
    /// The state of each tile that was kept last.
    tiles: HashMap<(TileLevel, u64), (Tile, Bytes)>,
    lookups: HashMap<ModuleVersion, Bytes>,
}

impl MemoryState {
    /// A state that knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A panic elsewhere cannot leave the maps half-changed: every change is one assignment.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State for MemoryState {
    fn latest(&self) -> io::Result<Option<Bytes>> {
        Ok(self.kept().latest.clone())
    }

    fn replace_latest(&self, old: Option<&[u8]>, new: &[u8]) -> io::Result<bool> {
        let mut kept = self.kept();
        let unchanged = kept.latest.as_deref() == old;
        if unchanged {
            kept.latest = Some(Bytes::copy_from_slice(new));
        }
        Ok(unchanged)
    }

    fn tile(&self, tile: &Tile) -> Option<Bytes> {
        let kept = self.kept();
        let (wide, body) = kept.tiles.get(&(tile.level(), tile.n()))?;
        if wide.width() < tile.width() { None } else { narrow(wide, body, tile) }
    }

    fn keep_tile(&self, tile: &Tile, body: &Bytes) -> io::Result<()> {
        self.kept().tiles.insert((tile.level(), tile.n()), (*tile, body.clone()));
        Ok(())
    }

    fn lookup(&self, module: &ModuleVersion) -> Option<Bytes> {
        self.kept().lookups.get(module).cloned()
    }

    fn keep_lookup(&self, module: &ModuleVersion, body: &Bytes) -> io::Result<()> {
        self.kept().lookups.insert(module.clone(), body.clone());
        Ok(())
    }
}
