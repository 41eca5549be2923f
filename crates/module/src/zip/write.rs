//! Writing module zips: entry after entry, without seeking, the same bytes for the same files.

use std::io::Write;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use super::{
    MAX_ENTRIES, MAX_ZIP,
    select::{check_root_file, tree_too_large},
};
use crate::{error::Error, h1::CHUNK, path::check_file_path, version::ModuleVersion};

/// Writes the zip of a module: all files under `path@version/`, deflated, without times and modes.
///
/// What it wrote is a good zip of the module (see [`check_zip`](super::check_zip)) if [`ZipWriter::finish`]
/// succeeds and no two paths collide, of which [`select_files`](super::select_files) takes care. After an error
/// nothing of it is of use.
pub struct ZipWriter<W> {
    output: Output<W>,
    /// `path@version/`.
    prefix: String,
    directory: Vec<u8>,
    entries: usize,
    /// How many bytes of content may still come.
    left: u64,
    file: Option<OpenFile>,
    /// Content that is not yet compressed, less than [`BLOCK`] bytes.
    pending: Vec<u8>,
    deflater: Compress,
}

/// The file being written.
struct OpenFile {
    name: String,
    header_offset: u32,
    body_offset: u64,
    /// Bytes of content so far.
    size: u64,
    crc: Crc,
}

/// Of 9: on source code the zip is 4 in 100 larger than at 6, and sooner made.
const LEVEL: u32 = 3;

/// Content is compressed in pieces of this many bytes, because the result depends on where it is cut.
const BLOCK: usize = 64 << 10;

const LOCAL_HEADER: [u8; 4] = *b"PK\x03\x04";
const DESCRIPTOR: [u8; 4] = *b"PK\x07\x08";
const CENTRAL_HEADER: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
const END64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR64: [u8; 4] = *b"PK\x06\x07";

/// Version 2.0 of the format, which has deflate; 4.5 has zip64.
const V20: u16 = 20;
const V45: u16 = 45;
/// Sizes and checksum follow the content; the name is UTF-8.
const FLAGS: u16 = 1 << 3 | 1 << 11;
const DEFLATED: u16 = 8;

impl<W: Write> ZipWriter<W> {
    /// Begins the zip of `module`.
    pub fn new(module: &ModuleVersion, output: W) -> Self {
        Self {
            output: Output { inner: output, written: 0, buffer: Vec::with_capacity(CHUNK) },
            prefix: format!("{module}/"),
            directory: Vec::new(),
            entries: 0,
            left: MAX_ZIP,
            file: None,
            pending: Vec::with_capacity(BLOCK),
            deflater: Compress::new(Compression::new(LEVEL), false),
        }
    }

    /// Begins the file at `path`, relative to the root of the module, after ending the one before.
    ///
    /// # Errors
    /// The path cannot be that of a file in a module, there are too many files, or writing fails.
    pub fn start_file(&mut self, path: &str) -> Result<(), Error> {
        self.end_file()?;
        check_file_path(path)?;
        let name = format!("{}{path}", self.prefix);
        let length = u16::try_from(name.len()).map_err(|_| Error::malformed("zip: name too long"))?;
        if self.entries >= MAX_ENTRIES {
            return Err(Error::malformed("too many files and directories"));
        }
        self.entries += 1;
        let header_offset = self.output.offset()?;
        // Times, checksum and sizes are zero; so is the length of the extra fields.
        let mut header = Fields::new(LOCAL_HEADER);
        header.u16s([V20, FLAGS, DEFLATED, 0, 0]).u32s([0, 0, 0]).u16s([length, 0]).bytes(name.as_bytes());
        self.output.write(&header.0)?;
        let body_offset = self.output.written;
        self.file = Some(OpenFile { name, header_offset, body_offset, size: 0, crc: Crc::new() });
        self.deflater.reset();
        Ok(())
    }

    /// Adds `chunk` to the content of the file begun last.
    ///
    /// # Errors
    /// There is none, the content is larger than a module's may be, or writing fails.
    pub fn write(&mut self, mut chunk: &[u8]) -> Result<(), Error> {
        let file = self.file.as_mut().ok_or_else(|| Error::malformed("zip: no file was started"))?;
        self.left = self.left.checked_sub(chunk.len() as u64).ok_or_else(tree_too_large)?;
        file.size += chunk.len() as u64;
        check_root_file(file.name.get(self.prefix.len()..).unwrap_or_default(), file.size)
            .map_err(|why| Error::malformed(why).within(&file.name))?;
        file.crc.update(chunk);
        while let Some((head, rest)) = chunk.split_at_checked(BLOCK - self.pending.len()) {
            let block = if self.pending.is_empty() {
                head
            } else {
                self.pending.extend_from_slice(head);
                &self.pending
            };
            self.output.deflate(&mut self.deflater, block, FlushCompress::None)?;
            self.pending.clear();
            chunk = rest;
        }
        self.pending.extend_from_slice(chunk);
        Ok(())
    }

