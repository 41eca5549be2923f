//! The one way out over HTTP: every request this program sends upstream goes through [`Client::get`], and what it
//! publishes elsewhere through [`Client::put`].
//!
//! The client adds to plain HTTP what a server needs that is sent to places by others: an address policy applied to
//! the address that is connected to, on every redirect again; limits of size, time and rate on every body; a bound on
//! concurrent requests; credentials that never leave the authority they belong to; and a record of every request.
//! It does not decompress, keeps no cookies and reads no proxy settings from the environment.

mod address;
mod body;
mod connect;
mod egress;
mod failure;
mod hops;
mod outgoing;
mod tls;
mod tunnel;
mod url;

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Response as HttpResponse, StatusCode, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use tokio::time::{Instant, timeout_at};

pub use body::{Body, Limits};
pub use connect::Named;
pub(crate) use connect::{forbidden_host, vet_named_host};
pub use egress::{Egress, Observe, Purpose, Unobserved};
pub use hops::{HOP_HEADER, Hops};
pub use tls::roots_as_pem;
pub use url::{Authority, Credentials, Scheme, Url};
pub(crate) use url::{decode_percent, encode_path};

use crate::error::{Error, Result};
use crate::places::{Place, Places};
use body::Underway;
use connect::Connector;
use egress::Watch;
use failure::{broke, describe};
use outgoing::Outgoing;

/// Most redirects that are followed for one request, as the `go` command does.
const MAX_REDIRECTS: usize = 10;

/// What a [`Client`] is made of.
#[derive(Clone)]
pub struct ClientOptions {
    /// How this program calls itself to upstreams, `quipu/<version>`.
    pub user_agent: String,
    /// This instance in the hop header, unique among all that might ask each other: printable ASCII without commas.
    /// Every upstream sees it, so it should be random rather than a name.
    pub instance: String,
    /// The authorities that the operator named.
    pub named: Named,
    /// Certificates to trust besides those of the system.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Most requests under way at once; further ones wait. Authorities that are not named have three quarters of them, and
    /// each of these half.
    pub max_concurrent: usize,
    /// Longest time for a TCP connection to be made.
    pub connect_timeout: Duration,
    /// Told of every request.
    pub observer: Arc<dyn Observe>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            user_agent: concat!("quipu/", env!("CARGO_PKG_VERSION")).to_owned(),
            instance: "quipu".to_owned(),
            named: Named::default(),
            extra_roots: Vec::new(),
            max_concurrent: 64,
            connect_timeout: Duration::from_secs(5),
            observer: Arc::new(Unobserved),
        }
    }
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What to get.
    pub url: &'a Url,
    /// Sent to the authority that they belong to, and to no other.
    pub credentials: Option<&'a Credentials>,
    /// What for.
    pub purpose: Purpose,
    /// What it may cost.
    pub limits: Limits,
}

/// An answer that is no redirect: its status and its body, still to be read.
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The media type of the body, as sent; empty if none was.
    pub content_type: String,
    /// The body.
    pub body: Body,
}

/// The outbound HTTP client. Clones share connections and limits.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    http: legacy::Client<HttpsConnector<Connector>, Outgoing>,
    /// For those that nobody named: there may be any number of them, so none of their connections is kept.
    passing: legacy::Client<HttpsConnector<Connector>, Outgoing>,
    named: Arc<Named>,
    connector: Connector,
    common: Arc<Common>,
}

/// What does not depend on whom the operator named.
struct Common {
    tls: ClientConfig,
    connect_timeout: Duration,
    places: Places,
    user_agent: HeaderValue,
    instance: String,
    observer: Arc<dyn Observe>,
}

impl Client {
    /// A client that trusts the certificates of the system (or of `SSL_CERT_FILE` and `SSL_CERT_DIR`).
    ///
    /// # Errors
    /// The user agent or the instance cannot be a header, or TLS cannot be set up.
    pub fn new(options: ClientOptions) -> Result<Self> {
        let user_agent = HeaderValue::try_from(&options.user_agent)
            .map_err(|_| Error::unavailable("the user agent is not a header value"))?;
        if Hops::default().extended(&options.instance).is_none() || options.instance.contains(',') {
            return Err(Error::unavailable("the instance name is not a header value"));
        }
        let common = Common {
            tls: tls::config(options.extra_roots)?,
            connect_timeout: options.connect_timeout,
            places: Places::new(options.max_concurrent),
            user_agent,
            instance: options.instance,
            observer: options.observer,
        };
        Ok(Self::naming(options.named, Arc::new(common)))
    }

