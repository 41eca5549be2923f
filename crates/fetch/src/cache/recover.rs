//! What a crash left staged.
//!
//! A zip that was complete and about to be admitted has a note beside it that says what it is: its record may be in the
//! log already, so the file is worth keeping. It goes the same way again: checked, admitted, placed. Everything else that
//! lies in staging was incomplete or can be fetched again, and goes.

use std::io;
use std::sync::{Arc, PoisonError};

use quipu_module::ModuleVersion;

use super::Shared;
use super::check;
use super::mark::{hex, unhex};
use super::publish::{Publication, PublishError};
use super::tree::{FileKind, Name, Tree, write_whole};
use crate::error::{Error, ErrorKind, Result};
use crate::staged::{Complete, PART, blocking};

/// The directory of staged files.
pub(super) const STAGING: &str = ".staging";

/// The extension of notes.
const NOTE: &str = "for";

/// Longest note that is read, in bytes.
const MAX_NOTE: u64 = 64 << 10;

/// Of the name of who publishes so much is noted, in characters.
const MAX_BY: usize = 1000;

/// The note beside a staged zip, removed when dropped.
pub(super) struct Note {
    tree: Tree,
    name: Name,
}

/// What a note says of the zip beside it.
struct Said {
    version: ModuleVersion,
    sha256: [u8; 32],
    /// As what it is published; none if it was fetched.
    published: Option<Publication>,
}

impl Note {
    /// Says what `staged` is. Not synced: after a power cut the zip is fetched again instead.
    pub(super) async fn write(tree: &Tree, staged: &Complete, version: &ModuleVersion) -> Result<Self> {
        let note = Self { tree: tree.clone(), name: beside(staged.name(), NOTE) };
        let text = format!("{version}\n{}\n", hex(staged.sha256()));
        blocking(move || write_whole(note.tree.storage(), &note.name, text.as_bytes()).map(|()| note)).await
    }

    /// Says that `staged` is to be published, when, by whom and from where. Synced: it can be had nowhere again.
    pub(super) async fn write_published(
        tree: &Tree,
        staged: &Complete,
        (version, publication): (&ModuleVersion, &Publication),
    ) -> Result<Self> {
        let note = Self { tree: tree.clone(), name: beside(staged.name(), NOTE) };
        let Publication { time, by, peer, .. } = publication;
        let by: String = by.chars().take(MAX_BY).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let peer = peer.map(|peer| peer.to_string()).unwrap_or_default();
        let text = format!("{version}\n{}\n{time}\n{by}\n{peer}\n", hex(staged.sha256()));
        let write = move || {
            let storage = note.tree.storage();
            let mut file = storage.create(&note.name)?;
            file.write(text.as_bytes())?;
            file.sync()?;
            file.finish()?;
            storage.sync(note.name.directory().as_ref())?;
            Ok(note)
        };
        blocking(write).await
    }

    fn read(tree: &Tree, name: &Name) -> Option<Said> {
        let text = tree.read_up_to(name, MAX_NOTE).ok()??;
        let text = std::str::from_utf8(&text).ok()?;
        let (version, sha256, published) = match text.split('\n').collect::<Vec<_>>()[..] {
            [version, sha256, ""] => (version, sha256, None),
            // Older ones do not say by whom.
            [version, sha256, time, ""] => (version, sha256, Some((time, "", ""))),
            [version, sha256, time, by, peer, ""] => (version, sha256, Some((time, by, peer))),
            _ => return None,
        };
        let published = published.map(|(time, by, peer)| Publication {
            time: time.to_owned(),
            by: by.to_owned(),
            peer: peer.parse().ok(),
            is_resumed: true,
        });
        Some(Said { version: version.parse().ok()?, sha256: unhex(sha256)?, published })
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        // One that stays is found without its zip at the next start.
        let _ = self.tree.remove(&self.name);
    }
}

/// The name with another extension.
fn beside(name: &Name, extension: &str) -> Name {
    let stem = name.as_str().rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
    Name::checked(format!("{stem}.{extension}"))
}

/// Removes from staging what is not worth keeping; returns the notes of what is.
pub(super) fn sort_out(tree: &Tree) -> io::Result<Vec<Name>> {
    let mut kept = Vec::new();
    for entry in tree.list(Name::parse(STAGING).as_ref())? {
        let name = Name::checked(format!("{STAGING}/{}", entry.name));
        let is_note = entry.name.rsplit_once('.').is_some_and(|(_, extension)| extension == NOTE);
        if is_note && tree.has(&beside(&name, PART))? && Note::read(tree, &name).is_some() {
            kept.push(name);
        } else if is_note || !tree.has(&beside(&name, NOTE))? {
            tree.remove(&name)?;
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
    async fn finish_leftover(self: &Arc<Self>, note: &Name) -> Result<()> {
        let again = self.staging.new_name();
        let (note, part) = (note.clone(), beside(note, PART));
        let (said, staged, link) = (note.clone(), part.clone(), again.clone());
        let find = move |shared: &Self| {
            shared.tree.storage().link(&staged, &link)?;
            Ok((Note::read(&shared.tree, &said), check::find(shared.tree.open_there(&link)?)?))
        };
        let (noted, found) = self.on_disk(find).await?;
        let staged = self.staging.found(again, found.length, found.sha256);
        let result = match noted {
            Some(said) if said.sha256 == found.sha256 => self.finish_noted(&said, staged).await,
            _ => Err(Error::rejected("the staged zip is incomplete")),
        };
        if !result.as_ref().is_err_and(is_undecided) {
            let clear =
                move |shared: &Self| shared.tree.remove(&part).and_then(|()| shared.tree.remove(&note));
            self.on_disk(clear).await?;
        }
        result
    }

    async fn finish_noted(self: &Arc<Self>, said: &Said, staged: Complete) -> Result<()> {
        let version = &said.version;
        if let Some(publication) = &said.published {
            return self.finish_published(version, staged, publication).await;
        }
        let go_mod = self.file(version, FileKind::GoMod).await?;
        let go_mod = go_mod.h1.ok_or_else(|| Error::unavailable("the stored go.mod has no hash"))?;
        self.finish_zip(version, &Name::file(version, FileKind::Zip), staged, go_mod).await
    }

    /// Whoever sent it does not wait for the answer any more, so that it is refused is told to the admission alone.
    async fn finish_published(
        self: &Arc<Self>,
        version: &ModuleVersion,
        staged: Complete,
        publication: &Publication,
    ) -> Result<()> {
        let Err(refused) = self.publish(version, staged, publication).await else { return Ok(()) };
        let error = match &refused {
            PublishError::Failed(error) => error.clone(),
            refused => Error::rejected(refused.to_string()),
        };
        if !is_undecided(&error) {
            self.admit.refuse_resumed(version, &refused, publication).await;
        }
        Err(error)
    }
}

/// Whether it may be decided otherwise at the next start.
fn is_undecided(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
}
