//! Publishing over HTTP: `PUT /<module>/@v/<version>.zip`.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http_body::Body as HttpBody;
use quipu_fetch::{Cache, PublishError, Published};
use quipu_module::{ModulePath, ModuleVersion, Record, Version, format_rfc3339};
use tokio::sync::Semaphore;
use tracing::{info, warn};

use crate::access::Token;
use crate::audit::{AuditLog, Event, EventKind};
use crate::filter::Filter;
use crate::reply::{self, Freshness, Refusal, Reply};
use crate::route::{Leaf, ModuleRoute};
use crate::upload;
use crate::wall_clock;

/// Uploads at once; each may take 500 MiB of disk before it is judged.
const MAX_UPLOADS: usize = 8;

/// Takes in versions.
pub(crate) struct Publisher {
    modules: Cache,
    audit: AuditLog,
    filter: Arc<Filter>,
    places: Semaphore,
}

/// Whose upload it is, for the audit log.
pub(crate) struct Sender<'a> {
    pub(crate) token: &'a Token,
    pub(crate) peer: IpAddr,
}

/// What came of an upload, for those who want to know.
struct Told<'a> {
    kind: EventKind,
    /// In one word, for the metrics.
    result: &'static str,
    /// The hash, or what is wrong.
    text: &'a str,
}

impl Publisher {
    pub(crate) const fn new(modules: Cache, audit: AuditLog, filter: Arc<Filter>) -> Self {
        Self { modules, audit, filter, places: Semaphore::const_new(MAX_UPLOADS) }
    }

    /// Reads the zip of a version and publishes it. 201 with the lines that are in the log; 200 if they were before.
    pub(crate) async fn put<B>(&self, route: ModuleRoute<'_>, body: B, sender: Sender<'_>) -> Reply
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let outcome = match named(route) {
            Ok(version) => self.publish(version, body, &sender).await,
            Err(refusal) => Err(refusal),
        };
        outcome.unwrap_or_else(|refusal| reply::closing(reply::refuse(&refusal)))
    }

    async fn publish<B>(&self, version: ModuleVersion, body: B, sender: &Sender<'_>) -> Result<Reply, Refusal>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        if !self.modules.publishes(version.path()) {
            let why = format!("{}: this path is none of those that are published here", version.path());
            return Err(Refusal::Forbidden(why));
        }
        if let Err(error) = self.filter.check_publish(&version) {
            let told = Told { kind: EventKind::PublishRefused, result: "denied", text: error.text() };
            self.tell(&version, told, sender).await;
            return Err(error.into());
        }
        let busy = |_| Refusal::Busy("as many uploads as this server takes are under way".to_owned());
        let _place = self.places.try_acquire().map_err(busy)?;
        let mut zip = self.modules.stage(&version).await?;
        upload::receive(body, &mut zip).await?;
        let outcome = self.modules.publish(version.clone(), zip, now()).await;
        self.note(&version, &outcome, sender).await;
        outcome.map(|published| answer(&version, published)).map_err(refusal)
    }

    /// What came of it is on the disk before it is answered.
    async fn note(
        &self,
        version: &ModuleVersion,
        outcome: &Result<Published, PublishError>,
        sender: &Sender<'_>,
    ) {
        let text = match outcome {
            Ok(Published { recorded }) => recorded.zip.to_string(),
            Err(error) => error.to_string(),
        };
        let (kind, result) = match outcome {
            Ok(Published { recorded }) if recorded.is_new => (EventKind::Publish, "new"),
            Ok(_) => (EventKind::Publish, "same"),
            Err(PublishError::Conflict { .. }) => (EventKind::Conflict, "conflict"),
            Err(PublishError::Broken(_)) => (EventKind::PublishRefused, "broken"),
            Err(PublishError::Failed(_)) => (EventKind::PublishRefused, "failed"),
        };
        self.tell(version, Told { kind, result, text: &text }, sender).await;
    }

    async fn tell(&self, version: &ModuleVersion, told: Told<'_>, sender: &Sender<'_>) {
        let Told { kind, result, text } = told;
        match kind {
            EventKind::Publish => info!(%version, token = sender.token.id(), "published"),
            _ => warn!(%version, token = sender.token.id(), error = text, "not published"),
        }
        metrics::counter!("quipu_publish_total", "result" => result).increment(1);
        let event = Event::new(kind).who(&sender.token.to_string()).peer(sender.peer);
        self.audit.note(event.what(&version.to_string()).detail(text));
        self.audit.sync().await;
    }
}

/// The version that a route names.
fn named(route: ModuleRoute<'_>) -> Result<ModuleVersion, Refusal> {
    let Leaf::Zip(version) = route.leaf else { return Err(Refusal::Method) };
    ModulePath::unescape(route.path)
        .and_then(|path| ModuleVersion::new(path, Version::unescape(version)?))
        .map_err(|error| Refusal::BadRequest(error.to_string()))
}

fn answer(version: &ModuleVersion, published: Published) -> Reply {
    let recorded = published.recorded;
    let record = Record { module: version.clone(), zip: recorded.zip, go_mod: recorded.go_mod };
    let index = recorded.index.map(|index| format!("{index}\n")).unwrap_or_default();
    let mut reply = reply::ok(Bytes::from(format!("{index}{record}")), reply::TEXT, Freshness::Never);
    if recorded.is_new {
        *reply.status_mut() = StatusCode::CREATED;
    }
    reply
}

fn refusal(error: PublishError) -> Refusal {
    match error {
        PublishError::Broken(why) => Refusal::BadRequest(why),
        PublishError::Conflict { .. } => Refusal::Conflict(error.to_string()),
        PublishError::Failed(error) => error.into(),
    }
}

/// The time of the server, in whole seconds, as `.info` says it.
fn now() -> String {
    format_rfc3339(i128::from(wall_clock::now()) * 1_000_000_000).unwrap_or_default()
}
