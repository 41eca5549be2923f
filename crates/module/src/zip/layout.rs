//! The layout of a zip that leaves nothing to interpretation: entry after entry from the first byte, then the directory,
//! then the end record, and each entry said to be the same thing in all places that describe it.
//!
//! Readers of zips disagree where a file is odd: some read the directory, some the local headers in passing; some look
//! for the end from behind, some take offsets at their word. In a file of this layout all of them find the same.

use std::io::{Read, Seek};

use super::{directory::Fields, directory::not_a_zip, source::Source};
use crate::{error::Error, quote::quote};

/// The most entries of a published zip: what the format can count without extensions.
const MAX_MEMBERS: u64 = 65_535;

/// The longest name of an entry, in bytes.
const MAX_NAME: usize = 1024;

const END_LEN: u64 = 22;
const LOCATOR64_LEN: u64 = 20;
const LOCATOR64: u32 = 0x0706_4b50;
const END: u32 = 0x0605_4b50;
const HEADER: u32 = 0x0201_4b50;
const LOCAL: u32 = 0x0403_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const HEADER_LEN: usize = 46;
const LOCAL_LEN: usize = 30;
const DESCRIPTOR_LEN: usize = 16;

/// Extra fields that only say when and by whom a file was made: times, owners (APPNOTE.TXT 4.5 and Info-ZIP's list).
const HARMLESS_EXTRA: [u16; 5] = [0x000a, 0x5455, 0x5855, 0x7855, 0x7875];

const HAS_DESCRIPTOR: u16 = 1 << 3;
const IS_UTF8: u16 = 1 << 11;
/// Besides these two: how hard the compressor tried.
const ALLOWED_FLAGS: u16 = HAS_DESCRIPTOR | IS_UTF8 | 0b110;

/// An entry as the directory describes it.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: Vec<u8>,
    /// The file type bits of a Unix mode, where the writer gave one.
    pub(super) file_type: u16,
    flags: u16,
    facts: Facts,
    offset: u64,
}

/// What local header, descriptor and directory must agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Facts {
    method: u16,
    crc: u32,
    stored: u32,
    size: u32,
}

/// Reads the directory of a zip, and refuses the zip unless it is nothing but its entries, its directory and its end.
pub(super) fn read<R: Read + Seek>(source: &mut Source<R>) -> Result<Vec<Member>, Error> {
    let (count, start, end) = find_directory(source)?;
    let mut members = Vec::new();
    let mut at = start;
    while at < end {
        let member = read_header(source, &mut at)?;
        members.push(member);
        if members.len() as u64 > count {
            break;
        }
    }
    if at != end || members.len() as u64 != count {
        return Err(Error::malformed("zip: the directory does not hold the entries that it counts"));
    }
    check_bodies(source, &members, start)?;
    Ok(members)
}

/// How many entries there are, and the half-open byte range of the directory.
fn find_directory<R: Read + Seek>(source: &mut Source<R>) -> Result<(u64, u64, u64), Error> {
    let end_at = source.size().checked_sub(END_LEN).ok_or_else(not_a_zip)?;
    let end: [u8; 22] = array(source, end_at)?;
    let mut fields = Fields(&end);
    let signature = fields.u32();
    let numbers = (fields.u32(), fields.u16(), fields.u16(), fields.u32(), fields.u32(), fields.u16());
    let (Some(END), (Some(0), Some(on_disk), Some(count), Some(size), Some(start), Some(0))) =
        (signature, numbers)
    else {
        return Err(Error::malformed("zip: something follows the end of the archive, or it has a comment"));
    };
    let (count, start, size) = (u64::from(count), u64::from(start), u64::from(size));
    if u64::from(on_disk) != count || start.checked_add(size) != Some(end_at) {
        return Err(Error::malformed("zip: something stands before the archive or between its parts"));
    }
    if let Some(at) = end_at.checked_sub(LOCATOR64_LEN)
        && Fields(&array::<_, 4>(source, at)?).u32() == Some(LOCATOR64)
    {
        return Err(Error::malformed("zip: zip64 archives are not taken, nor what looks like one"));
    }
    // 65,535 says "see zip64", too, and there is none.
    if count >= MAX_MEMBERS {
        return Err(Error::malformed(format!("zip: more than {} entries", MAX_MEMBERS - 1)));
    }
    Ok((count, start, end_at))
}

