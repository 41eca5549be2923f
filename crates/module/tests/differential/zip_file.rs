//! Zips written byte by byte, so that everything in them can be wrong.

use std::io::Write as _;

use flate2::{Compression, Crc, write::DeflateEncoder};
use quipu_oracle::{Rng, mutate};

/// One entry: what its headers say, and what lies there.
#[derive(Clone, Default)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) method: u16,
    pub(crate) flags: u16,
    pub(crate) crc: u32,
    pub(crate) stored_size: u64,
    pub(crate) size: u64,
    /// The bytes between local header and descriptor.
    pub(crate) stored: Vec<u8>,
    pub(crate) descriptor: Vec<u8>,
    pub(crate) extra: Vec<u8>,
    pub(crate) comment: Vec<u8>,
    /// The name in the local header, if it is another.
    pub(crate) local_name: Option<Vec<u8>>,
    pub(crate) local_extra: Vec<u8>,
    /// Sizes and offset in a zip64 field, as many of the three as are given.
    pub(crate) zip64: [bool; 3],
    /// Added to where the local header really is.
    pub(crate) shift: i64,
}

impl Entry {
    /// An honest entry, deflated or stored.
    pub(crate) fn new(name: impl Into<Vec<u8>>, content: &[u8], deflated: bool) -> Self {
        let mut crc = Crc::new();
        crc.update(content);
        let stored = if deflated { deflate(content) } else { content.to_vec() };
        Self {
            name: name.into(),
            method: if deflated { 8 } else { 0 },
            crc: crc.sum(),
            stored_size: stored.len() as u64,
            size: content.len() as u64,
            stored,
            ..Self::default()
        }
    }

    /// Moves CRC and sizes behind the content, in one of the four forms there are.
    pub(crate) fn use_descriptor(&mut self, signed: bool, wide: bool) {
        self.flags |= 8;
        let mut descriptor = if signed { 0x0807_4b50_u32.to_le_bytes().to_vec() } else { Vec::new() };
        descriptor.extend(self.crc.to_le_bytes());
        for size in [self.stored_size, self.size] {
            descriptor.extend(&size.to_le_bytes()[..if wide { 8 } else { 4 }]);
        }
        self.descriptor = descriptor;
    }

    fn local_header(&self) -> Vec<u8> {
        let name = self.local_name.as_ref().unwrap_or(&self.name);
        let mut header = b"PK\x03\x04\x14\x00".to_vec();
        put16(&mut header, &[self.flags, self.method, 0, 0]);
        put32(&mut header, &[self.crc, low(self.stored_size), low(self.size)]);
        put16(&mut header, &[name.len() as u16, self.local_extra.len() as u16]);
        header.extend(name);
        header.extend(&self.local_extra);
        header
    }

    fn central_header(&self, offset: u64) -> Vec<u8> {
        let values = [self.size, self.stored_size, offset.wrapping_add_signed(self.shift)];
        let mut field = Vec::new();
        let mut shown = values.map(low);
        for (i, value) in values.iter().enumerate() {
            if self.zip64[i] {
                shown[i] = u32::MAX;
                field.extend(value.to_le_bytes());
            }
        }
        let mut extra = self.extra.clone();
        if !field.is_empty() {
            put16(&mut extra, &[1, field.len() as u16]);
            extra.extend(field);
        }
        let mut header = b"PK\x01\x02\x14\x00\x14\x00".to_vec();
        put16(&mut header, &[self.flags, self.method, 0, 0]);
        put32(&mut header, &[self.crc, shown[1], shown[0]]);
        put16(&mut header, &[self.name.len() as u16, extra.len() as u16, self.comment.len() as u16, 0, 0]);
        put32(&mut header, &[0, shown[2]]);
        [&header, &self.name, &extra, &self.comment].map(Vec::as_slice).concat()
    }
}

/// What is around the entries.
#[derive(Clone, Default)]
pub(crate) struct Frame {
    pub(crate) before: Vec<u8>,
    /// Whether offsets are counted from the start of the file rather than of the zip.
    pub(crate) absolute: bool,
    pub(crate) between: Vec<u8>,
    /// Whether there are zip64 end records, and whether the old one refers to them.
    pub(crate) zip64: Option<bool>,
    pub(crate) comment: Vec<u8>,
    pub(crate) after: Vec<u8>,
    /// Added to count, size and offset in the end record.
    pub(crate) shifts: [i64; 3],
    pub(crate) comment_length: Option<u16>,
}

