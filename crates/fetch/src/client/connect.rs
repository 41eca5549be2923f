//! Connecting: names are resolved here, every address is judged, and the connection goes to the judged address.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use quipu_module::KnownRoot;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use tower_service::Service;

use super::address::{is_allowed_when_named, is_global_unicast};
use super::url::{Authority, Scheme, Url};
use crate::error::{Error, ErrorKind};
use crate::places::Places;

/// Longest wait for a name to resolve.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Most names that are being resolved at once.
const MAX_RESOLVING: usize = 64;

/// Most addresses of one host that are tried.
const MAX_ADDRESSES: usize = 8;

/// The authorities that the operator named in the configuration. Everything else must be on the public internet,
/// spoken to over `https` on port 443.
#[derive(Clone, Debug, Default)]
pub struct Named(HashMap<Authority, Option<SocketAddr>>);

impl Named {
    /// Adds an authority that may be anywhere.
    pub fn insert(&mut self, authority: Authority) {
        self.0.entry(authority).or_insert(None);
    }

    /// Adds an authority that is at `address`, whatever its name resolves to.
    pub fn insert_at(&mut self, authority: Authority, address: SocketAddr) {
        self.0.insert(authority, Some(address));
    }

    /// Whether the operator named exactly this scheme, host and port.
    pub fn contains(&self, authority: &Authority) -> bool {
        self.0.contains_key(authority)
    }

    /// The host, if nobody named it: neither the operator nor the go command, which knows some by heart.
    pub(crate) fn stranger<'a>(&self, authority: &'a Authority) -> Option<&'a str> {
        let host = authority.host();
        (!self.contains(authority) && !KnownRoot::is_at(host)).then_some(host)
    }

    /// Refuses what is wrong with `authority` whatever its name resolves to.
    pub(super) fn check(&self, authority: &Authority) -> Result<(), ConnectError> {
        let usual = authority.scheme() == Scheme::Https && authority.port() == 443;
        if usual || self.contains(authority) { Ok(()) } else { Err(ConnectError::Refused) }
    }

    /// Where `authority` is, if a connection may be made there.
    async fn addresses(&self, authority: &Authority) -> Result<Vec<SocketAddr>, ConnectError> {
        let addresses = match self.0.get(authority) {
            Some(Some(address)) => vec![*address],
            _ => resolve(authority.host(), authority.port(), self.stranger(authority)).await?,
        };
        all_allowed(addresses, self.contains(authority))
    }

    /// The addresses at which another program may be told to find `authority`: judged as this client judges its own.
    ///
    /// # Errors
    /// The name does not resolve, or to where nobody must go; or it was placed at another port, which cannot be told.
    pub(crate) async fn vet(&self, authority: &Authority) -> Result<Vec<IpAddr>, Error> {
        let addresses = self.addresses(authority).await.map_err(|reason| reason.explain())?;
        if addresses.iter().any(|address| address.port() != authority.port()) {
            return Err(Error::unavailable(
                "the host was placed at another port, where only HTTP clients find it",
            ));
        }
        Ok(addresses.iter().take(MAX_ADDRESSES).map(SocketAddr::ip).collect())
    }
}

/// The addresses at which another program may be told to find `host`, which the operator named.
///
/// # Errors
/// The name does not resolve, or to where nobody must go.
pub(crate) async fn vet_named_host(host: &str, port: u16) -> Result<Vec<IpAddr>, Error> {
    let addresses = resolve(host, port, None).await.and_then(|addresses| all_allowed(addresses, true));
    let addresses = addresses.map_err(|reason| reason.explain())?;
    Ok(addresses.iter().take(MAX_ADDRESSES).map(SocketAddr::ip).collect())
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("the address policy forbids this host")]
    Refused,
    #[error("its name does not resolve")]
    Unresolved,
    #[error("it does not accept connections")]
    Unreachable,
    #[error("connecting took too long")]
    Timeout,
}

impl ConnectError {
    /// The same without the name of the host.
    pub(super) fn explain(&self) -> Error {
        match self {
            Self::Refused => forbidden_host(),
            Self::Timeout => Error::timeout("upstream does not accept connections"),
            reason => Error::unavailable(format!("cannot reach upstream: {reason}")),
        }
    }
}

