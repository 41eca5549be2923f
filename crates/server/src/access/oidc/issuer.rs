//! An issuer and its keys: fetched when they are needed, renewed while they are used, kept for a day while it is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use quipu_fetch::{Client, Error, Limits, Purpose, Request, Scheme, Url};
use serde::Deserialize;
use tokio::sync::Mutex;
use tracing::{info, warn};

use super::Fault;
use super::jws::Jws;
use super::keys::KeySet;
use super::rule::Rule;

/// Keys older than this are renewed when they are next used, in seconds.
const FRESH: u64 = 15 * 60;

/// Keys older than this count no more, in seconds.
const KEPT: u64 = 24 * 60 * 60;

/// An issuer is asked at most so often, in seconds: with keys at hand, and without any.
const PAUSE: u64 = 60;
const FIRST_PAUSE: u64 = 10;

/// Longest document of an issuer, in bytes.
const MAX_DOCUMENT: u64 = 256 << 10;

/// Longest wait for a document.
const PATIENCE: Duration = Duration::from_secs(10);

/// One issuer.
pub(super) struct Issuer {
    text: String,
    url: Url,
    /// In the order of the configuration.
    pub(super) rules: Vec<Rule>,
    client: Client,
    keys: ArcSwapOption<Kept>,
    /// When it was asked last, in seconds since 1970; written by who holds `asking`.
    asked: AtomicU64,
    asking: Mutex<()>,
}

struct Kept {
    keys: KeySet,
    /// When they were fetched, in seconds since 1970.
    at: u64,
}

/// What an issuer says of itself (OpenID Connect Discovery 1.0, section 3), as far as it is of use here.
#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: String,
}

impl Issuer {
    pub(super) fn new(rule: Rule, client: Client) -> Self {
        Self {
            text: rule.issuer.clone(),
            url: rule.url.clone(),
            rules: vec![rule],
            client,
            keys: ArcSwapOption::empty(),
            asked: AtomicU64::new(0),
            asking: Mutex::new(()),
        }
    }

    /// As in `iss`.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a key of this issuer has signed the token, by the keys that are here at `now`.
    pub(super) fn verify(&self, jws: &Jws<'_>, now: u64) -> Result<(), Fault> {
        let kept = self.keys.load();
        let usable = kept.as_ref().filter(|kept| kept.age(now) < KEPT);
        usable.ok_or(Fault::NoKeys)?.keys.verify(jws)
    }

    /// Renews the keys if they are old, in the background; waits for that if there is no key `kid` among them.
    ///
    /// The asking goes on when whoever waits for it leaves: nobody can use up the one question a minute by hanging up.
    pub(super) async fn learn(self: &Arc<Self>, kid: &str, now: u64) {
        let (is_known, is_fresh) = self.state(kid, now);
        if is_known && (is_fresh || !self.is_due(now)) {
            return;
        }
        let (issuer, wanted) = (Arc::clone(self), kid.to_owned());
        let asking = tokio::spawn(async move { issuer.ask(&wanted, now).await });
        if !is_known {
            // A task that failed has left the keys as they were.
            let _ = asking.await;
        }
    }

    /// Shows in the metrics of when the keys are; 0 while there are none.
    #[expect(clippy::cast_precision_loss, reason = "metrics are floats, which are exact for seconds")]
    pub(super) fn show(&self) {
        let at = self.keys.load().as_ref().map_or(0, |kept| kept.at);
        metrics::gauge!("quipu_oidc_keys_time_seconds", "issuer" => self.text.clone()).set(at as f64);
    }

    /// Whether there is such a key, and whether the keys need not be renewed.
    fn state(&self, kid: &str, now: u64) -> (bool, bool) {
        self.keys.load().as_ref().map_or((false, false), |kept| {
            (kept.age(now) < KEPT && kept.keys.has(kid), kept.age(now) < FRESH)
        })
    }

    fn is_due(&self, now: u64) -> bool {
        let usable = self.keys.load().as_ref().is_some_and(|kept| kept.age(now) < KEPT);
        let pause = if usable { PAUSE } else { FIRST_PAUSE };
        now.saturating_sub(self.asked.load(Ordering::Acquire)) >= pause
    }

    async fn ask(&self, kid: &str, now: u64) {
        let _turn = self.asking.lock().await;
        // Somebody else may have asked meanwhile.
        if self.state(kid, now) == (true, true) || !self.is_due(now) {
            return;
        }
        self.asked.store(now, Ordering::Release);
        match self.fetch().await {
            Ok(keys) => {
                info!(issuer = self.text, "has the keys of an issuer of ID tokens");
                self.keys.store(Some(Arc::new(Kept { keys, at: now })));
                self.show();
            }
            Err(error) => {
                warn!(issuer = self.text, %error, "the keys of an issuer of ID tokens cannot be had; those of before \
                       count for a day");
                metrics::counter!("quipu_oidc_key_failures_total").increment(1);
            }
        }
    }

    async fn fetch(&self) -> Result<KeySet, Error> {
        let document = self.get(&self.url.join(".well-known/openid-configuration")).await?;
        let wrong = |why: &str| Error::rejected(format!("its openid-configuration {why}"));
        let discovered: Discovered =
            serde_json::from_slice(&document).map_err(|_| wrong("has no issuer and jwks_uri"))?;
        if discovered.issuer != self.text {
            return Err(wrong("is that of another issuer"));
        }
        let url = Url::parse(&discovered.jwks_uri).ok_or_else(|| wrong("has a malformed jwks_uri"))?;
        let is_local = |url: &Url| url.authority().is_loopback() && url.authority().scheme() == Scheme::Http;
        if url.authority().scheme() != Scheme::Https && !(is_local(&url) && is_local(&self.url)) {
            return Err(wrong("has a jwks_uri that is not https"));
        }
        let keys = self.get(&url).await?;
        KeySet::parse(&keys).ok_or_else(|| Error::rejected("it publishes no key that is taken"))
    }

    async fn get(&self, url: &Url) -> Result<Bytes, Error> {
        let limits = Limits { first_byte: PATIENCE, total: PATIENCE, ..Limits::small(MAX_DOCUMENT) };
        let request = Request { url, credentials: None, purpose: Purpose::Keys, limits };
        let response = self.client.get(request).await?;
        if response.status != http::StatusCode::OK {
            return Err(Error::unavailable(format!("it answers {}", response.status.as_u16())));
        }
        response.body.bytes().await
    }

    /// Has these keys, fetched at that time.
    #[cfg(test)]
    pub(super) fn set_keys(&self, jwks: &str, at: u64) {
        self.keys.store(KeySet::parse(jwks.as_bytes()).map(|keys| Arc::new(Kept { keys, at })));
    }
}

impl Kept {
    const fn age(&self, now: u64) -> u64 {
        now.saturating_sub(self.at)
    }
}
