//! A web server that says whatever a test wants.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use quipu_module::ModuleVersion;
use quipu_tlog::Tile;

use crate::log::Log;

/// What the server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Status 200 with this body.
    Good(Vec<u8>),
    /// This status, these header lines (each ending in CRLF), this body.
    Status(u16, String, Vec<u8>),
    /// Nothing, for ever.
    Stall,
    /// A body without end.
    Endless,
    /// This body, one byte a second.
    Trickle(Vec<u8>),
}

/// A server on loopback that ends with the test program.
pub(crate) struct Site {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    posts: Arc<Mutex<Vec<String>>>,
}

/// A log of which a test decides, while it is served, how much is seen.
#[derive(Clone)]
pub(crate) struct View(Arc<Mutex<(Log, u64)>>);

impl View {
    pub(crate) fn new(log: Log, size: u64) -> Self {
        Self(Arc::new(Mutex::new((log, size))))
    }

    /// From now on the first `size` records are served.
    pub(crate) fn show(&self, size: u64) {
        self.0.lock().unwrap().1 = size;
    }

    /// From now on another log is served.
    pub(crate) fn replace(&self, log: Log, size: u64) {
        *self.0.lock().unwrap() = (log, size);
    }

    /// Adds records, and serves all that there are.
    pub(crate) fn grow(&self, records: impl IntoIterator<Item = String>) {
        let mut view = self.0.lock().unwrap();
        records.into_iter().for_each(|record| view.0.push(record));
        view.1 = view.0.size();
    }

    pub(crate) fn answer(&self, path: &str) -> Reply {
        let view = self.0.lock().unwrap();
        honest(&view.0, view.1, path)
    }
}

impl Site {
    /// A server that answers a path, percent-decoded by nobody, with what `answer` says.
    pub(crate) fn new(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let [requests, posts]: [Arc<Mutex<Vec<String>>>; 2] = Default::default();
        let (answer, seen) = (Arc::new(answer), (requests.clone(), posts.clone()));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, seen) = (answer.clone(), seen.clone());
                thread::spawn(move || converse(&stream, &*answer, (&seen.0, &seen.1)));
            }
        });
        Self { address, requests, posts }
    }

    /// A database that serves what a test shows.
    pub(crate) fn viewing(view: &View) -> Self {
        let view = view.clone();
        Self::new(move |path| view.answer(path))
    }

    /// A database that serves the first `size` records of a log.
    pub(crate) fn honest(log: Log, size: u64) -> Self {
        Self::new(move |path| honest(&log, size, path))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The paths asked for so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Site {
    /// The bodies posted so far.
    pub(crate) fn posts(&self) -> Vec<String> {
        self.posts.lock().unwrap().clone()
    }
}

/// What an honest database says that has the first `size` records of a log.
pub(crate) fn honest(log: &Log, size: u64, path: &str) -> Reply {
    let body = match path {
        "/latest" => Some(log.note(size).into_bytes()),
        _ => match path.strip_prefix("/lookup/") {
            Some(module) => lookup(log, size, module),
            None => Tile::parse_sumdb(path.trim_start_matches('/')).ok().and_then(|tile| log.tile(&tile)),
        },
    };
    body.map_or_else(|| Reply::Status(404, String::new(), b"not found: no such thing".to_vec()), Reply::Good)
}

fn lookup(log: &Log, size: u64, module: &str) -> Option<Vec<u8>> {
    let module = ModuleVersion::parse_escaped(module).ok()?;
    let wanted = format!("{} {} ", module.path(), module.version());
    let id = log.records.iter().position(|record| record.starts_with(&wanted))?;
    Some(format!("{id}\n{}\n{}", log.records[id], log.note(size)).into_bytes())
}

type Seen<'a> = (&'a Mutex<Vec<String>>, &'a Mutex<Vec<String>>);

fn converse(stream: &TcpStream, answer: &dyn Fn(&str) -> Reply, (requests, posts): Seen<'_>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let first = read_line(&mut reader)?;
        let path = first.split(' ').nth(1)?.to_owned();
        let mut length = 0;
        loop {
            let header = read_line(&mut reader)?.to_ascii_lowercase();
            match header.strip_prefix("content-length:") {
                Some(number) => length = number.trim().parse().ok()?,
                None if header.is_empty() => break,
                None => {}
            }
        }
        requests.lock().unwrap().push(path.clone());
        if first.starts_with("POST") {
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            posts.lock().unwrap().push(String::from_utf8(body).unwrap());
        }
        reply(stream, answer(&path))?;
    }
}

fn read_line(reader: &mut impl std::io::BufRead) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    Some(line.trim_end().to_owned())
}

/// None if the connection is done with.
fn reply(mut stream: &TcpStream, reply: Reply) -> Option<()> {
    let head = |status: u16, length: usize, more: &str| {
        format!("HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\n{more}\r\n")
    };
    match reply {
        Reply::Good(body) => {
            stream.write_all(head(200, body.len(), "").as_bytes()).ok()?;
            stream.write_all(&body).ok()
        }
        Reply::Status(status, headers, body) => {
            stream.write_all(head(status, body.len(), &headers).as_bytes()).ok()?;
            stream.write_all(&body).ok()
        }
        Reply::Stall => loop {
            thread::sleep(Duration::from_secs(3600));
        },
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 Said\r\n\r\n").ok()?;
            loop {
                stream.write_all(&[b'x'; 4096]).ok()?;
            }
        }
        Reply::Trickle(body) => {
            stream.write_all(head(200, body.len(), "").as_bytes()).ok()?;
            for byte in body {
                stream.write_all(&[byte]).ok()?;
                thread::sleep(Duration::from_secs(1));
            }
            Some(())
        }
    }
}
