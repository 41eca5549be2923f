//! The output of git taken apart as it comes.

use bytes::{Bytes, BytesMut};

use crate::child::running::{Exit, Running};
use crate::error::{Error, Result};

/// Largest piece that is handed on, in bytes.
const PIECE: usize = 128 << 10;

/// Reads a running git by lines, records and lengths.
pub(super) struct Stream {
    running: Running,
    buffer: BytesMut,
    ended: bool,
}

impl Stream {
    pub(super) fn new(running: Running) -> Self {
        Self { running, buffer: BytesMut::new(), ended: false }
    }

    /// What comes before the next `mark`, which is passed over. `None` at the end.
    ///
    /// # Errors
    /// The output ends in between, more than `max` bytes come before the mark, or reading fails.
    pub(super) async fn until(&mut self, mark: u8, max: usize) -> Result<Option<Bytes>> {
        let mut looked = 0;
        loop {
            let fresh = self.buffer.get(looked..).unwrap_or_default();
            if let Some(at) = fresh.iter().position(|byte| *byte == mark) {
                let record = self.buffer.split_to(looked.saturating_add(at)).freeze();
                drop(self.buffer.split_to(1));
                return Ok(Some(record));
            }
            looked = self.buffer.len();
            if looked > max {
                return Err(odd());
            }
            if !self.fill().await? {
                return if self.buffer.is_empty() { Ok(None) } else { Err(odd()) };
            }
        }
    }

    /// Exactly `length` bytes.
    ///
    /// # Errors
    /// The output ends before, or reading fails.
    pub(super) async fn exact(&mut self, length: usize) -> Result<Bytes> {
        while self.buffer.len() < length {
            if !self.fill().await? {
                return Err(odd());
            }
        }
        Ok(self.buffer.split_to(length).freeze())
    }

    /// The next bytes, at most `most` (not 0) of them and at least one.
    ///
    /// # Errors
    /// The output is over, or reading fails.
    pub(super) async fn some(&mut self, most: u64) -> Result<Bytes> {
        if self.buffer.is_empty() && !self.fill().await? {
            return Err(odd());
        }
        let most = usize::try_from(most).unwrap_or(PIECE).min(PIECE);
        let length = self.buffer.len().min(most);
        Ok(self.buffer.split_to(length).freeze())
    }

    /// Passes over what is left, and waits for git to end.
    ///
    /// # Errors
    /// There is too much left, or git does not end in time.
    pub(super) async fn finish(mut self) -> Result<Exit> {
        while self.running.chunk().await?.is_some() {}
        self.running.finish().await
    }

    /// Reads on; whether there was more.
    async fn fill(&mut self) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        match self.running.chunk().await? {
            Some(chunk) if self.buffer.is_empty() => self.buffer = BytesMut::from(chunk),
            Some(chunk) => self.buffer.extend_from_slice(&chunk),
            None => self.ended = true,
        }
        Ok(!self.ended)
    }
}

/// What is said when git prints what it never should, as when it is ended in the middle.
pub(super) fn odd() -> Error {
    Error::unavailable("the repository could not be read to the end")
}