impl Frame {
    pub(crate) fn write(&self, entries: &[Entry]) -> Vec<u8> {
        let mut zip = self.before.clone();
        let base = if self.absolute { 0 } else { zip.len() as u64 };
        let mut central = Vec::new();
        for entry in entries {
            let offset = zip.len() as u64 - base;
            central.extend(entry.central_header(offset));
            zip.extend([entry.local_header(), entry.stored.clone(), entry.descriptor.clone()].concat());
        }
        zip.extend(&self.between);
        let directory_at = zip.len() as u64 - base;
        zip.extend(&central);
        let numbers = [entries.len() as u64, central.len() as u64, directory_at];
        let numbers: [u64; 3] = std::array::from_fn(|i| numbers[i].wrapping_add_signed(self.shifts[i]));
        self.write_end64(&mut zip, base, numbers);
        self.write_end(&mut zip, numbers);
        zip.extend(&self.after);
        zip
    }

    fn write_end64(&self, zip: &mut Vec<u8>, base: u64, [count, size, offset]: [u64; 3]) {
        if self.zip64.is_none() {
            return;
        }
        let at = zip.len() as u64 - base;
        zip.extend(b"PK\x06\x06");
        zip.extend(44_u64.to_le_bytes());
        put16(zip, &[45, 45]);
        put32(zip, &[0, 0]);
        for value in [count, count, size, offset] {
            zip.extend(value.to_le_bytes());
        }
        zip.extend(b"PK\x06\x07");
        put32(zip, &[0]);
        zip.extend(at.to_le_bytes());
        put32(zip, &[1]);
    }

    fn write_end(&self, zip: &mut Vec<u8>, [count, size, offset]: [u64; 3]) {
        let full = self.zip64 == Some(true);
        let count = if full { u16::MAX } else { count as u16 };
        zip.extend(b"PK\x05\x06");
        put16(zip, &[0, 0, count, count]);
        put32(zip, &if full { [u32::MAX; 2] } else { [low(size), low(offset)] });
        put16(zip, &[self.comment_length.unwrap_or(self.comment.len() as u16)]);
        zip.extend(&self.comment);
    }
}

pub(crate) fn deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).and_then(|()| encoder.finish()).unwrap_or_default()
}

/// Overwrites a number somewhere, or changes bytes as elsewhere, in the headers rather than the contents.
pub(crate) fn damage(rng: &mut Rng, zip: &mut Vec<u8>) {
    const SIGNATURES: [&[u8]; 6] =
        [b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"PK\x07\x08"];
    let wanted = SIGNATURES[rng.below(SIGNATURES.len())];
    let places: Vec<usize> = (0..zip.len()).filter(|&at| zip[at..].starts_with(wanted)).collect();
    let Some(start) = (!places.is_empty()).then(|| places[rng.below(places.len())]) else {
        return mutate(
            rng,
            zip,
            &["PK\x05\x06", "PK\x01\x02", "PK\x03\x04", "PK\x06\x07", "\0\0", "\0\0\0\0"],
        );
    };
    let at = start + rng.below(56);
    let value = match rng.below(4) {
        0 => [0, 1, 0xff, 0xffff, 0xffff_ffff, u64::MAX, 1 << 63, 1 << 31][rng.below(8)],
        1 => rng.below(70_000) as u64,
        2 => zip.len() as u64,
        _ => rng.word64(),
    };
    let width = [1, 2, 4, 8][rng.below(4)];
    for (i, byte) in value.to_le_bytes().into_iter().take(width).enumerate() {
        if let Some(place) = zip.get_mut(at + i) {
            *place = byte;
        }
    }
}

fn low(value: u64) -> u32 {
    value as u32
}

fn put16(out: &mut Vec<u8>, values: &[u16]) {
    out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
}

fn put32(out: &mut Vec<u8>, values: &[u32]) {
    out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
}
