//! The framing of RocksDB's manifest and write-ahead logs: whether they end with a whole record, and can be read to the end.
//!
//! RocksDB takes a damaged end for a write that a crash tore, and drops it without a word. The format: blocks of
//! 32 KiB; in them fragments of a masked CRC-32C, a length and a type, and the payload; less than a header left in a
//! block is zeros.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::thread;
use std::time::Duration;

use quipu_ledger::ReadError;

const BLOCK: usize = 32 << 10;

/// CRC, length and type.
const HEADER: usize = 7;

/// How often a log whose end is not whole is looked at again: its writer may be at work.
const TRIES: u32 = 20;

/// Looks at the current manifest and all write-ahead logs of a store; returns a sentence for each that does not end
/// with a whole record.
pub(crate) fn torn_logs(store: &Path) -> io::Result<Vec<String>> {
    let mut names = vec![fs::read_to_string(store.join("CURRENT"))?.trim_end().to_owned()];
    for file in fs::read_dir(store)? {
        let name = file?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".log") {
            names.push(name);
        }
    }
    let mut torn = Vec::new();
    for name in names {
        let (mut whole, mut len) = (0, 0);
        for attempt in 0..TRIES {
            if attempt > 0 {
                thread::sleep(Duration::from_millis(10));
            }
            (whole, len) = match File::open(store.join(&name)) {
                Ok(file) => whole_records(file)?,
                // The writer is done with it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => (0, 0),
                Err(error) => return Err(error),
            };
            if whole == len {
                break;
            }
        }
        if whole != len {
            torn.push(format!("{name}: the last {} of {len} bytes are no whole record", len - whole));
        }
    }
    Ok(torn)
}

/// Refuses a store with a manifest in which RocksDB's reader comes to no end.
///
/// A fragment may be of a kind that belongs to reused logs, with the number of its log in its header. The reader of RocksDB
/// 11 takes one with another number for the remains of an older log, leaves it where it is and reads it again, for ever. No
/// manifest has such a fragment, whatever a crash tore: it is a damaged one. What else is wrong RocksDB sees itself, and
/// a manifest that cannot be read is for it to refuse.
///
/// # Errors
/// [`ReadError::Corrupt`] with the file and the place in it.
pub(crate) fn refuse_endless(store: &Path) -> Result<(), ReadError> {
    let Ok(current) = fs::read_to_string(store.join("CURRENT")) else { return Ok(()) };
    let manifest = store.join(current.trim_end());
    match File::open(&manifest).and_then(endless) {
        Ok(Some(at)) => Err(ReadError::Corrupt(format!(
            "{}: what begins at byte {at} belongs to no manifest",
            manifest.display()
        ))),
        Ok(None) | Err(_) => Ok(()),
    }
}

/// Where a reader of RocksDB would stay for ever in this manifest. It goes from fragment to fragment as that one does, which
/// leaves a block at the first bad one.
fn endless(mut manifest: impl Read) -> io::Result<Option<u64>> {
    let (mut block, mut before) = (Vec::with_capacity(BLOCK), 0);
    loop {
        block.clear();
        manifest.by_ref().take(BLOCK as u64).read_to_end(&mut block)?;
        if block.is_empty() {
            return Ok(None);
        }
        let mut rest = &block[..];
        while let Some(Header { sum, len, kind }) = header(rest) {
            let reused = matches!(kind, 5..=8 | 11 | 131);
            match rest.get(HEADER..HEADER + 4) {
                Some(log) if reused && log != NO_LOG => {
                    return Ok(Some(before + (block.len() - rest.len()) as u64));
                }
                None if reused => break,
                _ => {}
            }
            let size = HEADER + if reused { 4 } else { 0 } + len;
            match rest.get(HEADER - 1..size) {
                Some(summed) if masked(crc32c(0, summed)) == sum => rest = &rest[size..],
                _ => break,
            }
        }
        before += block.len() as u64;
    }
}

/// The number of the log that a manifest has.
const NO_LOG: [u8; 4] = [0; 4];

/// How many bytes of a log are whole records, and how many there are.
fn whole_records(mut log: impl Read) -> io::Result<(u64, u64)> {
    let mut block = Vec::with_capacity(BLOCK);
    let (mut whole, mut len, mut inside, mut good) = (0, 0, false, true);
    loop {
        block.clear();
        log.by_ref().take(BLOCK as u64).read_to_end(&mut block)?;
        if block.is_empty() {
            return Ok((whole, len));
        }
        let mut at = 0;
        while good && block.len() - at >= HEADER {
            match fragment(&block[at..], inside) {
                Some((size, more)) => (at, inside) = (at + size, more),
                None => good = false,
            }
            if good && !inside {
                whole = len + at as u64;
            }
        }
        let filler = block.len() == BLOCK && block[at..].iter().all(|byte| *byte == 0);
        if good && !inside && filler {
            whole = len + BLOCK as u64;
        }
        good &= filler;
        len += block.len() as u64;
    }
}

/// The size of the fragment at the start of `bytes`, and whether its record goes on after it.
fn fragment(bytes: &[u8], inside: bool) -> Option<(usize, bool)> {
    let Header { sum, len, kind } = header(bytes)?;
    let size = HEADER + len;
    if masked(crc32c(0, bytes.get(HEADER - 1..size)?)) != sum {
        return None;
    }
    let more = match (kind, inside) {
        (1, false) | (4, true) => false,
        (2, false) | (3, true) => true,
        // Settings of the log itself.
        (9.., _) => inside,
        _ => return None,
    };
    Some((size, more))
}

