//! Asking another server over HTTP, as a client of it.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use quipu_fetch::{
    Authority, Base, Client, ClientOptions, Credentials, Limits, MAX_TEXT, MAX_ZIP, Named, Purpose, Request,
    Response, Url,
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
        Self::open(url, |authority| token_file.map(|file| credentials(authority, file)).transpose())
    }

    /// The server at `url`, which may be anywhere, asked with this token as `Bearer`.
    ///
    /// # Errors
    /// It is no URL, TLS cannot be set up, or the token is none or would cross a network in clear text.
    pub(crate) fn with_bearer(url: &str, token: &str) -> Result<Self> {
        Self::open(url, |authority| {
            Credentials::bearer(authority, token).with_context(|| clear(authority)).map(Some)
        })
    }

    fn open(url: &str, credentials: impl FnOnce(&Authority) -> Result<Option<Credentials>>) -> Result<Self> {
        let url = url.trim_end_matches('/');
        let malformed = || format!("{url:?} is not the URL of a server (http://host:port or https://host)");
        let base = Base::parse(url).map_err(|error| anyhow!("{error}")).with_context(malformed)?;
        let authority = base.authority().with_context(malformed)?;
        let credentials = credentials(authority)?;
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
        let response = self.ask(path, Purpose::Database, Limits::small(max_bytes)).await?;
        let status = response.status.as_u16();
        Ok((status, response.body.bytes().await.map_err(|error| self.failed(&error))?))
    }

    /// Reads a module file to its end without keeping it: the status, how many bytes came, and the first line of what
    /// is no file.
    ///
    /// # Errors
    /// No whole answer came.
    pub(crate) async fn drain(&self, path: &str) -> Result<(u16, u64, String)> {
        let response = self.ask(path, Purpose::Zip, Limits::large(MAX_ZIP)).await?;
        let (status, mut body) = (response.status.as_u16(), response.body);
        let (mut bytes, mut text) = (0u64, Vec::new());
        while let Some(chunk) = body.chunk().await.map_err(|error| self.failed(&error))? {
            bytes = bytes.saturating_add(chunk.len() as u64);
            if status != 200 && text.len() < MAX_TEXT {
                text.extend_from_slice(&chunk);
            }
        }
        let text = String::from_utf8_lossy(&text)
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(MAX_TEXT)
            .collect();
        Ok((status, bytes, text))
    }

    async fn ask(&self, path: &str, purpose: Purpose, limits: Limits) -> Result<Response> {
        let url = self.url.join(path.trim_start_matches('/'));
        let request = Request { url: &url, credentials: self.credentials.as_ref(), purpose, limits };
        self.client.get(request).await.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &quipu_fetch::Error) -> anyhow::Error {
        anyhow!("{}: {error}", self.url)
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
        let response = self.client.put(request, file).await.map_err(|error| self.failed(&error))?;
        let status = response.status.as_u16();
        Ok((status, response.body.bytes().await.map_err(|error| self.failed(&error))?))
    }
}

fn credentials(authority: &Authority, file: &Path) -> Result<Credentials> {
    let token = token::read(file)?;
    Credentials::basic(authority, &format!("token:{}", token.expose())).with_context(|| clear(authority))
}

fn clear(authority: &Authority) -> String {
    format!("{authority}: a token is sent over https only, or to this machine itself")
}

/// Runs what is asked on a runtime of its own.
///
/// # Errors
/// Those of the work itself.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(work)
}
