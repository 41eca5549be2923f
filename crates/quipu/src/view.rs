//! A log read from its files as it is on the disk, also beside a running server.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use quipu_ledger::{Guarded, RealDisk, Store as _};
use quipu_module::{ModuleVersion, Record};
use quipu_note::{Note, SignerKey, VerifierKey, open, sign};
use quipu_rocks::RocksStore;
use quipu_tlog::{Hash, StoredTiles, Tile, TileLevel, Tree, format_tree, parse_tree, tree_root};

use crate::keys::DataDir;
use crate::store;

/// Most records that the newest kept note may be behind the head: a round has no more.
const MAX_ROUND: u64 = 65_536;

/// A log at one moment.
pub(crate) struct View {
    store: RocksStore,
    verifier: VerifierKey,
}

impl View {
    /// The log in a data directory; `None` if it holds none yet.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub(crate) fn open(data: &DataDir) -> Result<Option<Self>> {
        if !data.has_log() {
            return Ok(None);
        }
        let store = store::open_read_only(data)?;
        Ok(Some(Self { store, verifier: data.verifier()? }))
    }

    /// The key of the log.
    pub(crate) const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The record of a module version with its index and its text.
    ///
    /// # Errors
    /// The store fails, or what it holds is no record.
    pub(crate) fn record(&self, module: &ModuleVersion) -> Result<Option<(u64, Record, Bytes)>> {
        let key = format!("{} {} ", module.path(), module.version());
        let Some((index, found)) = self.store.find(key.as_bytes())? else { return Ok(None) };
        let text = std::str::from_utf8(&found.text).with_context(|| format!("record {index}"))?;
        let record = Record::find(text, module).with_context(|| format!("record {index}"))?;
        Ok(Some((index, record, found.text)))
    }

    /// The body of a hash tile.
    ///
    /// # Errors
    /// The store fails or does not have it.
    pub(crate) fn tile(&self, tile: Tile) -> Result<Bytes> {
        let TileLevel::Hashes(level) = tile.level() else { bail!("{tile} holds no hashes") };
        let body = self.store.tile(level, tile.n())?.filter(|body| body.len() >= tile.hash_bytes());
        let body = body.with_context(|| format!("the store lacks {tile}: see `quipu fsck`"))?;
        Ok(body.slice(..tile.hash_bytes()))
    }

    /// The root of the first `size` records.
    ///
    /// # Errors
    /// There are not so many, or the store fails.
    pub(crate) fn root(&self, size: u64) -> Result<Hash> {
        let have = self.store.head()?.map_or(0, |head| head.size);
        ensure!(size <= have, "the log has {have} records, not {size}");
        tree_root(size, &StoredTiles::new(size, |tile| self.tile(tile)))
            .map_err(|error| anyhow::anyhow!("the root of {size} records: {error:?}"))
    }

    /// The newest head with its signed note. The store keeps the note of a head with the round after it; that of the newest
    /// is made again where the signing key can be read: the guard says that it may be signed, and the same key gives the
    /// same note.
    ///
    /// # Errors
    /// Nothing is signed yet, or the store fails.
    pub(crate) fn head(&self, guard: &Path, key: Option<&SignerKey>) -> Result<(Tree, Bytes)> {
        let stored = self.store.head()?.map_or(0, |head| head.size);
        let guarded = Guarded::read(&RealDisk, guard).with_context(|| guard.display().to_string())?;
        let signable = guarded.map(|guarded| guarded.head).filter(|head| head.size <= stored);
        if let (Some(head), Some(key)) = (signable, key.filter(|key| *key.verifier() == self.verifier)) {
            let tree = Tree { size: head.size, root: self.root(head.size)? };
            ensure!(tree.root == head.root, "the store is not the log that was guarded: see `quipu fsck`");
            let note = sign(&Note::new(format_tree(&tree)), &[key])?;
            return Ok((tree, note.into_bytes().into()));
        }
        self.kept_head(stored)
    }

    fn kept_head(&self, stored: u64) -> Result<(Tree, Bytes)> {
        for size in (stored.saturating_sub(MAX_ROUND)..=stored).rev() {
            if let Some(notes) = self.store.notes(size)? {
                return Ok((self.open_note(&notes.sumdb)?, notes.sumdb));
            }
        }
        bail!("no signed head is kept, and the signing key cannot be read")
    }

    /// The tree of a note that this log signed; its root must be that of this log.
    ///
    /// # Errors
    /// It is no note, not signed by this log's key, or of another history.
    pub(crate) fn open_note(&self, note: &[u8]) -> Result<Tree> {
        let opened = open(note, std::slice::from_ref(&self.verifier))
            .with_context(|| format!("no note signed by {}", self.verifier.name()))?;
        let tree = parse_tree(&opened.text).context("no signed head")?;
        self.check(&tree)?;
        Ok(tree)
    }

    /// Whether a tree is what this log was at its size.
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn check(&self, tree: &Tree) -> Result<()> {
        let root = self.root(tree.size)?;
        ensure!(
            root == tree.root,
            "a head of {} records has the root {}, but those of this log have {root}: it is of another history",
            tree.size,
            tree.root
        );
        Ok(())
    }
}
