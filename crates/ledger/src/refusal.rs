//! Why a log was not opened. Each text says what happened and what to do.

use crate::seal::SealError;
use crate::store::ReadError;
use quipu_tlog::Hash;

/// Why a log was not opened. Nothing was signed, and nothing in the store was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses the data directory or the guard.
    #[error("{what} is in use by another process: stop that one first, one log has one writer")]
    Busy {
        /// The lock that is held.
        what: String,
    },
    /// The guard knows records, the store has none.
    #[error(
        "the guard {guard} knows a signed head of {size} records, but {data} holds no log: the data directory is wrong, \
         or its content is lost. Name the right directory (--data), or bring the records back with `quipu restore`; \
         starting from nothing would fork the log"
    )]
    GuardWithoutStore {
        /// The guard.
        guard: String,
        /// The data directory.
        data: String,
        /// Size of the guarded head.
        size: u64,
    },
    /// There is a log, but no guard.
    #[error(
        "{data} holds a log of {size} records, but there is no guard {guard}: without it nobody can tell whether more was \
         signed than is here. Name the right guard (--guard); if it is lost, make sure that no client or mirror knows \
         a larger head, then `quipu restore --new-guard`"
    )]
    StoreWithoutGuard {
        /// The guard.
        guard: String,
        /// The data directory.
        data: String,
        /// Size of the stored head.
        size: u64,
    },
    /// The store ends before the guarded head.
    #[error(
        "{data} ends at record {stored}, but a head of {guarded} records may have been signed (guard {guard}): an older \
         copy was restored, or the disk lost synced writes. Going on would fork the log. Bring the missing records back \
         with `quipu restore`; `quipu fsck` shows what is there"
    )]
    Behind {
        /// The guard.
        guard: String,
        /// The data directory.
        data: String,
        /// Size of the guarded head.
        guarded: u64,
        /// Size of the stored head.
        stored: u64,
    },
    /// The store is further ahead of the guard than a crash can leave it.
    #[error(
        "{data} has {stored} records, {ahead}, more than one interrupted round after the guarded head of {guarded} \
         (guard {guard}): the guard is an older copy, or something else wrote to the store. Name the right guard \
         (--guard); if it is lost, make sure that no client or mirror knows a larger head, then `quipu restore --new-guard`"
    )]
    TooFarAhead {
        /// The guard.
        guard: String,
        /// The data directory.
        data: String,
        /// Size of the guarded head.
        guarded: u64,
        /// Size of the stored head.
        stored: u64,
        /// How that was seen.
        ahead: String,
    },
    /// The store has another tree than was signed.
    #[error(
        "at {size} records {data} has the root {stored}, but {guarded} was guarded and may have been signed (guard {guard}): \
         these are two different logs. Keep both; name the right directory and guard (--data, --guard), or bring the \
         guarded one back with `quipu restore`"
    )]
    Forked {
        /// The guard.
        guard: String,
        /// The data directory.
        data: String,
        /// The size at which they differ.
        size: u64,
        /// The root guarded.
        guarded: Hash,
        /// The root made from the store's tiles.
        stored: Hash,
    },
    /// The data directory or the guard belongs to a log of another name, key or founding.
    #[error(
        "{file} belongs to another log: {difference}. Name the right data directory, guard, name and key (--data, \
         --guard, --name, --key); a new name or key needs a new log"
    )]
    OtherLog {
        /// The file that says so.
        file: String,
        /// What differs.
        difference: String,
    },
    /// The data directory or the guard is a copy.
    #[error(
        "{file} {how}: if another copy of this log goes on being written, two logs of one name and key would fork. If this \
         is the only one that will ever be started again, say so with `quipu restore --moved`"
    )]
    Copied {
        /// The file that gives it away.
        file: String,
        /// What is odd about it.
        how: &'static str,
    },
    /// The guard, or the file that says which log this is, is not intact.
    #[error(
        "{file} is damaged: {why}. Put an intact copy of the newest one there; if there is none, make sure that no client \
         or mirror knows a larger head than is here, remove the file, then `quipu restore --new-guard`"
    )]
    GuardDamaged {
        /// The damaged file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// Records, tiles and head in the store contradict each other.
    #[error(
        "the store in {data} is damaged: {why}. `quipu fsck` names all that is wrong; bring the records back with `quipu \
         restore`"
    )]
    StoreDamaged {
        /// The data directory.
        data: String,
        /// What is wrong.
        why: String,
    },
    /// Storage could not be read or written.
    #[error("{doing}: {why}. Nothing was signed; when the cause is removed, start again")]
    Io {
        /// What was being done.
        doing: String,
        /// What the operating system or the store said.
        why: String,
    },
    /// Signing failed.
    #[error("the head could not be signed: {0}. Check the key (--key) and start again")]
    Sign(String),
    /// The options contradict each other.
    #[error("{0}")]
    Usage(String),
}

impl OpenError {
    pub(crate) fn io(doing: impl Into<String>, why: &dyn std::fmt::Display) -> Self {
        Self::Io { doing: doing.into(), why: why.to_string() }
    }

    pub(crate) fn of_seal(error: SealError, guard: &str) -> Self {
        match error {
            SealError::Busy(what) => Self::Busy { what },
            SealError::Damaged(why) => Self::GuardDamaged { file: guard.to_owned(), why },
            SealError::Guard(why) => Self::Io { doing: format!("the guard {guard}"), why },
            SealError::Sign(why) => Self::Sign(why),
        }
    }

    pub(crate) fn of_read(error: ReadError, data: &str) -> Self {
        match error {
            ReadError::Io(why) => Self::Io { doing: format!("reading the store in {data}"), why },
            ReadError::Corrupt(why) => Self::StoreDamaged { data: data.to_owned(), why },
        }
    }
}
