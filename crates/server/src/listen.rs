//! Accepting connections: one loop with a cap, a pace for each connection, TLS, and a drain at the end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{self, Either};
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use crate::pace::{Limits, Pace, Paced};
use crate::reply::Reply;
use crate::seldom::Seldom;

/// Largest request head, in bytes, and most header lines.
const MAX_HEAD: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
/// HTTP/2 streams at once on one connection.
const MAX_STREAMS: u32 = 100;
const PING: Duration = Duration::from_secs(30);
/// Connections let in beyond the cap, which get only health, readiness and metrics.
const RESERVE: usize = 16;

/// What a connection may do.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// Connections at once; past it, a few more are let in for health and metrics, and others are told "busy".
    pub max_connections: usize,
    /// Times for each phase.
    pub limits: Limits,
    /// How long requests under way may take to end when the server stops.
    pub drain: Duration,
    /// TLS configuration, if the listener speaks TLS.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { max_connections: 10_000, limits: Limits::default(), drain: Duration::from_secs(30), tls: None }
    }
}

/// Answers requests. Implemented by the application, which decides whether a body is read; `crowded` is set on
/// connections beyond the cap.
pub(crate) trait Answer: Send + Sync + 'static {
    /// The answer, if it can be given without waiting for anything. If not, nothing is done yet.
    fn at_once(&self, request: &Request<Incoming>, peer: SocketAddr, crowded: bool) -> Option<Reply>;

    /// The answer.
    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
        crowded: bool,
    ) -> impl Future<Output = Reply> + Send;
}

/// Serves until `stop` becomes true, then drains: no new connections, requests under way are finished within the
/// drain time. Returns how many connections had to be cut off.
pub(crate) async fn serve<A: Answer>(
    listener: TcpListener,
    app: Arc<A>,
    options: ListenOptions,
    mut stop: watch::Receiver<bool>,
) -> usize {
    let door = Arc::new(Door { app, open: AtomicUsize::new(0), stop: stop.clone(), options });
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => door.enter(stream, peer),
            Err(error) => rest(&error).await,
        }
    }
    drop(listener);
    door.drained().await
}

/// After a failed accept: out of descriptors or memory. Waiting is all there is to do.
async fn rest(error: &io::Error) {
    warn!(%error, "cannot accept connections");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// Who is connected, and how it goes.
struct Guest {
    peer: SocketAddr,
    /// Beyond the cap.
    crowded: bool,
    pace: Arc<Pace>,
}

struct Door<A> {
    app: Arc<A>,
    open: AtomicUsize,
    stop: watch::Receiver<bool>,
    options: ListenOptions,
}

impl<A: Answer> Door<A> {
    fn enter(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let inside = Inside::new(Arc::clone(self));
        let max = self.options.max_connections;
        if inside.place >= max.saturating_add(RESERVE) {
            metrics::counter!("quipu_connections_refused_total").increment(1);
            return;
        }
        let crowded = inside.place >= max;
        let guest = Guest { peer, crowded, pace: Pace::new(self.options.limits) };
        tokio::spawn(async move {
            if let Err(why) = inside.door.attend(stream, guest).await {
                debug!(%peer, why, "connection closed");
            }
        });
    }

    async fn attend(&self, stream: TcpStream, guest: Guest) -> Result<(), String> {
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        tokio::select! {
            done = self.converse(Paced::new(stream, Arc::clone(&guest.pace)), &guest) => done,
            limit = Seldom::new(guest.pace.overstayed()) => Err(format!("over the time for: {limit}")),
        }
    }

    async fn converse(&self, stream: Paced<TcpStream>, guest: &Guest) -> Result<(), String> {
        let Some(tls) = &self.options.tls else { return self.http1(stream, guest).await };
        let stream = TlsAcceptor::from(Arc::clone(tls)).accept(stream).await.map_err(|e| e.to_string())?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            self.http2(stream, guest).await
        } else {
            self.http1(stream, guest).await
        }
    }

    async fn http1<S>(&self, stream: S, guest: &Guest) -> Result<(), String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request| self.request(request, guest));
        let conn = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), service);
        self.run(conn).await
    }

    async fn http2<S>(&self, stream: S, guest: &Guest) -> Result<(), String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request| self.request(request, guest));
        let conn = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .serve_connection(TokioIo::new(stream), service);
        self.run(conn).await
    }

    /// Runs a connection to its end; when the server stops, to the end of the requests under way.
    async fn run<C>(&self, conn: C) -> Result<(), String>
    where
        C: GracefulConnection<Error = hyper::Error>,
    {
        let mut conn = std::pin::pin!(conn);
        let mut stop = self.stop.clone();
        tokio::select! {
            done = conn.as_mut() => return done.map_err(|e| e.to_string()),
            _ = Seldom::new(stop.wait_for(|stop| *stop)) => {}
        }
        conn.as_mut().graceful_shutdown();
        conn.await.map_err(|e| e.to_string())
    }

    fn request(
        &self,
        request: Request<Incoming>,
        guest: &Guest,
    ) -> impl Future<Output = Result<Reply, Infallible>> + Send + use<A> {
        let (peer, crowded, busy) = (guest.peer, guest.crowded, guest.pace.request());
        let sent = |reply: Reply| Ok(reply.map(|body| body.carrying(Box::new(busy))));
        match self.app.at_once(&request, peer, crowded) {
            Some(reply) => Either::Left(future::ready(sent(reply))),
            None => {
                let app = Arc::clone(&self.app);
                // Boxed, so that what need not wait does not move the memory of what must.
                Either::Right(Box::pin(async move { sent(app.answer(request, peer, crowded).await) }))
            }
        }
    }

    /// Waits for the last connection to leave, at most for the drain time.
    async fn drained(&self) -> usize {
        let end = tokio::time::Instant::now() + self.options.drain;
        while self.open.load(Ordering::Acquire) > 0 && tokio::time::Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.open.load(Ordering::Acquire)
    }
}

/// One connection's place inside, given back when dropped.
struct Inside<A> {
    door: Arc<Door<A>>,
    place: usize,
}

impl<A> Inside<A> {
    fn new(door: Arc<Door<A>>) -> Self {
        let place = door.open.fetch_add(1, Ordering::AcqRel);
        Self { door, place }
    }
}

impl<A> Drop for Inside<A> {
    fn drop(&mut self) {
        self.door.open.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
