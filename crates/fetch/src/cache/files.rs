//! Fetching the files of a version: stage, judge, admit, place, mark.

use std::sync::Arc;

use bytes::Bytes;
use quipu_module::{H1, ModuleVersion, Query, hash_go_mod};

use super::Shared;
use super::admit::{FindingKind, Refusal};
use super::check::{self, Checked};
use super::evidence::Case;
use super::mark::Mark;
use super::open::{CachedFile, is_info_of};
use super::recover;
use super::tree::{FileKind, Name, Placed};
use crate::error::{Error, ErrorKind, Result};
use crate::info::Info;
use crate::staged::Complete;
use crate::upstream::{BoxFuture, MAX_GO_MOD, MAX_ZIP};

impl Shared {
    /// The file, fetched if needed.
    pub(super) async fn file(
        self: &Arc<Self>,
        version: &ModuleVersion,
        kind: FileKind,
    ) -> Result<CachedFile> {
        if let Some(file) = self.open(version, kind)? {
            self.counters.hit();
            return Ok(file);
        }
        let name = Name::file(version, kind);
        if let Some(error) = self.absence(&name) {
            return Err(error);
        }
        let flight = || self.clone().fetch(version.clone(), kind);
        match self.files.join(name.as_str(), flight).await {
            // Asked for before the module was forgotten: that answer is not for us.
            Err(error) if error.kind() == ErrorKind::NotFound && self.absence(&name).is_none() => {
                self.files.join(name.as_str(), flight).await?;
            }
            fetched => fetched?,
        }
        let gone = || Error::unavailable("the stored file vanished");
        self.open(version, kind)?.ok_or_else(gone)
    }

