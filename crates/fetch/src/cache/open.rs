//! Opening what is stored: the hot path.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use quipu_module::{H1, ModuleVersion};
use sha2::{Digest as _, Sha256};

use super::Shared;
use super::in_use::InUse;
use super::mark::{Mark, hex};
use super::tree::{FileKind, Name};
use crate::error::Result;
use crate::info::Info;
use crate::staged::{blocking, disk_error};
use crate::storage::Stored;

/// Files up to this many bytes are kept in memory as a whole.
const SMALL: u64 = 256 << 10;

/// Longest mark that is read, in bytes.
const MAX_MARK: u64 = 4 << 10;

/// A stored and admitted file, ready to be sent.
#[derive(Debug)]
pub struct CachedFile {
    /// Its content.
    pub body: Stored,
    /// Its length in bytes.
    pub length: u64,
    /// A strong validator made from the SHA-256 of the bytes, with its quotes; the same in every copy of the file.
    pub etag: Arc<str>,
    /// Its go.sum hash; none for `.info`.
    pub h1: Option<H1>,
}

impl CachedFile {
    /// All of its bytes.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn bytes(self) -> Result<Bytes> {
        match self.body {
            Stored::Bytes(bytes) => Ok(bytes),
            file @ Stored::File(_) => blocking(|| file.read()).await,
        }
    }
}

/// What is remembered of an admitted file.
#[derive(Clone)]
pub(super) struct Known {
    length: u64,
    etag: Arc<str>,
    h1: Option<H1>,
    /// The content of a small file.
    bytes: Option<Bytes>,
    /// Its use, where that is noted.
    in_use: Option<Arc<InUse>>,
}

impl Known {
    fn of_bytes(bytes: Bytes, h1: Option<H1>) -> Self {
        let sha256: [u8; 32] = Sha256::digest(&bytes).into();
        Self { length: bytes.len() as u64, etag: etag(&sha256), h1, bytes: Some(bytes), in_use: None }
    }

    fn with(&self, body: Stored) -> CachedFile {
        CachedFile { body, length: self.length, etag: self.etag.clone(), h1: self.h1 }
    }
}

impl Shared {
    /// The small file of this name, if it is in memory.
    pub(super) fn recent(self: &Arc<Self>, name: &str) -> Option<CachedFile> {
        let known = self.known.get(name)?;
        let bytes = known.bytes.clone()?;
        if let Some(in_use) = &known.in_use {
            self.touch(in_use);
        }
        Some(known.with(Stored::Bytes(bytes)))
    }

    /// The file, if it is stored and admitted.
    pub(super) fn open(
        self: &Arc<Self>,
        version: &ModuleVersion,
        kind: FileKind,
    ) -> Result<Option<CachedFile>> {
        let name = Name::file(version, kind);
        let known = self.known.get(name.as_str());
        if let Some(known) = &known {
            if let Some(in_use) = &known.in_use {
                self.touch(in_use);
            }
            if let Some(bytes) = &known.bytes {
                return Ok(Some(known.with(Stored::Bytes(bytes.clone()))));
            }
            if let Some(file) = self.reopen(&name, known).map_err(|error| disk_error(&error))? {
                return Ok(Some(known.with(file)));
            }
            self.known.remove(name.as_str());
        }
        self.load(version, kind, &name).map_err(|error| disk_error(&error))
    }

    /// Opens a big file whose facts are known, unless it is not that file any more.
    fn reopen(&self, name: &Name, known: &Known) -> io::Result<Option<Stored>> {
        let Some(file) = self.tree.open(name)? else { return Ok(None) };
        Ok((file.length()? == known.length).then_some(file))
    }

    /// Opens a file of which nothing is known yet.
    fn load(
        self: &Arc<Self>,
        version: &ModuleVersion,
        kind: FileKind,
        name: &Name,
    ) -> io::Result<Option<CachedFile>> {
        let Some(mut file) = self.tree.open(name)? else { return Ok(None) };
        let length = file.length()?;
        let known = match kind {
            FileKind::Info if length > Info::MAX_BYTES as u64 => None,
            FileKind::Info => {
                let bytes = file.read_exactly(length)?;
                is_info_of(version, &bytes).then(|| Known::of_bytes(bytes, None))
            }
            FileKind::GoMod | FileKind::Zip => self.load_marked(&mut file, length, name)?,
        };
        Ok(known.map(|mut known| {
            known.in_use = self.in_use(version, kind);
            if let Some(in_use) = &known.in_use {
                self.touch(in_use);
            }
            let size = known.bytes.as_ref().map_or(0, Bytes::len);
            let body = known.bytes.clone().map_or(file, Stored::Bytes);
            let found = known.with(body);
            self.known.insert(&name.key(), known, size);
            found
        }))
    }

    /// Our own mark of this name, if it is there and whole.
    pub(super) fn read_mark(&self, name: &Name) -> io::Result<Option<Mark>> {
        let mark = self.tree.read_up_to(name, MAX_MARK)?.and_then(|text| Mark::parse(&text));
        Ok(mark.filter(|mark| mark.owner == self.options.owner))
    }

    /// What the mark says of the file, if it has one that belongs to it. Small files are compared byte by byte.
    fn load_marked(&self, file: &mut Stored, length: u64, name: &Name) -> io::Result<Option<Known>> {
        let Some(mark) = self.read_mark(&name.mark())?.filter(|mark| mark.length == length) else {
            return Ok(None);
        };
        if length > SMALL {
            return Ok(Some(Known {
                length,
                etag: etag(&mark.sha256),
                h1: Some(mark.h1),
                bytes: None,
                in_use: None,
            }));
        }
        let known = Known::of_bytes(file.read_exactly(length)?, Some(mark.h1));
        Ok((known.etag == etag(&mark.sha256)).then_some(known))
    }
}

/// Whether `bytes` are an `.info` for exactly this version.
pub(super) fn is_info_of(version: &ModuleVersion, bytes: &[u8]) -> bool {
    Info::parse(version.path(), bytes).is_ok_and(|info| info.version() == version.version())
}

fn etag(sha256: &[u8; 32]) -> Arc<str> {
    format!("\"{}\"", hex(&sha256[..16])).into()
}
