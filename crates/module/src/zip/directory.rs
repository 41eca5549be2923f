//! The central directory of a zip, read as Go's `archive/zip` reads it.
//!
//! Two programs that read different entries out of one file would be a hole: what this reader makes of
//! wrong counts, offsets before the archive, zip64 fields and truncated comments is what Go makes of them.

use std::io::{Read, Seek};

use super::source::Source;
use crate::error::Error;

/// An entry of the central directory.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The name, in bytes of no known encoding.
    pub(super) name: Vec<u8>,
    /// Whether a data descriptor follows the content.
    pub(super) has_descriptor: bool,
    /// Compression method: 0 stored, 8 deflated.
    pub(super) method: u16,
    /// CRC-32 of the content.
    pub(super) crc: u32,
    /// Declared size in the file.
    pub(super) stored_size: u64,
    /// Declared size of the content.
    pub(super) size: u64,
    /// Where the local header stands; may lie outside the file.
    pub(super) header_offset: i64,
}

impl Entry {
    pub(super) fn is_dir(&self) -> bool {
        self.name.ends_with(b"/")
    }
}

/// The largest central directory that is read, in bytes. `go` has no such limit; that of a whole Go
/// distribution takes 2 MiB.
const MAX_DIRECTORY: u64 = 64 << 20;

const HEADER_LEN: usize = 46;
const HEADER_SIGNATURE: u32 = 0x0201_4b50;
const END_LEN: usize = 22;
const END_SIGNATURE: [u8; 4] = *b"PK\x05\x06";
const LOCATOR64_LEN: u64 = 20;
const LOCATOR64_SIGNATURE: u32 = 0x0706_4b50;
const END64_SIGNATURE: u32 = 0x0606_4b50;
const ZIP64_EXTRA: u16 = 1;

pub(super) fn read<R: Read + Seek>(source: &mut Source<R>) -> Result<Vec<Entry>, Error> {
    let end = find_end(source)?;
    let mut offset = (end.base + end.offset).cast_unsigned();
    let limit = offset.saturating_add(MAX_DIRECTORY);
    let mut entries = Vec::new();
    let stop = loop {
        match read_header(source, &mut offset)? {
            Header::Entry(mut entry) => {
                entry.header_offset = entry.header_offset.wrapping_add(end.base);
                entries.push(entry);
            }
            stop => break stop,
        }
        if offset > limit || entries.len() > super::MAX_ENTRIES {
            return Err(Error::malformed("zip: too many entries"));
        }
    };
    // The count has sixteen bits in the file. Go forgives a wrong header after the right number of them,
    // but not a file that ends there.
    let counted = entries.len() as u64 & 0xffff == end.records & 0xffff;
    match stop {
        Header::NotOne if counted => Ok(entries),
        _ => Err(not_a_zip()),
    }
}

pub(super) fn not_a_zip() -> Error {
    Error::malformed("zip: not a valid zip file")
}

/// What the end record says about the directory.
struct End {
    /// How many headers there are, modulo 65,536 or exactly.
    records: u64,
    /// Where the directory starts, counted from `base`; below 2^63.
    offset: i64,
    /// Where in the file the zip starts.
    base: i64,
}

fn find_end<R: Read + Seek>(source: &mut Source<R>) -> Result<End, Error> {
    let size = source.size();
    let tail_at = size.saturating_sub(65 << 10);
    let tail = source.at(tail_at, 65 << 10).map_err(Error::read)?;
    let at = find_signature(tail).ok_or_else(not_a_zip)?;
    let mut fields = Fields(tail.get(at + 10..).unwrap_or_default());
    let mut records = u64::from(fields.u16().ok_or_else(not_a_zip)?);
    let mut directory_size = u64::from(fields.u32().ok_or_else(not_a_zip)?);
    let mut offset = u64::from(fields.u32().ok_or_else(not_a_zip)?);
    let mut end_at = tail_at + at as u64;
    // 0xffff for the size is what Go compares with, too.
    if (records == 0xffff || directory_size == 0xffff || offset == 0xffff_ffff)
        && let Some(end64_at) = find_end64(source, end_at)?
    {
        end_at = end64_at;
        (records, directory_size, offset) = read_end64(source, end64_at)?;
    }
    let position = |n: u64| i64::try_from(n).map_err(|_| not_a_zip());
    let (directory_size, offset, end_at) = (position(directory_size)?, position(offset)?, position(end_at)?);
    let base = end_at.wrapping_sub(directory_size).wrapping_sub(offset);
    let start = base.wrapping_add(offset);
    if start < 0 || start.cast_unsigned() >= size {
        return Err(not_a_zip());
    }
    let mut end = End { records, offset, base };
    settle_base(source, &mut end)?;
    Ok(end)
}

/// Some writers count wrong, so that the zip seems to start later than it does: if a header stands where
/// the offset says without any base, there is no base.
fn settle_base<R: Read + Seek>(source: &mut Source<R>, end: &mut End) -> Result<(), Error> {
    if end.base > 0 && matches!(read_header(source, &mut end.offset.cast_unsigned())?, Header::Entry(_)) {
        end.base = 0;
    }
    Ok(())
}

/// The last end record; none if its comment goes beyond the end.
fn find_signature(tail: &[u8]) -> Option<usize> {
    let at = tail.windows(END_LEN).rposition(|window| window.starts_with(&END_SIGNATURE))?;
    let comment = Fields(tail.get(at + END_LEN - 2..)?).u16()?;
    (at + END_LEN + usize::from(comment) <= tail.len()).then_some(at)
}