/// Reads the directory header at `at` and moves `at` behind it.
fn read_header<R: Read + Seek>(source: &mut Source<R>, at: &mut u64) -> Result<Member, Error> {
    let header: [u8; HEADER_LEN] = array(source, *at)?;
    let mut fields = Fields(&header);
    let (signature, made_by, _needed) = (fields.u32(), fields.u16(), fields.u16());
    let flags = fields.u16().unwrap_or_default();
    let facts = read_facts(&mut fields, true).ok_or_else(not_a_zip)?;
    let lengths = [fields.u16(), fields.u16(), fields.u16()].map(|n| usize::from(n.unwrap_or_default()));
    let (disk, _internal, external) = (fields.u16(), fields.u16(), fields.u32().unwrap_or_default());
    let offset = u64::from(fields.u32().ok_or_else(not_a_zip)?);
    if (signature, disk) != (Some(HEADER), Some(0)) {
        return Err(not_a_zip());
    }
    let [name_len, extra_len, comment_len] = lengths;
    let variable = range(source, *at + HEADER_LEN as u64, name_len + extra_len)?;
    let (name, extra) = variable.split_at_checked(name_len).ok_or_else(not_a_zip)?;
    let member = Member {
        name: name.to_vec(),
        file_type: file_type(made_by.unwrap_or_default(), external),
        flags,
        facts,
        offset,
    };
    let wrong =
        |why: &str| Error::malformed(why).within(String::from_utf8_lossy(&name[..name_len.min(MAX_NAME)]));
    if comment_len > 0 {
        return Err(wrong("the entry has a comment"));
    }
    member.check_plain().map_err(|why| wrong(&why))?;
    check_extra(extra).map_err(|why| wrong(&why))?;
    *at += (HEADER_LEN + name_len + extra_len) as u64;
    Ok(member)
}

impl Member {
    /// What can be said of an entry without looking at its content.
    fn check_plain(&self) -> Result<(), String> {
        let Facts { method, crc: _, stored, size } = self.facts;
        if self.name.len() > MAX_NAME {
            return Err(format!("name of more than {MAX_NAME} bytes"));
        }
        if self.flags & !ALLOWED_FLAGS != 0 {
            return Err(format!("flags {:#06x}: encrypted, patched or of an unknown kind", self.flags));
        }
        if !self.name.is_ascii() && self.flags & IS_UTF8 == 0 {
            return Err("name that is not ASCII and not marked as UTF-8".to_owned());
        }
        if method != 0 && method != 8 {
            return Err("neither stored nor deflated".to_owned());
        }
        if method == 0 && (stored != size || self.flags & HAS_DESCRIPTOR != 0 && size > 0) {
            return Err("a stored entry must say its one size before its content".to_owned());
        }
        if stored == u32::MAX || size == u32::MAX {
            return Err("sizes for zip64".to_owned());
        }
        Ok(())
    }
}

/// The file type of the Unix mode that stands in the upper half of the attributes, if the entry was made by a system
/// that has such modes (3 is Unix, 19 is macOS).
fn file_type(made_by: u16, external: u32) -> u16 {
    let is_unix = matches!(made_by >> 8, 3 | 19);
    if is_unix { u16::try_from(external >> 16).unwrap_or_default() & 0o170_000 } else { 0 }
}

fn check_extra(extra: &[u8]) -> Result<(), String> {
    let mut fields = Fields(extra);
    while !fields.0.is_empty() {
        let known = match (fields.u16(), fields.u16()) {
            (Some(kind), Some(length)) => fields.take(length.into()).map(|_| kind),
            _ => None,
        };
        match known {
            Some(kind) if HARMLESS_EXTRA.contains(&kind) => {}
            Some(kind) => {
                return Err(format!("extra field {kind:#06x}, which may say how to read the entry"));
            }
            None => return Err("extra fields that do not add up".to_owned()),
        }
    }
    Ok(())
}

