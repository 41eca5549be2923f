//! HTTP as a suspicious client needs it: no redirects, nothing compressed, bounded in size and time.

use std::sync::OnceLock;
use std::time::Duration;

use ::http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use quipu_verify::TransportError;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{Instant, timeout_at};

use super::Url;
use super::proxy::Connector;

type Client = legacy::Client<HttpsConnector<Connector>, Full<Bytes>>;

/// An HTTP client.
pub(crate) struct Http {
    timeout: Duration,
    /// Made when first needed: reading the certificates of the system takes longer than many a whole command.
    plain: OnceLock<Client>,
    tls: OnceLock<Client>,
}

impl Http {
    /// A client that gives each answer this time, to its last byte.
    pub(crate) const fn new(timeout: Duration) -> Self {
        Self { timeout, plain: OnceLock::new(), tls: OnceLock::new() }
    }

    /// The body at a path below `url`, if the status is 200.
    ///
    /// # Errors
    /// As [`quipu_verify::Transport::get`] has them.
    pub(crate) async fn get(&self, url: &Url, path: &str, max_bytes: usize) -> Result<Bytes, TransportError> {
        let mut body = Vec::new();
        self.get_into(url, path, max_bytes, |piece| {
            body.extend_from_slice(&piece);
            Ok(())
        })
        .await?;
        Ok(body.into())
    }

    /// Hands out the body at a path below `url` piece by piece, if the status is 200.
    ///
    /// # Errors
    /// As [`quipu_verify::Transport::get`] has them, and what `take` says.
    pub(crate) async fn get_into(
        &self,
        url: &Url,
        path: &str,
        max_bytes: usize,
        take: impl FnMut(Bytes) -> std::io::Result<()>,
    ) -> Result<(), TransportError> {
        let deadline = Instant::now() + self.timeout;
        let late =
            |_| unavailable(url, path, format_args!("no whole answer in {} s", self.timeout.as_secs()));
        let answer = async {
            let response = self.ask(url, path).await?;
            read(url, path, response, max_bytes, take).await
        };
        timeout_at(deadline, answer).await.map_err(late)?
    }

    /// Hands a JSON text to the server at `uri`, of which `url` is the part before the query. Says why if the server does
    /// not answer in time that it took it (status 2xx).
    pub(crate) async fn post_json(&self, url: &Url, uri: &Uri, json: Bytes) -> Result<(), String> {
        let mut request = Request::new(Full::new(json));
        (*request.method_mut(), *request.uri_mut()) = (Method::POST, uri.clone());
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = async {
            let response = self.send(url, request).await?;
            match response.status() {
                status if status.is_success() => Ok(()),
                status => Err(format!("{status}: {}", first_line(response.into_body()).await)),
            }
        };
        let deadline = Instant::now() + self.timeout;
        let late = |_| format!("no whole answer in {} s", self.timeout.as_secs());
        timeout_at(deadline, answer).await.map_err(late)?
    }

    async fn ask(&self, url: &Url, path: &str) -> Result<Response<Incoming>, TransportError> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = url.at(path).ok_or_else(|| unavailable(url, path, "no URL"))?;
        self.send(url, request).await.map_err(|why| unavailable(url, path, why))
    }

    async fn send(&self, url: &Url, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String> {
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if let Some(authorization) = url.authorization() {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        let client = self.client(url.is_https())?;
        client.request(request).await.map_err(|error| root_cause(&error))
    }

    fn client(&self, https: bool) -> Result<&Client, String> {
        let cell = if https { &self.tls } else { &self.plain };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let client = build(if https { system_roots()? } else { RootCertStore::empty() })?;
        Ok(cell.get_or_init(|| client))
    }
}

/// Judges the head of an answer and reads its body.
async fn read(
    url: &Url,
    path: &str,
    response: Response<Incoming>,
    max_bytes: usize,
    mut take: impl FnMut(Bytes) -> std::io::Result<()>,
) -> Result<(), TransportError> {
    let (head, mut body) = response.into_parts();
    match head.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            return Err(TransportError::NotFound(format!("{}: {}", head.status, first_line(body).await)));
        }
        status if status.is_redirection() => {
            let to = head.headers.get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
            let why = format_args!("{status}: redirects to {to}, and redirects are not followed");
            return Err(unavailable(url, path, why));
        }
        status => return Err(unavailable(url, path, format_args!("{status}: {}", first_line(body).await))),
    }
    if head.headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(unavailable(url, path, "the answer is compressed, which nobody asked for"));
    }
    let mut left = max_bytes;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            unavailable(url, path, format_args!("answer cut short: {}", root_cause(&error)))
        })?;
        let Ok(piece) = frame.into_data() else { continue };
        left = left.checked_sub(piece.len()).ok_or(TransportError::TooLarge(max_bytes))?;
        take(piece).map_err(|error| unavailable(url, path, error))?;
    }
    Ok(())
}

/// What a server says besides the status: the first line of a short text.
async fn first_line(mut body: Incoming) -> String {
    let mut text = Vec::new();
    while text.len() < MAX_REASON
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Ok(piece) = frame.into_data() {
            text.extend_from_slice(piece.get(..MAX_REASON - text.len()).unwrap_or(&piece));
        }
    }
    let text = String::from_utf8_lossy(&text);
    text.lines().next().unwrap_or_default().trim().to_owned()
}

fn build(roots: RootCertStore) -> Result<Client, String> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1();
    Ok(legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(MAX_IDLE)
        .build(builder.wrap_connector(Connector::from_env())))
}

/// The certificates that this machine trusts (or those of SSL_CERT_FILE and SSL_CERT_DIR).
fn system_roots() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(
            "this machine has no root certificates: install ca-certificates or set SSL_CERT_FILE".to_owned()
        );
    }
    Ok(roots)
}

fn unavailable(url: &Url, path: &str, why: impl std::fmt::Display) -> TransportError {
    TransportError::Unavailable(format!("{url}{path}: {why}"))
}

/// The innermost reason, which is the one that says something.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

const USER_AGENT: &str = concat!("quipu-verify/", env!("CARGO_PKG_VERSION"));
const MAX_IDLE: usize = 64;
/// Bytes of the text of a refusal that are read.
const MAX_REASON: usize = 512;
