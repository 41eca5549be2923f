//! From a repository to module versions: what has to be known of a repository, and Go's rules over it.

mod history;

pub use self::history::{Archive, ArchivedFile, Commit, Entry, EntryKind, History, Oid, Refs, Tree};
