//! What a cache does, with its files in memory.

pub(crate) use crate::support::root::in_memory as root;

#[path = "answers.rs"]
mod answers;
#[path = "files.rs"]
mod files;
#[path = "freshness.rs"]
mod freshness;
#[path = "publish.rs"]
mod publish;
#[path = "recovery.rs"]
mod recovery;
#[path = "retention.rs"]
mod retention;
