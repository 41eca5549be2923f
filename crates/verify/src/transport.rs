//! How the client reaches a database: one trait, implemented by whoever has a network.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

/// What [`Transport::get`] returns: boxed, so that the trait can be used behind a pointer.
pub type Fetch<'a> = Pin<Box<dyn Future<Output = Result<Bytes, TransportError>> + Send + 'a>>;

/// Fetches the resources of one checksum database.
///
/// The client believes nothing that comes from here, so an implementation has only two duties: to end (the client
/// sets no deadline of its own) and to stay within the size it was given.
pub trait Transport: Send + Sync + 'static {
    /// The body that the database serves at `path`.
    ///
    /// `path` begins with `/lookup/`, `/tile/` or is `/latest`; it is escaped as the checksum database protocol
    /// demands and may still hold characters that a URL needs percent-encoded. Only status 200 is success.
    /// `max_bytes` counts decoded bytes: a body that would be longer, also after decompression, is
    /// [`TransportError::TooLarge`], and no more than that is ever read.
    fn get<'a>(&'a self, path: &'a str, max_bytes: usize) -> Fetch<'a>;
}

/// Why a resource could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The database says that there is no such resource (status 404 or 410).
    #[error("not found: {0}")]
    NotFound(String),
    /// It could not be reached, did not answer in time, or answered with any other status: asking again later may
    /// help.
    #[error("{0}")]
    Unavailable(String),
    /// The body is longer than the limit.
    #[error("body of more than {0} bytes")]
    TooLarge(usize),
}
