//! The directory of a cached repository: made, inspected, tidied and removed.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::fence::{Fence, Job};
use super::objects::{Fault, Objects};
use super::remote::Remote;
use super::settings::ATTRIBUTES;
use crate::error::{Error, Result};
use crate::staged::blocking;
use crate::vcs::Oid;

/// More packs than this are put together.
const MANY_PACKS: usize = 24;

/// More references than this are put into one file.
const MANY_REFS: usize = 256;

/// The file that is touched when the repository is used, and that names where it came from.
pub(super) const MARK: &str = "quipu-remote";

/// How objects are named in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Sha1,
    Sha256,
}

impl Format {
    pub(super) fn of(id: &Oid) -> Self {
        if id.as_str().len() == 64 { Self::Sha256 } else { Self::Sha1 }
    }
}

/// Makes an empty repository for what `remote` has. It appears whole or not at all.
///
/// # Errors
/// The disk or git fails.
pub(super) async fn create(fence: &Fence, git_dir: &Path, format: Format, remote: &Remote) -> Result<()> {
    let new = beside(git_dir, "new");
    blocking({
        let new = new.clone();
        move || remove_all(&new)
    })
    .await?;
    let format = match format {
        Format::Sha1 => "--object-format=sha1",
        Format::Sha256 => "--object-format=sha256",
    };
    let args = ["init", "--quiet", "--bare", "--template=", format];
    let (exit, _) = fence.output(Job::local(&new, &args)).await?;
    if !exit.is_success() {
        tracing::error!(said = exit.stderr(), "git init");
        return Err(Error::unavailable("a cached repository cannot be made"));
    }
    let (address, git_dir) = (remote.to_string(), git_dir.to_owned());
    blocking(move || {
        fs::create_dir_all(new.join("info"))?;
        fs::write(new.join("info/attributes"), ATTRIBUTES)?;
        fs::write(new.join(MARK), format!("{address}\n"))?;
        fs::rename(&new, &git_dir)
    })
    .await
}

/// Looks at what an earlier run left, and tidies it up. `None` if there is nothing, or nothing that can be used.
///
/// # Errors
/// The disk fails, or git cannot be started.
pub(super) async fn inspect(fence: &Fence, git_dir: &Path) -> Result<Option<Format>> {
    let directory = git_dir.to_owned();
    let as_made = blocking(move || {
        if !directory.join("HEAD").is_file() {
            return Ok(false);
        }
        tidy(&directory)?;
        Ok(fs::read(directory.join("info/attributes")).is_ok_and(|found| found == ATTRIBUTES.as_bytes()))
    });
    if !as_made.await? {
        return Ok(None);
    }
    match look_inside(fence, git_dir).await {
        Ok(format) => Ok(format),
        Err(Fault::Damage(_)) => Ok(None),
        Err(Fault::Plain(error)) => Err(error),
    }
}

/// The format, if everything that references point at is there.
async fn look_inside(fence: &Fence, git_dir: &Path) -> Result<Option<Format>, Fault> {
    let objects = Objects { fence, git_dir };
    let tips = objects.local_tips().await?;
    let Some(format) = tips.first().map(Format::of) else { return Ok(None) };
    Ok(objects.missing(tips.iter()).await?.is_empty().then_some(format))
}

/// Removes what a git that was killed leaves behind: locks, which would stop all others, and unfinished packs.
///
/// # Errors
/// The disk fails.
pub(super) fn tidy(git_dir: &Path) -> io::Result<()> {
    for directory in ["objects/pack", "objects/info/commit-graphs"] {
        remove_files(&git_dir.join(directory), false, &|name| {
            name.starts_with("tmp_") || name.ends_with(".lock")
        })?;
    }
    // No reference has such a name.
    remove_files(&git_dir.join("refs"), true, &|name| name.ends_with(".lock"))?;
    remove_files(git_dir, false, &|name| name.ends_with(".lock"))
}

/// As [`tidy`], and says how long the longest unfinished pack was, in bytes.
///
/// # Errors
/// The disk fails.
pub(super) fn tidy_unfinished(git_dir: &Path) -> io::Result<u64> {
    let mut longest = 0;
    for entry in listing(&git_dir.join("objects/pack"))? {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with("tmp_")) {
            longest = entry.metadata()?.len().max(longest);
        }
    }
    tidy(git_dir)?;
    Ok(longest)
}

/// Whether there are so many packs, or references in files of their own, that looking something up becomes slow.
///
/// # Errors
/// The disk fails.
pub(super) fn is_scattered(git_dir: &Path) -> io::Result<bool> {
    let is_pack = |entry: &fs::DirEntry| entry.path().extension() == Some(OsStr::new("pack"));
    let packs = listing(&git_dir.join("objects/pack"))?.iter().filter(|entry| is_pack(entry)).count();
    let mut refs = 0;
    let mut directories = vec![git_dir.join("refs")];
    while let Some(directory) = directories.pop().filter(|_| refs <= MANY_REFS) {
        for entry in listing(&directory)? {
            if entry.file_type()?.is_dir() { directories.push(entry.path()) } else { refs += 1 }
        }
    }
    Ok(packs > MANY_PACKS || refs > MANY_REFS)
}

/// Removes the repository. It disappears at once, even if removing its files is cut short.
///
/// # Errors
/// The disk fails.
pub(super) fn remove(git_dir: &Path) -> io::Result<()> {
    remove_all(&set_aside(git_dir)?)
}

/// Gives the repository another name, under which nobody looks for it; returns that.
///
/// # Errors
/// The disk fails.
pub(super) fn set_aside(git_dir: &Path) -> io::Result<PathBuf> {
    let old = beside(git_dir, "old");
    remove_all(&old)?;
    match fs::rename(git_dir, &old) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(old),
    }
}

/// Bytes of all files below `directory`.
///
/// # Errors
/// The disk fails, other than by files that disappear.
pub(super) fn size(directory: &Path) -> io::Result<u64> {
    let mut total = 0_u64;
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in listing(&directory)? {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => directories.push(entry.path()),
                Ok(meta) => total = total.saturating_add(meta.len()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(total)
}

/// What is left of making or removing repositories in `root` when the program was ended in between.
///
/// # Errors
/// The disk fails.
pub(super) fn sweep(root: &Path) -> io::Result<()> {
    for entry in listing(root)? {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "new" || extension == "old") {
            remove_all(&path)?;
        }
    }
    Ok(())
}

fn beside(git_dir: &Path, extension: &str) -> PathBuf {
    git_dir.with_extension(extension)
}

/// Removes a directory with all that is in it, if there is one.
///
/// # Errors
/// The disk fails.
pub(super) fn remove_all(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn remove_files(directory: &Path, deep: bool, doomed: &dyn Fn(&str) -> bool) -> io::Result<()> {
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in listing(&directory)? {
            if entry.file_type()?.is_dir() {
                if deep {
                    directories.push(entry.path());
                }
            } else if entry.file_name().to_str().is_some_and(doomed) {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

/// What is in `directory`; nothing if it does not exist.
fn listing(directory: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
