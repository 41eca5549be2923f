//! Buffers for pieces of files: used again and again, because making and clearing large ones costs more than reading.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use rustix::io::ReadWriteFlags;

/// How much of a file is read at once, in bytes: large enough that big zips come fast, small enough for the
/// processor's cache, as the socket copies it again.
pub(crate) const PIECE: usize = 128 << 10;

/// How much is read at once while too many large pieces are on their way to clients.
const SMALL: usize = 32 << 10;

/// Large pieces at once: 32 MiB. Clients that read slowly hold one each.
const MOST: usize = 256;

/// Large buffers kept for the next readers.
const KEPT: usize = 32;

static IDLE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
static LENT: AtomicUsize = AtomicUsize::new(0);

/// A buffer to read into, given back when it is dropped: sent, or given up.
pub(crate) struct Piece {
    /// Initialised over its whole length.
    buffer: Vec<u8>,
    /// How much of it is asked for or was read.
    length: usize,
    large: bool,
}

impl Piece {
    /// A buffer for what is next of `left` bytes.
    pub(crate) fn new(left: u64) -> Self {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX);
        if wanted <= SMALL || LENT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_err() {
            let length = wanted.min(SMALL);
            return Self { buffer: vec![0; length], length, large: false };
        }
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = idle.unwrap_or_else(|| vec![0; PIECE]);
        Self { length: wanted.min(PIECE), buffer, large: true }
    }

    /// Reads what the system has in memory of the file from `at` on, without waiting for the disk.
    ///
    /// # Errors
    /// The unused buffer, if that is nothing, or cannot be known here: a read that may wait will tell.
    pub(crate) fn read_cached(mut self, file: &File, at: u64) -> Result<Bytes, Self> {
        let into = &mut self.buffer[..self.length];
        match rustix::io::preadv2(file, &mut [IoSliceMut::new(into)], at, ReadWriteFlags::NOWAIT) {
            Ok(read) if read > 0 => {
                self.length = read;
                Ok(Bytes::from_owner(self))
            }
            _ => Err(self),
        }
    }

    /// Reads the file from `at` on, waiting for the disk.
    ///
    /// # Errors
    /// The disk fails, or the file ends too soon.
    pub(crate) fn read(mut self, file: &File, at: u64) -> io::Result<Bytes> {
        file.read_exact_at(&mut self.buffer[..self.length], at)?;
        Ok(Bytes::from_owner(self))
    }
}

fn one_more(lent: usize) -> Option<usize> {
    (lent < MOST).then_some(lent + 1)
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if !self.large {
            return;
        }
        LENT.fetch_sub(1, Ordering::Relaxed);
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, as all share the buffers.
    #[test]
    fn slow_clients_get_small_pieces_and_what_comes_back_is_lent_again() {
        let left = 10 * PIECE as u64;
        let held: Vec<Piece> = (0..MOST + 5).map(|_| Piece::new(left)).collect();
        assert!(held.iter().filter(|piece| piece.length == PIECE).count() <= MOST);
        assert!(held.iter().filter(|piece| piece.length == SMALL).count() >= 5);
        drop(held);
        assert_eq!(Piece::new(left).length, PIECE);
        assert!(IDLE.lock().unwrap().len() <= KEPT);
        for left in [1, SMALL as u64, SMALL as u64 + 1, PIECE as u64, PIECE as u64 + 1] {
            assert_eq!(Piece::new(left).length, usize::try_from(left).unwrap().min(PIECE), "{left}");
        }
    }
}
