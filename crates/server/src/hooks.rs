//! Webhooks: a forge tells that a repository has changed, so nobody waits until what was remembered of it is old.
//!
//! A webhook changes nothing but what is asked for again, and when: it is believed only if its sender knows the secret, and
//! one that is sent twice does the same twice.

mod ahead;
mod places;
mod push;
mod signature;
mod targets;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use quipu_fetch::Cache;
use serde_json::json;
use tokio::time::timeout;
use tracing::info;

use crate::audit::{AuditLog, Event, EventKind};
use crate::filter::Filter;
use crate::reply::{self, Freshness, Refusal, Reply};
use crate::tally::{Tally, network};
use crate::wall_clock::now;
use ahead::Ahead;
use places::Places;
use push::Push;
use targets::Targets;

pub use signature::{Forge, Secrets};

/// Longest body, in bytes.
const MAX_BODY: usize = 1 << 20;

/// Longest time to send it.
const MAX_TIME: Duration = Duration::from_secs(20);

/// Longest name of a repository or tag in the audit log, in characters.
const MAX_NAME: usize = 200;

/// Answers webhooks. Without secrets there are none.
pub(crate) struct Hooks {
    secrets: BTreeMap<Forge, Secrets>,
    modules: Cache,
    filter: Arc<Filter>,
    ahead: Ahead,
    places: Places,
    noted: Noted,
}

/// What of webhooks stands in the audit log: of many that are alike, ever fewer.
struct Noted {
    audit: AuditLog,
    /// By what they tell.
    taken: Tally<String>,
    /// By who sends them.
    refused: Tally<IpAddr>,
}

impl Hooks {
    /// Takes what is signed with one of `secrets`; what was taken and what was not signed is noted in `audit`.
    pub(crate) fn new(
        secrets: BTreeMap<Forge, Secrets>,
        modules: Cache,
        filter: Arc<Filter>,
        audit: AuditLog,
    ) -> Self {
        let ahead = Ahead::new(modules.clone(), Arc::clone(&filter));
        let noted = Noted { audit, taken: Tally::default(), refused: Tally::default() };
        Self { secrets, modules, filter, ahead, places: Places::new(), noted }
    }

    /// Does what a webhook of the forge with this name asks for, which came from `peer`.
    pub(crate) async fn answer<B>(&self, forge: &str, headers: &HeaderMap, body: B, peer: IpAddr) -> Reply
    where
        B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let done = self.done(forge, headers, body, peer).await;
        let outcome = if done.is_ok() { "ok" } else { "refused" };
        metrics::counter!("quipu_webhooks_total", "outcome" => outcome).increment(1);
        done.unwrap_or_else(|refusal| reply::closing(reply::refuse(&refusal)))
    }

    async fn done<B>(&self, forge: &str, headers: &HeaderMap, body: B, peer: IpAddr) -> Result<Reply, Refusal>
    where
        B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let known = Forge::named(forge).and_then(|forge| Some((forge, self.secrets.get(&forge)?)));
        let (forge, secrets) =
            known.ok_or_else(|| Refusal::NotFound("no webhooks of this forge are taken here".to_owned()))?;
        if !secrets.may_fit(forge, headers) {
            self.noted.refused(forge, peer);
            return Err(Refusal::Unsigned);
        }
        let busy = || Refusal::Busy("too many webhooks at once".to_owned());
        let place = self.places.take(peer).await.ok_or_else(busy)?;
        let body = read(body).await?;
        drop(place);
        if !secrets.check(forge, headers, &body) {
            self.noted.refused(forge, peer);
            return Err(Refusal::Unsigned);
        }
        let push = Push::parse(forge, &body);
        let push = push.ok_or_else(|| {
            Refusal::BadRequest(
                "the body is no JSON object; choose the content type application/json".to_owned(),
            )
        })?;
        self.noted.taken(forge, &push, peer);
        Ok(self.take(forge, &push))
    }

    /// Forgets what was remembered of the modules of the repository, and has what was tagged fetched.
    fn take(&self, forge: Forge, push: &Push) -> Reply {
        let known = push.repositories.iter().flat_map(|repository| self.modules.modules_of(repository));
        let known: Vec<_> = known.collect();
        let is_private = |path: &_| self.filter.is_private(path);
        let targets = Targets::of(&push.repositories, &known, push.tag.as_deref(), is_private);
        for path in &targets.modules {
            self.modules.forget(path);
        }
        // Modules under other names may live there, of which nothing is stored that says so.
        self.modules.forget_absences();
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

impl Noted {
    fn taken(&self, forge: Forge, push: &Push, peer: IpAddr) {
        let clipped = |text: &str| text.chars().take(MAX_NAME).collect::<String>();
        let repository = push.repositories.first().map_or_else(String::new, |name| clipped(name.as_str()));
        let tag = push.tag.as_deref().map_or_else(String::new, |tag| format!("tag {}", clipped(tag)));
        let count = self.taken.note(format!("{forge:?} {repository} {tag}"), now());
        if count.is_telling() {
            let event = Event::new(EventKind::Webhook).who(&format!("{forge:?}")).peer(peer);
            self.audit.note(event.what(&repository).detail(&tag));
        }
    }

    fn refused(&self, forge: Forge, peer: IpAddr) {
        let count = self.refused.note(network(peer), now());
        if count.is_telling() {
            let what = format!("a webhook of {forge:?} that is not signed with a secret of this server");
            let detail = format!("number {} of this address within a minute", count.0);
            self.audit.note(Event::new(EventKind::WebhookRefused).peer(peer).what(&what).detail(&detail));
        }
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
