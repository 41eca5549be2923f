//! Asking another server over HTTP, as a client of it.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use quipu_fetch::{
    Authority, Base, Client, ClientOptions, Credentials, Limits, Named, Purpose, Request, Url,
};

use crate::token;

/// Longest time for a file to be sent and answered: as long as a server lets a request take.
const LONGEST_PUT: Duration = Duration::from_secs(15 * 60);

/// A server and the means to ask it.
pub(crate) struct Remote {
    client: Client,
    url: Url,
    credentials: Option<Credentials>,
}

impl Remote {
    /// The server at `url`, which may be anywhere, asked with the token in a file if there is one.
    ///
    /// # Errors
    /// It is no URL, TLS cannot be set up, or the file holds no token or one that would cross a network in clear text.
    pub(crate) fn new(url: &str, token_file: Option<&Path>) -> Result<Self> {
        let url = url.trim_end_matches('/');
        let malformed = || format!("{url:?} is not the URL of a server (http://host:port or https://host)");
        let base = Base::parse(url).map_err(|error| anyhow!("{error}")).with_context(malformed)?;
        let authority = base.authority().with_context(malformed)?;
        let credentials = token_file.map(|file| credentials(authority, file)).transpose()?;
        let mut named = Named::default();
        named.insert(authority.clone());
        let options = ClientOptions { named, ..ClientOptions::default() };
        let client = Client::new(options).map_err(|error| anyhow!("{error}"))?;
        Ok(Self { client, url: Url::parse(url).with_context(malformed)?, credentials })
    }

    /// Status and body at a path.
    ///
    /// # Errors
    /// No whole answer came.
    pub(crate) async fn get(&self, path: &str, max_bytes: u64) -> Result<(u16, Bytes)> {
        let url = self.url.join(path.trim_start_matches('/'));
        let limits = Limits::small(max_bytes);
        let credentials = self.credentials.as_ref();
        let request = Request { url: &url, credentials, purpose: Purpose::Database, limits };
        let failed = |error: quipu_fetch::Error| anyhow!("{}: {error}", self.url);
        let response = self.client.get(request).await.map_err(failed)?;
        let status = response.status.as_u16();
        Ok((status, response.body.bytes().await.map_err(failed)?))
    }
}

impl Remote {
    /// Status and body of the answer to a file that is put at a path.
    ///
    /// # Errors
    /// No whole answer came.
    pub(crate) async fn put(&self, path: &str, file: File, max_bytes: u64) -> Result<(u16, Bytes)> {
        let url = self.url.join(path.trim_start_matches('/'));
        let limits = Limits { first_byte: LONGEST_PUT, total: LONGEST_PUT, ..Limits::small(max_bytes) };
        let credentials = self.credentials.as_ref();
        let request = Request { url: &url, credentials, purpose: Purpose::Publish, limits };
        let failed = |error: quipu_fetch::Error| anyhow!("{}: {error}", self.url);
        let response = self.client.put(request, file).await.map_err(failed)?;
        let status = response.status.as_u16();
        Ok((status, response.body.bytes().await.map_err(failed)?))
    }
}

fn credentials(authority: &Authority, file: &Path) -> Result<Credentials> {
    let token = token::read(file)?;
    let clear = || format!("{authority}: a token is sent over https only, or to this machine itself");
    Credentials::basic(authority, &format!("token:{}", token.expose())).with_context(clear)
}

/// Runs what is asked on a runtime of its own.
///
/// # Errors
/// Those of the work itself.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(work)
}
