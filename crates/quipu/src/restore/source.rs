//! A copy of the log to bring records from: a backup or data directory, or a server that has the same log.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use quipu_ledger::{Micros, Notes, Store as _};
use quipu_note::{SignerKey, VerifierKey};
use quipu_rocks::RocksStore;
use quipu_tlog::{TILE_WIDTH, Tile, TileLevel, parse_tree, split_records};
use tokio::runtime::{Builder, Runtime};

use crate::cli::TokenArg;
use crate::keys::DataDir;
use crate::remote::Remote;
use crate::store;

/// Longest data tile, in bytes.
const MAX_TILE: u64 = 16 << 20;

/// A copy of the log.
pub(super) struct Source {
    name: String,
    at: At,
    size: u64,
    /// The largest size that is known to have been signed.
    signed: u64,
}

enum At {
    Store(Box<RocksStore>),
    /// With the runtime that its connections live on.
    Server(Box<Remote>, Runtime),
}

impl Source {
    /// A directory, or a URL whose server is shown the token.
    ///
    /// # Errors
    /// It cannot be read, or is a copy of another log.
    pub(super) fn new(text: &str, signer: &SignerKey, token: &TokenArg) -> Result<Self> {
        if Path::new(text).is_dir() {
            return Self::dir(&DataDir::new(text), signer);
        }
        ensure!(text.contains("://"), "{text} is neither a directory nor a URL");
        Self::server(text, signer.verifier(), token)
    }

    /// A backup or data directory.
    ///
    /// # Errors
    /// It cannot be read, or is a copy of another log.
    pub(super) fn dir(dir: &DataDir, signer: &SignerKey) -> Result<Self> {
        let name = dir.path().display().to_string();
        let (theirs, ours) = (dir.verifier()?, signer.verifier());
        ensure!(theirs == *ours, "{name} is a copy of the log {theirs}, not of {ours}");
        let store = store::open_read_only(dir).with_context(|| format!("cannot read the log in {name}"))?;
        let size = store.head()?.map_or(0, |head| head.size);
        let mut signed = 0;
        store.each_notes(|notes| signed = notes.size)?;
        Ok(Self { name, at: At::Store(Box::new(store)), size, signed })
    }

    fn server(url: &str, key: &VerifierKey, token: &TokenArg) -> Result<Self> {
        let remote = Remote::with_token(url, token)?;
        let runtime =
            Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
        let (status, note) = runtime.block_on(remote.get("/latest", 1 << 20))?;
        ensure!(status == 200, "{url}/latest answers {status}{}", needs(status));
        let note = quipu_note::open(&note, std::slice::from_ref(key))
            .with_context(|| format!("{url}/latest is not signed with the key of this log ({key})"))?;
        let tree = parse_tree(&note.text).with_context(|| format!("{url}/latest"))?;
        Ok(Self {
            name: url.to_owned(),
            at: At::Server(Box::new(remote), runtime),
            size: tree.size,
            signed: tree.size,
        })
    }

    /// Records it has.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The largest size that is known to have been signed.
    pub(super) fn signed(&self) -> u64 {
        self.signed
    }

    /// Records with their times, if it knows them.
    ///
    /// # Errors
    /// They cannot be had.
    pub(super) fn records(&self, range: Range<u64>) -> Result<Vec<(Option<Micros>, Bytes)>> {
        match &self.at {
            At::Store(store) => {
                let records = store.records(range).with_context(|| self.name.clone())?;
                Ok(records.into_iter().map(|record| (Some(record.time), record.text)).collect())
            }
            At::Server(remote, runtime) => runtime.block_on(self.tiles(remote, range)),
        }
    }

    async fn tiles(&self, remote: &Remote, range: Range<u64>) -> Result<Vec<(Option<Micros>, Bytes)>> {
        let width = u64::from(TILE_WIDTH);
        let mut records = Vec::new();
        for n in range.start / width..range.end.div_ceil(width) {
            let first = n * width;
            let count = u16::try_from(width.min(self.size - first))?;
            let tile = Tile::new(TileLevel::Data, n, count).context("no log has that many records")?;
            let path = format!("/{}", tile.sumdb_path());
            let (status, body) = remote.get(&path, MAX_TILE).await?;
            if status != 200 {
                bail!("{}{path} answers {status}{}", self.name, needs(status));
            }
            let texts = split_records(&body, count).with_context(|| format!("{}{path}", self.name))?;
            let wanted = (first..).zip(texts).filter(|(index, _)| range.contains(index));
            records.extend(wanted.map(|(_, text)| (None, Bytes::from(text.to_owned()))));
        }
        Ok(records)
    }

    /// The notes signed at a size, if it keeps them.
    ///
    /// # Errors
    /// It cannot be known.
    pub(super) fn notes(&self, size: u64) -> Result<Option<Notes>> {
        match &self.at {
            At::Store(store) => Ok(store.notes(size)?),
            At::Server(..) => Ok(None),
        }
    }
}

/// What a refusal asks for. Records name all modules, so a server that is not open to all demands a scope for them.
const fn needs(status: u16) -> &'static str {
    match status {
        401 | 403 => ": a token with the scope audit may be needed (--token-file)",
        _ => "",
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
