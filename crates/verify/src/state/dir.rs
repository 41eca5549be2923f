//! State in plain files, laid out like the cache of the `go` command for one checksum database:
//! `latest`, `tile/8/<level>/<n>[.p/<width>]`, `lookup/<escaped path>@<escaped version>`.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use quipu_module::ModuleVersion;
use quipu_tlog::{TILE_WIDTH, Tile};

use super::{State, narrow};
use crate::durable::sync_dir;

/// State in a directory of its own. Several processes may use it at once.
///
/// Files appear and change only by renaming complete ones into place. `latest` is synced to the disk; the
/// others are a cache. Of each tile only one state is on disk; narrower ones are read out of it.
#[derive(Debug)]
pub struct DirState {
    root: PathBuf,
    /// Makes the names of temporary files distinct within the process.
    next_temporary: AtomicU64,
}

impl DirState {
    /// The state kept in `root`, which is made if it does not exist.
    ///
    /// # Errors
    /// The directory does not exist and cannot be made.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        fs::create_dir_all(root.join(TEMPORARY))?;
        Ok(Self { root, next_temporary: AtomicU64::new(0) })
    }

    /// Writes a whole file and renames it into place.
    fn put(&self, path: &Path, content: &[u8], durable: bool) -> io::Result<()> {
        let parent = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent)?;
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = self.root.join(TEMPORARY).join(format!("{}-{number}", std::process::id()));
        let outcome = write_file(&temporary, content, durable).and_then(|()| fs::rename(&temporary, path));
        if outcome.is_err() {
            // What is left over is in nobody's way; the error that counts is the first.
            let _ = fs::remove_file(&temporary);
        }
        outcome?;
        if durable { sync_dir(parent) } else { Ok(()) }
    }

    fn lookup_path(&self, module: &ModuleVersion) -> PathBuf {
        self.root.join("lookup").join(module.escaped())
    }

    fn tile_path(&self, tile: &Tile) -> PathBuf {
        self.root.join(tile.sumdb_path())
    }

    /// The narrowest partial state kept that is wider than `tile`.
    fn wider_partial(&self, tile: &Tile) -> Option<Tile> {
        let directory = fs::read_dir(self.tile_path(tile).parent()?).ok()?;
        let widths = directory.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let width = widths.filter(|width| (tile.width()..TILE_WIDTH).contains(width)).min()?;
        Tile::new(tile.level(), tile.n(), width)
    }
}

impl State for DirState {
    fn latest(&self) -> io::Result<Option<Bytes>> {
        match read_file(&self.root.join(LATEST)) {
            Ok(note) => Ok(Some(note)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn replace_latest(&self, old: Option<&[u8]>, new: &[u8]) -> io::Result<bool> {
        // Held only here, for the time of one small write; released when the file is closed.
        let _lock = lock_file(&self.root.join("latest.lock"))?;
        if self.latest()?.as_deref() != old {
            return Ok(false);
        }
        self.put(&self.root.join(LATEST), new, true)?;
        Ok(true)
    }

    fn tile(&self, tile: &Tile) -> Option<Bytes> {
        let full = Tile::new(tile.level(), tile.n(), TILE_WIDTH)?;
        let exact_or_full = || [*tile, full].into_iter().find_map(|t| Some((t, self.read_tile(&t)?)));
        let (wide, body) = exact_or_full().or_else(|| {
            let wide = self.wider_partial(tile)?;
            Some((wide, self.read_tile(&wide)?))
        })?;
        narrow(&wide, &body, tile)
    }

    fn keep_tile(&self, tile: &Tile, body: &Bytes) -> io::Result<()> {
        let path = self.tile_path(tile);
        self.put(&path, body, false)?;
        self.forget_other_widths(tile, &path);
        Ok(())
    }

    fn lookup(&self, module: &ModuleVersion) -> Option<Bytes> {
        read_file(&self.lookup_path(module)).ok()
    }

    fn keep_lookup(&self, module: &ModuleVersion, body: &Bytes) -> io::Result<()> {
        self.put(&self.lookup_path(module), body, false)
    }
}

impl DirState {
    fn read_tile(&self, tile: &Tile) -> Option<Bytes> {
        read_file(&self.tile_path(tile)).ok()
    }

    /// Removes what the tile just written makes superfluous. Whatever cannot be removed does no harm.
    fn forget_other_widths(&self, tile: &Tile, written: &Path) {
        if tile.is_full() {
            let mut partials = written.as_os_str().to_owned();
            partials.push(".p");
            let _ = fs::remove_dir_all(partials);
            return;
        }
        if let Some(full) = Tile::new(tile.level(), tile.n(), TILE_WIDTH) {
            let _ = fs::remove_file(self.tile_path(&full));
        }
        let entries = written.parent().and_then(|parent| fs::read_dir(parent).ok());
        for entry in entries.into_iter().flatten().flatten() {
            if entry.path() != written {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Locks a file exclusively, waiting a few seconds at most.
fn lock_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::WouldBlock, "another process holds the lock"))
}

fn write_file(path: &Path, content: &[u8], durable: bool) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    if durable { file.sync_all() } else { Ok(()) }
}

/// Reads a file of at most [`MAX_FILE`] bytes.
fn read_file(path: &Path) -> io::Result<Bytes> {
    let mut content = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than anything kept here"));
    }
    Ok(content.into())
}

const LATEST: &str = "latest";
const TEMPORARY: &str = "tmp";
const LOCK_TRIES: u32 = 1000;
const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// Nothing larger is ever kept: data tiles are the largest and have a lower limit.
const MAX_FILE: u64 = 64 << 20;
