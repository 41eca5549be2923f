//! Reads the tar stream of `git archive`, with nothing in memory but the current piece.
//!
//! git writes ustar headers, and pax headers (POSIX.1-2001) before entries whose path, link target or size does not fit in.

use bytes::Bytes;

use super::repository::Held;
use super::stream::{Stream, odd};
use crate::error::{Error, Result};
use crate::vcs::{Archive, ArchivedFile, EntryKind};

/// Length of a header, and what everything is padded to, in bytes.
const BLOCK: usize = 512;

/// Longest pax header, in bytes; git itself writes a path and a link target at most.
const MAX_PAX: u64 = 64 << 10;

/// Files of a commit as `git archive` gives them.
pub struct GitArchive {
    /// `None` once the end was seen.
    stream: Option<Stream>,
    /// Keeps the repository in place.
    _held: Held,
    /// What all paths begin with; empty, or with a slash at the end.
    prefix: Vec<u8>,
    /// Bytes left of the current file, and of the padding after it.
    left: u64,
    padding: u64,
    /// The target of the current symbolic link.
    target: Option<Bytes>,
}

impl GitArchive {
    pub(super) fn new(stream: Stream, held: Held, dir: &str) -> Self {
        let prefix = if dir.is_empty() { Vec::new() } else { format!("{dir}/").into_bytes() };
        Self { stream: Some(stream), _held: held, prefix, left: 0, padding: 0, target: None }
    }

    /// An archive with nothing in it.
    pub(super) fn empty(held: Held) -> Self {
        Self { stream: None, _held: held, prefix: Vec::new(), left: 0, padding: 0, target: None }
    }

    /// The next header that is no pax header, with what those before it said.
    async fn header(&mut self) -> Result<Option<(Header, Pax)>> {
        let Some(stream) = &mut self.stream else { return Ok(None) };
        let mut pax = Pax::default();
        loop {
            let block = stream.exact(BLOCK).await?;
            if block.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            let header = Header::parse(&block).ok_or_else(odd)?;
            if !matches!(header.kind, b'x' | b'g') {
                return Ok(Some((header, pax)));
            }
            let length =
                usize::try_from(header.size).ok().filter(|_| header.size <= MAX_PAX).ok_or_else(odd)?;
            let body = stream.exact(length).await?;
            stream.exact(usize::try_from(padding(header.size)).unwrap_or(0)).await?;
            if header.kind == b'x' {
                pax = Pax::parse(&body).ok_or_else(odd)?;
            }
        }
    }

    /// The end of the stream is only believed if git says that it is the end.
    async fn end(&mut self) -> Result<()> {
        let Some(stream) = self.stream.take() else { return Ok(()) };
        let exit = stream.finish().await?;
        if exit.is_success() {
            return Ok(());
        }
        tracing::warn!(code = exit.code(), said = exit.stderr(), "git archive failed");
        Err(Error::unavailable("the files of the commit cannot be read"))
    }

    fn relative(&self, path: &[u8]) -> Option<Vec<u8>> {
        path.strip_prefix(&*self.prefix).filter(|path| !path.is_empty()).map(<[u8]>::to_vec)
    }
}