    fn naming(named: Named, common: Arc<Common>) -> Self {
        let named = Arc::new(named);
        let connector = Connector::new(named.clone(), common.connect_timeout);
        let https = tls::connector(connector.clone(), common.tls.clone());
        let http = pool().build(https.clone());
        let passing = pool().pool_max_idle_per_host(0).build(https);
        Self { shared: Arc::new(Shared { http, passing, named, connector, common }) }
    }

    /// The same client without what the operator named: to it all hosts must be on the public internet. Limits are shared,
    /// connections are not.
    #[must_use]
    pub fn without_named(&self) -> Self {
        Self::naming(Named::default(), self.shared.common.clone())
    }

    /// Whether the operator named exactly this scheme, host and port.
    pub(crate) fn names(&self, authority: &Authority) -> bool {
        self.shared.named.contains(authority)
    }

    /// Gets `request.url`, following redirects.
    ///
    /// Any status that is not a redirect is an answer; only what keeps an answer from coming is an error.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) or [`Timeout`](crate::ErrorKind::Timeout) when no answer came,
    /// [`Rejected`](crate::ErrorKind::Rejected) for one
    /// that is refused: too long, compressed, of unknown length, or redirecting to where the policy forbids.
    pub async fn get(&self, request: Request<'_>) -> Result<Response> {
        let started = Instant::now();
        let deadline = started + request.limits.first_byte.min(request.limits.total);
        let place = self.place(request.url, deadline).await?;
        let mut url = request.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            self.shared.named.check(url.authority()).map_err(|_| forbidden_host())?;
            let (head, watch) = self.hop(&url, request, deadline).await?;
            if !is_redirect(head.status()) {
                return respond(head, request.limits, Underway { started, watch, place });
            }
            url = target(&url, &head)?;
        }
        Err(Error::rejected("upstream redirects without end"))
    }

    /// Sends all of `file`, from where it stands, to be stored at `request.url`. Sent once, and redirects are not followed.
    ///
    /// [`Limits::first_byte`] covers the sending, too. Any status is an answer.
    ///
    /// # Errors
    /// As for [`Client::get`]; the file cannot be read.
    pub async fn put(&self, request: Request<'_>, file: File) -> Result<Response> {
        let started = Instant::now();
        let deadline = started + request.limits.first_byte.min(request.limits.total);
        let place = self.place(request.url, deadline).await?;
        self.shared.named.check(request.url.authority()).map_err(|_| forbidden_host())?;
        let body = Outgoing::file(file).map_err(|_| Error::unavailable("the file cannot be read"))?;
        let mut message = self.message(request.url, request.credentials)?;
        *message.method_mut() = Method::PUT;
        message.headers_mut().insert(header::CONTENT_LENGTH, body.len().into());
        *message.body_mut() = body;
        let (head, watch) =
            self.send(request.url, (message, request.purpose), deadline).await.map_err(|(error, _)| error)?;
        respond(head, request.limits, Underway { started, watch, place })
    }

    /// A place among the requests under way.
    async fn place(&self, url: &Url, deadline: Instant) -> Result<Place> {
        let stranger = self.shared.named.stranger(url.authority());
        let place = timeout_at(deadline, self.shared.common.places.take(stranger)).await;
        place.map_err(|_| Error::unavailable("too many upstream requests are under way"))
    }

    /// Sends one request and waits for the head of its answer.
    ///
    /// A connection kept from earlier may have been closed at the other end just as it was used again, which is nobody's
    /// failure: where a connection ends before the head of an answer, the request is sent once more.
    async fn hop(
        &self,
        url: &Url,
        request: Request<'_>,
        deadline: Instant,
    ) -> Result<(HttpResponse<Incoming>, Watch)> {
        match self.attempt(url, request, deadline).await {
            Err((_, true)) => self.attempt(url, request, deadline).await.map_err(|(error, _)| error),
            result => result.map_err(|(error, _)| error),
        }
    }

    /// Sends one request once. With the error: whether the connection broke without an answer.
    async fn attempt(
        &self,
        url: &Url,
        request: Request<'_>,
        deadline: Instant,
    ) -> std::result::Result<(HttpResponse<Incoming>, Watch), (Error, bool)> {
        let message = self.message(url, request.credentials).map_err(|error| (error, false))?;
        self.send(url, (message, request.purpose), deadline).await
    }

    async fn send(
        &self,
        url: &Url,
        (message, purpose): (http::Request<Outgoing>, Purpose),
        deadline: Instant,
    ) -> std::result::Result<(HttpResponse<Incoming>, Watch), (Error, bool)> {
        let mut watch = Watch::start(self.shared.common.observer.clone(), url, purpose);
        let stranger = self.shared.named.stranger(url.authority()).is_some();
        let http = if stranger { &self.shared.passing } else { &self.shared.http };
        let answer = timeout_at(deadline, http.request(message)).await;
        let (error, broke) = match answer {
            Ok(Ok(head)) => {
                watch.answered(head.status().as_u16());
                return Ok((head, watch));
            }
            Ok(Err(error)) => (describe(url, &error), broke(&error)),
            Err(_) => (Error::timeout("upstream does not answer"), false),
        };
        watch.failed(error.kind());
        Err((error, broke))
    }

    fn message(&self, url: &Url, credentials: Option<&Credentials>) -> Result<http::Request<Outgoing>> {
        let malformed = || Error::unavailable("the upstream address is malformed");
        let uri = url.to_uri().ok_or_else(malformed)?;
        let mut message = http::Request::new(Outgoing::none());
        *message.method_mut() = Method::GET;
        *message.uri_mut() = uri;
        let headers = message.headers_mut();
        headers.insert(header::USER_AGENT, self.shared.common.user_agent.clone());
        if let Some(hops) = Hops::current().extended(&self.shared.common.instance) {
            headers.insert(HOP_HEADER, hops);
        }
        if let Some(value) = credentials.and_then(|c| c.for_authority(url.authority())) {
            headers.insert(header::AUTHORIZATION, value.clone());
        }
        Ok(message)
    }
}

