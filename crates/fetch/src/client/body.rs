//! The body of an answer, read under limits of size, time and rate.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::egress::Watch;
use crate::error::{Error, Result};
use crate::places::Place;

/// What one request may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most bytes of body; more is refused, never cut off.
    pub max_bytes: u64,
    /// Longest wait for the head of the answer, all redirects and the wait for a free place included.
    pub first_byte: Duration,
    /// Longest time from asking to the last byte.
    pub total: Duration,
    /// Longest time without a single byte of body.
    pub idle: Duration,
    /// Lowest average rate of the body in bytes a second, once [`Limits::grace`] has passed.
    pub min_rate: u64,
    /// How long the body may be slower than that.
    pub grace: Duration,
}

impl Limits {
    /// For lists, infos, go.mod files and database answers: a minute in all.
    pub const fn small(max_bytes: u64) -> Self {
        let minute = Duration::from_secs(60);
        Self { max_bytes, first_byte: minute, total: minute, ..Self::large(max_bytes) }
    }

    /// For zips: ten minutes, of which one may pass before the first byte, and at least 1 KiB/s.
    pub const fn large(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            first_byte: Duration::from_secs(60),
            total: Duration::from_secs(600),
            idle: Duration::from_secs(30),
            min_rate: 1024,
            grace: Duration::from_secs(10),
        }
    }
}

/// A body under way. Reading it to its end or dropping it ends the request and reports it as egress.
pub struct Body {
    incoming: Incoming,
    limits: Limits,
    /// When the head of the answer was here.
    answered: Instant,
    received: u64,
    underway: Underway,
}

/// What a request holds from its beginning until its body is done.
pub(super) struct Underway {
    pub(super) started: Instant,
    pub(super) watch: Watch,
    /// Its place among the concurrent requests, given back when this is dropped.
    #[expect(dead_code, reason = "held for its drop")]
    pub(super) place: Place,
}

impl Body {
    pub(super) fn new(incoming: Incoming, limits: Limits, underway: Underway) -> Self {
        Self { incoming, limits, answered: Instant::now(), received: 0, underway }
    }

    /// The next piece, or `None` at the end of a complete body.
    ///
    /// # Errors
    /// The body is too long, too slow, or ended before its announced length.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let chunk = self.next_chunk().await;
        if let Err(error) = &chunk {
            self.underway.watch.failed(error.kind());
        }
        chunk
    }

    /// All of it.
    ///
    /// # Errors
    /// As for [`Body::chunk`].
    pub async fn bytes(mut self) -> Result<Bytes> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.chunk().await? else { return Ok(first) };
        let mut all = Vec::from(first);
        all.extend_from_slice(&second);
        while let Some(chunk) = self.chunk().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all.into())
    }

    async fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            let frame = timeout_at(self.next_deadline(), self.incoming.frame()).await;
            let frame = frame.map_err(|_| Error::timeout("upstream sends too slowly"))?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|error| {
                tracing::debug!(%error, "body ended early");
                Error::unavailable("upstream ended its answer early")
            })?;
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                self.count(data.len())?;
                return Ok(Some(data));
            }
        }
    }

    fn count(&mut self, length: usize) -> Result<()> {
        self.underway.watch.read(length as u64);
        self.received = self.received.saturating_add(length as u64);
        if self.received > self.limits.max_bytes {
            Err(Error::too_large(self.limits.max_bytes))
        } else {
            Ok(())
        }
    }

    /// The moment at which the next byte comes too late: idle too long, below the minimum rate, or out of time.
    fn next_deadline(&self) -> Instant {
        let earned = Duration::from_secs(self.received / self.limits.min_rate.max(1));
        let rate = self.answered + self.limits.grace + earned;
        let idle = Instant::now() + self.limits.idle;
        rate.min(idle).min(self.underway.started + self.limits.total)
    }
}
