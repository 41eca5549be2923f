//! Room on the disk: a floor below which no round begins, and a reserve to fall back on.
//!
//! The reserve is a file of a fixed length. When the disk runs full it is removed, so that the store can finish what it
//! is doing and reads go on. Appends begin again when there is room for the reserve and the floor.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::durable::Disk;

/// How much room to keep on the volume of the data directory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Length of the reserve file; 0 for none.
    pub reserve: u64,
    /// No round begins with less than this free (besides the reserve).
    pub floor: u64,
}

impl Default for Room {
    /// 64 MiB each.
    fn default() -> Self {
        Self { reserve: 64 << 20, floor: 64 << 20 }
    }
}

/// The watch over the room of one data directory.
pub(crate) struct Space {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    room: Room,
    /// Whether the reserve file is there in full.
    held: bool,
}

impl Space {
    /// Starts watching. A reserve that is there stays there, unless the disk is so full that a start needs its room.
    pub(crate) fn open(disk: Arc<dyn Disk>, dir: PathBuf, room: Room) -> io::Result<Self> {
        let mut space = Self { disk, dir, room, held: false };
        if let Some(file) = space.disk.open(&space.path())? {
            // A crash may have left one without its room.
            let whole = room.reserve > 0 && file.len()? == room.reserve;
            space.held = whole && space.disk.free(&space.dir)? >= room.floor;
            if !space.held {
                space.disk.remove(&space.path())?;
            }
        }
        Ok(space)
    }

    /// Whether a round may begin.
    ///
    /// # Errors
    /// A sentence that says how much room there is and how much there should be.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        let free = self.disk.free(&self.dir).map_err(|error| format!("free space is unknown: {error}"))?;
        let missing = if self.held { 0 } else { self.room.reserve };
        let wanted = self.room.floor.saturating_add(missing);
        if free < wanted {
            return Err(format!("{} has {free} bytes free, {wanted} are wanted", self.dir.display()));
        }
        if missing == 0 {
            return Ok(());
        }
        self.take().map_err(|error| {
            self.release();
            format!("no room for the reserve in {}: {error}", self.dir.display())
        })
    }

    /// Gives the reserve up.
    pub(crate) fn release(&mut self) {
        self.held = false;
        if let Err(error) = self.disk.remove(&self.path()) {
            tracing::warn!(%error, "could not remove the disk reserve");
        }
    }

    /// Nothing relies on the reserve after a crash, so it is not synced.
    fn take(&mut self) -> io::Result<()> {
        self.disk.create(&self.path())?.allocate(self.room.reserve)?;
        self.held = true;
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.dir.join("reserve")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{DiskFile, Lock, RealDisk};
    use std::path::Path;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// The real disk, with as much room as the test says.
    struct Fake {
        free: AtomicU64,
    }

    impl Disk for Fake {
        fn open(&self, path: &Path) -> io::Result<Option<Box<dyn DiskFile>>> {
            RealDisk.open(path)
        }
        fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
            RealDisk.create(path)
        }
        fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn remove(&self, path: &Path) -> io::Result<()> {
            RealDisk.remove(path)
        }
        fn sync_dir(&self, _: &Path) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn lock(&self, _: &Path) -> io::Result<Option<Lock>> {
            Ok(None)
        }
        fn free(&self, _: &Path) -> io::Result<u64> {
            Ok(self.free.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn appends_stop_at_the_floor_and_begin_again_with_room_for_the_reserve() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = dir.path().join("reserve");
        let disk = Arc::new(Fake { free: AtomicU64::new(10_000) });
        let room = Room { reserve: 4000, floor: 1000 };
        let mut space = Space::open(disk.clone(), dir.path().to_owned(), room).unwrap();
        space.check().unwrap();
        assert_eq!(std::fs::metadata(&reserve).unwrap().len(), 4000);
        disk.free.store(1000, Ordering::Relaxed);
        space.check().unwrap();
        disk.free.store(999, Ordering::Relaxed);
        assert!(space.check().unwrap_err().contains("999 bytes free"));

        space.release();
        assert!(!reserve.exists());
        disk.free.store(4999, Ordering::Relaxed);
        space.check().unwrap_err();
        assert!(!reserve.exists());
        disk.free.store(5000, Ordering::Relaxed);
        space.check().unwrap();
        assert!(reserve.exists());

        // A start on a full disk gets the reserve's room; any other start keeps the reserve.
        let space = Space::open(disk.clone(), dir.path().to_owned(), room).unwrap();
        assert!(space.held && reserve.exists());
        disk.free.store(0, Ordering::Relaxed);
        let space = Space::open(disk, dir.path().to_owned(), room).unwrap();
        assert!(!space.held && !reserve.exists());
    }
}
