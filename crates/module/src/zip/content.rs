//! The content of zip entries: found by their local headers, inflated, and checked against size and CRC-32.

use std::io::{Read, Seek};

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{
    Reading,
    directory::{Entry, Fields, not_a_zip},
    source::Source,
};
use crate::{error::Error, h1::CHUNK};

const LOCAL_HEADER_LEN: usize = 30;
const LOCAL_HEADER_SIGNATURE: u32 = 0x0403_4b50;
const DESCRIPTOR_SIGNATURE: u32 = 0x0807_4b50;

/// Reads entries one after the other with one set of buffers.
pub(super) struct ContentReader<R> {
    source: Source<R>,
    inflater: Decompress,
    output: Vec<u8>,
    reading: Reading,
}

/// Where the stored bytes of an entry lie; signed as in Go, whose arithmetic decides about absurd sizes.
#[derive(Clone, Copy)]
struct Body {
    start: u64,
    /// Bytes; those beyond the end of the file do not exist.
    length: u64,
    /// Where a data descriptor would stand, if that is in the file.
    descriptor: Option<u64>,
}

impl<R: Read + Seek> ContentReader<R> {
    pub(super) fn new(source: Source<R>, reading: Reading) -> Self {
        Self { source, inflater: Decompress::new(false), output: vec![0; CHUNK], reading }
    }

    /// Gives the content of `entry` to `sink`, piece by piece.
    ///
    /// # Errors
    /// It is not what the directory says, in which case pieces given before do not count.
    pub(super) fn read(&mut self, entry: &Entry, sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        let body = self.find_body(entry)?;
        if entry.is_dir() {
            return if entry.size == 0 { Ok(()) } else { Err(not_a_zip()) };
        }
        let mut content = Content { left: entry.size, crc: Crc::new(), sink };
        match entry.method {
            0 => self.copy(body, &mut content)?,
            8 => self.inflate(body, &mut content)?,
            _ => return Err(Error::malformed("zip: unsupported compression algorithm")),
        }
        if content.left > 0 {
            return Err(unexpected_eof());
        }
        let crc = content.crc.sum();
        self.check_crc(entry, body, crc)
    }

    fn find_body(&mut self, entry: &Entry) -> Result<Body, Error> {
        let at = u64::try_from(entry.header_offset).map_err(|_| not_a_zip())?;
        let header: [u8; LOCAL_HEADER_LEN] =
            self.source.array(at).map_err(Error::read)?.ok_or_else(unexpected_eof)?;
        let mut names = Fields(header.get(26..).unwrap_or_default());
        let (Some(LOCAL_HEADER_SIGNATURE), Some(name), Some(extra)) =
            (Fields(&header).u32(), names.u16(), names.u16())
        else {
            return Err(not_a_zip());
        };
        let start = at + LOCAL_HEADER_LEN as u64 + u64::from(name) + u64::from(extra);
        let stored = entry.stored_size.cast_signed();
        let descriptor = start.cast_signed().wrapping_add(stored);
        Ok(Body {
            start,
            length: u64::try_from(stored).unwrap_or(u64::MAX),
            descriptor: u64::try_from(descriptor).ok(),
        })
    }

    fn copy(&mut self, body: Body, content: &mut Content<'_>) -> Result<(), Error> {
        let mut done = 0;
        while done < body.length {
            let chunk = self.source.at(body.start + done, 1).map_err(Error::read)?;
            let chunk = clip(chunk, body.length - done);
            if chunk.is_empty() {
                break;
            }
            done += chunk.len() as u64;
            content.push(chunk)?;
        }
        Ok(())
    }

    fn inflate(&mut self, body: Body, content: &mut Content<'_>) -> Result<(), Error> {
        self.inflater.reset(false);
        let mut done = 0;
        loop {
            let input = match done < body.length {
                true => self.source.at(body.start + done, 1).map_err(Error::read)?,
                false => &[],
            };
            let input = clip(input, body.length - done);
            let output_before = self.inflater.total_out();
            let status = self
                .inflater
                .decompress(input, &mut self.output, FlushDecompress::None)
                .map_err(|_| Error::malformed("flate: corrupt input"))?;
            let produced = self.inflater.total_out() - output_before;
            content.push(clip(&self.output, produced))?;
            let progress = produced > 0 || self.inflater.total_in() > done;
            done = self.inflater.total_in();
            if status == Status::StreamEnd {
                return self.check_end(body, done);
            }
            if !progress {
                return Err(unexpected_eof());
            }
        }
    }

    /// Whether the compressed content ends where the directory says that it does.
    fn check_end(&self, body: Body, done: u64) -> Result<(), Error> {
        if self.reading == Reading::Exact && done != body.length {
            return Err(Error::malformed("something follows the compressed content"));
        }
        Ok(())
    }

    fn check_crc(&mut self, entry: &Entry, body: Body, crc: u32) -> Result<(), Error> {
        let good = match entry.has_descriptor {
            true => self.read_descriptor(body)? == entry.crc && crc == entry.crc,
            // A directory that says zero has perhaps not been filled in.
            false => crc == entry.crc || entry.crc == 0 && self.reading == Reading::AsGo,
        };
        if good { Ok(()) } else { Err(Error::malformed("zip: checksum error")) }
    }

    /// The CRC-32 in the data descriptor, whose signature is optional.
    fn read_descriptor(&mut self, body: Body) -> Result<u32, Error> {
        let at = body.descriptor.ok_or_else(unexpected_eof)?;
        let bytes = self.source.at(at, 16).map_err(Error::read)?;
        let mut fields = Fields(clip(bytes, 16));
        let first = fields.u32().ok_or_else(unexpected_eof)?;
        let crc = if first == DESCRIPTOR_SIGNATURE { fields.u32() } else { Some(first) };
        // Two sizes of 32 or 64 bits follow; as for Go they must be there and mean nothing.
        fields.take(8).and(crc).ok_or_else(unexpected_eof)
    }
}

/// What has been read of an entry's content.
struct Content<'a> {
    /// How much is still to come.
    left: u64,
    crc: Crc,
    sink: &'a mut dyn FnMut(&[u8]),
}

impl Content<'_> {
    fn push(&mut self, chunk: &[u8]) -> Result<(), Error> {
        self.left = self.left.checked_sub(chunk.len() as u64).ok_or_else(not_a_zip)?;
        self.crc.update(chunk);
        (self.sink)(chunk);
        Ok(())
    }
}

/// The first `length` bytes, or all if there are fewer.
fn clip(bytes: &[u8], length: u64) -> &[u8] {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    bytes.get(..length).unwrap_or(bytes)
}

fn unexpected_eof() -> Error {
    Error::malformed("unexpected EOF")
}
