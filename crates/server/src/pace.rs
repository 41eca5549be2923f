//! The pace of one connection: what it is doing, since when, and when that has taken too long.
//!
//! hyper times only the reading of a request head. A client that sends nothing at all, or does not read its answer,
//! would hold its connection for ever; so every connection has a [`Pace`], told by the [`Paced`] stream and by the
//! requests under way, and a watcher that ends the connection when a limit has passed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// How long each phase of a connection may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From accepting (TLS handshake included) to the first byte.
    pub first_byte: Duration,
    /// From the first byte of a request to the end of its head.
    pub head: Duration,
    /// Without a request on a connection kept alive.
    pub idle: Duration,
    /// Without the client taking a byte of what is being sent.
    pub write_stall: Duration,
    /// One request, from its head to the last byte of its answer.
    pub request: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            write_stall: Duration::from_secs(30),
            request: Duration::from_secs(15 * 60),
        }
    }
}

const NEW: u8 = 0;
const HEAD: u8 = 1;
const BUSY: u8 = 2;
const IDLE: u8 = 3;

/// What a connection is doing. Shared by its stream, its requests and its watcher; every field is an atomic of its
/// own, because a watcher that reads a mixture of two moments only looks again a little later.
#[derive(Debug)]
pub(crate) struct Pace {
    start: Instant,
    limits: Limits,
    phase: AtomicU8,
    /// When the phase began, in milliseconds from `start`.
    since: AtomicU64,
    /// When writing came to a stand, in milliseconds from `start`, plus one; 0 while it flows.
    blocked: AtomicU64,
    /// Requests under way (several with HTTP/2).
    busy: AtomicU32,
}

impl Pace {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            limits,
            phase: AtomicU8::new(NEW),
            since: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            busy: AtomicU32::new(0),
        })
    }

    /// Marks a request as under way until the returned value is dropped.
    pub(crate) fn request(self: &Arc<Self>) -> InRequest {
        self.busy.fetch_add(1, Ordering::Relaxed);
        self.enter(BUSY);
        InRequest(Arc::clone(self))
    }

    /// Returns when the connection has overstayed some limit, with the limit's name.
    pub(crate) async fn overstayed(&self) -> &'static str {
        loop {
            let (name, at) = self.deadline();
            if at <= Instant::now() {
                return name;
            }
            tokio::time::sleep_until(at).await;
        }
    }

    fn deadline(&self) -> (&'static str, Instant) {
        let since = self.start + Duration::from_millis(self.since.load(Ordering::Relaxed));
        let (name, limit) = match self.phase.load(Ordering::Relaxed) {
            NEW => ("first byte", self.limits.first_byte),
            HEAD => ("request head", self.limits.head),
            BUSY => ("request", self.limits.request),
            _ => ("idle", self.limits.idle),
        };
        let mine = (name, since + limit);
        match self.blocked.load(Ordering::Relaxed) {
            0 => mine,
            blocked => {
                let at = self.start + Duration::from_millis(blocked - 1) + self.limits.write_stall;
                if at < mine.1 { ("write stall", at) } else { mine }
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX / 2)
    }

    fn enter(&self, phase: u8) {
        self.since.store(self.now(), Ordering::Relaxed);
        self.phase.store(phase, Ordering::Relaxed);
    }

    fn bytes_came(&self) {
        if matches!(self.phase.load(Ordering::Relaxed), NEW | IDLE) {
            self.enter(HEAD);
        }
    }

    fn bytes_left(&self, flowing: bool) {
        if flowing {
            if self.blocked.load(Ordering::Relaxed) != 0 {
                self.blocked.store(0, Ordering::Relaxed);
            }
        } else if self.blocked.load(Ordering::Relaxed) == 0 {
            self.blocked.store(self.now() + 1, Ordering::Relaxed);
        }
    }
}

/// A request under way; rides on the response's body.
#[derive(Debug)]
pub(crate) struct InRequest(Arc<Pace>);

impl Drop for InRequest {
    fn drop(&mut self) {
        if self.0.busy.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.enter(IDLE);
        }
    }
}

/// A stream that tells its [`Pace`] when bytes come and go.
#[derive(Debug)]
pub(crate) struct Paced<S> {
    stream: S,
    pace: Arc<Pace>,
}

impl<S> Paced<S> {
    pub(crate) const fn new(stream: S, pace: Arc<Pace>) -> Self {
        Self { stream, pace }
    }

    fn wrote(&self, outcome: &Poll<io::Result<usize>>) {
        match outcome {
            Poll::Pending => self.pace.bytes_left(false),
            Poll::Ready(_) => self.pace.bytes_left(true),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.pace.bytes_came();
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(&outcome);
        outcome
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(&outcome);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lasts(pace: &Pace) -> (&'static str, u64) {
        let begun = Instant::now();
        let name = pace.overstayed().await;
        (name, begun.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_limit() {
        let pace = Pace::new(Limits::default());
        assert_eq!(lasts(&pace).await, ("first byte", 10));
        pace.bytes_came();
        assert_eq!(lasts(&pace).await, ("request head", 10));
        let request = pace.request();
        pace.bytes_came();
        pace.bytes_left(false);
        assert_eq!(lasts(&pace).await, ("write stall", 30));
        pace.bytes_left(true);
        assert_eq!(lasts(&pace).await, ("request", 870));
        drop(request);
        assert_eq!(lasts(&pace).await, ("idle", 60));
        pace.bytes_came();
        assert_eq!(lasts(&pace).await, ("request head", 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dripping_head_gains_nothing() {
        let pace = Pace::new(Limits::default());
        pace.bytes_came();
        for _ in 0..5 {
            tokio::time::advance(Duration::from_secs(1)).await;
            pace.bytes_came();
        }
        assert_eq!(lasts(&pace).await, ("request head", 5));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_of_several_requests_makes_it_idle() {
        let pace = Pace::new(Limits::default());
        let (one, two) = (pace.request(), pace.request());
        drop(one);
        tokio::time::advance(Duration::from_secs(100)).await;
        drop(two);
        assert_eq!(lasts(&pace).await, ("idle", 60));
    }
}