/// What stands before each fragment.
struct Header {
    /// Masked, over the kind and all that follows.
    sum: u32,
    /// Bytes of the payload.
    len: usize,
    kind: u8,
}

fn header(bytes: &[u8]) -> Option<Header> {
    let [c0, c1, c2, c3, l0, l1, kind] = *bytes.first_chunk::<HEADER>()?;
    let len = usize::from(u16::from_le_bytes([l0, l1]));
    Some(Header { sum: u32::from_le_bytes([c0, c1, c2, c3]), len, kind })
}

/// A checksum as RocksDB stores it: a sum over bytes that hold sums would be weak.
fn masked(sum: u32) -> u32 {
    sum.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Continues a CRC-32C (Castagnoli) over `bytes`; begins with 0.
fn crc32c(sum: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!sum, |sum, byte| TABLE[usize::from(sum.to_le_bytes()[0] ^ byte)] ^ (sum >> 8))
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let (mut sum, mut bit) = (i as u32, 0);
        while bit < 8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0x82f6_3b78 } else { sum >> 1 };
            bit += 1;
        }
        table[i] = sum;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_of_rfc_3720() {
        assert_eq!(crc32c(0, &[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(0, b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(crc32c(0, b"1234"), b"56789"), 0xe306_9283);
    }

    fn framed(records: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        for record in records {
            let mut rest = &record[..];
            let mut first = true;
            loop {
                let room = BLOCK - out.len() % BLOCK;
                if room < HEADER {
                    out.resize(out.len() + room, 0);
                    continue;
                }
                let (now, later) = rest.split_at(rest.len().min(room - HEADER));
                let kind = [[3, 4], [2, 1]][usize::from(first)][usize::from(later.is_empty())];
                out.extend(masked(crc32c(crc32c(0, &[kind]), now)).to_le_bytes());
                out.extend((now.len() as u16).to_le_bytes());
                out.push(kind);
                out.extend(now);
                (rest, first) = (later, false);
                if rest.is_empty() {
                    break;
                }
            }
        }
        out
    }

    /// Where the fragments of a log begin.
    fn begins(log: &[u8]) -> Vec<usize> {
        let (mut begins, mut at) = (Vec::new(), 0);
        while at < log.len() {
            if BLOCK - at % BLOCK < HEADER {
                at = at.next_multiple_of(BLOCK);
            } else {
                begins.push(at);
                at += HEADER + usize::from(u16::from_le_bytes([log[at + 4], log[at + 5]]));
            }
        }
        begins
    }

    #[test]
    fn kinds_of_reused_logs_are_found_and_nothing_else_is_refused() {
        let log = framed(&[1, 100, 40_000, 7, 70_000, 3, 20].map(|len| vec![b'x'; len]));
        assert_eq!(endless(&log[..]).unwrap(), None);
        for cut in (0..log.len()).step_by(97).chain(log.len() - 40..log.len()) {
            assert_eq!(endless(&log[..cut]).unwrap(), None, "cut at {cut}");
        }
        for begin in begins(&log) {
            for kind in 0..=u8::MAX {
                let mut bad = log.clone();
                bad[begin + HEADER - 1] = kind;
                let expected = [5, 6, 7, 8, 11, 131].contains(&kind).then_some(begin as u64);
                assert_eq!(endless(&bad[..]).unwrap(), expected, "kind {kind} at {begin}");
                // The rest of a block is not looked at after a fragment that is bad, and of the next block it is.
                bad[0] ^= 1;
                let expected = expected.filter(|begin| *begin == 0 || *begin >= BLOCK as u64);
                assert_eq!(endless(&bad[..]).unwrap(), expected, "kind {kind} at {begin}, the first is bad");
            }
            let mut torn = log.clone();
            torn.truncate(begin + HEADER + 3);
            torn[begin + HEADER - 1] = 5;
            assert_eq!(endless(&torn[..]).unwrap(), None, "too short to have a number, at {begin}");
        }
    }

    #[test]
    fn every_cut_and_every_flip_is_seen() {
        let lens = [0, 1, 100, 40_000, 24_000, 7, 70_000, 3];
        let log = framed(&lens.map(|len| vec![len as u8; len]));
        let mut ends: Vec<usize> = (0..=lens.len())
            .map(|n| framed(&lens[..n].iter().map(|len| vec![*len as u8; *len]).collect::<Vec<_>>()).len())
            .collect();
        ends.dedup();
        for cut in (0..log.len()).step_by(97).chain(log.len() - 30..=log.len()) {
            let (whole, len) = whole_records(&log[..cut]).unwrap();
            assert_eq!(len, cut as u64);
            let before = ends.iter().rev().find(|end| **end <= cut).unwrap();
            assert!(whole as usize >= *before && log[*before..whole as usize].iter().all(|byte| *byte == 0));
        }
        for at in (0..log.len()).step_by(101) {
            let mut bad = log.clone();
            bad[at] ^= 0x10;
            let (whole, len) = whole_records(&bad[..]).unwrap();
            assert!(whole as usize <= at && len as usize == log.len());
        }
    }
}
