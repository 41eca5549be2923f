//! Looking through directories of the go command: bounded, and never writing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;

use crate::local::bounded;

/// A file and when it was last changed.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// The path below the directory that was looked through, with slashes.
    pub(crate) name: String,
    pub(crate) changed: SystemTime,
    pub(crate) size: u64,
}

/// The regular files below a directory, newest first, as far as `most` go. Links are not followed. `skip` names
/// directories right below that are passed over.
pub(crate) fn files_below(dir: &Path, skip: &[&str], most: usize) -> Vec<Found> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            let path = entry.path();
            if meta.is_dir() {
                let skipped =
                    next == dir && entry.file_name().to_str().is_some_and(|name| skip.contains(&name));
                if !skipped && open.len() < most {
                    open.push(path);
                }
            } else if meta.is_file() && found.len() < most {
                let Some(name) = path.strip_prefix(dir).ok().and_then(Path::to_str) else { continue };
                let name = name.replace(std::path::MAIN_SEPARATOR, "/");
                let changed = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                found.push(Found { path, name, changed, size: meta.len() });
            }
        }
    }
    found.sort_by(|a, b| b.changed.cmp(&a.changed).then_with(|| a.name.cmp(&b.name)));
    found
}

/// The content of a small file.
///
/// # Errors
/// It cannot be read, or is larger than `most`.
pub(crate) fn read_small(path: &Path, most: u64) -> io::Result<Bytes> {
    let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, "far too large");
    bounded(path, most)?.map(Bytes::from).ok_or_else(too_large)
}
