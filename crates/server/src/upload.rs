//! Request bodies: read under limits of size, time and rate, and for nothing but what is published.

use std::time::Duration;

use bytes::Bytes;
use http_body::Body as HttpBody;
use http_body_util::BodyExt as _;
use quipu_fetch::{MAX_ZIP, Staged};
use tokio::time::{Instant, timeout};

use crate::reply::Refusal;

/// Longest time without a single byte.
const IDLE: Duration = Duration::from_secs(30);

/// Lowest average rate, in bytes a second, once the grace has passed.
const MIN_RATE: u64 = 1024;
const GRACE: Duration = Duration::from_secs(10);

/// Writes a body to a staged file.
///
/// # Errors
/// It is too long, comes too slowly, breaks off, or the disk fails.
pub(crate) async fn receive<B>(body: B, staged: &mut Staged) -> Result<(), Refusal>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    if body.size_hint().lower() > MAX_ZIP {
        return Err(Refusal::TooLarge);
    }
    let (mut body, begun, mut received) = (body, Instant::now(), 0u64);
    loop {
        let frame = match timeout(IDLE, body.frame()).await {
            Err(_) => return Err(Refusal::TooSlow),
            Ok(None) => return Ok(()),
            Ok(Some(Err(_))) => return Err(Refusal::BadRequest("the body broke off".to_owned())),
            Ok(Some(Ok(frame))) => frame,
        };
        // Trailers say nothing here.
        let Ok(data) = frame.into_data() else { continue };
        received = received.saturating_add(data.len() as u64);
        if received > MAX_ZIP {
            return Err(Refusal::TooLarge);
        }
        staged.write(&data).await?;
        let late = begun.elapsed().saturating_sub(GRACE);
        if received < late.as_secs().saturating_mul(MIN_RATE) {
            return Err(Refusal::TooSlow);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::Frame;
    use quipu_fetch::Staging;

    use super::*;

    /// So many pieces of so many bytes, one each so often.
    struct Drip {
        pieces: usize,
        bytes: usize,
        pause: Pin<Box<tokio::time::Sleep>>,
        every: Duration,
    }

    fn drip(pieces: usize, bytes: usize, every: Duration) -> Drip {
        Drip { pieces, bytes, pause: Box::pin(tokio::time::sleep(every)), every }
    }

    impl HttpBody for Drip {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            std::task::ready!(self.pause.as_mut().poll(cx));
            let next = Instant::now() + self.every;
            self.pause.as_mut().reset(next);
            if self.pieces == 0 {
                return Poll::Ready(None);
            }
            self.pieces -= 1;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![0; self.bytes])))))
        }
    }

    async fn outcome(body: Drip) -> Result<u64, Refusal> {
        let dir = tempfile::tempdir().unwrap();
        let mut staged = Staging::new(dir.path()).unwrap().create(MAX_ZIP).await.unwrap();
        receive(body, &mut staged).await?;
        Ok(staged.finish().await.unwrap().length())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_must_keep_coming() {
        let second = Duration::from_secs(1);
        assert_eq!(outcome(drip(60, 2000, second)).await, Ok(120_000));
        assert_eq!(outcome(drip(600, 500, second)).await, Err(Refusal::TooSlow));
        assert_eq!(outcome(drip(2, 100_000, 31 * second)).await, Err(Refusal::TooSlow));
        assert_eq!(outcome(drip(0, 0, second)).await, Ok(0));
    }
}
