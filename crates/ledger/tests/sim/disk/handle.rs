//! An open file on the simulated disk.

use std::io;

use quipu_ledger::DiskFile;

use super::{Fault, File, SimDisk, State};
use crate::rng::Rng;

/// A handle that dies with the process that opened it.
pub(super) struct Handle {
    pub(super) disk: SimDisk,
    pub(super) number: u64,
    pub(super) life: u64,
}

impl Handle {
    /// Runs a change of the file unless a fault strikes; `None` in `on` means that it struck.
    fn change<T>(
        &self,
        what: &str,
        needs_room: bool,
        on: impl FnOnce(&mut File, &mut Rng, Option<&io::Error>) -> T,
    ) -> io::Result<T> {
        let mut state = self.disk.state();
        if state.life != self.life {
            return Err(io::Error::other("a handle of a dead process"));
        }
        let path = state.path_of(self.number);
        let struck = state.strike(what, &path, needs_room).err();
        let State { files, rng, .. } = &mut *state;
        let file = files.get_mut(&self.number).ok_or(io::ErrorKind::NotFound)?;
        let done = on(file, rng, struck.as_ref());
        struck.map_or(Ok(done), Err)
    }

    /// Whether the file would grow to this length, and that there is room for it.
    fn grows(&self, len: usize) -> io::Result<bool> {
        let state = self.disk.state();
        let now = state.files.get(&self.number).map_or(0, |file| file.cache.len());
        let more = len.saturating_sub(now) as u64;
        if more > 0 && state.used() + more > state.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(more > 0)
    }
}

impl DiskFile for Handle {
    fn read(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        let state = self.disk.state();
        if state.down || state.life != self.life {
            return Err(io::Error::other("the process is dead"));
        }
        let file = state.files.get(&self.number).ok_or(io::ErrorKind::NotFound)?;
        if file.cache.len() > limit {
            Err(io::ErrorKind::FileTooLarge.into())
        } else {
            Ok(file.cache.clone())
        }
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let at = offset as usize;
        let grows = self.grows(at + bytes.len())?;
        self.change("write", grows, |file, rng, struck| {
            // A write that failed has written some beginning.
            let len = if struck.is_some() { rng.below(bytes.len() as u64 + 1) as usize } else { bytes.len() };
            File::write(&mut file.cache, at, &bytes[..len]);
            file.unsynced.push((at, bytes[..len].to_vec()));
        })
    }

    fn allocate(&mut self, len: u64) -> io::Result<()> {
        let grows = self.grows(len as usize)?;
        self.change("allocate", grows, |file, _, struck| {
            if struck.is_none() {
                file.cache.resize(len as usize, 0);
            }
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        let lie = {
            let state = self.disk.state();
            let path = state.path_of(self.number);
            state.lies.no_sync.is_some_and(|name| path.to_string_lossy().contains(name))
        };
        let dies = {
            let state = self.disk.state();
            matches!(state.fault, Some((0, Fault::PowerCut | Fault::Kill)))
        };
        self.change("sync", false, |file, rng, struck| match struck {
            _ if lie => {}
            None => {
                for (at, new) in std::mem::take(&mut file.unsynced) {
                    File::write(&mut file.durable, at, &new);
                }
            }
            // The power cut itself decides what is kept.
            Some(_) if dies => {}
            // Some of it is written, the rest is shown as if it were: nobody will write it again.
            Some(_) => file.settle(rng),
        })
    }

    fn len(&self) -> io::Result<u64> {
        let state = self.disk.state();
        Ok(state.files.get(&self.number).map_or(0, |file| file.cache.len() as u64))
    }

    fn number(&self) -> io::Result<u64> {
        Ok(self.number)
    }
}