/// Where the zip64 end record is said to stand, if a locator for one precedes the end record.
fn find_end64<R: Read + Seek>(source: &mut Source<R>, end_at: u64) -> Result<Option<u64>, Error> {
    let Some(locator_at) = end_at.checked_sub(LOCATOR64_LEN) else { return Ok(None) };
    let locator: [u8; 20] = source.array(locator_at).map_err(Error::read)?.ok_or_else(not_a_zip)?;
    let mut fields = Fields(&locator);
    let (signature, disk, at, disks) = (fields.u32(), fields.u32(), fields.u64(), fields.u32());
    let good = signature == Some(LOCATOR64_SIGNATURE) && disk == Some(0) && disks == Some(1);
    Ok(at.filter(|&at| good && i64::try_from(at).is_ok()))
}

/// Number of headers, size and offset of the directory.
fn read_end64<R: Read + Seek>(source: &mut Source<R>, at: u64) -> Result<(u64, u64, u64), Error> {
    let record: [u8; 56] = source.array(at).map_err(Error::read)?.ok_or_else(not_a_zip)?;
    let signature = Fields(&record).u32();
    let mut fields = Fields(record.get(32..).unwrap_or_default());
    match (signature, fields.u64(), fields.u64(), fields.u64()) {
        (Some(END64_SIGNATURE), Some(records), Some(size), Some(offset)) => Ok((records, size, offset)),
        _ => Err(not_a_zip()),
    }
}

enum Header {
    Entry(Entry),
    /// Something else stands there, or a part of a header.
    NotOne,
    /// The file ends exactly where a header or its name should start, which Go never forgives.
    AtEnd,
}

/// Reads the header at `offset` and moves `offset` behind it.
fn read_header<R: Read + Seek>(source: &mut Source<R>, offset: &mut u64) -> Result<Header, Error> {
    let Some(fixed) = source.array::<HEADER_LEN>(*offset).map_err(Error::read)? else {
        return Ok(if *offset >= source.size() { Header::AtEnd } else { Header::NotOne });
    };
    let Some((mut entry, lengths)) = parse_fixed(&fixed) else { return Ok(Header::NotOne) };
    let [name, extra, comment] = lengths.map(usize::from);
    let names_at = *offset + HEADER_LEN as u64;
    let variable = read_range(source, names_at, name + extra + comment)?;
    if variable.len() < name + extra + comment {
        return Ok(if variable.is_empty() { Header::AtEnd } else { Header::NotOne });
    }
    *offset = names_at + variable.len() as u64;
    entry.name = variable.get(..name).unwrap_or_default().to_vec();
    match apply_zip64(&mut entry, variable.get(name..name + extra).unwrap_or_default()) {
        Some(()) => Ok(Header::Entry(entry)),
        None => Ok(Header::NotOne),
    }
}

/// Up to `length` bytes at `offset`, fewer at the end of the file.
fn read_range<R: Read + Seek>(source: &mut Source<R>, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(length.min(64 << 10));
    while bytes.len() < length {
        let chunk = source.at(offset + bytes.len() as u64, 1).map_err(Error::read)?;
        if chunk.is_empty() {
            break;
        }
        bytes.extend(chunk.iter().take(length - bytes.len()));
    }
    Ok(bytes)
}

/// The fields of fixed size, and the lengths of name, extra field and comment.
fn parse_fixed(header: &[u8; HEADER_LEN]) -> Option<(Entry, [u16; 3])> {
    let mut fields = Fields(header);
    fields.u32().filter(|&signature| signature == HEADER_SIGNATURE)?;
    let (_versions, flags, method, _time) = (fields.u32()?, fields.u16()?, fields.u16()?, fields.u32()?);
    let (crc, stored_size, size) = (fields.u32()?, fields.u32()?, fields.u32()?);
    let lengths = [fields.u16()?, fields.u16()?, fields.u16()?];
    let (_disk_and_attributes, _attributes, header_offset) = (fields.u32()?, fields.u32()?, fields.u32()?);
    let entry = Entry {
        name: Vec::new(),
        has_descriptor: flags & 8 != 0,
        method,
        crc,
        stored_size: stored_size.into(),
        size: size.into(),
        header_offset: header_offset.into(),
    };
    Some((entry, lengths))
}

/// Takes from the zip64 extra field those numbers that do not fit elsewhere. `None` if one is missing;
/// only the size of the content may really be 2^32 - 1.
fn apply_zip64(entry: &mut Entry, extra: &[u8]) -> Option<()> {
    const FULL: u64 = u32::MAX as u64;
    let mut needs_size = entry.size == FULL;
    let mut needs_stored_size = entry.stored_size == FULL;
    let mut needs_offset = entry.header_offset.cast_unsigned() == FULL;
    let mut fields = Fields(extra);
    while let (Some(tag), Some(length)) = (fields.u16(), fields.u16()) {
        let Some(content) = fields.take(length.into()) else { break };
        if tag != ZIP64_EXTRA {
            continue;
        }
        let mut content = Fields(content);
        if std::mem::take(&mut needs_size) {
            entry.size = content.u64()?;
        }
        if std::mem::take(&mut needs_stored_size) {
            entry.stored_size = content.u64()?;
        }
        if std::mem::take(&mut needs_offset) {
            entry.header_offset = content.u64()?.cast_signed();
        }
    }
    (!needs_stored_size && !needs_offset).then_some(())
}

/// Little-endian numbers, one after the other.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.first_chunk().copied()
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
