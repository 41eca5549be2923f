//! What a cached repository holds, asked of git without any network.

use std::collections::HashSet;
use std::path::Path;

use bytes::Bytes;

use super::fence::{Fence, Job};
use super::stream::{Stream, odd};
use crate::child::running::Exit;
use crate::error::{Error, Result};
use crate::vcs::{Commit, Entry, EntryKind, Oid, Refs};

/// Most candidates for the beginning of an object's name that are looked at.
const MAX_CANDIDATES: u64 = 1000;

/// Most bytes of a commit before the line that names its committer.
const MAX_COMMIT: usize = 1 << 20;

/// Most that the list of a tree may have, in bytes: room for hundreds of thousands of files.
const MAX_TREE: u64 = 64 << 20;

/// Most that the list of all commits may have, in bytes: room for twenty million.
const MAX_HISTORY: u64 = 1 << 30;

/// One cached repository, for as long as somebody sees to it that it stays.
#[derive(Clone, Copy)]
pub(super) struct Objects<'a> {
    pub(super) fence: &'a Fence,
    pub(super) git_dir: &'a Path,
}

/// What lies under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Commit(Commit),
    Other,
    Missing,
}

/// Why something could not be read.
#[derive(Debug)]
pub(super) enum Fault {
    /// The answer to the question is this error; the repository is as it should be.
    Plain(Error),
    /// git failed where it never should: the repository may be damaged.
    Damage(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Plain(error)
    }
}

impl<'a> Objects<'a> {
    /// What `id` is the name of.
    pub(super) async fn find(&self, id: &Oid) -> Result<Found, Fault> {
        let mut stream = self.batch(id.as_str()).await?;
        let found = match read_header(&mut stream).await? {
            None => Found::Missing,
            Some((kind, _)) if &*kind != b"commit" => return Ok(Found::Other),
            Some(_) => Found::Commit(Commit { id: id.clone(), time: committed(&mut stream).await? }),
        };
        Ok(found)
    }

    /// Those of `ids` that are not here.
    pub(super) async fn missing(&self, ids: impl Iterator<Item = &Oid>) -> Result<HashSet<Oid>, Fault> {
        let ids: Vec<_> = ids.collect::<HashSet<_>>().into_iter().collect();
        let kinds = self.kinds(&ids).await?;
        let missing = ids.into_iter().zip(kinds).filter(|(_, kind)| kind.is_none());
        Ok(missing.map(|(id, _)| id.clone()).collect())
    }

    /// Whether `commit`, which is here, is one of those of `refs` that are here or an ancestor of one.
    pub(super) async fn is_reachable(&self, commit: &Oid, refs: &Refs) -> Result<bool, Fault> {
        let mut stdin = format!("{commit}\n");
        for tip in tips(refs).collect::<HashSet<_>>() {
            stdin.push_str(&format!("^{tip}\n"));
        }
        let args = ["rev-list", "-n1", "--ignore-missing", "--stdin"];
        let output = self.read(&args, stdin.into()).await?;
        // What is not an ancestor of any reference comes out, and `commit` itself then is among it.
        Ok(output.is_empty())
    }

