//! What left this machine: one record for each request that was sent.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::url::{Authority, Url};
use crate::error::ErrorKind;

/// What a request was for. Few values, so it can be a metric label (a path never can).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// `@v/list`
    List,
    /// `@v/<query>.info`
    Info,
    /// `@latest`
    Latest,
    /// `@v/<version>.mod`
    GoMod,
    /// `@v/<version>.zip`
    Zip,
    /// Anything of a checksum database.
    Database,
    /// The page that says where a repository is.
    Discovery,
    /// A version that is published elsewhere.
    Publish,
    /// The references of a repository, or its commits: a conversation that git has, one record for all of it.
    Repository,
    /// What a command of a version control system fetches.
    Command,
    /// What concerns identities: the keys of an issuer, an identity of one's own.
    Keys,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "list",
            Self::Info => "info",
            Self::Latest => "latest",
            Self::GoMod => "mod",
            Self::Zip => "zip",
            Self::Database => "sumdb",
            Self::Discovery => "go-import",
            Self::Publish => "publish",
            Self::Repository => "git",
            Self::Command => "vcs",
            Self::Keys => "oidc",
        })
    }
}

/// One request that was sent, recorded when its answer was read or given up. Every redirect is a request of its own.
#[derive(Clone, Debug)]
pub struct Egress {
    /// `GET`, `GIT` for all that git says to a repository in one go, or `CONNECT` for a connection that carries what
    /// another command says.
    pub method: &'static str,
    /// Scheme, host and port.
    pub host: String,
    /// Path and query as sent; empty for a connection. It names a module: fit for a log, not for a metric label.
    pub path: String,
    /// What it was for.
    pub purpose: Purpose,
    /// The status of the answer, if one came.
    pub status: Option<u16>,
    /// Bytes of the body that were read; 0 where git reads it.
    pub bytes: u64,
    /// From asking for a connection to the last byte read.
    pub duration: Duration,
    /// Why it failed below HTTP, if it did.
    pub failure: Option<ErrorKind>,
}

/// Told of every request that leaves; counts and logs. Called on the task that fetched, so it must not block.
pub trait Observe: Send + Sync + 'static {
    /// One request is over.
    fn egress(&self, record: &Egress);
}

/// An observer that does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observe for Unobserved {
    fn egress(&self, _: &Egress) {}
}

/// Reports its request when dropped, so that none is forgotten however its reading ends.
pub(super) struct Watch {
    observer: Arc<dyn Observe>,
    started: Instant,
    record: Egress,
}

impl Watch {
    pub(super) fn start(observer: Arc<dyn Observe>, url: &Url, purpose: Purpose) -> Self {
        let path = url.path_and_query().to_owned();
        Self::of(observer, Egress { path, ..blank(url.authority(), purpose) })
    }

    pub(super) fn start_tunnel(observer: Arc<dyn Observe>, authority: &Authority, purpose: Purpose) -> Self {
        Self::of(observer, Egress { method: "CONNECT", ..blank(authority, purpose) })
    }

    fn of(observer: Arc<dyn Observe>, record: Egress) -> Self {
        Self { observer, started: Instant::now(), record }
    }

    pub(super) fn answered(&mut self, status: u16) {
        self.record.status = Some(status);
    }

    pub(super) fn read(&mut self, bytes: u64) {
        self.record.bytes = self.record.bytes.saturating_add(bytes);
    }

    pub(super) fn failed(&mut self, kind: ErrorKind) {
        self.record.failure = Some(kind);
    }
}

fn blank(authority: &Authority, purpose: Purpose) -> Egress {
    Egress {
        method: "GET",
        host: authority.to_string(),
        path: String::new(),
        purpose,
        status: None,
        bytes: 0,
        duration: Duration::ZERO,
        failure: None,
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.record.duration = self.started.elapsed();
        self.observer.egress(&self.record);
    }
}
