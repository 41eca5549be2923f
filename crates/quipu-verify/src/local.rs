//! Files that the go command keeps of a module, and their hashes.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use quipu_module::{ErrorKind, H1, MAX_ROOT_FILE, hash_go_mod, hash_zip};

/// Why a file has no hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoHash {
    /// There is no such file.
    Absent,
    /// It is not what it should be, and no log can hold it.
    Damaged(String),
    /// It cannot be read.
    Unreadable(String),
}

/// The hash of a zip.
///
/// # Errors
/// See [`NoHash`].
pub(crate) fn zip_hash(path: &Path) -> Result<H1, NoHash> {
    let file = File::open(path).map_err(unreadable)?;
    hash_zip(file).map_err(|error| match error.kind() {
        ErrorKind::Malformed => NoHash::Damaged(error.to_string()),
        _ => NoHash::Unreadable(error.to_string()),
    })
}

/// The hash of a go.mod file.
///
/// # Errors
/// See [`NoHash`].
pub(crate) fn go_mod_hash(path: &Path) -> Result<H1, NoHash> {
    Ok(hash_go_mod(&read(path, MAX_ROOT_FILE)?))
}

/// The hash in a `.ziphash` file: that of the zip when the go command had downloaded it.
///
/// # Errors
/// See [`NoHash`].
pub(crate) fn recorded_hash(path: &Path) -> Result<H1, NoHash> {
    let text = String::from_utf8_lossy(&read(path, MAX_RECORDED)?).trim().to_owned();
    text.parse().map_err(|error: quipu_module::Error| NoHash::Damaged(error.to_string()))
}

/// The content of a file of at most `limit` bytes.
///
/// # Errors
/// See [`NoHash`]; a longer file counts as damaged.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, NoHash> {
    let content = bounded(path, limit).map_err(unreadable)?;
    content.ok_or_else(|| NoHash::Damaged(format!("it has more than {limit} bytes")))
}

/// The content of a file; none if it has more than `limit` bytes. No more than one byte beyond that is ever read.
///
/// # Errors
/// It cannot be read.
pub(crate) fn bounded(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut content)?;
    Ok((content.len() as u64 <= limit).then_some(content))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: io::Error) -> NoHash {
    match error.kind() {
        io::ErrorKind::NotFound => NoHash::Absent,
        _ => NoHash::Unreadable(error.to_string()),
    }
}

impl std::fmt::Display for NoHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent => f.write_str("there is no such file"),
            Self::Damaged(why) => write!(f, "damaged: {why}"),
            Self::Unreadable(why) => write!(f, "cannot be read: {why}"),
        }
    }
}

const MAX_RECORDED: u64 = 1024;
