//! From a repository to module versions: what has to be known of a repository, and Go's rules over it.
//!
//! [`History`] and [`Tree`] are what a repository can be asked, [`Place`] says where in it a module is, [`Resolver`] answers
//! what a module
//! proxy is asked, and [`write_zip`] makes the zip of what it found.

mod convert;
mod history;
mod locate;
mod place;
mod pseudo;
mod resolver;
mod revision;
mod tags;
mod zip;

pub(crate) use self::history::is_lower_hex;
pub use self::history::{Archive, ArchivedFile, Commit, Entry, EntryKind, History, Oid, Refs, Tree};
pub use self::place::Place;
pub use self::resolver::{Contents, Resolver};
pub use self::zip::write_zip;
