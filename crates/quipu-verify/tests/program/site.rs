//! A web server that says whatever a test wants.

use std::io::{BufRead as _, BufReader, Write as _};
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
}

impl Site {
    /// A server that answers a path, percent-decoded by nobody, with what `answer` says.
    pub(crate) fn new(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (answer, seen) = (Arc::new(answer), requests.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, seen) = (answer.clone(), seen.clone());
                thread::spawn(move || converse(&stream, &*answer, &seen));
            }
        });
        Self { address, requests }
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

fn converse(stream: &TcpStream, answer: &dyn Fn(&str) -> Reply, seen: &Mutex<Vec<String>>) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    loop {
        let first = lines.next()?.ok()?;
        let path = first.split(' ').nth(1)?.to_owned();
        while !lines.next()?.ok()?.is_empty() {}
        seen.lock().unwrap().push(path.clone());
        reply(stream, answer(&path))?;
    }
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
