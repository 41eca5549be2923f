//! One base address of the GOPROXY kind, over HTTP or on disk, and getting what lies below it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use crate::client::{
    Authority, Body, Client, Credentials, Limits, Purpose, Request, Response, Url, decode_percent,
};
use crate::error::{Error, ErrorKind, Result};
use crate::policy::Place;
use crate::staged::disk_error;

/// How much is read from a file at a time, in bytes.
const CHUNK: usize = 256 << 10;

/// Longest text of an error answer that is read, in bytes.
const MAX_ERROR_TEXT: u64 = 4 << 10;

/// An address at which a GOPROXY tree lies. Prints without credentials.
#[derive(Clone, Debug)]
pub struct Base {
    at: At,
}

#[derive(Clone, Debug)]
enum At {
    Http { url: Url, credentials: Option<Credentials> },
    Directory(Arc<Path>),
}

impl Base {
    /// Parses an entry of GOPROXY or the URL in GOSUMDB: `https://…`, `http://…`, `file:///…`, or a bare host with an
    /// optional path, which means `https`. User info becomes Basic credentials, over `https` or to loopback only.
    ///
    /// # Errors
    /// It is none of these, or carries credentials where they would be readable by others. The text does not repeat
    /// the address.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(path) = text.strip_prefix("file:") {
            return Self::parse_file(path.strip_prefix("//").unwrap_or(path));
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (userinfo, host) = match authority.rsplit_once('@') {
            Some((userinfo, host)) => (Some(userinfo), host),
            None => (None, authority),
        };
        let url = Url::parse(&format!("{scheme}://{host}{path}"));
        let url = url
            .filter(|_| !path.contains('?'))
            .ok_or_else(|| Error::unavailable("malformed upstream URL"))?;
        let credentials = match userinfo {
            None => None,
            Some(userinfo) => Some(Credentials::basic(url.authority(), userinfo).ok_or_else(|| {
                Error::unavailable(format!(
                    "{url}: user info is malformed, or would cross the network unencrypted"
                ))
            })?),
        };
        Ok(Self { at: At::Http { url, credentials } })
    }

    fn parse_file(path: &str) -> Result<Self> {
        let malformed = || Error::unavailable("malformed file URL (file:///absolute/path)");
        let path = path.strip_prefix("localhost").unwrap_or(path);
        let decoded = decode_percent(path).and_then(|path| String::from_utf8(path).ok());
        let path =
            decoded.filter(|path| path.starts_with('/') && !path.contains('\0')).ok_or_else(malformed)?;
        Ok(Self { at: At::Directory(PathBuf::from(path).into()) })
    }

    /// Scheme, host and port, to be named to the client's address policy; `None` for a directory.
    pub fn authority(&self) -> Option<&Authority> {
        match &self.at {
            At::Http { url, .. } => Some(url.authority()),
            At::Directory(_) => None,
        }
    }

    /// This base with a path (not percent-encoded) added.
    #[must_use]
    pub fn join(&self, path: &str) -> Self {
        let at = match &self.at {
            At::Http { url, credentials } => At::Http {
                url: url.join(&crate::client::encode_path(path)),
                credentials: credentials.clone(),
            },
            At::Directory(directory) => At::Directory(directory.join(path).into()),
        };
        Self { at }
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            At::Http { url, .. } => url.fmt(f),
            At::Directory(directory) => write!(f, "file://{}", directory.display()),
        }
    }
}

/// What one request is for and may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) purpose: Purpose,
    pub(crate) limits: Limits,
}

impl Ask {
    /// A small file of at most `max_bytes`.
    pub(crate) fn small(purpose: Purpose, max_bytes: u64) -> Self {
        Self { purpose, limits: Limits::small(max_bytes) }
    }
}

/// A base and the client to reach it with.
#[derive(Clone)]
pub(crate) struct Origin {
    base: Base,
    client: Client,
}

impl Origin {
    pub(crate) fn new(base: Base, client: Client) -> Self {
        Self { base, client }
    }

    pub(crate) fn base(&self) -> &Base {
        &self.base
    }

    /// The content at `place`, all of it.
    pub(crate) async fn get(&self, place: &Place, ask: Ask) -> Result<Bytes> {
        match self.open(place, ask).await? {
            Content::Http(body) => body.bytes().await,
            Content::File(file) => file.bytes().await,
        }
    }

    /// The content at `place`, to be read piece by piece.
    pub(crate) async fn open(&self, place: &Place, ask: Ask) -> Result<Content> {
        match &self.base.at {
            At::Directory(directory) => Ok(Content::File(
                FileBody::open(&directory.join(place.relative()), ask.limits.max_bytes).await?,
            )),
            At::Http { url, credentials } => {
                let url = url.join(&place.encoded());
                let request = Request {
                    url: &url,
                    credentials: credentials.as_ref(),
                    purpose: ask.purpose,
                    limits: ask.limits,
                };
                let response = self.client.get(request).await?;
                match response.status {
                    StatusCode::OK => Ok(Content::Http(Box::new(response.body))),
                    _ => Err(refusal(response, url.authority().host()).await),
                }
            }
        }
    }
}

