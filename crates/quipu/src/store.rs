//! Opening the store of a log: what is said while it takes long, and of one that does not open.

use anyhow::{Error, Result};
use quipu_ledger::ReadError;
use quipu_rocks::{OpenError, Options, RocksStore};

use crate::keys::DataDir;

/// The options for a store that a command opens; says on stderr when that takes long.
pub(crate) fn options() -> Options {
    let mut options = Options::default();
    options.tell = |text| eprintln!("quipu: {text}");
    options
}

/// Opens the store of a log read-only, also beside the server.
///
/// # Errors
/// See [`refused`].
pub(crate) fn open_read_only(data: &DataDir) -> Result<RocksStore> {
    RocksStore::open_read_only(data.log(), &options()).map_err(|error| refused(error, data))
}

/// The error with what to do where files are damaged or the disk hangs. After [`OpenError::Still`] a thread is left that
/// cannot be stopped: the process has to end.
pub(crate) fn refused(error: OpenError, data: &DataDir) -> Error {
    let dir = data.path().display();
    match error {
        OpenError::Read(ReadError::Corrupt(why)) => Error::msg(format!(
            "the store in {dir} is damaged: {why}; keep the directory as it is, `quipu fsck {dir}` shows what can be read, \
             `quipu restore` brings the log back from a copy"
        )),
        still @ OpenError::Still(..) => Error::msg(format!(
            "{still}; if the disk is good, keep the directory as it is and bring the log back from a copy with `quipu restore`"
        )),
        other => other.into(),
    }
}
