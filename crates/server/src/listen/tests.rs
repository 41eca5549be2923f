//! The accept loop against clients that misbehave, over real sockets.

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::*;
use crate::reply::{self, Freshness};

/// Answers "busy" beyond the cap, `/slow` after a nudge, anything else at once.
#[derive(Default)]
struct Echo {
    nudge: Notify,
}

impl Answer for Echo {
    fn at_once(&self, request: &Request<Incoming>, _: SocketAddr, crowded: bool) -> Option<Reply> {
        (request.uri().path() != "/slow").then(|| echo(crowded))
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>, _: SocketAddr, crowded: bool) -> Reply {
        assert_eq!(request.uri().path(), "/slow");
        self.nudge.notified().await;
        echo(crowded)
    }
}

fn echo(crowded: bool) -> Reply {
    let body = if crowded { "crowded" } else { "fine" };
    reply::ok(Bytes::from_static(body.as_bytes()), reply::TEXT, Freshness::Never)
}

struct Running {
    addr: SocketAddr,
    app: Arc<Echo>,
    stop: watch::Sender<bool>,
    done: tokio::task::JoinHandle<usize>,
}

async fn start(options: ListenOptions) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (stop, stopped) = watch::channel(false);
    let app = Arc::new(Echo::default());
    let addr = listener.local_addr().unwrap();
    let done = tokio::spawn(serve(listener, Arc::clone(&app), options, stopped));
    Running { addr, app, stop, done }
}

fn quick() -> Limits {
    let short = Duration::from_millis(200);
    Limits {
        first_byte: short,
        head: short,
        idle: short,
        write_stall: short,
        request: Duration::from_secs(20),
    }
}

async fn say(stream: &mut TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut got = vec![0; 4096];
    let n = stream.read(&mut got).await.unwrap();
    String::from_utf8_lossy(&got[..n]).into_owned()
}

/// Waits for the server to close, and says how long that took.
async fn closed(stream: &mut TcpStream) -> Duration {
    let begun = std::time::Instant::now();
    let mut rest = Vec::new();
    // A reset is a close too.
    drop(tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await.unwrap());
    begun.elapsed()
}

#[tokio::test]
async fn silent_and_dripping_clients_are_let_go() {
    let server = start(ListenOptions { limits: quick(), ..ListenOptions::default() }).await;
    let mut silent = TcpStream::connect(server.addr).await.unwrap();
    let mut dripping = TcpStream::connect(server.addr).await.unwrap();
    dripping.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
    let mut idle = TcpStream::connect(server.addr).await.unwrap();
    assert!(say(&mut idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.contains("fine"));
    for stream in [&mut silent, &mut dripping, &mut idle] {
        assert!(closed(stream).await < Duration::from_secs(2));
    }
}

#[tokio::test]
async fn beyond_the_cap_only_a_few_get_in() {
    let server = start(ListenOptions { max_connections: 2, ..ListenOptions::default() }).await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        assert!(say(&mut stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.contains("fine"));
        streams.push(stream);
    }
    for _ in 0..RESERVE {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        assert!(say(&mut stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.contains("crowded"));
        streams.push(stream);
    }
    let mut over = TcpStream::connect(server.addr).await.unwrap();
    assert!(closed(&mut over).await < Duration::from_secs(2));
}

#[tokio::test]
async fn stopping_finishes_what_is_under_way_and_takes_nothing_new() {
    let server = start(ListenOptions::default()).await;
    let mut slow = TcpStream::connect(server.addr).await.unwrap();
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut idle = TcpStream::connect(server.addr).await.unwrap();
    assert!(say(&mut idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.contains("fine"));
    server.stop.send(true).unwrap();
    closed(&mut idle).await;
    assert!(TcpStream::connect(server.addr).await.is_err());
    server.app.nudge.notify_one();
    let mut got = String::new();
    slow.read_to_string(&mut got).await.unwrap();
    assert!(got.contains("fine"));
    assert_eq!(server.done.await.unwrap(), 0);
}

#[tokio::test]
async fn the_drain_has_an_end() {
    let drain = Duration::from_millis(100);
    let server = start(ListenOptions { drain, ..ListenOptions::default() }).await;
    let mut slow = TcpStream::connect(server.addr).await.unwrap();
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.stop.send(true).unwrap();
    assert_eq!(server.done.await.unwrap(), 1);
}

#[tokio::test]
async fn oversized_heads_are_refused() {
    let server = start(ListenOptions::default()).await;
    let long = "a".repeat(MAX_HEAD);
    let many = "A: b\r\n".repeat(MAX_HEADERS + 1);
    for head in [format!("X: {long}\r\n"), many] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let got = say(&mut stream, &format!("GET / HTTP/1.1\r\nHost: x\r\n{head}\r\n")).await;
        // The rest of the head is never read, so the reset may overtake the answer.
        assert!(got.is_empty() || got.starts_with("HTTP/1.1 431"), "{got}");
    }
}
