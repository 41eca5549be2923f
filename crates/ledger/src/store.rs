//! What the engine asks of storage: the `Store` trait and the values that cross it.

use std::ops::Range;

use bytes::Bytes;
use quipu_tlog::Hash;

/// A point in time: microseconds since the Unix epoch, UTC.
pub type Micros = u64;

/// A record on its way into the log: its text, and the key that is unique in the log.
///
/// The key is a *prefix of the text* (for a go.sum record: `<path> <version> `, both spaces included). So a store
/// never keeps keys of its own: it may index them by any hash it likes and decide by comparing the record's text.
/// No key of a log may be a prefix of another key (the spaces see to that).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    text: Bytes,
    key_len: usize,
}

impl Entry {
    /// Longest record text in bytes: what the two-byte length of a C2SP tlog-tiles entry bundle can say.
    pub const MAX_TEXT: usize = 65_535;

    /// An entry whose key is the first `key_len` bytes of `text`; `None` if the text is not that long, the key is
    /// empty, or the text is longer than [`Entry::MAX_TEXT`].
    pub fn new(text: Bytes, key_len: usize) -> Option<Self> {
        (key_len > 0 && key_len <= text.len() && text.len() <= Self::MAX_TEXT)
            .then_some(Self { text, key_len })
    }

    /// The unique key: a prefix of [`Entry::text`].
    pub fn key(&self) -> &[u8] {
        &self.text[..self.key_len]
    }

    /// The record text: what is hashed as the leaf and served.
    pub fn text(&self) -> &Bytes {
        &self.text
    }

    /// The group that the record belongs to, see [`group_of`].
    pub fn group(&self) -> &[u8] {
        group_of(self.key())
    }
}

/// The group of a key: its beginning up to the first space, that one included; all of a key that has none. For a
/// go.sum record that is the module path with a space, so the versions of one module are a group.
pub fn group_of(key: &[u8]) -> &[u8] {
    let end = key.iter().position(|byte| *byte == b' ').map_or(key.len(), |space| space + 1);
    key.get(..end).unwrap_or(key)
}

/// How many of the records of a group are wanted, and from which end. Either way they come in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Most {
    /// The first so many.
    First(usize),
    /// The last so many.
    Last(usize),
}

/// A record as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When the record was committed; strictly increasing with the index.
    pub time: Micros,
    /// The record text.
    pub text: Bytes,
}

/// The state of the tree after a round: what gets guarded and signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of records.
    pub size: u64,
    /// Root of the tree of that size.
    pub root: Hash,
    /// When the round was committed; not below the time of any record under it.
    pub time: Micros,
}

/// The two signed notes of one head. Either both exist or neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notes {
    /// The size both notes are about.
    pub size: u64,
    /// The checksum database's note (`go.sum database tree`).
    pub sumdb: Bytes,
    /// The C2SP tlog-checkpoint whose origin is the log's name.
    pub checkpoint: Bytes,
}

/// The stored form of one hash tile: its place and all the hashes it has so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileState {
    /// Tile level: entry `i` is the hash of the complete subtree over leaves `[i·256^level, (i+1)·256^level)`.
    pub level: u8,
    /// Tile number within the level.
    pub n: u64,
    /// 1 to 256 hashes of 32 bytes.
    pub hashes: Bytes,
}

/// Everything one commit writes, atomically.
#[derive(Clone, Debug)]
pub struct Round {
    /// The new records with their times, in index order; the first has the index `expected` of [`Store::commit`].
    pub records: Vec<(Micros, Entry)>,
    /// Every hash tile the round changed, in its widest state.
    pub tiles: Vec<TileState>,
    /// The head after the round.
    pub head: Head,
    /// Notes signed since the last commit; kept for ever, so that every head ever shown can be shown again.
    pub notes: Vec<Notes>,
}

