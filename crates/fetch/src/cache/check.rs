//! Judging zips.

use std::io::{self, Read as _};

use quipu_module::{H1, ModuleVersion, check_zip, hash_go_mod, synthesize_go_mod};
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use super::admit::Hashes;
use super::tree::{Name, Tree};
use crate::error::{Error, Result};
use crate::staged::disk_error;
use crate::storage::Stored;
use crate::upstream::MAX_ZIP;

/// A zip that is good as a zip.
pub(super) struct Checked {
    /// Its hash.
    pub(super) h1: H1,
    /// The hash of the go.mod in it, or of the line that stands for a missing one.
    go_mod: H1,
}

impl Checked {
    /// What to ask the admission about, where the `.mod` with the hash `served` belongs to the zip.
    pub(super) fn hashes(&self, served: H1) -> Hashes {
        Hashes { zip: self.h1, go_mod: served, go_mod_in_zip: self.go_mod }
    }
}

/// Checks and hashes the zip of this name.
///
/// # Errors
/// [`ErrorKind::Rejected`](crate::ErrorKind::Rejected) if it is no good zip for this version.
pub(super) async fn check(version: ModuleVersion, tree: Tree, name: Name) -> Result<Checked> {
    let work = move || {
        let file = tree.open_there(&name).map_err(|error| disk_error(&error))?;
        let report = check_zip(&version, file.reader());
        let report = report.map_err(|error| match error.kind() {
            quipu_module::ErrorKind::Malformed => Error::rejected(format!("{version}: create zip: {error}")),
            _ => disk_error(&io::Error::other(error)),
        })?;
        let go_mod = report.go_mod.unwrap_or_else(|| synthesize_go_mod(version.path()).into_bytes());
        Ok(Checked { h1: report.hash, go_mod: hash_go_mod(&go_mod) })
    };
    spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Error::unavailable("internal error while checking a zip")))
}

/// A file that lies in the tree or in staging already.
pub(super) struct Found {
    pub(super) sha256: [u8; 32],
    pub(super) length: u64,
}

/// Hashes the bytes of a file, of which no more than a zip may have are read. Blocks.
pub(super) fn find(file: Stored) -> io::Result<Found> {
    let mut file = file.reader().take(MAX_ZIP.saturating_add(1));
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    let mut length = 0u64;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Found { sha256: hash.finalize().into(), length }),
            read => {
                hash.update(buffer.get(..read).unwrap_or_default());
                length = length.saturating_add(read as u64);
            }
        }
    }
}

/// SHA-256.
pub(super) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