    /// Ends the zip and gives back what it was written to.
    ///
    /// # Errors
    /// The zip is larger than a module's may be, or writing fails.
    pub fn finish(mut self) -> Result<W, Error> {
        self.end_file()?;
        let start = self.output.offset()?;
        let directory = std::mem::take(&mut self.directory);
        self.output.write(&directory)?;
        let length = self.output.offset()? - start;
        let end = end_of_directory(self.entries, length, start);
        self.output.write(&end)?;
        self.output.inner.flush().map_err(Error::write)?;
        Ok(self.output.inner)
    }

    /// What it is written to.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.output.inner
    }

    fn end_file(&mut self) -> Result<(), Error> {
        let Some(file) = self.file.take() else { return Ok(()) };
        self.output.deflate(&mut self.deflater, &self.pending, FlushCompress::Finish)?;
        self.pending.clear();
        let stored = small(self.output.written - file.body_offset)?;
        let (size, crc) = (small(file.size)?, file.crc.sum());
        let mut descriptor = Fields::new(DESCRIPTOR);
        self.output.write(&descriptor.u32s([crc, stored, size]).0)?;
        let length = u16::try_from(file.name.len()).map_err(|_| too_large())?;
        let mut header = Fields::new(CENTRAL_HEADER);
        header
            .u16s([V20, V20, FLAGS, DEFLATED, 0, 0])
            .u32s([crc, stored, size])
            // No extra fields, no comment, first disk, no attributes.
            .u16s([length, 0, 0, 0, 0])
            .u32s([0, file.header_offset])
            .bytes(file.name.as_bytes());
        self.directory.extend_from_slice(&header.0);
        Ok(())
    }
}

/// Where a zip goes, of which no more than [`MAX_ZIP`] bytes are taken.
struct Output<W> {
    inner: W,
    written: u64,
    /// For what comes out of the compressor.
    buffer: Vec<u8>,
}

impl<W: Write> Output<W> {
    fn offset(&self) -> Result<u32, Error> {
        small(self.written)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.written += bytes.len() as u64;
        if self.written > MAX_ZIP {
            return Err(too_large());
        }
        self.inner.write_all(bytes).map_err(Error::write)
    }

    /// Writes `chunk` deflated; with [`FlushCompress::Finish`] all that is still in the compressor.
    fn deflate(&mut self, deflater: &mut Compress, chunk: &[u8], flush: FlushCompress) -> Result<(), Error> {
        let start = deflater.total_in();
        loop {
            let done = usize::try_from(deflater.total_in() - start).map_err(|_| too_large())?;
            let input = chunk.get(done..).unwrap_or_default();
            self.buffer.clear();
            let status =
                deflater.compress_vec(input, &mut self.buffer, flush).map_err(|e| Error::write(e.into()))?;
            let buffer = std::mem::take(&mut self.buffer);
            self.write(&buffer)?;
            self.buffer = buffer;
            let all_taken = deflater.total_in() - start == chunk.len() as u64;
            let room_left = self.buffer.len() < self.buffer.capacity();
            let finishing = matches!(flush, FlushCompress::Finish);
            if status == Status::StreamEnd || (!finishing && all_taken && room_left) {
                return Ok(());
            }
        }
    }
}

/// The record at the end, preceded by its zip64 form where the number of entries does not fit.
fn end_of_directory(entries: usize, length: u32, start: u32) -> Vec<u8> {
    let mut end = Vec::new();
    let count = u16::try_from(entries).unwrap_or(u16::MAX);
    if count == u16::MAX {
        let entries = entries as u64;
        let (length, start) = (u64::from(length), u64::from(start));
        let mut end64 = Fields::new(END64);
        // The length of what follows it, versions, disks.
        end64.u64s([44]).u16s([V45, V45]).u32s([0, 0]).u64s([entries, entries, length, start]);
        let mut locator = Fields::new(LOCATOR64);
        locator.u32s([0]).u64s([start + length]).u32s([1]);
        end.extend([end64.0, locator.0].concat());
    }
    let mut last = Fields::new(END);
    last.u16s([0, 0, count, count]).u32s([length, start]).u16s([0]);
    end.extend(last.0);
    end
}

/// Little-endian fields after a signature.
struct Fields(Vec<u8>);

impl Fields {
    fn new(signature: [u8; 4]) -> Self {
        Self(signature.to_vec())
    }

    fn u16s<const N: usize>(&mut self, numbers: [u16; N]) -> &mut Self {
        numbers.into_iter().for_each(|n| self.0.extend(n.to_le_bytes()));
        self
    }

    fn u32s<const N: usize>(&mut self, numbers: [u32; N]) -> &mut Self {
        numbers.into_iter().for_each(|n| self.0.extend(n.to_le_bytes()));
        self
    }

    fn u64s<const N: usize>(&mut self, numbers: [u64; N]) -> &mut Self {
        numbers.into_iter().for_each(|n| self.0.extend(n.to_le_bytes()));
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }
}

/// A size or offset, which fits into 32 bits as long as [`MAX_ZIP`] does.
fn small(number: u64) -> Result<u32, Error> {
    u32::try_from(number).map_err(|_| too_large())
}

fn too_large() -> Error {
    Error::malformed(format!("module zip file is too large (limit is {MAX_ZIP} bytes)"))
}
