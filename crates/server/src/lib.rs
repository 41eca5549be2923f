//! HTTP face of quipu: checksum database and module proxy.
//!
//! [`App`] is put together from its [`Parts`] and serves a listener. A request goes from `listen` (connections and
//! their pace) to `app` (rules for all requests, the route) through the `gate` (may this caller) to one handler: `sumdb`
//! (the log), `proxy` (modules), `publish` (what is sent to stay), `passthrough` (other databases), `feed` (what came when)
//! or `ops`. The handlers do not know each other; `reply` alone knows status codes, `access` the rules for tokens,
//! `lookup` how a record comes into the log, and `filter`, by the rules in [`policy`], what of all modules is offered.
//!
//! # In another program
//!
//! [`App`] is a `tower` service too, and [`Modules`] is one of the module proxy alone: both go into a router such as axum's with
//! `nest_service`. The example `embed` shows it whole.

mod access;
mod app;
mod asker;
mod audit;
mod body;
mod downloads;
mod embed;
mod evidence;
mod feed;
mod filter;
mod gate;
mod hooks;
mod kept;
mod listen;
mod lookup;
mod ops;
mod pace;
mod passthrough;
mod path;
mod piece;
pub mod policy;
mod proxy;
mod publish;
mod reply;
mod requirements;
mod route;
mod scribe;
mod seldom;
mod sumdb;
mod tally;
mod tls;
mod upload;
mod upstream;
mod wall_clock;

pub use access::{Access, Grant, Issuers, OidcRule, Rules, Scope, Secret, Token, TokenError, TokenFile};
pub use app::{Admission, App, Parts};
pub use audit::{
    AuditDecisions, AuditFault, AuditLog, AuditReport, Event, EventKind, check_audit_log, last_run_ended,
};
pub use body::Body;
pub use downloads::{Download, DownloadKind, DownloadReach, Downloader, Downloads, read_downloads};
pub use embed::{Answering, Modules, Peer};
pub use hooks::{Forge, Secrets};
pub use listen::ListenOptions;
pub use lookup::Vouching;
pub use ops::{Operation, RenderMetrics};
pub use pace::Limits;
pub use passthrough::Other;
pub use tls::{Identity, TlsError};
pub use upstream::Reached;
