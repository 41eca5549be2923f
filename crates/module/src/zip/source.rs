//! Random access to a reader through one buffer, for formats that point to and fro.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

/// How much is read at a time.
const BUFFER: usize = 256 << 10;

/// A reader of known size and the part of it that was read last.
pub(super) struct Source<R> {
    reader: R,
    size: u64,
    /// Where `reader` stands.
    position: u64,
    /// Where in the reader `buffer` was read.
    start: u64,
    buffer: Vec<u8>,
}

impl<R: Read + Seek> Source<R> {
    pub(super) fn open(mut reader: R) -> io::Result<Self> {
        let size = reader.seek(SeekFrom::End(0))?;
        Ok(Self { reader, size, position: size, start: 0, buffer: Vec::new() })
    }

    /// Size of the whole in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The bytes at `offset`: at least `want` (at most 128 KiB can be asked for), fewer only at the end.
    pub(super) fn at(&mut self, offset: u64, want: usize) -> io::Result<&[u8]> {
        let left = self.size.saturating_sub(offset);
        let want = want.min(usize::try_from(left).unwrap_or(usize::MAX));
        if want == 0 {
            return Ok(&[]);
        }
        if self.buffered(offset).len() < want {
            self.fill(offset)?;
        }
        Ok(self.buffered(offset))
    }

    /// Exactly `N` bytes at `offset`, `None` if there are not so many.
    pub(super) fn array<const N: usize>(&mut self, offset: u64) -> io::Result<Option<[u8; N]>> {
        Ok(self.at(offset, N)?.first_chunk().copied())
    }

    fn buffered(&self, offset: u64) -> &[u8] {
        let skipped = offset.checked_sub(self.start).and_then(|n| usize::try_from(n).ok());
        skipped.and_then(|n| self.buffer.get(n..)).unwrap_or_default()
    }

    fn fill(&mut self, offset: u64) -> io::Result<()> {
        if self.position != offset {
            self.reader.seek(SeekFrom::Start(offset))?;
            self.position = offset;
        }
        let length = usize::try_from(self.size - offset).unwrap_or(usize::MAX).min(BUFFER);
        self.start = offset;
        self.buffer.clear();
        self.buffer.resize(length, 0);
        let read = self.reader.read_exact(&mut self.buffer);
        if read.is_err() {
            // Nothing is known about the position after a failure.
            self.buffer.clear();
            self.position = u64::MAX;
        } else {
            self.position = offset + length as u64;
        }
        read.map_err(|e| match e.kind() {
            ErrorKind::UnexpectedEof => io::Error::new(e.kind(), "the file became shorter while it was read"),
            _ => e,
        })
    }
}
