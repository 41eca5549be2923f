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

use crate::cli;
use crate::id_token::JobToken;
use crate::token;

/// Longest time for a file to be sent and answered: as long as a server lets a request take.
const LONGEST_PUT: Duration = Duration::from_secs(15 * 60);

/// A server and the means to ask it.
pub(crate) struct Remote {
    client: Client,
    url: Url,
    shown: Shown,
}

/// What a server is shown with each question.
enum Shown {
    Nothing,
    Token(Credentials),
    Job(Authority, JobToken),
}

impl Remote {
    /// The server at `url`, which may be anywhere, asked with what the command line names.
    ///
    /// # Errors
    /// It is no URL, TLS cannot be set up, the file holds no token, this job has no ID token, or either would cross a
    /// network in clear text.
    pub(crate) fn new(url: &str, caller: &cli::Caller) -> Result<Self> {
        if !caller.oidc {
            return Self::with_token(url, &caller.token);
        }
        let job = JobToken::new(caller.audience.clone());
        let remote = Self::open(url, |authority| Ok(Shown::Job(authority.clone(), job)))?;
        // So that it is said once that there is none, not with each question.
        block_on(remote.credentials())?;
        Ok(remote)
    }

    /// The server at `url`, asked with the token of a file if one is named.
    ///
    /// # Errors
    /// As for `new`.
    pub(crate) fn with_token(url: &str, token: &cli::TokenArg) -> Result<Self> {
        Self::open(url, |authority| {
            let file = token.token_file.as_deref();
            Ok(file
                .map(|file| credentials(authority, file))
                .transpose()?
                .map_or(Shown::Nothing, Shown::Token))
        })
    }

    fn open(url: &str, shown: impl FnOnce(&Authority) -> Result<Shown>) -> Result<Self> {
        let url = url.trim_end_matches('/');
        let malformed = || format!("{url:?} is not the URL of a server (http://host:port or https://host)");
        let base = Base::parse(url).map_err(|error| anyhow!("{error}")).with_context(malformed)?;
        let authority = base.authority().with_context(malformed)?;
        let shown = shown(authority)?;
        let mut named = Named::default();
        named.insert(authority.clone());
        let options = ClientOptions { named, ..ClientOptions::default() };
        let client = Client::new(options).map_err(|error| anyhow!("{error}"))?;
        Ok(Self { client, url: Url::parse(url).with_context(malformed)?, shown })
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
        let credentials = self.credentials().await?;
        let request = Request { url: &url, credentials: credentials.as_ref(), purpose, limits };
        self.client.get(request).await.map_err(|error| self.failed(&error))
    }

    async fn credentials(&self) -> Result<Option<Credentials>> {
        match &self.shown {
            Shown::Nothing => Ok(None),
            Shown::Token(credentials) => Ok(Some(credentials.clone())),
            Shown::Job(authority, token) => {
                let credentials = Credentials::bearer(authority, &token.get().await?);
                credentials.with_context(|| clear(authority)).map(Some)
            }
        }
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
        let credentials = self.credentials().await?;
        let request =
            Request { url: &url, credentials: credentials.as_ref(), purpose: Purpose::Publish, limits };
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