    /// Whether `ancestor` is an ancestor of `commit`; both are commits and here.
    pub(super) async fn is_ancestor(&self, ancestor: &Oid, commit: &Oid) -> Result<bool, Fault> {
        let args = ["merge-base", "--is-ancestor", ancestor.as_str(), commit.as_str()];
        let (exit, _) = self.fence.output(Job::local(self.git_dir, &args)).await?;
        match exit.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(damage(&exit)),
        }
    }

    /// Those of `wanted` that are `commit` or an ancestor of it.
    pub(super) async fn ancestors(
        &self,
        commit: &Oid,
        wanted: &HashSet<&[u8]>,
    ) -> Result<HashSet<Bytes>, Fault> {
        let args = ["rev-list", commit.as_str()];
        let job = Job { max_stdout: MAX_HISTORY, ..Job::local(self.git_dir, &args) };
        let mut stream = Stream::new(self.fence.start(job).await?);
        let mut found = HashSet::new();
        while found.len() < wanted.len() {
            match stream.until(b'\n', 64).await {
                Ok(Some(id)) if wanted.contains(&*id) => drop(found.insert(id)),
                Ok(Some(_)) => {}
                Ok(None) => {
                    check(&stream.finish().await?)?;
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    /// The commits here whose names begin with `prefix`: lower-case hex digits.
    pub(super) async fn with_prefix(&self, prefix: &str) -> Result<Vec<Oid>, Fault> {
        let argument = format!("--disambiguate={prefix}");
        let args = ["rev-parse", argument.as_str()];
        let job = Job { max_stdout: MAX_CANDIDATES * 65, ..Job::local(self.git_dir, &args) };
        let (exit, output) = self.fence.output(job).await?;
        check(&exit)?;
        let text = String::from_utf8_lossy(&output);
        let ids: Vec<_> = text.lines().filter_map(Oid::parse).collect();
        let kinds = self.kinds(&ids.iter().collect::<Vec<_>>()).await?;
        let commits = ids.into_iter().zip(kinds).filter(|(_, kind)| kind.as_deref() == Some("commit"));
        Ok(commits.map(|(id, _)| id).collect())
    }

    /// The blob at `path` of `commit`, at most `max_bytes` of it; `None` if there is something else or nothing.
    pub(super) async fn blob(
        &self,
        commit: &Oid,
        path: &str,
        max_bytes: u64,
    ) -> Result<Option<Bytes>, Fault> {
        let mut stream = self.batch(&format!("{commit}:{path}")).await?;
        match read_header(&mut stream).await? {
            Some((kind, size)) if &*kind == b"blob" => {
                let fits = usize::try_from(size).ok().filter(|_| size <= max_bytes);
                let size = fits.ok_or_else(|| Error::too_large(max_bytes))?;
                Ok(Some(stream.exact(size).await?))
            }
            _ => Ok(None),
        }
    }

    /// Whether there is a directory at `path` (not empty) of `commit`.
    pub(super) async fn is_directory(&self, commit: &Oid, path: &str) -> Result<bool, Fault> {
        let output = self
            .read(&["cat-file", "--batch-check=%(objecttype)"], format!("{commit}:{path}\n").into())
            .await?;
        Ok(output == b"tree\n")
    }

    /// Everything that is not a directory below `dir` (empty: the root) of `commit`, which exists.
    pub(super) async fn entries(&self, commit: &Oid, dir: &str) -> Result<Vec<Entry>, Fault> {
        let tree = if dir.is_empty() { commit.to_string() } else { format!("{commit}:{dir}") };
        let args = ["ls-tree", "-r", "-z", "-l", "--full-tree", "--end-of-options", &tree];
        let job = Job { max_stdout: MAX_TREE, ..Job::local(self.git_dir, &args) };
        let mut stream = Stream::new(self.fence.start(job).await?);
        let mut entries = Vec::new();
        while let Some(record) = stream.until(0, 1 << 20).await? {
            entries.push(parse_entry(&record).ok_or_else(odd)?);
        }
        check(&stream.finish().await?)?;
        Ok(entries)
    }

    /// Starts an archive of `dir` (empty: the root) of `commit`, which exists.
    pub(super) async fn archive(&self, commit: &Oid, dir: &str) -> Result<Stream> {
        let all = ["archive", "--format=tar", commit.as_str(), "--", dir];
        let args = if dir.is_empty() { all.get(..3).unwrap_or_default() } else { &all };
        let max_stdout = self.fence.limits().archive_bytes;
        let job = Job { max_stdout, ..Job::local(self.git_dir, args) };
        Ok(Stream::new(self.fence.start(job).await?))
    }

    /// The names of all objects that local references point at.
    pub(super) async fn local_tips(&self) -> Result<Vec<Oid>, Fault> {
        let args = ["for-each-ref", "--format=%(objectname)"];
        let job = Job { max_stdout: 64 << 20, ..Job::local(self.git_dir, &args) };
        let (exit, output) = self.fence.output(job).await?;
        check(&exit)?;
        Ok(String::from_utf8_lossy(&output).lines().filter_map(Oid::parse).collect())
    }

    /// Puts references into one file and small packs together. What nothing refers to stays, as it may be referred to again.
    pub(super) async fn consolidate(&self) -> Result<(), Fault> {
        for args in [&["pack-refs", "--all"][..], &["repack", "--quiet", "-d", "--geometric=2"]] {
            let (exit, _) = self.fence.output(Job::local(self.git_dir, args)).await?;
            check(&exit)?;
        }
        Ok(())
    }

    /// What each of `ids` is; `None` for what is not here.
    async fn kinds(&self, ids: &[&Oid]) -> Result<Vec<Option<String>>, Fault> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let stdin: String = ids.iter().map(|id| format!("{id}\n")).collect();
        let output = self.read(&["cat-file", "--batch-check=%(objecttype)"], stdin.into()).await?;
        let text = String::from_utf8_lossy(&output);
        let kinds: Vec<_> =
            text.lines().map(|line| (!line.ends_with(" missing")).then(|| line.to_owned())).collect();
        if kinds.len() == ids.len() { Ok(kinds) } else { Err(odd().into()) }
    }

    /// Asks for one object by a name that has no newline.
    async fn batch(&self, name: &str) -> Result<Stream> {
        let job = Job {
            stdin: format!("{name}\n").into(),
            max_stdout: u64::MAX,
            ..Job::local(self.git_dir, &["cat-file", "--batch"])
        };
        Ok(Stream::new(self.fence.start(job).await?))
    }

    /// What git prints when all goes well, at most 64 MiB of it.
    async fn read(&self, args: &[&str], stdin: Bytes) -> Result<Vec<u8>, Fault> {
        let job = Job { stdin, max_stdout: 64 << 20, ..Job::local(self.git_dir, args) };
        let (exit, output) = self.fence.output(job).await?;
        check(&exit)?;
        Ok(output)
    }
}

/// All that `refs` point at.
pub(super) fn tips(refs: &Refs) -> impl Iterator<Item = &Oid> {
    refs.head.iter().chain(refs.heads.values()).chain(refs.tags.values())
}

/// Fails unless git ended well.
pub(super) fn check(exit: &Exit) -> Result<(), Fault> {
    if exit.is_success() { Ok(()) } else { Err(damage(exit)) }
}

fn damage(exit: &Exit) -> Fault {
    tracing::warn!(code = exit.code(), said = exit.stderr(), "git cannot read a cached repository");
    match exit.hit_limit() {
        Some(_) => Fault::Plain(Error::timeout("git used too much processor time on the repository")),
        None => Fault::Damage(Error::unavailable("the cached repository could not be read")),
    }
}

/// Kind and size of the object that comes next; `None` if there is none of the name asked for.
async fn read_header(stream: &mut Stream) -> Result<Option<(Bytes, u64)>, Fault> {
    let Some(line) = stream.until(b'\n', 8 << 10).await? else {
        return Err(Fault::Damage(odd()));
    };
    let mut fields = line.rsplitn(3, |byte| *byte == b' ');
    let last = fields.next().and_then(|field| std::str::from_utf8(field).ok()).unwrap_or_default();
    let Ok(size) = last.parse() else { return Ok(None) };
    let kind = fields.next().map(|kind| line.slice_ref(kind)).ok_or_else(odd)?;
    Ok(Some((kind, size)))
}

/// The time in the header of a commit, whose first line comes next.
async fn committed(stream: &mut Stream) -> Result<i64> {
    let odd_commit = || Error::rejected("a commit of the repository does not say when it was committed");
    let mut seen = 0_usize;
    while seen < MAX_COMMIT {
        let line = stream.until(b'\n', MAX_COMMIT).await?.ok_or_else(odd_commit)?;
        seen = seen.saturating_add(line.len());
        if let Some(committer) = line.strip_prefix(b"committer ") {
            return parse_time(committer).ok_or_else(odd_commit);
        }
        if line.is_empty() {
            break;
        }
    }
    Err(odd_commit())
}

/// The seconds of `Name <address> <seconds> <zone>`, where name and address may hold anything.
fn parse_time(identity: &[u8]) -> Option<i64> {
    let end = identity.iter().rposition(|byte| *byte == b'>')?;
    let date = std::str::from_utf8(identity.get(end..)?).ok()?;
    date.get(1..)?.split_ascii_whitespace().next()?.parse().ok()
}

/// `<mode> <kind> <object> <size>\t<path>`.
fn parse_entry(record: &[u8]) -> Option<Entry> {
    let tab = record.iter().position(|byte| *byte == b'\t')?;
    let (attributes, path) = record.split_at(tab);
    let mut fields = std::str::from_utf8(attributes).ok()?.split_ascii_whitespace();
    let (mode, size) = (fields.next()?, fields.nth(2)?);
    let kind = match mode {
        "160000" => EntryKind::Gitlink,
        "120000" => EntryKind::Symlink,
        mode if mode.starts_with("100") => EntryKind::File,
        _ => return None,
    };
    let size = if kind == EntryKind::Gitlink { 0 } else { size.parse().ok()? };
    Some(Entry { path: path.get(1..)?.to_vec(), kind, size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_commits_parse() {
        for (identity, time) in [
            ("A <a@example.com> 1577836800 +0000", Some(1_577_836_800)),
            ("A > B <a@> 12 3> -5 +0530", Some(-5)),
            (" <> 0 +0000", Some(0)),
            ("A <a@example.com>", None),
            ("A <a@example.com> x +0000", None),
            ("A 5 +0000", None),
        ] {
            assert_eq!(parse_time(identity.as_bytes()), time, "{identity}");
        }
    }

    #[test]
    fn entries_of_trees_parse() {
        let id = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
        let entry = |text: &str| parse_entry(text.replace("ID", id).as_bytes());
        let file = entry("100755 blob ID      12\ta b\t\u{e9}\nc").unwrap();
        assert_eq!((file.path, file.kind, file.size), ("a b\t\u{e9}\nc".into(), EntryKind::File, 12));
        assert_eq!(entry("120000 blob ID       3\tl").unwrap().kind, EntryKind::Symlink);
        let link = entry("160000 commit ID       -\text").unwrap();
        assert_eq!((link.kind, link.size), (EntryKind::Gitlink, 0));
        for bad in ["", "100644 blob ID 1", "100644 blob ID -\tx", "040000 tree ID -\tx", "100644\tx"] {
            assert_eq!(entry(bad), None, "{bad}");
        }
    }
}
