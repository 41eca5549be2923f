//! The `h1:` hash of go.sum: SHA-256 over a sorted list of files and their SHA-256 hashes.

use std::{fmt, io::Read, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use crate::{error::Error, quote::quote};

/// How much is read at a time.
pub(crate) const CHUNK: usize = 128 << 10;

/// A directory hash as in go.sum: `h1:` and 32 bytes in base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct H1([u8; 32]);

impl H1 {
    /// The hash of an empty go.mod. Old versions of `go` wrote it by mistake; `go` drops it when reading a
    /// go.sum, and a log must never hold it.
    pub const EMPTY_GO_MOD: Self = Self([
        0x1b, 0xb9, 0x80, 0x61, 0x8c, 0x60, 0x99, 0x2d, 0x25, 0x56, 0x41, 0xf2, 0xcb, 0x68, 0x44, 0x38, 0xb4,
        0x02, 0x14, 0x1d, 0x03, 0x95, 0x01, 0x53, 0x30, 0xb5, 0xa0, 0x83, 0x29, 0x2b, 0xc9, 0xd6,
    ]);

    /// Takes 32 bytes as a hash.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for H1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "h1:{}", STANDARD.encode(self.0))
    }
}

impl FromStr for H1 {
    type Err = Error;

    /// Parses exactly what `Display` writes.
    fn from_str(text: &str) -> Result<Self, Error> {
        text.strip_prefix("h1:")
            .and_then(|base64| STANDARD.decode(base64).ok())
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| Error::malformed(format!("malformed h1 hash {}", quote(text))))
    }
}

/// Hashes files given as `(name, content)` in any order. Names are the complete names that stand in a
/// module zip, `<path>@<version>/<file>`.
///
/// # Errors
/// A name contains a line feed, or a reader fails.
pub fn hash_files<N, R>(files: impl IntoIterator<Item = (N, R)>) -> Result<H1, Error>
where
    N: Into<Vec<u8>>,
    R: Read,
{
    let mut summary = Summary::default();
    let mut buffer = vec![0; CHUNK];
    for (name, content) in files {
        summary.add(name.into(), hash_reader(content, &mut buffer)?)?;
    }
    Ok(summary.finish())
}

/// Hashes the bytes of a go.mod file, for the `/go.mod` line of go.sum.
#[must_use]
pub fn hash_go_mod(content: &[u8]) -> H1 {
    let mut hash = Sha256::new();
    update_with_file(&mut hash, b"go.mod", &Sha256::digest(content).into());
    H1(hash.finalize().into())
}

/// Collects the files of an `h1:` hash, then hashes them in the order of their names.
#[derive(Default)]
pub(crate) struct Summary {
    files: Vec<(Vec<u8>, [u8; 32])>,
}

impl Summary {
    /// Adds a file by name and SHA-256 of its content.
    pub(crate) fn add(&mut self, name: Vec<u8>, content_hash: [u8; 32]) -> Result<(), Error> {
        if name.contains(&b'\n') {
            return Err(Error::malformed("dirhash: filenames with newlines are not supported"));
        }
        self.files.push((name, content_hash));
        Ok(())
    }

    pub(crate) fn finish(mut self) -> H1 {
        self.files.sort();
        let mut hash = Sha256::new();
        for (name, content_hash) in &self.files {
            update_with_file(&mut hash, name, content_hash);
        }
        H1(hash.finalize().into())
    }
}

/// One line of what `sha256sum` prints.
fn update_with_file(hash: &mut Sha256, name: &[u8], content_hash: &[u8; 32]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'?');
    let mut line = Vec::with_capacity(64 + 2 + name.len() + 1);
    line.extend(content_hash.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    line.extend_from_slice(b"  ");
    line.extend_from_slice(name);
    line.push(b'\n');
    hash.update(&line);
}

fn hash_reader(mut content: impl Read, buffer: &mut [u8]) -> Result<[u8; 32], Error> {
    let mut hash = Sha256::new();
    loop {
        match content.read(buffer) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(n) => hash.update(buffer.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::read(e)),
        }
    }
}
