//! A server between: it passes everything on, and changes one thing.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::log;
use crate::support::Http;

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One bit of the first, middle or last hash of each hash tile.
    TileBit,
    TileMiddle,
    TileEnd,
    TileCut,
    TileLonger,
    /// The hash of the zip in the record.
    RecordHash,
    /// The record of another module, with its own place.
    OtherRecord,
    /// The place of the record.
    Id,
    IdBeyond,
    IdHuge,
    /// The record without its second line, and without any.
    LessRecord,
    NoRecord,
    /// The wanted lines after the record, where nothing is authenticated.
    LinesInTail,
    NoNote,
    NoteRoot,
    NoteSize,
    NoteSignature,
    NoteCrLf,
    NoteTwice,
    NotUtf8,
    /// More signature lines than a note may have, and as many as it may.
    TooManySignatures,
    ManySignatures,
    Empty,
}

/// All of them.
pub(crate) const KINDS: [Kind; 23] = [
    Kind::TileBit,
    Kind::TileMiddle,
    Kind::TileEnd,
    Kind::TileCut,
    Kind::TileLonger,
    Kind::RecordHash,
    Kind::OtherRecord,
    Kind::Id,
    Kind::IdBeyond,
    Kind::IdHuge,
    Kind::LessRecord,
    Kind::NoRecord,
    Kind::LinesInTail,
    Kind::NoNote,
    Kind::NoteRoot,
    Kind::NoteSize,
    Kind::NoteSignature,
    Kind::NoteCrLf,
    Kind::NoteTwice,
    Kind::NotUtf8,
    Kind::TooManySignatures,
    Kind::ManySignatures,
    Kind::Empty,
];

/// Kinds that break nothing: signatures of strangers.
pub(crate) const HARMLESS: usize = 1;

/// The server between.
pub(crate) struct Meddler {
    pub(crate) url: String,
    meddled: Arc<AtomicBool>,
}

impl Meddler {
    /// Passes on what `origin` serves.
    pub(crate) fn new(origin: &str, kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (origin, meddled) = (origin.to_owned(), Arc::new(AtomicBool::new(false)));
        let seen = meddled.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (origin, seen) = (origin.clone(), seen.clone());
                thread::spawn(move || converse(&stream, &mut Http::new(&origin), kind, &seen));
            }
        });
        Self { url, meddled }
    }

    /// Whether anything was changed.
    pub(crate) fn meddled(&self) -> bool {
        self.meddled.load(Ordering::Relaxed)
    }
}

fn converse(stream: &TcpStream, origin: &mut Http, kind: Kind, meddled: &AtomicBool) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    let mut out = stream;
    loop {
        let first = lines.next()?.ok()?;
        let path = first.split(' ').nth(1)?;
        while !lines.next()?.ok()?.is_empty() {}
        let (status, honest) = origin.get(path).ok()?;
        let body = if status == 200 { change(kind, path, honest.clone()) } else { honest.clone() };
        if body != honest {
            meddled.store(true, Ordering::Relaxed);
        }
        write!(out, "HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n\r\n", body.len()).ok()?;
        out.write_all(&body).ok()?;
    }
}

fn change(kind: Kind, path: &str, mut body: Vec<u8>) -> Vec<u8> {
    if path.contains("/tile/") && !path.contains("/data/") && !path.contains("/entries/") {
        let (middle, last) = (body.len() / 2, body.len() - 1);
        match kind {
            Kind::TileBit => body[0] ^= 1,
            Kind::TileMiddle => body[middle] ^= 0x80,
            Kind::TileEnd => body[last] ^= 1,
            Kind::TileCut => body.truncate(last),
            Kind::TileLonger => body.push(0),
            _ => {}
        }
        return body;
    }
    match path.strip_prefix("/lookup/") {
        Some(_) => answer(kind, &body),
        None => body,
    }
}

/// A lookup answer taken apart, changed and put together.
fn answer(kind: Kind, honest: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(honest).unwrap();
    let (id, rest) = text.split_once('\n').unwrap();
    let (record, note) = rest.split_once("\n\n").unwrap();
    let record = format!("{record}\n");
    let put = |id: &str, record: &str, note: &str| format!("{id}\n{record}\n{note}").into_bytes();
    let n: u64 = id.parse().unwrap();
    let other = if n == 0 { 1 } else { n - 1 };
    let signature_line = note.lines().last().unwrap();
    let stranger = |n: usize| {
        format!("— stranger{n}.test {}\n", &signature_line[signature_line.rfind(' ').unwrap() + 1..])
    };
    let strangers = |count: usize| note.to_owned() + &(0..count).map(stranger).collect::<String>();
    match kind {
        Kind::RecordHash => put(id, &record.replacen("h1:", "h1:A", 1).replacen("A=", "=", 1), note),
        Kind::OtherRecord => put(&other.to_string(), &log::lines(other), note),
        Kind::Id => put(&other.to_string(), &record, note),
        Kind::IdBeyond => put("99999999", &record, note),
        Kind::IdHuge => put("9223372036854775807", &record, note),
        Kind::LessRecord => put(id, &format!("{}\n", record.lines().next().unwrap()), note),
        Kind::NoRecord => put(id, "", note),
        Kind::LinesInTail => put(&other.to_string(), &log::lines(other), &format!("{record}\n{note}")),
        Kind::NoNote => put(id, &record, ""),
        Kind::NoteRoot => {
            put(id, &record, &changed_line(note, 2, |line| line.replacen(&line[..1], other_digit(line), 1)))
        }
        Kind::NoteSize => put(id, &record, &changed_line(note, 1, |line| format!("{line}0"))),
        Kind::NoteSignature => put(id, &record, &note.replace("=\n", "A\n")),
        Kind::NoteCrLf => put(id, &record, &note.replace('\n', "\r\n")),
        Kind::NoteTwice => put(id, &record, &format!("{note}{note}")),
        Kind::NotUtf8 => [honest, b"\xff\n"].concat(),
        Kind::TooManySignatures => put(id, &record, &strangers(100)),
        Kind::ManySignatures => put(id, &record, &strangers(99)),
        Kind::Empty => Vec::new(),
        _ => honest.to_vec(),
    }
}

fn changed_line(note: &str, number: usize, change: impl Fn(&str) -> String) -> String {
    let lines = note.lines().enumerate();
    lines.map(|(i, line)| if i == number { change(line) } else { line.to_owned() } + "\n").collect()
}

fn other_digit(line: &str) -> &'static str {
    if line.starts_with('A') { "B" } else { "A" }
}
