//! Room in the storage of the cache.

use std::io;

use super::Shared;
use super::tree::Name;
use crate::error::{Error, Result};
use crate::staged::disk_error;

/// How much room a cache has, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheRoom {
    /// What may still be written: to the volume of a directory, by an unprivileged process.
    pub free: u64,
    /// What must be free for anything new to be fetched: [`CacheOptions::disk_floor`](super::CacheOptions::disk_floor).
    pub floor: u64,
}

impl CacheRoom {
    /// Whether anything new is fetched.
    #[must_use]
    pub fn is_enough(self) -> bool {
        self.free >= self.floor
    }
}

impl Shared {
    pub(super) fn room(&self) -> io::Result<CacheRoom> {
        Ok(CacheRoom { free: self.tree.storage().free()?, floor: self.options.disk_floor })
    }

    /// Refuses what cannot or should not be stored now.
    pub(super) fn check_room(&self, name: &Name) -> Result<()> {
        if name.is_too_long() {
            return Err(Error::not_found("an element of the name is too long to be stored"));
        }
        match self.room() {
            Ok(room) if room.is_enough() => Ok(()),
            Ok(_) => Err(Error::unavailable("the cache disk is nearly full: only what is stored is served")),
            Err(error) => Err(disk_error(&error)),
        }
    }
}
