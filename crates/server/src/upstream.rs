//! The verifying client's way to a database: through this server's own outbound client.

use quipu_fetch::{Database, ErrorKind};
use quipu_verify::{Fetch, Transport, TransportError};

/// A checksum database reached as the go command would reach it from here.
pub struct Reached(pub Database);

impl Transport for Reached {
    fn get<'a>(&'a self, path: &'a str, max_bytes: usize) -> Fetch<'a> {
        Box::pin(async move {
            let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX);
            self.0.get(path, limit).await.map_err(|error| match error.kind() {
                ErrorKind::NotFound => TransportError::NotFound(error.text().to_owned()),
                ErrorKind::TooLarge => TransportError::TooLarge(max_bytes),
                _ => TransportError::Unavailable(error.text().to_owned()),
            })
        })
    }
}
