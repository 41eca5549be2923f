//! A database that is found as the go command finds it: behind the first proxy that supports it, else at its name.

use std::sync::Arc;

use anyhow::Result;
use quipu_module::{Fallback, ProxyList, ProxyTarget};
use quipu_verify::{Fetch, Transport, TransportError};
use tokio::sync::OnceCell;

use super::{Files, Http, Url};
use crate::exit::wrong_usage;

/// A database by name. It is looked for when it is first asked.
pub(crate) struct Found {
    http: Arc<Http>,
    ways: Vec<(Way, Fallback)>,
    /// The database itself, if the list leads there.
    direct: Url,
    found: OnceCell<Way>,
}

#[derive(Clone)]
enum Way {
    Url(Url),
    Files(Arc<Files>),
}

impl Found {
    /// The database `name` behind one of the proxies of a GOPROXY list; without a list at `https://<name>`.
    ///
    /// # Errors
    /// Wrong usage: the list is malformed.
    pub(crate) fn new(http: Arc<Http>, name: &str, goproxy: Option<&str>) -> Result<Self> {
        let mut ways = Vec::new();
        let list =
            goproxy.map(ProxyList::parse).transpose().map_err(|e| wrong_usage(format!("GOPROXY: {e}")))?;
        for entry in list.iter().flat_map(ProxyList::entries) {
            let ProxyTarget::Url(url) = &entry.target else { continue };
            let way = match url.scheme() {
                "file" => Way::Files(Arc::new(Files::below(url.as_str(), &format!("sumdb/{name}"))?)),
                _ => Way::Url(Url::parse(url.as_str())?.join(&format!("sumdb/{name}"))),
            };
            ways.push((way, entry.fallback));
        }
        let direct = Url::parse(&format!("https://{name}"))?;
        Ok(Self { http, ways, direct, found: OnceCell::new() })
    }

    async fn way(&self) -> Result<&Way, TransportError> {
        self.found.get_or_try_init(|| self.search()).await
    }

    /// Asks each proxy whether it supports the database. One that cannot say ends the search unless the list lets
    /// errors lead on.
    async fn search(&self) -> Result<Way, TransportError> {
        for (way, fallback) in &self.ways {
            match self.ask(way, "/supported", MAX_SUPPORTED).await {
                Ok(_) => return Ok(way.clone()),
                Err(TransportError::NotFound(_)) => {}
                Err(_) if *fallback == Fallback::OnAnyError => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Way::Url(self.direct.clone()))
    }

    async fn ask(&self, way: &Way, path: &str, max_bytes: usize) -> Result<bytes::Bytes, TransportError> {
        match way {
            Way::Url(url) => self.http.get(url, path, max_bytes).await,
            Way::Files(files) => files.get(path, max_bytes).await,
        }
    }
}

impl Transport for Found {
    fn get<'a>(&'a self, path: &'a str, max_bytes: usize) -> Fetch<'a> {
        Box::pin(async move { self.ask(self.way().await?, path, max_bytes).await })
    }
}

const MAX_SUPPORTED: usize = 64 << 10;
