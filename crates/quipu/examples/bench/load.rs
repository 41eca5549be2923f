//! The load generator: one thread, many connections kept alive, as little work for each answer as can be.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustix::net::RecvFlags;

/// Where requests go.
pub(crate) struct Load<'a> {
    pub(crate) address: SocketAddr,
    /// Whole requests; each connection sends them in turn, starting at a place of its own.
    pub(crate) requests: &'a [Vec<u8>],
    pub(crate) connections: usize,
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) answers: u64,
    /// Bytes of all answers, heads included.
    pub(crate) bytes: u64,
    pub(crate) took: Duration,
    /// Processor time of this thread.
    pub(crate) cpu: Duration,
}

impl Done {
    pub(crate) fn per_second(&self) -> f64 {
        self.answers as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn bytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.took.as_secs_f64()
    }
}

/// The bytes of a request as the go command sends it.
pub(crate) fn request(address: SocketAddr, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n\r\n")
        .into_bytes()
}

/// Time before counting begins.
const WARM_UP: Duration = Duration::from_millis(300);

impl Load<'_> {
    /// Sends requests for the given time. Every answer must be a whole `200`.
    pub(crate) fn run(&self, time: Duration) -> Done {
        let mut poll = Poll::new().unwrap();
        let mut all: Vec<Connection> = (0..self.connections)
            .map(|n| Connection::open(self.address, n * self.requests.len() / self.connections))
            .collect();
        for (n, connection) in all.iter_mut().enumerate() {
            poll.registry()
                .register(&mut connection.stream, Token(n), Interest::READABLE | Interest::WRITABLE)
                .unwrap();
        }
        let mut events = Events::with_capacity(self.connections);
        let mut buffer = vec![0; 1 << 20];
        let mut counted = Counted::default();
        let mut from: Option<(Instant, Counted, Duration)> = None;
        let begun = Instant::now();
        loop {
            poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
            assert!(!events.is_empty(), "no answer within 10 seconds");
            for event in &events {
                all[event.token().0].go_on(self.requests, &mut buffer, &mut counted).unwrap();
            }
            match from {
                None if begun.elapsed() >= WARM_UP => from = Some((Instant::now(), counted, thread_cpu())),
                Some((since, before, cpu)) if since.elapsed() >= time => {
                    return Done {
                        answers: counted.answers - before.answers,
                        bytes: counted.bytes - before.bytes,
                        took: since.elapsed(),
                        cpu: thread_cpu().saturating_sub(cpu),
                    };
                }
                _ => {}
            }
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Counted {
    answers: u64,
    bytes: u64,
}

struct Connection {
    stream: TcpStream,
    /// The next request.
    next: usize,
    /// How much of the present one is sent; `None` while its answer is awaited.
    sent: Option<usize>,
    answer: Answer,
}

impl Connection {
    fn open(address: SocketAddr, first: usize) -> Self {
        let stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        Self {
            stream: TcpStream::from_std(stream),
            next: first,
            sent: Some(0),
            answer: Answer::Head(Vec::new()),
        }
    }

    /// Sends and reads what can be sent and read now.
    fn go_on(&mut self, requests: &[Vec<u8>], buffer: &mut [u8], counted: &mut Counted) -> io::Result<()> {
        loop {
            if let Some(sent) = self.sent {
                match self.stream.write(&requests[self.next][sent..]) {
                    Ok(more) if sent + more == requests[self.next].len() => self.sent = None,
                    Ok(more) => self.sent = Some(sent + more),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                }
                continue;
            }
            let (outcome, wanted) = self.read(buffer);
            let read = match outcome {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            counted.bytes += read as u64;
            if self.answer.take(&buffer[..read]) {
                counted.answers += 1;
                self.answer = Answer::Head(Vec::new());
                self.next = (self.next + 1) % requests.len();
                self.sent = Some(0);
            } else if read < wanted {
                // There was no more: the next edge will tell.
                return Ok(());
            }
        }
    }
}

/// How much is read at most of what must be looked at.
const LOOKED_AT: usize = 16 << 10;

impl Connection {
    /// Reads what must be looked at, or lets the kernel discard what need not be: copying bodies is no work of the server's.
    /// Also returns how much could have come.
    fn read(&mut self, buffer: &mut [u8]) -> (io::Result<usize>, usize) {
        match self.answer.unread().min(buffer.len()) {
            0 => (self.stream.read(&mut buffer[..LOOKED_AT]), LOOKED_AT),
            some => {
                let discarded = rustix::net::recv(&self.stream, &mut buffer[..some], RecvFlags::TRUNC);
                (discarded.map(|(_, length)| length).map_err(io::Error::from), some)
            }
        }
    }
}

/// How far the reading of an answer has come.
enum Answer {
    /// In the head; what came of it before.
    Head(Vec<u8>),
    /// Bytes of the body still to come.
    Body(usize),
    /// In the length line of a chunk; what came of it before.
    ChunkSize(Vec<u8>),
    /// Bytes of a chunk still to come, with the line end that follows.
    Chunk(usize),
    /// After the last chunk; bytes still to come.
    End(usize),
}

impl Answer {
    /// Bytes to come whose content does not matter.
    fn unread(&self) -> usize {
        match self {
            Self::Body(left) | Self::Chunk(left) => *left,
            _ => 0,
        }
    }

    /// Takes in bytes; true when the answer is complete. The server sends nothing unasked, so an answer ends with a read.
    fn take(&mut self, mut bytes: &[u8]) -> bool {
        loop {
            match self {
                Self::Head(before) => {
                    let joined = [before.as_slice(), bytes].concat();
                    let whole = if before.is_empty() { bytes } else { &joined };
                    let Some(end) = whole.windows(4).position(|four| four == b"\r\n\r\n") else {
                        before.extend_from_slice(bytes);
                        return false;
                    };
                    let rest = whole.len() - end - 4;
                    let next = after_head(&whole[..end]);
                    bytes = &bytes[bytes.len() - rest..];
                    *self = next;
                }
                Self::Body(left) | Self::End(left) => {
                    assert!(bytes.len() <= *left, "more came than was announced");
                    *left -= bytes.len();
                    return *left == 0;
                }
                Self::ChunkSize(line) => {
                    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                        line.extend_from_slice(bytes);
                        return false;
                    };
                    line.extend_from_slice(&bytes[..end]);
                    bytes = &bytes[end + 1..];
                    let size = usize::from_str_radix(std::str::from_utf8(line).unwrap().trim(), 16).unwrap();
                    *self = if size == 0 { Self::End(2) } else { Self::Chunk(size + 2) };
                }
                Self::Chunk(left) => {
                    let here = bytes.len().min(*left);
                    *left -= here;
                    bytes = &bytes[here..];
                    if *left > 0 {
                        return false;
                    }
                    *self = Self::ChunkSize(Vec::new());
                }
            }
            if bytes.is_empty() {
                return matches!(self, Self::Body(0));
            }
        }
    }
}

fn after_head(head: &[u8]) -> Answer {
    let head = std::str::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    for line in head.lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            return Answer::Body(value.parse().unwrap());
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            assert_eq!(value, "chunked");
            return Answer::ChunkSize(Vec::new());
        }
    }
    panic!("an answer without a length: {head}");
}

/// Processor time of this thread so far.
fn thread_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0);
    Duration::from_nanos(nanos)
}
