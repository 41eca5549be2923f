//! What the client keeps between runs: one trait, and its implementations in memory and in plain files.

mod dir;
mod memory;

use std::io;

use bytes::Bytes;
use quipu_module::ModuleVersion;
use quipu_tlog::{Hash, Tile, TileLevel, join_records, split_records};

pub use dir::DirState;
pub use memory::MemoryState;

/// What is kept of one database: its latest head, authenticated tiles, and lookup answers that were verified.
///
/// The head is the memory that makes a fork visible and must not be lost lightly; whoever can change it can hide a
/// fork from this client. Tiles and answers are a cache: losing one costs a request, a wrong one is found out
/// and fetched again. The calls block for as long as a small file takes to read or write.
pub trait State: Send + Sync + 'static {
    /// The latest head as the signed note it came in; `None` before the first.
    ///
    /// # Errors
    /// When it cannot be known whether there is one.
    fn latest(&self) -> io::Result<Option<Bytes>>;

    /// Puts `new` in the place of the latest head if that is still `old`, atomically and durably; says whether it
    /// did.
    ///
    /// # Errors
    /// When the outcome is unknown or nothing could be written.
    fn replace_latest(&self, old: Option<&[u8]>, new: &[u8]) -> io::Result<bool>;

    /// The body of a tile, if it or a wider state of it is kept: exactly as many entries as `tile` is wide.
    fn tile(&self, tile: &Tile) -> Option<Bytes>;

    /// Keeps an authenticated tile in the place of all other states of it: narrower ones are part of it, and a wider
    /// one must be damaged, or this one would not have been fetched.
    ///
    /// # Errors
    /// When it could not be written. The client goes on without.
    fn keep_tile(&self, tile: &Tile, body: &Bytes) -> io::Result<()>;

    /// A lookup answer kept before, as it came.
    fn lookup(&self, module: &ModuleVersion) -> Option<Bytes>;

    /// Keeps a lookup answer whose record is verified.
    ///
    /// # Errors
    /// When it could not be written. The client goes on without.
    fn keep_lookup(&self, module: &ModuleVersion, body: &Bytes) -> io::Result<()>;
}

/// The body of `tile` out of the body of a state of it that is as wide or wider; none if that is not what it claims.
pub(crate) fn narrow(wide: &Tile, body: &Bytes, tile: &Tile) -> Option<Bytes> {
    match tile.level() {
        TileLevel::Hashes(_) if body.len() != usize::from(wide.width()) * Hash::SIZE => None,
        TileLevel::Hashes(_) => (body.len() >= tile.hash_bytes()).then(|| body.slice(..tile.hash_bytes())),
        TileLevel::Data if wide.width() == tile.width() => Some(body.clone()),
        TileLevel::Data => {
            let records = split_records(body, wide.width()).ok()?;
            Some(join_records(records.get(..usize::from(tile.width()))?).into())
        }
    }
}
