//! Writes zips, good ones and such as no decent program would write.

use std::io::Write as _;

use flate2::{Compression, Crc, write::DeflateEncoder};

/// An entry to write, and what to lie about it.
#[derive(Clone, Default)]
pub(crate) struct ZipEntry {
    pub(crate) name: Vec<u8>,
    pub(crate) content: Vec<u8>,
    pub(crate) deflate: bool,
    pub(crate) descriptor: bool,
    /// What stands in the file in place of the content, compressed or not.
    pub(crate) stored: Option<Vec<u8>>,
    /// Declared in place of the true size.
    pub(crate) size: Option<u32>,
    /// Declared in place of the true checksum.
    pub(crate) crc: Option<u32>,
    /// Extra field of the central directory.
    pub(crate) extra: Vec<u8>,
}

/// A stored entry.
pub(crate) fn entry(name: &str, content: &str) -> ZipEntry {
    ZipEntry { name: name.into(), content: content.into(), ..ZipEntry::default() }
}

/// A deflated entry, with a data descriptor as Go's writer makes one.
pub(crate) fn deflated(name: &str, content: &str) -> ZipEntry {
    ZipEntry { deflate: true, descriptor: true, ..entry(name, content) }
}

/// Writes a zip of `entries`, in this order.
pub(crate) fn write_zip(entries: &[ZipEntry]) -> Vec<u8> {
    let mut zip = Vec::new();
    let mut directory = Vec::new();
    for entry in entries {
        write_entry(&mut zip, &mut directory, entry);
    }
    let (offset, size) = (zip.len() as u32, directory.len() as u32);
    zip.extend(directory);
    zip.extend(b"PK\x05\x06\0\0\0\0");
    let count = entries.len() as u16;
    zip.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    zip.extend([size.to_le_bytes(), offset.to_le_bytes()].concat());
    zip.extend([0, 0]);
    zip
}

fn write_entry(zip: &mut Vec<u8>, directory: &mut Vec<u8>, entry: &ZipEntry) {
    let offset = zip.len() as u32;
    let stored = match &entry.stored {
        Some(stored) => stored.clone(),
        None if entry.deflate => deflate(&entry.content),
        None => entry.content.clone(),
    };
    let mut crc = Crc::new();
    crc.update(&entry.content);
    let crc = entry.crc.unwrap_or(crc.sum());
    let size = entry.size.unwrap_or(entry.content.len() as u32);

    let mut common =
        vec![20, 0, if entry.descriptor { 8 } else { 0 }, 0, if entry.deflate { 8 } else { 0 }, 0];
    common.extend([0; 4]);
    common.extend([crc.to_le_bytes(), (stored.len() as u32).to_le_bytes(), size.to_le_bytes()].concat());
    common.extend((entry.name.len() as u16).to_le_bytes());

    zip.extend(b"PK\x03\x04");
    zip.extend(&common);
    zip.extend([0, 0]);
    zip.extend(&entry.name);
    zip.extend(&stored);
    if entry.descriptor {
        zip.extend(b"PK\x07\x08");
        zip.extend([crc.to_le_bytes(), (stored.len() as u32).to_le_bytes(), size.to_le_bytes()].concat());
    }

    directory.extend(b"PK\x01\x02\x14\0");
    directory.extend(&common);
    directory.extend((entry.extra.len() as u16).to_le_bytes());
    directory.extend([0; 10]);
    directory.extend(offset.to_le_bytes());
    directory.extend(&entry.name);
    directory.extend(&entry.extra);
}

fn deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}