/// Why a read failed. No store retries; the engine decides.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The medium failed.
    #[error("storage read failed: {0}")]
    Io(String),
    /// Something is there that no commit can have written.
    #[error("storage is damaged: {0}")]
    Corrupt(String),
}

/// Why a commit did not report success.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Surely nothing was written: the stored size is not what the caller expected.
    #[error("store holds {stored} records, the writer expected {expected}")]
    Conflict {
        /// Size found in the store.
        stored: u64,
        /// Size the writer believed in.
        expected: u64,
    },
    /// Surely nothing was written: no room. The writer may go on serving and try again later.
    #[error("no space left: {0}")]
    Full(String),
    /// The round may be durable, may be lost, or may come back after a restart. The writer must stop.
    #[error("commit outcome unknown: {0}")]
    Unknown(String),
}

/// Durable storage of one log, in the log's own words.
///
/// Duties of an implementation, held by the `conformance` suite (feature of that name):
/// - [`Store::commit`] is atomic and durable when it returns `Ok`: after a crash at any moment either all of a round
///   is there or none of it, and never a round without all rounds before it.
/// - Rows at or past `head().size` (left by an interrupted bulk load) are never visible and may be overwritten.
/// - Reads see the last successful commit and may run on any thread while a commit runs.
/// - A round without records is a round: the first commit of a log has none and `expected` 0.
/// - What a freshly opened store shows is durable. After a failed sync the page cache may show bytes that the disk
///   does not have, so opening rewrites the tail it read (or reads it past the cache) before showing it.
///
/// Duties of the caller: one writer at a time; no key twice (the writer asks [`Store::find`] first).
pub trait Store: Send + Sync + 'static {
    /// The head of the last commit; `None` for a store that never saw one.
    ///
    /// # Errors
    /// See [`ReadError`].
    fn head(&self) -> Result<Option<Head>, ReadError>;

    /// Appends a round to a store that holds exactly `expected` records, atomically and durably, or not at all.
    ///
    /// # Errors
    /// See [`CommitError`]: only `Unknown` leaves the outcome open.
    fn commit(&self, expected: u64, round: &Round) -> Result<(), CommitError>;

    /// The record whose text starts with `key`, and its index.
    ///
    /// # Errors
    /// See [`ReadError`].
    fn find(&self, key: &[u8]) -> Result<Option<(u64, Record)>, ReadError>;

    /// [`Store::find`] for many keys at once, answered in their order: the writer asks for all of a round together.
    ///
    /// # Errors
    /// See [`ReadError`]; for all keys if one fails.
    fn find_many(&self, keys: &[&[u8]]) -> Result<Vec<Option<(u64, Record)>>, ReadError> {
        keys.iter().map(|key| self.find(key)).collect()
    }

    /// The records of a half-open index range, all of it; an index at or past the head is an error of kind `Corrupt`
    /// (the caller bounds the range by a head). Callers ask for at most a few thousand at once.
    ///
    /// # Errors
    /// See [`ReadError`].
    fn records(&self, range: Range<u64>) -> Result<Vec<Record>, ReadError>;

    /// The records of a group ([`group_of`]) with indices in a half-open range, ascending, at most so many: the versions
    /// of one module. What lies past the head is never among them. Takes as long as there are records to return, however
    /// large the log.
    ///
    /// # Errors
    /// See [`ReadError`].
    fn group(&self, group: &[u8], range: Range<u64>, most: Most) -> Result<Vec<(u64, Record)>, ReadError>;

    /// The hashes tile `n` of `level` has so far, 32 bytes each; `None` if it has none. May hold more than any signed
    /// head covers: callers cut it to the width they want.
    ///
    /// # Errors
    /// See [`ReadError`].
    fn tile(&self, level: u8, n: u64) -> Result<Option<Bytes>, ReadError>;

    /// The notes signed at exactly `size`, if that size was ever signed and they were kept.
    ///
    /// # Errors
    /// See [`ReadError`].
    fn notes(&self, size: u64) -> Result<Option<Notes>, ReadError>;
}
