//! The zip of a version, made from the files of its commit.

use std::collections::HashSet;

use bytes::Bytes;
use quipu_module::{Listed, ListedKind, MAX_ROOT_FILE, ZipWriter, select_files};
use tokio::task::spawn_blocking;

use crate::error::{Error, ErrorKind, Result};
use crate::staged::Staged;

use super::history::{Archive, Entry, EntryKind, Tree};
use super::resolver::Contents;

/// How much is compressed in one go, in bytes of content and in files.
const BATCH_BYTES: usize = 512 << 10;
const BATCH_PIECES: usize = 1024;

/// Writes the zip of a version to `zip`, beginning with [`Staged::restart`]: the files of its directory that belong to the
/// module, and the LICENSE of the repository if the directory has none. The same commit gives the same bytes.
///
/// # Errors
/// [`ErrorKind::NotFound`], with `create zip: ` in front and worded as the `go` command does, if no zip may be made of the
/// files; faults of the repository and of the disk. After an error what was written is worthless.
pub async fn write_zip<T: Tree>(tree: &T, contents: &Contents, zip: &mut Staged) -> Result<()> {
    let entries = tree.entries(&contents.commit, &contents.directory).await?;
    let license = root_license(tree, contents, &entries).await?;
    let has_go_mod = entries.iter().any(|entry| entry.path == b"go.mod" && entry.kind == EntryKind::File);
    let mut go_mod = contents.go_mod.clone().filter(|_| has_go_mod);
    let mut kept = select(&entries, license.is_some(), go_mod.as_deref())?;
    loop {
        zip.restart().await?;
        let archive = tree.archive(&contents.commit, &contents.directory).await?;
        let mut packer = Packer { reader: Reader::new(archive, &kept), zip };
        packer.pack(ZipWriter::new(&contents.version, Vec::new()), license.clone()).await?;
        // What go.mod says about its go version is what it says after conversion, and decides about vendored files.
        let converted = packer.reader.go_mod.map(Bytes::from);
        if converted == go_mod {
            return Ok(());
        }
        let others = select(&entries, license.is_some(), converted.as_deref())?;
        if others == kept {
            return Ok(());
        }
        (kept, go_mod) = (others, converted);
    }
}

/// The LICENSE in the root of the repository, if it has to stand in for a missing one.
async fn root_license<T: Tree>(tree: &T, contents: &Contents, entries: &[Entry]) -> Result<Option<Bytes>> {
    let is_own = |entry: &Entry| entry.path == b"LICENSE" && entry.kind != EntryKind::Gitlink;
    if contents.directory.is_empty() || entries.iter().any(is_own) {
        return Ok(None);
    }
    let license = tree.file(&contents.commit, "LICENSE", MAX_ROOT_FILE).await;
    license.map_err(|error| match error.kind() {
        ErrorKind::TooLarge => {
            refusal(format!("LICENSE: LICENSE file too large (max size is {MAX_ROOT_FILE} bytes)"))
        }
        _ => error,
    })
}

/// The paths that belong to the module. Sizes are judged when they are known: conversion changes them.
fn select(entries: &[Entry], adds_license: bool, go_mod: Option<&[u8]>) -> Result<HashSet<Vec<u8>>> {
    let listed = entries.iter().filter_map(|entry| {
        let kind = match entry.kind {
            EntryKind::File => ListedKind::File,
            EntryKind::Symlink => ListedKind::Symlink,
            EntryKind::Gitlink => return None,
        };
        Some(Listed { path: &entry.path, kind, size: 0 })
    });
    let license = Listed { path: b"LICENSE", kind: ListedKind::File, size: 0 };
    let listed: Vec<Listed<'_>> = listed.chain(adds_license.then_some(license)).collect();
    let selection = select_files(go_mod, &listed);
    selection.check().map_err(refusal)?;
    let added = adds_license.then_some(license.path);
    let from_archive = selection.kept.into_iter().map(str::as_bytes).filter(|path| Some(*path) != added);
    Ok(from_archive.map(<[u8]>::to_vec).collect())
}

fn refusal(why: impl std::fmt::Display) -> Error {
    Error::not_found(format!("create zip: {why}"))
}

