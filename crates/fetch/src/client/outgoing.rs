//! The body of a request: none, or a file.

use std::fs::File;
use std::io::{self, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::JoinHandle;

/// How much is read at a time, in bytes.
const PIECE: usize = 128 << 10;

/// What is sent with a request.
pub(super) struct Outgoing {
    left: u64,
    file: Option<File>,
    reading: Option<JoinHandle<io::Result<(File, Bytes)>>>,
}

impl Outgoing {
    /// Nothing.
    pub(super) const fn none() -> Self {
        Self { left: 0, file: None, reading: None }
    }

    /// All of a file, from where it stands.
    pub(super) fn file(file: File) -> io::Result<Self> {
        Ok(Self { left: file.metadata()?.len(), file: Some(file), reading: None })
    }

    /// How many bytes there are.
    pub(super) const fn len(&self) -> u64 {
        self.left
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if self.reading.is_none() {
            let Some(file) = self.file.take() else { return Poll::Ready(None) };
            let most = usize::try_from(self.left).unwrap_or(PIECE).min(PIECE);
            self.reading = Some(tokio::task::spawn_blocking(move || read(file, most)));
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let read = ready!(Pin::new(reading).poll(cx)).map_err(io::Error::other).and_then(|read| read);
        self.reading = None;
        let (file, piece) = read?;
        self.file = Some(file);
        self.left = self.left.saturating_sub(piece.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Exactly so many bytes: a file that became shorter is not sent as if it were whole.
fn read(mut file: File, length: usize) -> io::Result<(File, Bytes)> {
    let mut piece = vec![0; length];
    file.read_exact(&mut piece)?;
    Ok((file, piece.into()))
}
