//! A tree by its size and root, and the texts of it that are signed.

use crate::hash::Hash;
use crate::node::MAX_SIZE;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// The state of a log: how many records it has, and the hash over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tree {
    /// Number of records.
    pub size: u64,
    /// Hash of the whole tree.
    pub root: Hash,
}

/// First line of the text of a tree in the Go checksum database.
const SUMDB_LINE: &str = "go.sum database tree";

/// Longest text that is read as a tree, in bytes.
const MAX_TREE_TEXT: usize = 1_000_000;

/// The text of a tree that a Go checksum database signs: the constant first line, the size, the root.
pub fn format_tree(tree: &Tree) -> String {
    format_checkpoint(SUMDB_LINE, tree)
}

/// Reads the text of a tree that a Go checksum database signed. Further lines are permitted and mean nothing.
///
/// Accepts exactly what the Go reference does; of other than canonical forms only those of the root, see
/// [`Hash::from_str`](std::str::FromStr).
///
/// # Errors
///
/// [`MalformedTree`] for everything else, also for texts of more than 1,000,000 bytes.
pub fn parse_tree(text: impl AsRef<[u8]>) -> Result<Tree, MalformedTree> {
    let [first, size, root, _] = lines(text.as_ref()).ok_or(MalformedTree)?;
    if first != SUMDB_LINE.as_bytes() {
        return Err(MalformedTree);
    }
    let size = parse_size(size).ok_or(MalformedTree)?;
    let root = Hash::parse_lenient(root).map_err(|_| MalformedTree)?;
    Ok(Tree { size, root })
}

/// The text of a [C2SP checkpoint] without extension lines. `origin` names the log; it must be one non-empty
/// line.
///
/// [C2SP checkpoint]: https://c2sp.org/tlog-checkpoint
pub fn format_checkpoint(origin: &str, tree: &Tree) -> String {
    format!("{origin}\n{}\n{}\n", tree.size, tree.root)
}

/// Reads the text of a [C2SP checkpoint] of the log named `origin`. Extension lines are permitted and mean nothing
/// here; the root must be in canonical base64.
///
/// # Errors
///
/// [`MalformedTree`] if the text is not a checkpoint, is one of another origin, or has more than 1,000,000 bytes.
///
/// [C2SP checkpoint]: https://c2sp.org/tlog-checkpoint
pub fn parse_checkpoint(text: impl AsRef<[u8]>, origin: &str) -> Result<Tree, MalformedTree> {
    let [first, size, root, extensions] = lines(text.as_ref()).ok_or(MalformedTree)?;
    if origin.is_empty() || first != origin.as_bytes() || !are_extensions(extensions) {
        return Err(MalformedTree);
    }
    let size = parse_size(size).ok_or(MalformedTree)?;
    let root = STANDARD.decode(root).ok().and_then(|root| root.try_into().ok()).ok_or(MalformedTree)?;
    Ok(Tree { size, root: Hash::from_bytes(root) })
}

/// The first three lines without their LF, and what follows.
fn lines(text: &[u8]) -> Option<[&[u8]; 4]> {
    if text.len() > MAX_TREE_TEXT {
        return None;
    }
    let mut parts = text.splitn(4, |b| *b == b'\n');
    Some([parts.next()?, parts.next()?, parts.next()?, parts.next()?])
}

/// Canonical decimal, at most 2^63 - 1.
fn parse_size(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let size: u64 = text.parse().ok().filter(|size| *size <= MAX_SIZE)?;
    if size.to_string() == text { Some(size) } else { None }
}

/// No lines, or non-empty lines.
fn are_extensions(text: &[u8]) -> bool {
    match text.split_last() {
        None => true,
        Some((last, lines)) => *last == b'\n' && lines.split(|b| *b == b'\n').all(|line| !line.is_empty()),
    }
}

/// A text is not that of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedTree;

impl fmt::Display for MalformedTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed tree note")
    }
}

impl std::error::Error for MalformedTree {}
