//! What is in a zip, file by file: for showing where two zips differ.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use sha2::{Digest as _, Sha256};

use super::{Reading, check_total, content::ContentReader, directory, let_last_entry_win, open};
use crate::{error::Error, quote::quote};

/// A file in a zip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZipFile {
    /// The name, in bytes of no known encoding.
    pub name: Vec<u8>,
    /// The size of the content in bytes.
    pub size: u64,
    /// The SHA-256 of the content.
    pub hash: [u8; 32],
}

/// Lists what [`hash_zip`](super::hash_zip) hashes, in the order of names, each name once. Holds names in memory,
/// contents never.
///
/// # Errors
/// Those of [`hash_zip`](super::hash_zip).
pub fn list_zip(zip: impl Read + Seek) -> Result<Vec<ZipFile>, Error> {
    let mut files = Vec::new();
    each_entry(
        zip,
        |_, _| true,
        |name, size, content| {
            let mut hash = Sha256::new();
            content(&mut |chunk| hash.update(chunk))?;
            files.push(ZipFile { name, size, hash: hash.finalize().into() });
            Ok(())
        },
    )?;
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// The content of the file of this name, if there is one and it has `limit` bytes at most.
///
/// # Errors
/// It is not a zip, it is too large, this content is damaged, or reading it fails.
pub fn read_zip_file(zip: impl Read + Seek, name: &[u8], limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let mut found = None;
    each_entry(
        zip,
        |other, size| other == name && size <= limit,
        |_, _, content| {
            let mut bytes = Vec::new();
            content(&mut |chunk| bytes.extend_from_slice(chunk))?;
            found = Some(bytes);
            Ok(())
        },
    )?;
    Ok(found)
}

/// The contents of the files that are `wanted` by their names and their sizes in bytes, by their names. No others are read.
///
/// # Errors
/// It is not a zip, it is too large, one of these contents is damaged, or reading it fails.
pub fn read_zip_files(
    zip: impl Read + Seek,
    wanted: impl Fn(&[u8], u64) -> bool,
) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
    let mut files = BTreeMap::new();
    each_entry(zip, wanted, |name, _, content| {
        let mut bytes = Vec::new();
        content(&mut |chunk| bytes.extend_from_slice(chunk))?;
        files.insert(name, bytes);
        Ok(())
    })?;
    Ok(files)
}

/// Gives the content of an entry to a sink, piece by piece.
type Content<'a> = dyn FnMut(&mut dyn FnMut(&[u8])) -> Result<(), Error> + 'a;

/// Hands name, size and content of each entry that is `wanted` to `take`, in the order in which they lie in the file.
fn each_entry(
    zip: impl Read + Seek,
    wanted: impl Fn(&[u8], u64) -> bool,
    mut take: impl FnMut(Vec<u8>, u64, &mut Content<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut source = open(zip)?;
    let mut entries = directory::read(&mut source)?;
    let_last_entry_win(&mut entries);
    entries.dedup_by(|a, b| a.name == b.name);
    check_total(&entries)?;
    entries.retain(|entry| wanted(&entry.name, entry.size));
    entries.sort_by_key(|entry| entry.header_offset);
    let mut reader = ContentReader::new(source, Reading::AsGo);
    for entry in entries {
        let mut content = |sink: &mut dyn FnMut(&[u8])| {
            reader.read(&entry, sink).map_err(|e| e.within(format!("zip entry {}", quote(&entry.name))))
        };
        take(entry.name.clone(), entry.size, &mut content)?;
    }
    Ok(())
}
