//! Response bodies: bytes at hand, or a part of a file read in large pieces.

use std::fs::File;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::task::JoinHandle;

use crate::piece::Piece;

/// The body of a response.
#[derive(Debug)]
pub struct Body {
    source: Source,
    /// Dropped when the body has been sent or given up.
    _busy: Option<Busy>,
}

/// Something that lives as long as the body it rides on, such as a connection's mark that it is at work.
pub(crate) type Busy = Box<dyn std::any::Any + Send + Sync>;

#[derive(Debug)]
enum Source {
    Bytes(Bytes),
    File(FilePart),
}

impl Body {
    /// A body of no bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self { source: Source::Bytes(Bytes::new()), _busy: None }
    }

    /// A body of the half-open byte range `start..end` of a file. The file may be unlinked meanwhile, not shortened.
    #[must_use]
    pub fn file(file: Arc<File>, start: u64, end: u64) -> Self {
        let part = FilePart { file, at: start, end: end.max(start), reading: None };
        Self { source: Source::File(part), _busy: None }
    }

    /// Number of bytes still to come.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.source {
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::File(part) => part.end - part.at,
        }
    }

    /// Is nothing to come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets `busy` live until this body is dropped.
    pub(crate) fn carrying(mut self, busy: Busy) -> Self {
        self._busy = Some(busy);
        self
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self { source: Source::Bytes(bytes), _busy: None }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut self.source {
            Source::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Source::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Source::File(part) => part.poll_piece(cx).map(|piece| piece.map(|data| data.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len())
    }
}

/// The rest of a file range, with the read that is under way.
#[derive(Debug)]
struct FilePart {
    file: Arc<File>,
    at: u64,
    end: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl FilePart {
    /// The next piece: at once if the system has it in memory, else by a thread that may wait for the disk.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.at == self.end {
            return Poll::Ready(None);
        }
        let piece = match &mut self.reading {
            Some(reading) => {
                let read = ready!(Pin::new(reading).poll(cx));
                self.reading = None;
                read.map_err(io::Error::other).and_then(|read| read)
            }
            None => match Piece::new(self.end - self.at).read_cached(&self.file, self.at) {
                Ok(bytes) => Ok(bytes),
                Err(piece) => {
                    self.reading = Some(read_from_disk(piece, Arc::clone(&self.file), self.at));
                    return self.poll_piece(cx);
                }
            },
        };
        match &piece {
            Ok(bytes) => self.at += bytes.len() as u64,
            Err(_) => self.end = self.at,
        }
        Poll::Ready(Some(piece))
    }
}

fn read_from_disk(piece: Piece, file: Arc<File>, at: u64) -> JoinHandle<io::Result<Bytes>> {
    tokio::task::spawn_blocking(move || piece.read(&file, at))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use http_body_util::BodyExt;

    use super::*;
    use crate::piece::PIECE;

    #[tokio::test]
    async fn a_file_range_comes_whole_and_in_order() {
        let mut file = tempfile::tempfile().unwrap();
        let content: Vec<u8> =
            (0..3 * u32::try_from(PIECE).unwrap() / 4).flat_map(|n| n.to_le_bytes()).collect();
        file.write_all(&content).unwrap();
        let file = Arc::new(file);
        let (len, piece) = (content.len() as u64, PIECE as u64);
        for (start, end) in [(0, len), (1, 2), (5, 5), (piece - 1, piece + 1), (len - 1, len), (0, piece)] {
            let body = Body::file(Arc::clone(&file), start, end);
            assert_eq!(body.len(), end - start);
            let got = body.collect().await.unwrap().to_bytes();
            assert!(got == content[start as usize..end as usize], "{start}..{end}");
        }
    }

    #[tokio::test]
    async fn a_shortened_file_is_an_error_not_a_short_body() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"four").unwrap();
        assert!(Body::file(Arc::new(file), 0, 5).collect().await.is_err());
    }
}
