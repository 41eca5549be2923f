//! A repository at one state of its references, as the rules for versions ask for it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::objects::{Fault, Found, Objects, tips};
use super::repository::{Held, Shared, Want, lock};
use super::tar::GitArchive;
use crate::error::{Error, Result};
use crate::vcs::{Commit, Entry, History, Oid, Refs, Tree, is_lower_hex};

/// How often references may change while one question is answered.
const MAX_CHANGES: usize = 3;

/// Fewest digits that a commit may be named by.
const MIN_DIGITS: usize = 7;

/// One state of the references of a [`Repository`](super::Repository), and the commits that they lead to. Commits are
/// fetched when first asked for, with their whole history; what was fetched before is read without any network.
///
/// If the references change in between so that what they were cannot be had any more, the snapshot goes on with what
/// they have become.
pub struct Snapshot {
    shared: Arc<Shared>,
    /// Held for a look or a change, never while waiting.
    refs: Mutex<Option<Arc<Refs>>>,
}

/// What commit is meant.
enum Question<'a> {
    Full(&'a Oid),
    /// The beginning of its name.
    Prefix(&'a str),
}

impl Question<'_> {
    /// What has to be in the copy for a definite answer.
    fn want(&self, refs: &Refs) -> Want {
        match self {
            Self::Full(id) if is_tip(refs, id) => Want::Tip((*id).clone()),
            Self::Full(_) | Self::Prefix(_) => Want::Whole,
        }
    }
}

impl Snapshot {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, refs: Mutex::default() }
    }

    /// The answer to `question`, fetching what it takes, however the references change meanwhile.
    async fn answer(&self, question: &Question<'_>) -> Result<Option<Commit>> {
        for _ in 0..MAX_CHANGES {
            let refs = self.refs().await?;
            if let Some(answer) = self.look(question, &refs, false).await? {
                return Ok(answer);
            }
            let want = question.want(&refs);
            let mut here = self.shared.has(&refs, &want).await?;
            if !here {
                self.shared.bring(&refs, want.clone()).await?;
                here = self.shared.has(&refs, &want).await?;
            }
            if here && let Some(answer) = self.look(question, &refs, want == Want::Whole).await? {
                return Ok(answer);
            }
            *lock(&self.refs) = None;
            self.shared.forget();
        }
        Err(Error::unavailable("the repository changes while it is read, try again"))
    }

    /// The answer from what is in the copy, which may be all (`whole`); `None` if more has to be fetched for one.
    async fn look(
        &self,
        question: &Question<'_>,
        refs: &Refs,
        whole: bool,
    ) -> Result<Option<Option<Commit>>> {
        let held = self.shared.enter().await?;
        if !held.is_present() {
            return Ok(whole.then_some(None));
        }
        self.shared.judge(match question {
            Question::Full(id) => self.lead_to(id, refs).await.map(|found| match found {
                Found::Commit(commit) => Some(Some(commit)),
                Found::Other => Some(None),
                Found::Missing => whole.then_some(None),
            }),
            // Another commit with these digits may be in what was not fetched yet.
            Question::Prefix(_) if !whole => Ok(None),
            Question::Prefix(digits) => self.only_one(digits, refs).await.map(Some),
        })
    }

    /// What `id` is in the copy, which is held; a commit that `refs` do not lead to is missing.
    async fn lead_to(&self, id: &Oid, refs: &Refs) -> Result<Found, Fault> {
        match self.objects().find(id).await? {
            Found::Commit(commit) => {
                let led_to = is_tip(refs, id) || self.objects().is_reachable(id, refs).await?;
                Ok(if led_to { Found::Commit(commit) } else { Found::Missing })
            }
            found => Ok(found),
        }
    }

    /// The only commit in the copy, which is held, that begins with `digits` and that `refs` lead to.
    async fn only_one(&self, digits: &str, refs: &Refs) -> Result<Option<Commit>, Fault> {
        let mut only = None;
        for id in self.objects().with_prefix(digits).await? {
            if let Found::Commit(commit) = self.lead_to(&id, refs).await?
                && only.replace(commit).is_some()
            {
                return Ok(None);
            }
        }
        Ok(only)
    }

    /// Enters the copy with `commit` in it; it may have been removed since the commit was asked for.
    async fn hold(&self, commit: &Oid) -> Result<Held> {
        for _ in 0..MAX_CHANGES {
            let held = self.shared.enter().await?;
            let found = match held.is_present() {
                true => self.shared.judge(self.objects().find(commit).await)?,
                false => Found::Missing,
            };
            match found {
                Found::Commit(_) => return Ok(held),
                Found::Other => return Err(Error::unavailable("what should be a commit is none")),
                Found::Missing => drop(held),
            }
            if self.answer(&Question::Full(commit)).await?.is_none() {
                return Err(Error::unavailable("the commit is not in the repository any more"));
            }
        }
        Err(Error::unavailable("the repository is removed while it is read"))
    }

    fn objects(&self) -> Objects<'_> {
        self.shared.objects()
    }
}

