//! An HTTP server that misbehaves on demand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// What to answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Wait before answering.
    pub(crate) delay: Duration,
    /// Announce this length instead of the true one; `None`: no length at all.
    pub(crate) length: Option<u64>,
    /// Close after so many bytes of the body.
    pub(crate) cut: Option<usize>,
    /// Send the body in pieces of so many bytes, with a pause after each.
    pub(crate) drip: Option<(usize, Duration)>,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self {
            status,
            headers: vec![("Content-Type".into(), "text/plain; charset=UTF-8".into())],
            length: Some(body.len() as u64),
            body,
            delay: Duration::ZERO,
            cut: None,
            drip: None,
        }
    }

    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, body)
    }

    pub(crate) fn redirect(to: &str) -> Self {
        Self::new(302, "").header("Location", to)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    pub(crate) fn cut(self, bytes: usize) -> Self {
        Self { cut: Some(bytes), ..self }
    }

    pub(crate) fn drip(self, bytes: usize, pause: Duration) -> Self {
        Self { drip: Some((bytes, pause)), ..self }
    }

    pub(crate) fn length(self, length: Option<u64>) -> Self {
        Self { length, ..self }
    }
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Path and query, as sent.
    pub(crate) path: String,
    /// Header lines, names in lower case.
    pub(crate) headers: HashMap<String, String>,
}

#[derive(Default)]
struct State {
    replies: Mutex<HashMap<String, Reply>>,
    /// Overrides every reply while set.
    always: Mutex<Option<Reply>>,
    seen: Mutex<Vec<Seen>>,
}

/// A server on loopback that answers each path as told, and 404 to everything else. Stops when dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self::run(url, listener, |stream, state| async move { serve(stream, state).await })
    }

    /// The same behind TLS, for the host `localhost`.
    pub(crate) async fn start_tls(config: ServerConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::run(url, listener, move |stream, state| {
            let handshake = acceptor.accept(stream);
            async move {
                if let Ok(stream) = handshake.await {
                    serve(stream, state).await;
                }
            }
        })
    }

    fn run<F, S>(url: String, listener: TcpListener, serve: F) -> Self
    where
        F: Fn(TcpStream, Arc<State>) -> S + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let state = Arc::new(State::default());
        let accepting = tokio::spawn({
            let state = state.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, state.clone()));
                }
            }
        });
        Self { url, state, accepting }
    }

    /// Answers `path` (as sent, with its slash) so from now on.
    pub(crate) fn on(&self, path: &str, reply: Reply) {
        self.state.replies.lock().unwrap().insert(path.to_owned(), reply);
    }

    /// Answers everything so until told `None`.
    pub(crate) fn always(&self, reply: Option<Reply>) {
        *self.state.always.lock().unwrap() = reply;
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// The paths asked for, in order.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.path).collect()
    }

    /// How often a path with this end was asked for.
    pub(crate) fn count(&self, end: &str) -> usize {
        self.paths().iter().filter(|path| path.ends_with(end)).count()
    }

    pub(crate) fn forget(&self) {
        self.state.seen.lock().unwrap().clear();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, state: Arc<State>) {
    while let Some(request) = read_head(&mut stream).await {
        let path = request.path.clone();
        state.seen.lock().unwrap().push(request);
        let scripted = state.replies.lock().unwrap().get(&path).cloned();
        let reply = state.always.lock().unwrap().clone().or(scripted);
        let reply = reply.unwrap_or_else(|| Reply::new(404, format!("not found: nothing at {path}")));
        if !answer(&mut stream, &reply).await {
            return;
        }
    }
}

async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Some(Seen { path, headers })
}

/// Sends the reply; whether the connection may go on.
async fn answer<S: AsyncWrite + Unpin>(stream: &mut S, reply: &Reply) -> bool {
    sleep(reply.delay).await;
    let mut head = format!("HTTP/1.1 {} Scripted\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(length) = reply.length {
        head.push_str(&format!("Content-Length: {length}\r\n"));
    }
    head.push_str("\r\n");
    let body = &reply.body[..reply.cut.unwrap_or(reply.body.len())];
    let (size, pause) = reply.drip.unwrap_or((usize::MAX, Duration::ZERO));
    if stream.write_all(head.as_bytes()).await.is_err() {
        return false;
    }
    for piece in body.chunks(size.min(body.len().max(1))) {
        if stream.write_all(piece).await.is_err() {
            return false;
        }
        sleep(pause).await;
    }
    stream.flush().await.is_ok() && reply.length == Some(body.len() as u64)
}
