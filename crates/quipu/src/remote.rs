//! Asking another server over HTTP, as a client of it.

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use quipu_fetch::{Base, Client, ClientOptions, Limits, Named, Purpose, Request, Url};

/// A server and the means to ask it.
pub(crate) struct Remote {
    client: Client,
    url: Url,
}

impl Remote {
    /// The server at `url`, which may be anywhere.
    ///
    /// # Errors
    /// It is no URL, or TLS cannot be set up.
    pub(crate) fn new(url: &str) -> Result<Self> {
        let url = url.trim_end_matches('/');
        let malformed = || format!("{url:?} is not the URL of a server (http://host:port or https://host)");
        let base = Base::parse(url).map_err(|error| anyhow!("{error}")).with_context(malformed)?;
        let mut named = Named::default();
        named.insert(base.authority().with_context(malformed)?.clone());
        let options = ClientOptions { named, ..ClientOptions::default() };
        let client = Client::new(options).map_err(|error| anyhow!("{error}"))?;
        Ok(Self { client, url: Url::parse(url).with_context(malformed)? })
    }

    /// Status and body at a path.
    ///
    /// # Errors
    /// No whole answer came.
    pub(crate) async fn get(&self, path: &str, max_bytes: u64) -> Result<(u16, Bytes)> {
        let url = self.url.join(path.trim_start_matches('/'));
        let limits = Limits::small(max_bytes);
        let request = Request { url: &url, credentials: None, purpose: Purpose::Database, limits };
        let failed = |error: quipu_fetch::Error| anyhow!("{}: {error}", self.url);
        let response = self.client.get(request).await.map_err(failed)?;
        let status = response.status.as_u16();
        Ok((status, response.body.bytes().await.map_err(failed)?))
    }
}

/// Runs what is asked on a runtime of its own.
///
/// # Errors
/// Those of the work itself.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(work)
}
