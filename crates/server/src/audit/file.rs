//! The file of an audit log: lines that are added, each with the hash of all before it.
//!
//! Syscalls of a batch, in order: `flock`; `fstat`, and the last lines read again if another process has added some;
//! one `write` at the end; `fdatasync`; unlock. A crash may leave a last line without its end, which is cut off when the
//! file is next written to: it was never synced, so nobody was told that it is there.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};
use tracing::warn;

use super::event::{Event, Wire};

/// Longest line, in bytes, its end included. An entry is at most three fields of 1,000 characters, each of at most
/// twelve bytes when escaped.
pub(super) const MAX_LINE: usize = 40 << 10;

/// Length of a hash in hexadecimal, and of the space behind it.
pub(super) const HASH_LEN: usize = 64;

/// A hash in the chain.
pub(super) type Link = [u8; 32];

/// What the first line builds on.
pub(super) fn genesis() -> Link {
    Sha256::digest(b"quipu audit 1\n").into()
}

/// The hash of a line with this object after a line with that hash.
pub(super) fn link(before: &Link, json: &str) -> Link {
    Sha256::new().chain_update(before).chain_update(json.as_bytes()).finalize().into()
}

/// Reads a line without its end: its hash as it says, and the object.
pub(super) fn parse_line(line: &str) -> Option<(Link, &str)> {
    let (hash, json) = line.split_once(' ')?;
    let mut link = [0; 32];
    let good = hash.len() == HASH_LEN && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    for (at, byte) in link.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hash.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    good.then_some((link, json))
}

/// Lower-case hexadecimal.
pub(super) fn hex(link: &Link) -> String {
    link.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An audit log opened for adding to it.
pub(super) struct AuditFile {
    file: File,
    /// The length up to which everything is known, in bytes; the end of a line.
    end: u64,
    /// Number of the next line, from 1.
    next: u64,
    /// The hash of the last line.
    last: Link,
}

impl AuditFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut audit = Self { file, end: 0, next: 1, last: genesis() };
        audit.locked(|audit| audit.catch_up())?;
        Ok(audit)
    }

    /// Adds entries, and returns when they are on the disk.
    pub(super) fn append(&mut self, events: &[Event]) -> io::Result<()> {
        self.locked(|audit| {
            audit.catch_up()?;
            let (mut next, mut last, mut lines) = (audit.next, audit.last, String::new());
            for event in events {
                let json = Wire::new(next, event).format();
                last = link(&last, &json);
                lines += &format!("{} {json}\n", hex(&last));
                next += 1;
            }
            let added =
                audit.file.write_all_at(lines.as_bytes(), audit.end).and_then(|()| audit.file.sync_data());
            if let Err(error) = added {
                // What may stand there half is no line; if it cannot be cut off now, it will be next time.
                let _ = audit.file.set_len(audit.end);
                return Err(error);
            }
            (audit.next, audit.last) = (next, last);
            audit.end += lines.len() as u64;
            Ok(())
        })
    }

    fn locked<T>(&mut self, work: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        flock(&self.file, FlockOperation::LockExclusive)?;
        let outcome = work(self);
        let unlocked = flock(&self.file, FlockOperation::Unlock);
        outcome.and_then(|value| unlocked.map(|()| value).map_err(io::Error::from))
    }

    /// Learns what others have added, and cuts off what is no whole line.
    fn catch_up(&mut self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        if length == self.end {
            return Ok(());
        }
        if length < self.end {
            return Err(damaged("it is shorter than it was"));
        }
        let from = length.saturating_sub(2 * MAX_LINE as u64).max(self.end);
        let mut tail = vec![0; usize::try_from(length - from).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut tail, from)?;
        let whole = tail.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let torn = tail.len() - whole;
        if torn > 0 {
            if whole == 0 && from > self.end {
                return Err(damaged("its last line is too long"));
            }
            warn!(bytes = torn, "the audit log ended within a line that was never finished: cut off");
            self.file.set_len(from + whole as u64)?;
        }
        let lines = tail.get(..whole).unwrap_or_default();
        if let Some(line) = lines.split(|&byte| byte == b'\n').rev().nth(1) {
            let line = std::str::from_utf8(line).ok().and_then(parse_line);
            let (last, json) = line.ok_or_else(|| damaged("its last line is none of an audit log"))?;
            let wire: Wire = serde_json::from_str(json).map_err(|error| damaged(&error.to_string()))?;
            (self.last, self.next) = (last, wire.seq.saturating_add(1));
        }
        self.end = from + whole as u64;
        Ok(())
    }
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the audit log is damaged: {why}"))
}