impl Archive for GitArchive {
    async fn next_file(&mut self) -> Result<Option<ArchivedFile>> {
        self.target = None;
        while self.chunk().await?.is_some() {}
        while let Some((header, pax)) = self.header().await? {
            let path = pax.path.unwrap_or(header.path);
            let size = pax.size.unwrap_or(header.size);
            (self.left, self.padding) = (size, padding(size));
            let kind = match header.kind {
                b'0' | 0 => EntryKind::File,
                b'2' if size == 0 => EntryKind::Symlink,
                b'5' if size == 0 => continue,
                _ => return Err(odd()),
            };
            let path = self.relative(&path).ok_or_else(odd)?;
            if kind == EntryKind::File {
                return Ok(Some(ArchivedFile { path, kind, size }));
            }
            let target = pax.link.unwrap_or(header.link);
            let size = target.len() as u64;
            self.target = Some(target.into());
            return Ok(Some(ArchivedFile { path, kind, size }));
        }
        self.end().await?;
        Ok(None)
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>> {
        if let Some(target) = self.target.take() {
            return Ok((!target.is_empty()).then_some(target));
        }
        let Some(stream) = self.stream.as_mut().filter(|_| self.left > 0) else { return Ok(None) };
        let chunk = stream.some(self.left).await?;
        self.left = self.left.saturating_sub(chunk.len() as u64);
        if self.left == 0 {
            let padding = usize::try_from(std::mem::take(&mut self.padding)).unwrap_or(0);
            stream.exact(padding).await?;
        }
        Ok(Some(chunk))
    }
}

/// How many bytes follow `size` bytes up to the next block.
fn padding(size: u64) -> u64 {
    let block = BLOCK as u64;
    (block - size % block) % block
}

/// A ustar header.
struct Header {
    kind: u8,
    path: Vec<u8>,
    link: Vec<u8>,
    size: u64,
}

impl Header {
    fn parse(block: &[u8]) -> Option<Self> {
        let sum = block.iter().enumerate().map(|(at, byte)| match at {
            // The field of the sum itself counts as spaces.
            148..156 => 32,
            _ => u64::from(*byte),
        });
        if octal(block.get(148..156)?)? != sum.sum::<u64>() || block.get(257..262)? != b"ustar" {
            return None;
        }
        let (name, prefix) = (text(block.get(..100)?), text(block.get(345..500)?));
        let path = if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() };
        let link = text(block.get(157..257)?).to_vec();
        Some(Self { kind: *block.get(156)?, path, link, size: octal(block.get(124..136)?)? })
    }
}

/// What replaces fields of the header that follows.
#[derive(Debug, Default, PartialEq, Eq)]
struct Pax {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Pax {
    /// Records of the form `<length> <key>=<value>\n`, the length being that of the whole record.
    fn parse(mut body: &[u8]) -> Option<Self> {
        let mut pax = Self::default();
        while !body.is_empty() {
            let space = body.iter().position(|byte| *byte == b' ')?;
            let length: usize = std::str::from_utf8(body.get(..space)?).ok()?.parse().ok()?;
            let record = body.get(space.checked_add(1)?..length)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|byte| *byte == b'=')?;
            let value = record.get(equals.checked_add(1)?..)?.to_vec();
            match record.get(..equals)? {
                b"path" => pax.path = Some(value),
                b"linkpath" => pax.link = Some(value),
                b"size" => pax.size = Some(String::from_utf8(value).ok()?.parse().ok()?),
                _ => {}
            }
            body = body.get(length..)?;
        }
        Some(pax)
    }
}

/// A field up to its first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// An octal number, ended by a space or NUL and padded with either.
fn octal(field: &[u8]) -> Option<u64> {
    let field = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    u64::from_str_radix(field, 8).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pax_records_parse() {
        let pax = Pax::parse(b"12 path=a/b\n19 linkpath=x=y\nz !\n11 size=77\n15 comment=abc\n");
        assert_eq!(pax, None, "a record whose length is wrong");
        let pax = Pax::parse(b"12 path=a/b\n18 linkpath=x=y\nz\n11 size=77\n15 comment=abc\n").unwrap();
        assert_eq!(pax, Pax { path: Some(b"a/b".to_vec()), link: Some(b"x=y\nz".to_vec()), size: Some(77) });
        for bad in
            [&b"5 a\n"[..], b"x a=b\n", b"99 a=b\n", b"3 a=b\n", b"0 a=b\n", b"12 size=abcd\n", b"6 a=bc"]
        {
            assert_eq!(Pax::parse(bad), None);
        }
    }

    #[test]
    fn numbers_and_padding() {
        assert_eq!(octal(b"00000000017\0"), Some(15));
        assert_eq!(octal(b"0001234 "), Some(0o1234));
        assert_eq!(octal(b"\0\0\0"), None);
        assert_eq!(octal(b"\x80\0\0\0"), None);
        assert_eq!([0, 1, 511, 512, 513].map(padding), [0, 511, 1, 0, 511]);
    }

    proptest! {
        #[test]
        fn nothing_panics(block in proptest::collection::vec(any::<u8>(), 512), body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Header::parse(&block);
            let _ = Pax::parse(&body);
        }
    }
}