    /// One flight: afterwards the file is stored and admitted. Boxed, as the one for a zip waits for another.
    fn fetch(self: Arc<Self>, version: ModuleVersion, kind: FileKind) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move { self.fetch_missing(&version, kind).await })
    }

    async fn fetch_missing(self: &Arc<Self>, version: &ModuleVersion, kind: FileKind) -> Result<()> {
        let name = Name::file(version, kind);
        if self.open(version, kind)?.is_some() {
            return Ok(());
        }
        self.counters.miss();
        let mut asked = self.asking();
        let result = match kind {
            FileKind::Info => self.fetch_info(version, &name).await,
            FileKind::GoMod => self.fetch_go_mod(version, &name).await,
            FileKind::Zip => self.fetch_zip(version, &name).await,
        };
        if result.as_ref().is_err_and(|error| error.kind().is_wrong()) {
            self.counters.rejected();
        }
        if kind == FileKind::Zip {
            // Without its go.mod there is no zip, and that may have been known for a while.
            asked = self.absent_since(&Name::file(version, FileKind::GoMod)).unwrap_or(asked);
        }
        self.note_absence(&name, asked, &result);
        result
    }

    async fn fetch_info(self: &Arc<Self>, version: &ModuleVersion, name: &Name) -> Result<()> {
        if let Some(bytes) = self.read_dropped(name, Info::MAX_BYTES as u64).await?
            && !is_info_of(version, &bytes)
        {
            self.set_aside(version, FileKind::Info, &bytes, "is not the information of this version").await?;
        }
        self.check_room(name)?;
        let query = Query::from(version.version().clone());
        let info = self.upstream.info(version.path(), &query).await?;
        if info.version() != version.version() {
            return Err(Error::rejected(format!("{version}: upstream describes {} instead", info.version())));
        }
        let staged = self.staging.write(info.format().into()).await?;
        self.place(staged, name).await?;
        self.origins.note(version.path(), &info);
        self.note_version(version);
        Ok(())
    }

    async fn fetch_go_mod(self: &Arc<Self>, version: &ModuleVersion, name: &Name) -> Result<()> {
        // A file that nobody here admitted: dropped in, or placed just before a crash. It is judged like a new one.
        if let Some(bytes) = self.read_dropped(name, MAX_GO_MOD).await? {
            let h1 = hash_go_mod(&bytes);
            let verdict = match self.check_unchanged(version, name, h1).await? {
                Ok(()) => self.admit.admit_go_mod(version, h1).await,
                Err(refusal) => Err(refusal),
            };
            match verdict {
                Ok(()) => return self.mark(name, h1, check::digest(&bytes), bytes.len() as u64).await,
                Err(Refusal::Refused { text, .. }) => {
                    self.set_aside(version, FileKind::GoMod, &bytes, &text).await?;
                }
                Err(refusal) => return Err(refused(&refusal)),
            }
        }
        self.check_room(name)?;
        let bytes = self.upstream.go_mod(version).await?;
        if bytes.len() as u64 > MAX_GO_MOD {
            return Err(Error::too_large(MAX_GO_MOD).about(version));
        }
        let h1 = hash_go_mod(&bytes);
        let staged = self.staging.write(bytes).await?;
        if let Err(refusal) = self.admit.admit_go_mod(version, h1).await {
            self.keep_evidence(version, FileKind::GoMod, staged, &refusal).await;
            return Err(refused(&refusal));
        }
        self.settle(staged, name, h1).await
    }

    async fn fetch_zip(self: &Arc<Self>, version: &ModuleVersion, name: &Name) -> Result<()> {
        // Its go.mod first: stored on its own anyway, and both are judged together.
        let go_mod = self.file(version, FileKind::GoMod).await?.h1;
        let go_mod = go_mod.ok_or_else(|| Error::unavailable("the stored go.mod has no hash"))?;
        if let Some(found) = self.find_dropped(name).await?
            && self.adopt_zip(version, name, (found, go_mod)).await?
        {
            return Ok(());
        }
        self.check_room(name)?;
        self.admit.expect_zip(version).await.map_err(|refusal| refused(&refusal))?;
        let mut staged = self.staging.create(MAX_ZIP).await?;
        self.upstream.zip(version, &mut staged).await?;
        self.finish_zip(version, name, staged.finish().await?, go_mod).await
    }

    /// Judges, admits and places a complete zip. Also what recovery does with a zip that was left staged.
    pub(super) async fn finish_zip(
        self: &Arc<Self>,
        version: &ModuleVersion,
        name: &Name,
        staged: Complete,
        go_mod: H1,
    ) -> Result<()> {
        let checked = self.check(version, staged.name()).await?;
        self.check_again(version, name, checked.h1).await?;
        let note = recover::Note::write(&self.tree, &staged, version).await?;
        if let Err(refusal) = self.admit.admit_zip(version, checked.hashes(go_mod)).await {
            self.keep_evidence(version, FileKind::Zip, staged, &refusal).await;
            return Err(refused(&refusal));
        }
        let settled = self.settle(staged, name, checked.h1).await;
        drop(note);
        settled
    }

    /// Admits a zip that lies in the tree already. One that is refused is moved away, and `false` returned.
    async fn adopt_zip(
        self: &Arc<Self>,
        version: &ModuleVersion,
        name: &Name,
        (found, go_mod): (check::Found, H1),
    ) -> Result<bool> {
        let checked = match self.check(version, name).await {
            Err(error) if error.kind() == ErrorKind::Rejected => Err(refusal(error.text())),
            Err(error) => return Err(error),
            Ok(checked) => {
                self.check_unchanged(version, name, checked.h1).await?.map(|()| checked.hashes(go_mod))
            }
        };
        let admitted = match checked {
            Ok(hashes) => self.admit.admit_zip(version, hashes).await.map(|()| hashes.zip),
            Err(refusal) => Err(refusal),
        };
        match admitted {
            Ok(h1) => self.mark(name, h1, found.sha256, found.length).await.map(|()| true),
            Err(Refusal::Refused { text, .. }) => {
                self.move_aside(version, FileKind::Zip, found.sha256, text).await.map(|()| false)
            }
            Err(refusal) => Err(refused(&refusal)),
        }
    }

    /// Checks a zip by Go's rules and hashes its content.
    pub(super) async fn check(self: &Arc<Self>, version: &ModuleVersion, name: &Name) -> Result<Checked> {
        let closed = |_| Error::unavailable("the cache is shut down");
        let _place = self.checks.acquire().await.map_err(closed)?;
        check::check(version.clone(), self.tree.clone(), name.clone()).await
    }

    /// Refuses a file whose content is not the one that was admitted here once: disks and people change files.
    async fn check_unchanged(
        self: &Arc<Self>,
        version: &ModuleVersion,
        name: &Name,
        h1: H1,
    ) -> Result<std::result::Result<(), Refusal>> {
        let mark = name.mark();
        let mark = self.on_disk(move |shared| shared.read_mark(&mark)).await?;
        let admitted = mark.map(|mark| mark.h1).filter(|admitted| *admitted != h1);
        Ok(admitted.map_or(Ok(()), |admitted| {
            Err(refusal(&format!("{version}: changed on disk from {admitted} to {h1} after it was admitted")))
        }))
    }

    /// Moves an admitted file into the tree and marks it.
    async fn settle(self: &Arc<Self>, staged: Complete, name: &Name, h1: H1) -> Result<()> {
        let (sha256, length) = (*staged.sha256(), staged.length());
        match self.place(staged, name).await? {
            Placed::New => self.mark(name, h1, sha256, length).await,
            // Somebody dropped a file in meanwhile. It stays, and is judged when it is asked for again.
            Placed::Existed => Err(Error::unavailable("the file appeared while it was fetched, try again")),
        }
    }

    pub(super) async fn place(self: &Arc<Self>, staged: Complete, name: &Name) -> Result<Placed> {
        let name = name.clone();
        let place = move |shared: &Self| {
            let placed = shared.tree.place(staged.name(), &name)?;
            if placed == Placed::New {
                shared.counters.stored(staged.length());
                if name.is_zip() {
                    shared.counters.stored_zip(staged.length());
                }
            }
            Ok(placed)
        };
        self.on_disk(place).await
    }

    pub(super) async fn mark(
        self: &Arc<Self>,
        name: &Name,
        h1: H1,
        sha256: [u8; 32],
        length: u64,
    ) -> Result<()> {
        let name = name.clone();
        let mark = move |shared: &Self| {
            let mark = Mark { owner: shared.options.owner.clone(), h1, sha256, length };
            shared.tree.write_unsynced(&shared.staging.new_name(), &name.mark(), mark.format().as_bytes())
        };
        self.on_disk(mark).await
    }

    /// The bytes of a file in the tree that is not admitted.
    async fn read_dropped(self: &Arc<Self>, name: &Name, most: u64) -> Result<Option<Bytes>> {
        let name = name.clone();
        self.on_disk(move |shared| shared.tree.read_up_to(&name, most)).await
    }

    pub(super) async fn find_dropped(self: &Arc<Self>, name: &Name) -> Result<Option<check::Found>> {
        let name = name.clone();
        self.on_disk(move |shared| shared.tree.open(&name)?.map(check::find).transpose()).await
    }

    async fn set_aside(
        self: &Arc<Self>,
        version: &ModuleVersion,
        kind: FileKind,
        bytes: &[u8],
        text: &str,
    ) -> Result<()> {
        self.move_aside(version, kind, check::digest(bytes), text.to_owned()).await
    }

    /// Moves a file that must not be served out of the tree.
    async fn move_aside(
        self: &Arc<Self>,
        version: &ModuleVersion,
        kind: FileKind,
        sha256: [u8; 32],
        text: String,
    ) -> Result<()> {
        tracing::error!(%version, kind = kind.extension(), reason = text, "a file in the cache is refused and moved aside");
        self.counters.refused();
        let version = version.clone();
        let keep = move |shared: &Self| {
            let case = Case { version: &version, kind, sha256: &sha256, text: &text, proof: &[] };
            let name = Name::file(&version, kind);
            let length = shared.tree.inspect(&name)?.map_or(0, |facts| facts.length);
            shared.keep_case(FindingKind::Mismatch, &case, &name)?;
            if kind == FileKind::Zip {
                shared.counters.removed_zip(length);
            }
            Ok(())
        };
        self.on_disk(keep).await
    }

    /// Keeps a refused file; failing to keep it does not make it any less refused.
    async fn keep_evidence(
        self: &Arc<Self>,
        version: &ModuleVersion,
        kind: FileKind,
        staged: Complete,
        refusal: &Refusal,
    ) {
        let Refusal::Refused { text, evidence } = refusal.clone() else { return };
        tracing::error!(%version, kind = kind.extension(), reason = text, "refused what upstream sent");
        self.counters.refused();
        let version = version.clone();
        let keep = move |shared: &Self| {
            let case =
                Case { version: &version, kind, sha256: staged.sha256(), text: &text, proof: &evidence };
            shared.keep_case(FindingKind::Mismatch, &case, staged.name())
        };
        // Already logged by the disk error.
        let _ = self.on_disk(keep).await;
    }
}

fn refusal(text: &str) -> Refusal {
    Refusal::Refused { text: text.to_owned(), evidence: Vec::new() }
}

pub(super) fn refused(refusal: &Refusal) -> Error {
    match refusal {
        Refusal::Refused { text, .. } => Error::rejected(text),
        Refusal::Unknown { text } => Error::not_found(text),
        Refusal::Forbidden { text } => Error::new(ErrorKind::Forbidden, text),
        Refusal::Unavailable { text, timeout: false } => Error::unavailable(text),
        Refusal::Unavailable { text, timeout: true } => Error::timeout(text),
    }
}
