//! Publishing over HTTP: `PUT /<module>/@v/<version>.zip`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::Body as HttpBody;
use quipu_fetch::{Cache, Publication, PublishError, Published, Staged};
use quipu_module::{ModulePath, ModuleVersion, Record, Version, format_rfc3339};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::access::Token;
use crate::audit::{AuditLog, Event, EventKind};
use crate::filter::Filter;
use crate::reply::{self, Freshness, Refusal, Reply};
use crate::route::{Leaf, ModuleRoute};
use crate::upload;
use crate::wall_clock;

/// Uploads at once; each may take 500 MiB of disk before it is judged.
const MAX_UPLOADS: u16 = 8;

/// How long the end of the server waits for uploads that are all here.
const CLOSING: Duration = Duration::from_secs(10);

/// Takes in versions. Clones share everything.
#[derive(Clone)]
pub(crate) struct Publisher {
    modules: Cache,
    audit: AuditLog,
    filter: Arc<Filter>,
    /// Each held until nothing of an upload is under way any more, whoever still waits for the answer.
    places: Arc<Semaphore>,
}

/// Whose upload it is, for the audit log.
pub(crate) struct Sender {
    /// The id of the token.
    id: String,
    /// What the audit log calls it.
    name: String,
    peer: IpAddr,
}

impl Sender {
    pub(crate) fn new(token: &Token, peer: IpAddr) -> Self {
        Self { id: token.id().to_owned(), name: token.to_string(), peer }
    }
}

/// Why an upload was not taken, for those who want to know.
struct Told<'a> {
    kind: EventKind,
    /// In one word, for the metrics.
    result: &'static str,
    /// What is wrong.
    text: &'a str,
}

impl Publisher {
    pub(crate) fn new(modules: Cache, audit: AuditLog, filter: Arc<Filter>) -> Self {
        Self { modules, audit, filter, places: Arc::new(Semaphore::new(MAX_UPLOADS.into())) }
    }

    /// Returns when no upload is under way, or has taken too long. To be called when nobody can send any more.
    pub(crate) async fn finish(&self) {
        if timeout(CLOSING, self.places.acquire_many(MAX_UPLOADS.into())).await.is_err() {
            warn!("uploads do not come to an end: they have to be sent again");
        }
    }

    /// Reads the zip of a version and publishes it. 201 with the lines that are in the log; 200 if they were before.
    pub(crate) async fn put<B>(&self, route: ModuleRoute<'_>, body: B, sender: Sender) -> Reply
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let outcome = match named(route) {
            Ok(version) => self.publish(version, body, sender).await,
            Err(refusal) => Err(refusal),
        };
        outcome.unwrap_or_else(|refusal| reply::closing(reply::refuse(&refusal)))
    }

    async fn publish<B>(&self, version: ModuleVersion, body: B, sender: Sender) -> Result<Reply, Refusal>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        if !self.modules.publishes(version.path()) {
            let why = format!("{}: this path is none of those that are published here", version.path());
            return Err(Refusal::Forbidden(why));
        }
        if let Err(error) = self.filter.check_publish(&version) {
            let told = Told { kind: EventKind::PublishRefused, result: "denied", text: error.text() };
            self.tell(&version, told, &sender).await;
            return Err(error.into());
        }
        let busy = |_| Refusal::Busy("as many uploads as this server takes are under way".to_owned());
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(busy)?;
        let mut zip = self.modules.stage(&version).await?;
        upload::receive(body, &mut zip).await?;
        // A task of its own: whoever has sent everything and goes away changes nothing any more.
        let work = self.clone().take_in(version, zip, sender, place);
        let fault = |_| Err(Refusal::Unavailable("internal error while publishing".to_owned()));
        tokio::spawn(work).await.unwrap_or_else(fault)
    }

    /// Publishes what has come in, and says what came of it, on the disk before it is answered.
    async fn take_in(
        self,
        version: ModuleVersion,
        zip: Staged,
        sender: Sender,
        place: OwnedSemaphorePermit,
    ) -> Result<Reply, Refusal> {
        let (by, peer) = (sender.name.clone(), Some(sender.peer));
        let publication = Publication { time: now(), by, peer, is_resumed: false };
        let outcome = self.modules.publish(version.clone(), zip, publication).await;
        match &outcome {
            // Noted when it was recorded.
            Ok(Published { recorded }) => {
                info!(%version, token = sender.id, "published");
                count(if recorded.is_new { "new" } else { "same" });
            }
            Err(error) => self.tell_failed(&version, error, &sender).await,
        }
        drop(place);
        outcome.map(|published| answer(&version, published)).map_err(refusal)
    }

    async fn tell_failed(&self, version: &ModuleVersion, error: &PublishError, sender: &Sender) {
        let (kind, result) = match error {
            PublishError::Conflict { .. } => (EventKind::Conflict, "conflict"),
            PublishError::Broken(_) => (EventKind::PublishRefused, "broken"),
            PublishError::Failed(_) => (EventKind::PublishRefused, "failed"),
        };
        self.tell(version, Told { kind, result, text: &error.to_string() }, sender).await;
    }

    /// That something was not published.
    async fn tell(&self, version: &ModuleVersion, told: Told<'_>, sender: &Sender) {
        let Told { kind, result, text } = told;
        warn!(%version, token = sender.id, error = text, "not published");
        count(result);
        let event = Event::new(kind).who(&sender.name).peer(sender.peer);
        self.audit.note(event.what(&version.to_string()).detail(text));
        self.audit.sync().await;
    }
}

fn count(result: &'static str) {
    metrics::counter!("quipu_publish_total", "result" => result).increment(1);
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