/// What is to be compressed next.
enum Piece {
    File(String),
    Content(Bytes),
}

/// Reads an archive ahead of the compression.
struct Reader<'k, A> {
    archive: A,
    kept: &'k HashSet<Vec<u8>>,
    /// How many files of `kept` have come.
    found: usize,
    /// Whether the file that is being read is kept.
    in_kept: bool,
    /// Whether it is the root go.mod.
    in_go_mod: bool,
    /// The content of the root go.mod, as far as it was read.
    go_mod: Option<Vec<u8>>,
    at_end: bool,
}

impl<'k, A: Archive> Reader<'k, A> {
    fn new(archive: A, kept: &'k HashSet<Vec<u8>>) -> Self {
        Self { archive, kept, found: 0, in_kept: false, in_go_mod: false, go_mod: None, at_end: false }
    }

    /// The next pieces; none at the end.
    async fn batch(&mut self) -> Result<Vec<Piece>> {
        let mut batch = Vec::new();
        let mut size = 0;
        while !self.at_end && size < BATCH_BYTES && batch.len() < BATCH_PIECES {
            if self.in_kept
                && let Some(chunk) = self.archive.chunk().await?
            {
                size += chunk.len();
                self.keep_go_mod(&chunk);
                batch.push(Piece::Content(chunk));
                continue;
            }
            batch.extend(self.next_file().await?.map(Piece::File));
        }
        Ok(batch)
    }

    /// Goes on to the next file, and gives its path if it is kept.
    async fn next_file(&mut self) -> Result<Option<String>> {
        let Some(file) = self.archive.next_file().await? else {
            self.at_end = true;
            return if self.found == self.kept.len() { Ok(None) } else { Err(incomplete()) };
        };
        self.in_kept = file.kind == EntryKind::File && self.kept.contains(&file.path);
        if !self.in_kept {
            return Ok(None);
        }
        self.found += 1;
        self.in_go_mod = file.path == b"go.mod";
        if self.in_go_mod {
            self.go_mod = Some(Vec::new());
        }
        String::from_utf8(file.path).map(Some).map_err(|_| incomplete())
    }

    fn keep_go_mod(&mut self, chunk: &[u8]) {
        if let Some(go_mod) = self.go_mod.as_mut().filter(|_| self.in_go_mod) {
            go_mod.extend_from_slice(chunk);
        }
    }
}

fn incomplete() -> Error {
    Error::unavailable("the archive of the repository is not the tree of its commit")
}

struct Packer<'k, 'z, A> {
    reader: Reader<'k, A>,
    zip: &'z mut Staged,
}

impl<A: Archive> Packer<'_, '_, A> {
    /// Packs all kept files, then `license`. Reads one batch while the one before is compressed.
    async fn pack(&mut self, mut writer: ZipWriter<Vec<u8>>, license: Option<Bytes>) -> Result<()> {
        let mut batch = self.reader.batch().await?;
        while !batch.is_empty() {
            let (next, compressed) = tokio::join!(self.reader.batch(), compress(writer, batch));
            writer = compressed?;
            self.drain(&mut writer).await?;
            batch = next?;
        }
        if let Some(license) = license {
            let pieces = vec![Piece::File("LICENSE".into()), Piece::Content(license)];
            writer = compress(writer, pieces).await?;
        }
        let rest = writer.finish().map_err(refusal)?;
        self.zip.write(&rest).await
    }

    async fn drain(&mut self, writer: &mut ZipWriter<Vec<u8>>) -> Result<()> {
        self.zip.write(writer.get_mut()).await?;
        writer.get_mut().clear();
        Ok(())
    }
}

/// Compresses where it may take a while.
async fn compress(mut writer: ZipWriter<Vec<u8>>, pieces: Vec<Piece>) -> Result<ZipWriter<Vec<u8>>> {
    let work = spawn_blocking(move || {
        for piece in pieces {
            match piece {
                Piece::File(path) => writer.start_file(&path)?,
                Piece::Content(content) => writer.write(&content)?,
            }
        }
        Ok::<_, quipu_module::Error>(writer)
    });
    match work.await {
        Ok(result) => result.map_err(refusal),
        Err(_) => Err(Error::unavailable("internal error while making a zip")),
    }
}
