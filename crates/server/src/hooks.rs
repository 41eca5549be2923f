//! Webhooks: a forge tells that a repository has changed, so nobody waits until what was remembered of it is old.
//!
//! A webhook changes nothing but what is asked for again, and when: it is believed only if its sender knows the secret, and
//! one that is sent twice does the same twice.

mod ahead;
mod push;
mod signature;
mod targets;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use quipu_fetch::Cache;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::info;

use crate::reply::{self, Freshness, Refusal, Reply};
use ahead::Ahead;
use push::Push;
use targets::Targets;

pub use signature::{Forge, Secrets};

/// Longest body, in bytes.
const MAX_BODY: usize = 1 << 20;

/// Longest time to send it.
const MAX_TIME: Duration = Duration::from_secs(20);

/// Most bodies that are being read: whose they are is known only afterwards.
const AT_ONCE: usize = 16;

/// Answers webhooks. Without secrets there are none.
pub(crate) struct Hooks {
    secrets: BTreeMap<Forge, Secrets>,
    modules: Cache,
    ahead: Ahead,
    places: Semaphore,
}

impl Hooks {
    pub(crate) fn new(secrets: BTreeMap<Forge, Secrets>, modules: Cache) -> Self {
        let ahead = Ahead::new(modules.clone());
        Self { secrets, modules, ahead, places: Semaphore::new(AT_ONCE) }
    }

    /// Does what a webhook of the forge with this name asks for.
    pub(crate) async fn answer<B>(&self, forge: &str, headers: &HeaderMap, body: B) -> Reply
    where
        B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let done = self.done(forge, headers, body).await;
        let outcome = if done.is_ok() { "ok" } else { "refused" };
        metrics::counter!("quipu_webhooks_total", "outcome" => outcome).increment(1);
        done.unwrap_or_else(|refusal| reply::closing(reply::refuse(&refusal)))
    }

    async fn done<B>(&self, forge: &str, headers: &HeaderMap, body: B) -> Result<Reply, Refusal>
    where
        B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let known = Forge::named(forge).and_then(|forge| Some((forge, self.secrets.get(&forge)?)));
        let (forge, secrets) =
            known.ok_or_else(|| Refusal::NotFound("no webhooks of this forge are taken here".to_owned()))?;
        let busy = || Refusal::Busy("too many webhooks at once".to_owned());
        let _place = self.places.try_acquire().map_err(|_| busy())?;
        let body = read(body).await?;
        if !secrets.check(forge, headers, &body) {
            return Err(Refusal::Unsigned);
        }
        let push = Push::parse(&body);
        let push = push.ok_or_else(|| {
            Refusal::BadRequest(
                "the body is no JSON object; choose the content type application/json".to_owned(),
            )
        })?;
        Ok(self.take(forge, &push))
    }

    /// Forgets what was remembered of the modules of the repository, and has what was tagged fetched.
    fn take(&self, forge: Forge, push: &Push) -> Reply {
        let mut targets = Targets::default();
        for repository in &push.repositories {
            let of = Targets::of(repository, self.modules.modules_of(repository), push.tag.as_deref());
            targets.modules.extend(of.modules);
            targets.versions.extend(of.versions);
        }
        for path in &targets.modules {
            self.modules.forget(path);
        }
        let (fetching, left): (Vec<_>, Vec<_>) =
            targets.versions.iter().partition(|version| self.ahead.fetch(version));
        info!(?forge, modules = targets.modules.len(), fetching = fetching.len(), "webhook");
        let text = |versions: &[&_]| versions.iter().map(ToString::to_string).collect::<Vec<_>>();
        let modules: Vec<_> = targets.modules.iter().map(ToString::to_string).collect();
        let done = json!({ "forgot": modules, "fetching": text(&fetching), "left": text(&left) });
        let mut reply = reply::ok(Bytes::from(format!("{done}\n")), reply::JSON, Freshness::Never);
        *reply.status_mut() = StatusCode::ACCEPTED;
        reply
    }
}

/// The whole body, within the limits.
async fn read<B>(body: B) -> Result<Bytes, Refusal>
where
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let limited = Limited::new(body, MAX_BODY);
    let late =
        |_| Refusal::BadRequest(format!("the body did not come within {} seconds", MAX_TIME.as_secs()));
    let read = timeout(MAX_TIME, limited.collect()).await.map_err(late)?;
    let wrong = |_| Refusal::BadRequest(format!("the body broke off, or is over {MAX_BODY} bytes"));
    read.map(http_body_util::Collected::to_bytes).map_err(wrong)
}

#[cfg(test)]
mod tests;