/// Connection reuse and protocol limits.
fn pool() -> legacy::Builder {
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder
        .pool_idle_timeout(Duration::from_secs(60))
        .pool_max_idle_per_host(32)
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .http1_max_headers(128)
        .http2_max_header_list_size(64 << 10)
        .http2_initial_stream_window_size(4 << 20)
        .http2_initial_connection_window_size(16 << 20)
        .http2_keep_alive_interval(Duration::from_secs(30))
        .http2_keep_alive_timeout(Duration::from_secs(10));
    builder
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where `head`, a redirect, sends the request for `from`.
fn target(from: &Url, head: &HttpResponse<Incoming>) -> Result<Url> {
    let location = head.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let to = location.and_then(|location| from.resolve(location));
    let to = to.ok_or_else(|| Error::rejected("upstream redirects to a malformed address"))?;
    if from.authority().scheme() == Scheme::Https && to.authority().scheme() == Scheme::Http {
        return Err(Error::rejected("upstream redirects from https to http"));
    }
    Ok(to)
}

fn respond(head: HttpResponse<Incoming>, limits: Limits, mut underway: Underway) -> Result<Response> {
    if let Err(error) = check_head(&head, limits) {
        underway.watch.failed(error.kind());
        return Err(error);
    }
    let content_type = head.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    let status = head.status();
    Ok(Response { status, content_type, body: Body::new(head.into_body(), limits, underway) })
}

/// Refuses a successful answer that cannot be read safely.
fn check_head(head: &HttpResponse<Incoming>, limits: Limits) -> Result<()> {
    if head.status() != StatusCode::OK {
        return Ok(());
    }
    let encoding = head.headers().get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| encoding != "identity") {
        return Err(Error::rejected("upstream compressed its answer without being asked"));
    }
    let length = head.body().size_hint().exact();
    // Such a body ends with its connection: a cut one would look complete.
    let chunked = head.headers().contains_key(header::TRANSFER_ENCODING) || head.version() == Version::HTTP_2;
    if length.is_none() && !chunked {
        return Err(Error::rejected("upstream does not say how long its answer is"));
    }
    if length.unwrap_or(0) > limits.max_bytes { Err(Error::too_large(limits.max_bytes)) } else { Ok(()) }
}