/// Content under way.
pub(crate) enum Content {
    Http(Box<Body>),
    File(FileBody),
}

impl Content {
    /// The next piece, `None` at the end of complete content.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        match self {
            Self::Http(body) => body.chunk().await,
            Self::File(file) => file.chunk().await,
        }
    }
}

/// A file being read, of bounded size.
pub(crate) struct FileBody {
    file: tokio::fs::File,
    left: u64,
}

impl FileBody {
    async fn open(path: &Path, max_bytes: u64) -> Result<Self> {
        let opened = async {
            let file = tokio::fs::File::open(path).await?;
            let metadata = file.metadata().await?;
            if metadata.is_dir() { Err(io::ErrorKind::NotFound.into()) } else { Ok((file, metadata.len())) }
        };
        let (file, length) = opened.await.map_err(|error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
                Error::not_found("not in the file tree")
            }
            _ => disk_error(&error),
        })?;
        if length > max_bytes {
            return Err(Error::too_large(max_bytes));
        }
        Ok(Self { file, left: max_bytes })
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let mut chunk = Vec::with_capacity(CHUNK);
        let mut limited = (&mut self.file).take(self.left.min(CHUNK as u64));
        let read = limited.read_buf(&mut chunk).await.map_err(|error| disk_error(&error))?;
        self.left = self.left.saturating_sub(read as u64);
        Ok((read > 0).then(|| chunk.into()))
    }

    async fn bytes(mut self) -> Result<Bytes> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all.into())
    }
}

/// What an answer other than 200 means. Only 404 and 410 say that something does not exist.
async fn refusal(response: Response, host: &str) -> Error {
    let status = response.status;
    match status.as_u16() {
        404 | 410 => {
            Error::not_found(public_text(response, host).await.as_deref().unwrap_or("not found upstream"))
        }
        403 => {
            let text = public_text(response, host).await;
            Error::new(ErrorKind::Forbidden, text.as_deref().unwrap_or("upstream refuses it"))
        }
        401 | 407 => Error::unavailable("upstream demands credentials that this server does not have"),
        429 => Error::unavailable("upstream limits the rate of requests"),
        504 => Error::timeout("upstream timed out itself"),
        508 => Error::unavailable("upstream leads back to this server"),
        status => Error::unavailable(format!("upstream answers with status {status}")),
    }
}

/// The first line that upstream says about its refusal, if it is fit to be passed on: plain text without addresses
/// and local paths, and no page of another server that upstream hands on as text. The prefix that names the kind of error
/// goes, as it will be added again.
async fn public_text(response: Response, host: &str) -> Option<String> {
    if !response.content_type.starts_with("text/plain") {
        return None;
    }
    let mut body = response.body;
    let mut text = Vec::new();
    let read = async {
        while let Ok(Some(chunk)) = body.chunk().await
            && (text.len() as u64) < MAX_ERROR_TEXT
        {
            text.extend_from_slice(&chunk);
        }
    };
    timeout(Duration::from_secs(5), read).await.ok()?;
    let text = String::from_utf8(text).ok()?;
    let line = text.trim().lines().next()?.trim();
    let line = ["not found: ", "forbidden: ", "gone: "]
        .into_iter()
        .find_map(|p| line.strip_prefix(p))
        .unwrap_or(line);
    let leaks = line.contains("://") || line.contains(host) || line.contains(" /") || line.contains("/tmp/");
    let says = !line.is_empty() && !line.starts_with('<') && line != "not found";
    (says && line.len() <= crate::MAX_TEXT && !leaks).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_a_base_or_an_error_and_shows_no_password(
            text in "(https?://)?[a-z0-9:@/.%\\[\\]-]{0,30}",
            any in ".*",
            host in "[a-z]{1,8}(\\.[a-z]{1,8}){0,2}",
        ) {
            let _ = (Base::parse(&text), Base::parse(&any));
            let base = Base::parse(&format!("https://name:Sesame@{host}/x")).unwrap();
            let shown = format!("{base} {base:?}");
            prop_assert!(!shown.contains("Sesame"));
            prop_assert_eq!(base.to_string(), format!("https://{}/x", host));
        }
    }

    #[test]
    fn bases_parse_and_hide_credentials() {
        for (text, shown) in [
            ("proxy.example", "https://proxy.example/"),
            ("proxy.example/go", "https://proxy.example/go"),
            ("https://user:secret@proxy.example/go/", "https://proxy.example/go/"),
            ("http://user:secret@127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("file:///var/cache%20dir", "file:///var/cache dir"),
            ("file://localhost/var", "file:///var"),
        ] {
            let base = Base::parse(text).unwrap();
            assert_eq!(base.to_string(), shown);
            assert!(!format!("{base:?}").contains("secret"));
        }
    }

    #[test]
    fn bad_bases_are_refused_without_repeating_secrets() {
        for bad in [
            "",
            "ftp://x",
            "http://user:secret@proxy.example",
            "https://u:secret@",
            "file://host/x",
            "file://x",
            "file:///a%00",
            "https://a/b?c=secret",
            "https://a/#secret",
        ] {
            let error = Base::parse(bad).unwrap_err();
            assert!(!error.text().contains("secret"), "{bad}: {error}");
        }
    }
}
