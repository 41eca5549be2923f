//! What the rules ask of a repository: its references, its commits, and the files in them.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::Result;

/// The full name of an object: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(Arc<str>);

impl Oid {
    /// Takes `text` if it is a full name; `None` if it is not.
    pub fn parse(text: &str) -> Option<Self> {
        (matches!(text.len(), 40 | 64) && is_lower_hex(text)).then(|| Self(text.into()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, which stand for a commit in pseudo-versions.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The references that versions can come from. All others (pull requests, notes) do not exist for the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refs {
    /// The commit of the default branch; `None` in an empty repository.
    pub head: Option<Oid>,
    /// Branches: names without `refs/heads/`.
    pub heads: BTreeMap<String, Oid>,
    /// Tags: names without `refs/tags/`, and what they finally point at (annotated tags are peeled).
    pub tags: BTreeMap<String, Oid>,
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its full name.
    pub id: Oid,
    /// When it was committed (not authored), in seconds since 1970-01-01 00:00:00 UTC.
    pub time: i64,
}

/// A repository as its references and commits. Whoever implements this sees to it that all answers of one value
/// are about one state of the references, or newer, and that only commits reachable from [`Refs`] are found.
///
/// Faults (network, deadline, disk) are errors of any kind but [`ErrorKind::NotFound`](crate::ErrorKind::NotFound),
/// which is said of a repository that definitely does not exist.
pub trait History: Send + Sync {
    /// The references.
    fn refs(&self) -> impl Future<Output = Result<Arc<Refs>>> + Send;

    /// The commit that `rev` names: a full name, or at least 7 lower-case hex digits with which the name of exactly one
    /// commit reachable from the references begins. `None` if there is none, more than one, or no such commit.
    fn commit(&self, rev: &str) -> impl Future<Output = Result<Option<Commit>>> + Send;

    /// The names of all tags on `commit` and on its ancestors, in any order.
    fn tags_before(&self, commit: &Oid) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// Whether `ancestor` is `commit` or an ancestor of it. Objects that are no commits have no descendants.
    fn is_ancestor(&self, ancestor: &Oid, commit: &Oid) -> impl Future<Output = Result<bool>> + Send;

    /// The raw content of the file at `path` (of a symbolic link: its target). `None` if there is nothing, or a directory.
    ///
    /// # Errors
    /// Among others [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) if it has more than `max_bytes`.
    fn file(
        &self,
        commit: &Oid,
        path: &str,
        max_bytes: u64,
    ) -> impl Future<Output = Result<Option<Bytes>>> + Send;
}

/// A repository as its trees of files.
pub trait Tree: History {
    /// The stream of [`Tree::archive`].
    type Archive: Archive;

    /// All files, symbolic links and submodules below the directory `dir` (empty: the root), in any order.
    fn entries(&self, commit: &Oid, dir: &str) -> impl Future<Output = Result<Vec<Entry>>> + Send;

    /// The files below `dir` with the contents that `git archive` gives them where `core.autocrlf` is `input`,
    /// `core.eol` is `lf`, and the attributes `export-ignore` and `export-subst` are off for all paths.
    fn archive(&self, commit: &Oid, dir: &str) -> impl Future<Output = Result<Self::Archive>> + Send;
}

/// Something in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path, relative to the directory that was asked for. Need not be UTF-8.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Length of the raw content, in bytes; 0 for submodules.
    pub size: u64,
}

/// What an [`Entry`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A regular file, executable or not.
    File,
    /// A symbolic link; its content is its target.
    Symlink,
    /// A commit of another repository: a submodule.
    Gitlink,
}

/// Files under way, one after the other.
pub trait Archive: Send {
    /// Goes on to the next file, passing over what is left of the current one. `None` after the last.
    ///
    /// # Errors
    /// The stream broke off or is malformed: then nothing that was read before counts.
    fn next_file(&mut self) -> impl Future<Output = Result<Option<ArchivedFile>>> + Send;

    /// The next piece of the current file's content, never empty; `None` at its end.
    ///
    /// # Errors
    /// As for [`Archive::next_file`].
    fn chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>>> + Send;
}

/// What an [`Archive`] says of a file before its content. Directories and submodules do not appear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedFile {
    /// Its path, relative to the directory that was asked for.
    pub path: Vec<u8>,
    /// [`EntryKind::File`] or [`EntryKind::Symlink`].
    pub kind: EntryKind,
    /// Length of the converted content, in bytes.
    pub size: u64,
}

/// Whether `text` is lower-case hex digits and nothing else.
pub(crate) fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_full_and_lower_case() {
        let sha1 = "96079b307c121398831a78652e04bc69414aecca";
        assert_eq!(Oid::parse(sha1).unwrap().short(), "96079b307c12");
        let sha256 = format!("{sha1}96079b307c121398831a7865");
        assert_eq!(Oid::parse(&sha256).unwrap().to_string(), sha256);
        for bad in ["", "96079b3", &sha1.to_uppercase(), &sha1.replace('9', "g"), &sha256[1..]] {
            assert_eq!(Oid::parse(bad), None, "{bad}");
        }
    }
}
