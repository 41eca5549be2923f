//! What a crash left staged.
//!
//! A zip that was complete and about to be admitted has a note beside it that says what it is: its record may be in the
//! log already, so the file is worth keeping. It goes the same way again: checked, admitted, placed. Everything else that
//! lies in staging was incomplete or can be fetched again, and goes.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use quipu_module::ModuleVersion;

use super::Shared;
use super::check;
use super::mark::{hex, unhex};
use super::publish::PublishError;
use super::tree::{FileKind, Name, sync_directory};
use crate::error::{Error, ErrorKind, Result};
use crate::staged::{Complete, blocking};

/// The extension of notes.
const NOTE: &str = "for";

/// The note beside a staged zip, removed when dropped.
pub(super) struct Note(PathBuf);

/// What a note says of the zip beside it.
struct Said {
    version: ModuleVersion,
    sha256: [u8; 32],
    /// When it was published; none if it was fetched.
    published: Option<String>,
}

impl Note {
    /// Says what `staged` is. Not synced: after a power cut the zip is fetched again instead.
    pub(super) async fn write(staged: &Complete, version: &ModuleVersion) -> Result<Self> {
        let note = Self(staged.path().with_extension(NOTE));
        let text = format!("{version}\n{}\n", hex(staged.sha256()));
        blocking(move || fs::write(&note.0, text).map(|()| note)).await
    }

    /// Says that `staged` is to be published at `time`. Synced: it can be had nowhere again.
    pub(super) async fn write_published(
        staged: &Complete,
        version: &ModuleVersion,
        time: &str,
    ) -> Result<Self> {
        let note = Self(staged.path().with_extension(NOTE));
        let text = format!("{version}\n{}\n{time}\n", hex(staged.sha256()));
        let write = move || {
            let mut file = fs::File::create(&note.0)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            sync_directory(note.0.parent().unwrap_or(Path::new(".")))?;
            Ok(note)
        };
        blocking(write).await
    }

    fn read(path: &Path) -> Option<Said> {
        let text = fs::read_to_string(path).ok()?;
        let (version, sha256, published) = match text.split('\n').collect::<Vec<_>>()[..] {
            [version, sha256, ""] => (version, sha256, None),
            [version, sha256, time, ""] => (version, sha256, Some(time.to_owned())),
            _ => return None,
        };
        Some(Said { version: version.parse().ok()?, sha256: unhex(sha256)?, published })
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        // One that stays is found without its zip at the next start.
        let _ = fs::remove_file(&self.0);
    }
}

/// Removes from `staging` what is not worth keeping; returns the notes of what is.
pub(super) fn sort_out(staging: &Path) -> io::Result<Vec<PathBuf>> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(staging)? {
        let path = entry?.path();
        let is_note = path.extension().is_some_and(|extension| extension == NOTE);
        if is_note && path.with_extension("part").exists() && Note::read(&path).is_some() {
            kept.push(path);
        } else if is_note || !path.with_extension(NOTE).exists() {
            fs::remove_file(path)?;
        }
    }
    Ok(kept)
}

impl Shared {
    pub(super) async fn recover(self: &Arc<Self>) -> usize {
        let leftovers = std::mem::take(&mut *self.leftovers.lock().unwrap_or_else(PoisonError::into_inner));
        let mut finished = 0;
        for note in leftovers {
            match self.finish_leftover(&note).await {
                Ok(()) => finished += 1,
                Err(error) => tracing::warn!(%error, "a file left by an earlier run is not finished"),
            }
        }
        finished
    }

    /// Sends the zip on its way again. Where that cannot be decided now it stays for the next start.
    async fn finish_leftover(self: &Arc<Self>, note: &Path) -> Result<()> {
        let again = self.staging.new_path();
        let (path, link) = (note.to_owned(), again.clone());
        let find = move || {
            fs::hard_link(path.with_extension("part"), &link)?;
            Ok((Note::read(&path), check::find(fs::File::open(&link)?)?))
        };
        let (noted, found) = blocking(find).await?;
        let staged = Complete::found(again, found.length, found.sha256);
        let result = match noted {
            Some(said) if said.sha256 == found.sha256 => self.finish_noted(&said, staged).await,
            _ => Err(Error::rejected("the staged zip is incomplete")),
        };
        let undecided = |error: &Error| matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout);
        if !result.as_ref().is_err_and(undecided) {
            let note = note.to_owned();
            blocking(move || {
                fs::remove_file(note.with_extension("part")).and_then(|()| fs::remove_file(note))
            })
            .await?;
        }
        result
    }

    async fn finish_noted(self: &Arc<Self>, said: &Said, staged: Complete) -> Result<()> {
        let version = &said.version;
        if let Some(time) = &said.published {
            let published = self.publish(version, staged, time).await;
            return published.map(drop).map_err(|error| match error {
                PublishError::Failed(error) => error,
                refused => Error::rejected(refused.to_string()),
            });
        }
        let go_mod = self.file(version, FileKind::GoMod).await?;
        let go_mod = go_mod.h1.ok_or_else(|| Error::unavailable("the stored go.mod has no hash"))?;
        self.finish_zip(version, &Name::file(version, FileKind::Zip), staged, go_mod).await
    }
}