/// From method to size, as they stand in both kinds of header.
fn read_facts(fields: &mut Fields<'_>, with_method: bool) -> Option<Facts> {
    let method = if with_method { fields.u16()? } else { 0 };
    if with_method {
        fields.take(4)?;
    }
    Some(Facts { method, crc: fields.u32()?, stored: fields.u32()?, size: fields.u32()? })
}

/// Goes through the entries as they lie in the file, which must be one after the other from the first byte to `end`.
fn check_bodies<R: Read + Seek>(source: &mut Source<R>, members: &[Member], end: u64) -> Result<(), Error> {
    let mut in_file: Vec<&Member> = members.iter().collect();
    in_file.sort_by_key(|member| member.offset);
    let mut at = 0;
    for member in in_file {
        if member.offset != at {
            return Err(Error::malformed(format!(
                "zip: something stands before entry {} or overlaps it",
                quote(&member.name)
            )));
        }
        at =
            check_body(source, member).map_err(|e| e.within(format!("zip entry {}", quote(&member.name))))?;
    }
    if at == end {
        Ok(())
    } else {
        Err(Error::malformed("zip: something stands between entries and directory"))
    }
}

/// Compares the local header, and the descriptor if there is one, with the directory; returns where the entry ends.
fn check_body<R: Read + Seek>(source: &mut Source<R>, member: &Member) -> Result<u64, Error> {
    let differs = || Error::malformed("the directory and what stands before the content differ");
    let header: [u8; LOCAL_LEN] = array(source, member.offset)?;
    let mut fields = Fields(&header);
    let (signature, _needed, flags) = (fields.u32(), fields.u16(), fields.u16());
    let facts = read_facts(&mut fields, true).ok_or_else(not_a_zip)?;
    let (name_len, extra_len) =
        (usize::from(fields.u16().unwrap_or_default()), usize::from(fields.u16().unwrap_or_default()));
    let has_descriptor = member.flags & HAS_DESCRIPTOR != 0;
    let expected = match has_descriptor {
        true => Facts { crc: 0, stored: 0, size: 0, ..member.facts },
        false => member.facts,
    };
    // Some writers know the numbers and write a descriptor all the same.
    let agree = facts == expected || facts == member.facts;
    if signature != Some(LOCAL) || flags != Some(member.flags) || !agree || name_len != member.name.len() {
        return Err(differs());
    }
    let variable = range(source, member.offset + LOCAL_LEN as u64, name_len + extra_len)?;
    let (name, extra) = variable.split_at_checked(name_len).ok_or_else(not_a_zip)?;
    if name != member.name {
        return Err(differs());
    }
    check_extra(extra).map_err(Error::malformed)?;
    let content = member.offset + (LOCAL_LEN + name_len + extra_len) as u64;
    let after = content + u64::from(member.facts.stored);
    if !has_descriptor {
        return Ok(after);
    }
    let descriptor: [u8; DESCRIPTOR_LEN] = array(source, after)?;
    let mut fields = Fields(&descriptor);
    let signature = fields.u32();
    let said = read_facts(&mut fields, false).map(|facts| Facts { method: member.facts.method, ..facts });
    if signature != Some(DESCRIPTOR) || said != Some(member.facts) {
        return Err(Error::malformed("the directory and what stands after the content differ"));
    }
    Ok(after + DESCRIPTOR_LEN as u64)
}

fn array<R: Read + Seek, const N: usize>(source: &mut Source<R>, at: u64) -> Result<[u8; N], Error> {
    source.array(at).map_err(Error::read)?.ok_or_else(not_a_zip)
}

/// Exactly `length` bytes at `at`; at most twice 64 KiB are asked for.
fn range<R: Read + Seek>(source: &mut Source<R>, at: u64, length: usize) -> Result<Vec<u8>, Error> {
    let bytes = source.at(at, length).map_err(Error::read)?;
    bytes.get(..length).map(<[u8]>::to_vec).ok_or_else(not_a_zip)
}
