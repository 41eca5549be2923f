//! Other checksum databases under `/sumdb/<name>/`: a fixed table, every answer verified before it is passed on.

use bytes::Bytes;
use http::HeaderMap;
use quipu_fetch::Policy;
use quipu_module::ModuleVersion;
use quipu_tlog::TilePath;
use quipu_verify::{Client, Error, EvidenceDir};
use tracing::{error, warn};

use crate::audit::AuditLog;
use crate::evidence;
use crate::reply::{self, Freshness, Refusal, Reply};
use crate::route::LogRoute;

/// One database passed through, by the client that verifies it.
pub struct Other {
    /// Its name, as in its keys.
    pub name: String,
    /// The client, with the state that answers while the database is away.
    pub client: Client,
}

/// The table of databases passed through.
pub(crate) struct Passthrough {
    others: Vec<Other>,
    policy: Policy,
    evidence: EvidenceDir,
    audit: AuditLog,
}

impl Passthrough {
    pub(crate) const fn new(
        others: Vec<Other>,
        policy: Policy,
        evidence: EvidenceDir,
        audit: AuditLog,
    ) -> Self {
        Self { others, policy, evidence, audit }
    }

    /// The database that `rest`, what follows `/sumdb/`, belongs to, and the path within it. Names may hold slashes:
    /// the longest name in the table counts.
    pub(crate) fn find<'a, 'b>(&'a self, rest: &'b str) -> Option<(&'a Other, &'b str)> {
        let within = |other: &'a Other| strip_name(rest, &other.name).map(|path| (other, path));
        self.others.iter().filter_map(within).max_by_key(|(other, _)| other.name.len())
    }

    /// Answers for a path within a database of the table, which starts with a slash.
    pub(crate) async fn answer(&self, other: &Other, path: &str, asked: &HeaderMap) -> Reply {
        if path == "/supported" {
            return reply::ok(Bytes::new(), reply::TEXT, Freshness::Seconds(60));
        }
        let answer = match LogRoute::parse(path) {
            Some(LogRoute::Latest) => self.latest(&other.client).await,
            Some(LogRoute::Lookup(module)) => self.lookup(&other.client, module).await,
            Some(LogRoute::Tile(tile)) => self.tile(&other.client, tile, asked).await,
            None => Err(Refusal::NotFound(format!("{path}: no such resource of a checksum database"))),
        };
        answer.unwrap_or_else(|refusal| reply::refuse(&refusal))
    }

    async fn lookup(&self, client: &Client, escaped: &str) -> Result<Reply, Refusal> {
        let module = ModuleVersion::parse_escaped(escaped).map_err(|e| Refusal::BadRequest(e.to_string()))?;
        if self.policy.is_unverified(module.path()) {
            return Err(Refusal::Forbidden(format!(
                "{module}: matches this server's private patterns and is not asked of another database"
            )));
        }
        let body = match client.lookup(&module).await {
            Ok(verified) => verified.body,
            // What was verified once is served while the database is away.
            Err(error @ Error::Unavailable(_)) => {
                client.kept_lookup(&module).ok_or_else(|| self.refusal(error))?
            }
            Err(error) => return Err(self.refusal(error)),
        };
        Ok(reply::ok(body, reply::TEXT, Freshness::Seconds(60)))
    }

    async fn latest(&self, client: &Client) -> Result<Reply, Refusal> {
        let head = match client.latest().await {
            Ok(head) => head,
            Err(error @ Error::Unavailable(_)) => client.head().ok_or_else(|| self.refusal(error))?,
            Err(error) => return Err(self.refusal(error)),
        };
        Ok(reply::ok(head.note().clone(), reply::TEXT, Freshness::Seconds(5)))
    }

    async fn tile(&self, client: &Client, path: &str, asked: &HeaderMap) -> Result<Reply, Refusal> {
        let parsed =
            TilePath::parse(path).map_err(|_| Refusal::BadRequest("invalid tile syntax".to_owned()))?;
        let tile = parsed.tile().ok_or_else(|| Refusal::NotFound(format!("{path}: no such tile here")))?;
        let body = client.tile(tile).await.map_err(|error| self.refusal(error))?;
        let freshness = if tile.is_full() { Freshness::Immutable } else { Freshness::Seconds(60) };
        Ok(reply::tagged(reply::ok(body, reply::OCTETS, freshness), reply::tag(path), asked))
    }

    fn refusal(&self, error: Error) -> Refusal {
        match error {
            Error::NotFound(failure) => Refusal::NotHere(failure.to_string()),
            Error::Unavailable(failure) => {
                warn!(%failure, "a database passed through cannot be reached");
                Refusal::Unavailable(failure.to_string())
            }
            Error::State(failure) => {
                error!(%failure, "the state of a database passed through cannot be used");
                Refusal::Unavailable("this server cannot use its own copy of that database".to_owned())
            }
            Error::Misbehaved(evidence) => {
                evidence::keep(&self.evidence, &evidence, Some(&self.audit));
                Refusal::BadUpstream(evidence.kind().headline().to_owned())
            }
            other => {
                error!(error = %other, "the answer of a database passed through is refused");
                Refusal::BadUpstream("the answer of that database does not verify".to_owned())
            }
        }
    }
}

/// What follows the name of a database, if `rest` begins with it: nothing or a path that starts with a slash.
pub(crate) fn strip_name<'a>(rest: &'a str, name: &str) -> Option<&'a str> {
    rest.strip_prefix(name).filter(|path| path.starts_with('/'))
}