impl History for Snapshot {
    async fn refs(&self) -> Result<Arc<Refs>> {
        if let Some(refs) = &*lock(&self.refs) {
            return Ok(refs.clone());
        }
        let refs = self.shared.refs().await?;
        Ok(lock(&self.refs).get_or_insert(refs).clone())
    }

    async fn commit(&self, rev: &str) -> Result<Option<Commit>> {
        if !is_lower_hex(rev) || rev.len() < MIN_DIGITS {
            return Ok(None);
        }
        let refs = self.refs().await?;
        let Some(digits) = tips(&refs).next().map(|tip| tip.as_str().len()) else { return Ok(None) };
        match Oid::parse(rev).filter(|_| rev.len() == digits) {
            Some(id) => self.answer(&Question::Full(&id)).await,
            None if rev.len() < digits => self.answer(&Question::Prefix(rev)).await,
            None => Ok(None),
        }
    }

    async fn tags_before(&self, commit: &Oid) -> Result<Vec<String>> {
        let refs = self.refs().await?;
        let _held = self.hold(commit).await?;
        // The history of a commit is always whole, so a tag on something that is not here is not on an ancestor.
        let wanted: HashSet<_> = refs.tags.values().map(|id| id.as_str().as_bytes()).collect();
        let missing = self.shared.judge(self.objects().missing(refs.tags.values()).await)?;
        let wanted = &wanted - &missing.iter().map(|id| id.as_str().as_bytes()).collect();
        let before = self.shared.judge(self.objects().ancestors(commit, &wanted).await)?;
        let tags = refs.tags.iter().filter(|(_, id)| before.contains(id.as_str().as_bytes()));
        Ok(tags.map(|(name, _)| name.clone()).collect())
    }

    async fn is_ancestor(&self, ancestor: &Oid, commit: &Oid) -> Result<bool> {
        let _held = self.hold(commit).await?;
        match self.shared.judge(self.objects().find(ancestor).await)? {
            Found::Commit(_) => self.shared.judge(self.objects().is_ancestor(ancestor, commit).await),
            Found::Other | Found::Missing => Ok(false),
        }
    }

    async fn file(&self, commit: &Oid, path: &str, max_bytes: u64) -> Result<Option<Bytes>> {
        if !is_plain_path(path) {
            return Ok(None);
        }
        let _held = self.hold(commit).await?;
        self.shared.judge(self.objects().blob(commit, path, max_bytes).await)
    }
}

impl Tree for Snapshot {
    type Archive = GitArchive;

    async fn entries(&self, commit: &Oid, dir: &str) -> Result<Vec<Entry>> {
        let _held = self.hold(commit).await?;
        if !self.is_directory(commit, dir).await? {
            return Ok(Vec::new());
        }
        self.shared.judge(self.objects().entries(commit, dir).await)
    }

    async fn archive(&self, commit: &Oid, dir: &str) -> Result<GitArchive> {
        let held = self.hold(commit).await?;
        if !self.is_directory(commit, dir).await? {
            return Ok(GitArchive::empty(held));
        }
        let stream = self.objects().archive(commit, dir).await?;
        Ok(GitArchive::new(stream, held, dir))
    }
}

impl Snapshot {
    /// Whether `commit`, which is held, has a directory `dir`. The root it always has.
    async fn is_directory(&self, commit: &Oid, dir: &str) -> Result<bool> {
        if dir.is_empty() {
            return Ok(true);
        }
        if !is_plain_path(dir) {
            return Ok(false);
        }
        self.shared.judge(self.objects().is_directory(commit, dir).await)
    }
}

fn is_tip(refs: &Refs, id: &Oid) -> bool {
    tips(refs).any(|tip| tip == id)
}

/// Whether `path` is slash-separated elements that are the names of something in a tree, and one line.
fn is_plain_path(path: &str) -> bool {
    let plain = |element: &str| !matches!(element, "" | "." | "..");
    path.split('/').all(plain) && !path.contains(['\n', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_are_asked_for() {
        for fine in ["go.mod", "a/b", ":a", "-x", "a b", ".git", "...", "\u{e9}"] {
            assert!(is_plain_path(fine), "{fine}");
        }
        for bad in ["", "/a", "a/", "a//b", "./a", "../a", "a/../b", "a\nb", "a\0b"] {
            assert!(!is_plain_path(bad), "{bad}");
        }
    }
}
