//! Which instances a request has already passed, so that a loop of proxies ends instead of waiting for itself.

use std::future::Future;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries the instances, oldest first, separated by commas.
pub const HOP_HEADER: HeaderName = HeaderName::from_static("quipu-hop");

/// Most instances that one request may pass.
const MAX_HOPS: usize = 8;

tokio::task_local! {
    static PASSED: Hops;
}

/// The instances that a request has passed before it came here.
///
/// A server reads them from the request it answers ([`Hops::read`]), refuses with 508 when [`Hops::is_loop`], and
/// handles the request inside [`Hops::scope`]; whatever the [`Client`](crate::Client) sends from there continues the
/// list. Work that is shared by several requests continues the list of the one that started it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hops(Arc<[String]>);

impl Hops {
    /// Reads the list of an incoming request; anything unreadable counts as one unknown instance.
    pub fn read(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(HOP_HEADER).iter();
        let names = lines.flat_map(|line| line.to_str().unwrap_or("?").split(','));
        let names = names.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        Self(names.take(MAX_HOPS + 1).collect())
    }

    /// Whether `instance` has seen this request before, or so many others have that a loop is certain.
    pub fn is_loop(&self, instance: &str) -> bool {
        self.0.len() > MAX_HOPS || self.0.iter().any(|name| name == instance)
    }

    /// Runs `work` on behalf of the request that came by this way.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        PASSED.scope(self, work).await
    }

    /// The list of the request on whose behalf this runs; empty outside [`Hops::scope`].
    pub fn current() -> Self {
        PASSED.try_with(Self::clone).unwrap_or_default()
    }

    /// The header value to send on: this list and then `instance`.
    pub(crate) fn extended(&self, instance: &str) -> Option<HeaderValue> {
        let mut names: Vec<&str> = self.0.iter().map(String::as_str).collect();
        names.push(instance);
        HeaderValue::try_from(names.join(", ")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lists_grow_by_one_instance() {
        assert_eq!(Hops::current(), Hops::default());
        let mut headers = HeaderMap::new();
        headers.insert(HOP_HEADER, Hops::default().extended("a").unwrap());
        let hops = Hops::read(&headers);
        assert!(hops.is_loop("a") && !hops.is_loop("b"));
        let sent = hops.scope(async { Hops::current().extended("b") }).await.unwrap();
        assert_eq!(sent, "a, b");
    }

    #[test]
    fn long_lists_are_loops() {
        let mut headers = HeaderMap::new();
        headers.insert(HOP_HEADER, HeaderValue::from_static("1,2,3,4,5,6,7,8"));
        assert!(!Hops::read(&headers).is_loop("x"));
        headers.append(HOP_HEADER, HeaderValue::from_static("9"));
        assert!(Hops::read(&headers).is_loop("x"));
    }
}