/// What is said of a host that the address policy refuses.
pub(crate) fn forbidden_host() -> Error {
    let text = "the address policy forbids the host that upstream leads to: if it may be asked, the operator names it in \
                [direct] hosts";
    Error::new(ErrorKind::Rejected, text)
}

/// The connector below TLS.
#[derive(Clone)]
pub(super) struct Connector {
    named: Arc<Named>,
    timeout: Duration,
}

impl Connector {
    pub(super) fn new(named: Arc<Named>, timeout: Duration) -> Self {
        Self { named, timeout }
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<TcpStream>, ConnectError> {
        let url = Url::parse(&uri.to_string()).ok_or(ConnectError::Refused)?;
        self.open(url.authority()).await.map(TokioIo::new)
    }

    /// A connection to `authority`, if the policy allows it.
    pub(super) async fn open(&self, authority: &Authority) -> Result<TcpStream, ConnectError> {
        self.named.check(authority)?;
        let addresses = self.named.addresses(authority).await?;
        timeout(self.timeout, first_connection(&addresses)).await.map_err(|_| ConnectError::Timeout)?
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

fn is_allowed(address: SocketAddr, named: bool) -> bool {
    let scoped = matches!(address, SocketAddr::V6(v6) if v6.scope_id() != 0);
    if named { is_allowed_when_named(address.ip()) } else { !scoped && is_global_unicast(address.ip()) }
}

/// One forbidden answer condemns the name: which of its addresses is used must not depend on luck.
fn all_allowed(addresses: Vec<SocketAddr>, named: bool) -> Result<Vec<SocketAddr>, ConnectError> {
    let allowed = addresses.iter().all(|address| is_allowed(*address, named));
    if allowed { Ok(addresses) } else { Err(ConnectError::Refused) }
}

/// The threads that wait for names to resolve: the system cannot be told to stop waiting, and the pool that they are taken
/// from is there for files, too.
static RESOLVING: LazyLock<Places> = LazyLock::new(|| Places::new(MAX_RESOLVING));

async fn resolve(host: &str, port: u16, stranger: Option<&str>) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let deadline = Instant::now() + RESOLVE_TIMEOUT;
    let place = RESOLVING.take(stranger);
    let place = timeout_at(deadline, place).await.map_err(|_| ConnectError::Timeout)?;
    let host = host.to_owned();
    // A task of its own keeps the place for as long as the thread waits, also when nobody waits for it any more.
    let lookup = tokio::spawn(async move {
        let found = lookup_host((host.as_str(), port)).await.map(Vec::from_iter);
        drop(place);
        found
    });
    let found = timeout_at(deadline, lookup).await.map_err(|_| ConnectError::Timeout)?;
    let mut addresses = found.ok().and_then(Result::ok).ok_or(ConnectError::Unresolved)?;
    addresses.dedup();
    if addresses.is_empty() { Err(ConnectError::Unresolved) } else { Ok(addresses) }
}

/// Tries the addresses one after the other; a silent one is left after a second if there are others.
async fn first_connection(addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
    let patience = if addresses.len() > 1 { Duration::from_secs(1) } else { Duration::MAX };
    for address in addresses.iter().take(MAX_ADDRESSES) {
        if let Ok(Ok(stream)) = timeout(patience, TcpStream::connect(address)).await {
            // Requests are small and latency counts; failing to say so changes nothing else.
            let _ = stream.set_nodelay(true);
            return Ok(stream);
        }
    }
    Err(ConnectError::Unreachable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_those_whom_nobody_named() {
        let authority = |url: &str| Url::parse(url).unwrap().authority().clone();
        let mut named = Named::default();
        named.insert(authority("https://git.corp.example"));
        for (url, stranger) in [
            ("https://git.corp.example", None),
            ("https://git.corp.example:8443", Some("git.corp.example")),
            ("http://git.corp.example", Some("git.corp.example")),
            ("https://github.com", None),
            ("https://github.com.evil.example", Some("github.com.evil.example")),
        ] {
            assert_eq!(named.stranger(&authority(url)), stranger, "{url}");
        }
    }
}
