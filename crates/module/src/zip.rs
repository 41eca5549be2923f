//! Module zips: judged and hashed in one pass, and made, exactly as `go` does it.

mod content;
mod directory;
mod files;
mod layout;
mod names;
mod publish;
mod select;
mod source;
mod write;

use std::io::{Read, Seek};

use sha2::{Digest as _, Sha256};

use self::{content::ContentReader, directory::Entry, names::NameChecker, source::Source};
pub use self::{
    files::{ZipFile, list_zip, read_zip_file, read_zip_files},
    publish::check_publish,
    select::{Listed, ListedKind, Omission, Selection, select_files},
    write::ZipWriter,
};
use crate::{
    error::Error,
    h1::{H1, Summary},
    quote::quote,
    version::ModuleVersion,
};

/// The largest module zip, and the largest sum of what the files in it declare as their sizes, in bytes.
pub const MAX_ZIP: u64 = 500 << 20;

/// The largest go.mod and the largest LICENSE in the root of a module, in bytes.
pub const MAX_ROOT_FILE: u64 = 16 << 20;

/// The most entries of a zip and the directories above them, counted together. `go` has no such limit, but
/// no bound on its memory either; a whole Go distribution has 15,000.
pub const MAX_ENTRIES: usize = 1_000_000;

/// What a module zip that was found good contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZipReport {
    /// The hash for go.sum.
    pub hash: H1,
    /// The content of the root go.mod, if there is one; at most [`MAX_ROOT_FILE`] bytes.
    pub go_mod: Option<Vec<u8>>,
    /// How many files it has.
    pub files: usize,
    /// The sum of their sizes, in bytes.
    pub content_size: u64,
    /// The size of the zip itself, in bytes.
    pub zip_size: u64,
}

/// Reads the zip of `module` through: names, sizes, checksums, everything that `go` looks at before it
/// accepts and extracts a zip, and the hash of it all. Holds names in memory, contents never (but go.mod).
///
/// # Errors
/// The zip is not a good zip of this module, or reading it fails.
pub fn check_zip(module: &ModuleVersion, zip: impl Read + Seek) -> Result<ZipReport, Error> {
    judge(module, open(zip)?, Reading::AsGo)
}

/// How closely an entry is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// As Go's `archive/zip` does, which passes over what follows a compressed content and over a missing checksum.
    AsGo,
    /// Every byte is accounted for.
    Exact,
}

fn judge<R: Read + Seek>(
    module: &ModuleVersion,
    mut source: Source<R>,
    reading: Reading,
) -> Result<ZipReport, Error> {
    let entries = directory::read(&mut source)?;
    let mut names = NameChecker::new(module);
    for entry in &entries {
        names
            .check(entry)
            .map_err(|reason| Error::malformed(reason).within(String::from_utf8_lossy(&entry.name)))?;
    }
    let (files, content_size) = names.totals()?;
    let go_mod_name = format!("{module}/go.mod");
    let zip_size = source.size();
    let (hash, go_mod) =
        hash_entries(ContentReader::new(source, reading), entries, Some(go_mod_name.as_bytes()))?;
    Ok(ZipReport { hash, go_mod, files, content_size, zip_size })
}

/// Hashes a zip of any names, as `golang.org/x/mod/sumdb/dirhash.HashZip` does. Of several entries of one
/// name the last one is hashed for all of them. The size limits of module zips hold here, too.
///
/// # Errors
/// It is not a zip, it is too large, its contents are damaged, or reading it fails.
pub fn hash_zip(zip: impl Read + Seek) -> Result<H1, Error> {
    let mut source = open(zip)?;
    let entries = directory::read(&mut source)?;
    hash_entries(ContentReader::new(source, Reading::AsGo), entries, None).map(|(hash, _)| hash)
}

fn open<R: Read + Seek>(zip: R) -> Result<Source<R>, Error> {
    let source = Source::open(zip).map_err(Error::read)?;
    match source.size() {
        size if size > MAX_ZIP => Err(Error::malformed(format!(
            "module zip file is too large ({size} bytes; limit is {MAX_ZIP} bytes)"
        ))),
        _ => Ok(source),
    }
}

/// Hashes all entries and gives the content of the one named `wanted`.
fn hash_entries<R: Read + Seek>(
    mut content: ContentReader<R>,
    mut entries: Vec<Entry>,
    wanted: Option<&[u8]>,
) -> Result<(H1, Option<Vec<u8>>), Error> {
    let_last_entry_win(&mut entries);
    check_total(&entries)?;
    // In the order in which they lie in the file; names are sorted at the end.
    entries.sort_by_key(|entry| entry.header_offset);
    let mut summary = Summary::default();
    let mut kept = None;
    for entry in entries {
        let mut hash = Sha256::new();
        let mut copy = (wanted == Some(entry.name.as_slice())).then(Vec::new);
        let mut sink = |chunk: &[u8]| {
            hash.update(chunk);
            copy.iter_mut().for_each(|copy| copy.extend_from_slice(chunk));
        };
        content.read(&entry, &mut sink).map_err(|e| e.within(format!("zip entry {}", quote(&entry.name))))?;
        kept = kept.or(copy);
        summary.add(entry.name, hash.finalize().into())?;
    }
    Ok((summary.finish(), kept))
}

/// Makes every entry of a name like the last one of that name.
fn let_last_entry_win(entries: &mut [Entry]) {
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    for group in entries.chunk_by_mut(|a, b| a.name == b.name) {
        if let Some((last, earlier)) = group.split_last_mut() {
            earlier.iter_mut().for_each(|entry| entry.clone_from(last));
        }
    }
}

fn check_total(entries: &[Entry]) -> Result<(), Error> {
    let total = entries.iter().try_fold(0u64, |sum, entry| sum.checked_add(entry.size));
    match total {
        Some(total) if total <= MAX_ZIP => Ok(()),
        _ => Err(too_large()),
    }
}

fn too_large() -> Error {
    Error::malformed(format!(
        "total uncompressed size of module contents too large (max size is {MAX_ZIP} bytes)"
    ))
}
