//! Why an append or a read failed, in kinds named by what the caller should do.

use std::sync::Arc;

use crate::store::{ReadError, Record};

/// Why an append or a read failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no room now, on the disk or in the queue. Nothing was written; try later. What is in the log is served
    /// as before.
    #[error("the log takes no new records now: {0}")]
    Full(Arc<str>),
    /// The log takes no more records in this process: it was shut down, or a fault left it unknown what is durable.
    /// The record may or may not be in the log after a restart; asking again then is safe.
    #[error("the log has stopped: {0}")]
    Stopped(Arc<str>),
    /// Storage could not be read this time.
    #[error("the log's storage could not be read: {0}")]
    Unavailable(Arc<str>),
    /// Storage holds what it cannot hold. Needs an operator (`quipu fsck`).
    #[error("the log's storage is damaged: {0}")]
    Corrupt(Arc<str>),
    /// The key is taken by another text, for ever.
    #[error("record {index} holds another text under this key")]
    Conflict {
        /// Index of the record that has the key.
        index: u64,
        /// That record.
        record: Record,
    },
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(why) => Self::Unavailable(why.into()),
            ReadError::Corrupt(why) => Self::Corrupt(why.into()),
        }
    }
}
