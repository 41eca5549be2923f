//! Ways to a database: HTTP, files, through proxies, none at all.

mod files;
mod found;
mod http;
mod proxy;
mod url;

use std::sync::Arc;

use quipu_verify::{Fetch, Transport, TransportError};

pub(crate) use files::Files;
pub(crate) use found::Found;
pub(crate) use http::Http;
pub(crate) use url::Url;

/// A database at a URL.
pub(crate) struct Place {
    http: Arc<Http>,
    url: Url,
}

impl Place {
    pub(crate) const fn new(http: Arc<Http>, url: Url) -> Self {
        Self { http, url }
    }
}

impl Transport for Place {
    fn get<'a>(&'a self, path: &'a str, max_bytes: usize) -> Fetch<'a> {
        Box::pin(self.http.get(&self.url, path, max_bytes))
    }
}

/// No way at all.
pub(crate) struct Offline;

impl Transport for Offline {
    fn get<'a>(&'a self, _path: &'a str, _max_bytes: usize) -> Fetch<'a> {
        let error = "not remembered, and --offline asks nobody".to_owned();
        Box::pin(std::future::ready(Err(TransportError::Unavailable(error))))
    }
}
