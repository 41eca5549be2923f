//! What a name stands for in a repository: a tag, a branch, the default branch, or a commit.

use crate::error::{Error, Result};

use super::history::{Commit, History, Refs, is_lower_hex};

/// A name that was found.
pub(super) struct Revision {
    pub(super) commit: Commit,
    /// The tag of that very name.
    pub(super) tag: Option<String>,
    /// The full name of the reference by which it was found: `HEAD`, `refs/heads/…` or `refs/tags/…`.
    pub(super) reference: Option<String>,
    /// All tags on the commit, in the order of their names.
    pub(super) tags: Vec<String>,
}

/// Fewer digits name no commit.
const MIN_DIGITS: usize = 7;

impl Revision {
    /// Finds `name`: tags come before branches, these before `HEAD`, and commits last.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is no such revision, or faults of the history.
    pub(super) async fn find<H: History>(history: &H, refs: &Refs, name: &str) -> Result<Self> {
        let unknown = || Error::not_found(format!("unknown revision {name}"));
        if let Some(id) = refs.tags.get(name) {
            let commit = history.commit(id.as_str()).await?.ok_or_else(unknown)?;
            let reference = Some(format!("refs/tags/{name}"));
            return Ok(Self { tag: Some(name.to_owned()), ..Self::at(commit, reference, refs) });
        }
        let branch = refs.heads.get(name).map(|id| (id, format!("refs/heads/{name}")));
        let head = refs.head.as_ref().filter(|_| name == "HEAD").map(|id| (id, name.to_owned()));
        if let Some((id, reference)) = branch.or(head) {
            let commit = history.commit(id.as_str()).await?.ok_or_else(unknown)?;
            return Ok(Self::at(commit, Some(reference), refs));
        }
        if name.len() < MIN_DIGITS || !is_lower_hex(name) {
            return Err(unknown());
        }
        let (id, reference) = by_prefix(refs, name)?;
        let commit = history.commit(id.unwrap_or(name)).await?.ok_or_else(unknown)?;
        Ok(Self::at(commit, reference, refs))
    }

    /// The default branch itself, whatever else may be called `HEAD`.
    ///
    /// # Errors
    /// As [`Revision::find`].
    pub(super) async fn find_default<H: History>(history: &H, refs: &Refs) -> Result<Self> {
        let unknown = || Error::not_found("unknown revision HEAD");
        let head = refs.head.as_ref().ok_or_else(unknown)?;
        let commit = history.commit(head.as_str()).await?.ok_or_else(unknown)?;
        Ok(Self::at(commit, Some("HEAD".to_owned()), refs))
    }

    fn at(commit: Commit, reference: Option<String>, refs: &Refs) -> Self {
        let tags = refs.tags.iter().filter(|(_, id)| **id == commit.id).map(|(name, _)| name.clone());
        Self { tags: tags.collect(), commit, tag: None, reference }
    }
}

/// The one commit with a reference whose name begins with `prefix`, and the first of its references.
fn by_prefix<'a>(refs: &'a Refs, prefix: &str) -> Result<(Option<&'a str>, Option<String>)> {
    let head = refs.head.iter().map(|id| (String::from("HEAD"), id));
    let heads = refs.heads.iter().map(|(name, id)| (format!("refs/heads/{name}"), id));
    let tags = refs.tags.iter().map(|(name, id)| (format!("refs/tags/{name}"), id));
    // In this order the names are sorted.
    let mut matching = head.chain(heads).chain(tags).filter(|(_, id)| id.as_str().starts_with(prefix));
    let Some((reference, id)) = matching.next() else { return Ok((None, None)) };
    if matching.any(|(_, other)| other != id) {
        return Err(Error::not_found(format!("ambiguous revision {prefix}")));
    }
    Ok((Some(id.as_str()), Some(reference)))
}
