//! Repositories that modules come from: a fenced git, and a cache of bare repositories.
//!
//! git is run where it can do no harm to others: without the server's environment and without any setting from a file, with
//! one protocol allowed, towards the one judged address, following no redirect, with no hook, filter, submodule or helper,
//! in a process group of its own that is killed as a whole, and with limits of time, memory, file size and output. Nothing
//! is ever checked out.
//!
//! ```text
//! <root>/<sha-256 of the address>.git/   a bare repository; the file quipu-remote in it says of what
//! <root>/<sha-256>.new, <sha-256>.old    being made, being removed
//! ```

mod directory;
mod fence;
mod network;
mod objects;
mod refs;
mod remote;
mod repository;
mod settings;
mod snapshot;
mod store;
mod stream;
mod tar;

pub use fence::{GitLimits, GitProgram};
pub use remote::{GitAccess, Remote, SshAccess};
pub use repository::Repository;
pub use snapshot::Snapshot;
pub use store::{GitOptions, Repositories};
pub use tar::GitArchive;
