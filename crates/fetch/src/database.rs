//! Reaching a checksum database, through the proxies or directly, as the `go` command does.
//!
//! Nothing is verified here: what comes back is what the other side said.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quipu_module::{Fallback, ProxyEntry, ProxyTarget};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::client::{Client, Purpose};
use crate::error::{Error, ErrorKind, Result};
use crate::origin::{Ask, Base, Origin};
use crate::policy::Policy;

/// After so many failures in a row the way to the database is looked for anew.
const FAILURES_BEFORE_PROBE: u32 = 3;

/// Longest wait between two searches for a way that both found none.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// A checksum database by name, and the ways that may lead to it.
pub struct Database {
    name: String,
    /// The proxies, in the order of GOPROXY; none when the operator gave the URL of the database.
    proxies: Vec<(Origin, Fallback)>,
    /// The database itself.
    direct: Origin,
    /// Whether any way is configured. Without one nobody outside is asked anything, not even the database itself.
    configured: bool,
    /// Whether GOPROXY ends in `direct`: then it may be reached directly whatever the proxies before it said.
    ends_direct: bool,
    policy: Arc<Policy>,
    route: Mutex<Route>,
}

/// What is known about the way.
#[derive(Clone)]
enum Route {
    Unknown,
    Found { origin: Origin, failures: u32 },
    Lost { error: Error, until: Instant, backoff: Duration },
}

impl Database {
    /// The database `name`: at `url` if one is given, else behind the first of `proxies` that supports it, else at
    /// `https://<name>`. With neither a URL nor an entry in `proxies` it is never asked.
    ///
    /// # Errors
    /// An address is malformed.
    pub fn new(
        name: &str,
        url: Option<&str>,
        proxies: &[ProxyEntry],
        client: &Client,
        policy: Arc<Policy>,
    ) -> Result<Self> {
        let direct = Origin::new(Base::parse(url.unwrap_or(&format!("https://{name}")))?, client.clone());
        let mut ways = Vec::new();
        for entry in proxies.iter().filter(|_| url.is_none()) {
            if let ProxyTarget::Url(proxy) = &entry.target {
                let base = Base::parse(proxy.as_str())?.join(&format!("sumdb/{name}"));
                ways.push((Origin::new(base, client.clone()), entry.fallback));
            }
        }
        let ends_direct = proxies.iter().any(|entry| entry.target == ProxyTarget::Direct);
        let route = Mutex::new(Route::Unknown);
        let configured = url.is_some() || !proxies.is_empty();
        Ok(Self { name: name.to_owned(), proxies: ways, direct, configured, ends_direct, policy, route })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the database itself is, to be named to the client's address policy.
    pub fn base(&self) -> &Base {
        self.direct.base()
    }

    /// The body at `path`: `/latest`, `/lookup/<module>@<version>` (escaped) or `/tile/…`, at most `max_bytes` long.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the database says that it does not exist, [`ErrorKind::Private`] for a lookup that
    /// the private patterns keep here, otherwise as for any request.
    pub async fn get(&self, path: &str, max_bytes: u64) -> Result<Bytes> {
        let place = self.policy.database(path)?;
        let origin = self.origin().await?;
        let result = origin.get(&place, Ask::small(Purpose::Database, max_bytes)).await;
        self.learn(result.as_ref().err().map(Error::kind));
        result.map_err(|error| error.about(&self.name))
    }

    /// The way, searched for if it is not known. Others wait for one search instead of searching too.
    async fn origin(&self) -> Result<Origin> {
        let mut route = self.route.lock().await;
        let last_backoff = match &*route {
            Route::Found { origin, .. } => return Ok(origin.clone()),
            Route::Lost { error, until, .. } if Instant::now() < *until => return Err(error.clone()),
            Route::Lost { backoff, .. } => *backoff,
            Route::Unknown => Duration::ZERO,
        };
        match self.probe().await {
            Ok(origin) => {
                tracing::info!(database = self.name, via = %origin.base(), "checksum database found");
                *route = Route::Found { origin: origin.clone(), failures: 0 };
                Ok(origin)
            }
            Err(error) => {
                let error = error.about(&self.name);
                let backoff = (last_backoff * 2).clamp(Duration::from_secs(1), MAX_BACKOFF);
                *route = Route::Lost { error: error.clone(), until: Instant::now() + backoff, backoff };
                Err(error)
            }
        }
    }

    /// Asks each proxy whether it supports the database. One that cannot say stops the search unless the list lets
    /// errors lead on, and even then the database is reached directly only if the list says `direct`.
    async fn probe(&self) -> Result<Origin> {
        if !self.configured {
            return Err(Error::unavailable("no upstream: set GOPROXY"));
        }
        let supported = self.policy.database("/supported")?;
        let mut failure = None;
        for (origin, fallback) in &self.proxies {
            match origin.get(&supported, Ask::small(Purpose::Database, 64 << 10)).await {
                Ok(_) => return Ok(origin.clone()),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if *fallback == Fallback::OnAnyError => failure = Some(error),
                Err(error) => return Err(error),
            }
        }
        match failure.filter(|_| !self.ends_direct) {
            Some(error) => Err(error),
            None => Ok(self.direct.clone()),
        }
    }

    /// Forgets a way that keeps failing. While a search is under way there is nothing to learn.
    fn learn(&self, failure: Option<ErrorKind>) {
        let Ok(mut route) = self.route.try_lock() else { return };
        if let Route::Found { failures, .. } = &mut *route {
            *failures = match failure {
                Some(ErrorKind::Unavailable | ErrorKind::Timeout) => failures.saturating_add(1),
                _ => 0,
            };
            if *failures >= FAILURES_BEFORE_PROBE {
                *route = Route::Unknown;
            }
        }
    }
}
