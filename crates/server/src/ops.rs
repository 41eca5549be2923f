//! For those who run the server: health, readiness, metrics, and a page that says how to use it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::StatusCode;
use quipu_fetch::{Cache, CacheRoom};
use quipu_ledger::Ledger;

use crate::reply::{self, Freshness, Reply};

/// Makes the text of `/metrics`.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What the operator's pages show.
pub struct Operation {
    /// The lines to paste, shown at `/`.
    pub exports: String,
    /// Makes the text of `/metrics`.
    pub metrics: RenderMetrics,
}

/// Most moved tags that are named.
const MAX_MOVED_SHOWN: usize = 100;

/// Handlers of the operator's pages.
pub(crate) struct Ops {
    ledger: Ledger,
    modules: Cache,
    operation: Operation,
    /// The moved tags that were named at `/metrics` last.
    named: Mutex<BTreeSet<String>>,
}

impl Ops {
    pub(crate) const fn new(ledger: Ledger, modules: Cache, operation: Operation) -> Self {
        Self { ledger, modules, operation, named: Mutex::new(BTreeSet::new()) }
    }

    /// The process answers: that is all it says.
    pub(crate) fn health() -> Reply {
        reply::ok(Bytes::from_static(b"ok\n"), reply::TEXT, Freshness::Never)
    }

    /// Can all the work be done: sign, guard, store. One line for each thing asked; 503 if one of them fails.
    pub(crate) fn ready(&self) -> Reply {
        let mut lines = String::new();
        let mut ready = true;
        for (what, fault) in self.checks() {
            ready &= fault.is_none();
            let _ = writeln!(lines, "{what}: {}", fault.as_deref().unwrap_or("ok"));
        }
        let mut reply = reply::ok(Bytes::from(lines), reply::TEXT, Freshness::Never);
        if !ready {
            *reply.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        reply
    }

    fn checks(&self) -> [(&'static str, Option<String>); 3] {
        let status = self.ledger.status();
        let disk = match self.modules.room() {
            Ok(room) if room.is_enough() => None,
            Ok(CacheRoom { free, floor }) => {
                Some(format!("{free} bytes free, {floor} needed to take in modules"))
            }
            Err(error) => Some(format!("free space unknown: {error}")),
        };
        // The guard stops the writer when it fails, so what stopped the writer speaks for it too.
        [
            ("log", status.stopped.map(|why| why.to_string())),
            ("log disk", status.full.map(|why| why.to_string())),
            ("cache disk", disk),
        ]
    }

    pub(crate) fn metrics(&self) -> Reply {
        self.observe();
        reply::ok(Bytes::from((self.operation.metrics)()), reply::TEXT, Freshness::Never)
    }

    /// Brings up to date what the log and the cache count themselves.
    fn observe(&self) {
        self.observe_log();
        self.observe_cache();
    }

    fn observe_log(&self) {
        let (head, status) = (self.ledger.head(), self.ledger.status());
        gauge("quipu_log_size", head.size());
        gauge("quipu_log_head_time_seconds", head.head.time / 1_000_000);
        gauge("quipu_log_can_sign", u64::from(status.can_sign()));
        gauge("quipu_log_queue", status.queued as u64);
        gauge("quipu_log_rounds", status.rounds);
        if let Some(round) = status.last_round {
            metrics::gauge!("quipu_log_round_commit_seconds").set(round.commit.as_secs_f64());
            metrics::gauge!("quipu_log_round_guard_seconds").set(round.guarding.as_secs_f64());
            metrics::gauge!("quipu_log_round_sign_seconds").set(round.signing.as_secs_f64());
            gauge("quipu_log_round_records", round.records);
        }
    }

    fn observe_cache(&self) {
        let stats = self.modules.stats();
        for (name, count) in [
            ("quipu_cache_hits_total", stats.hits),
            ("quipu_cache_misses_total", stats.misses),
            ("quipu_cache_stored_files_total", stats.stored),
            ("quipu_cache_stored_bytes_total", stats.stored_bytes),
            ("quipu_cache_stale_answers_total", stats.stale),
            ("quipu_cache_refused_total", stats.refused),
            ("quipu_cache_rejected_total", stats.rejected),
            ("quipu_cache_evicted_files_total", stats.evicted),
            ("quipu_cache_evicted_bytes_total", stats.evicted_bytes),
            ("quipu_tags_moved_total", stats.moves),
        ] {
            metrics::counter!(name).absolute(count);
        }
        gauge("quipu_cache_fetches_under_way", stats.under_way);
        gauge("quipu_cache_zip_bytes", stats.zip_bytes);
        gauge("quipu_cache_quota_bytes", self.modules.quota());
        gauge("quipu_cache_unlicensed_versions", stats.unlicensed);
        gauge("quipu_tags_moved", stats.moved);
        self.name_moved_tags();
        if let Ok(room) = self.modules.room() {
            gauge("quipu_cache_free_bytes", room.free);
        }
    }

    /// Names the moved tags, and says of those that were named and are back that they are.
    fn name_moved_tags(&self) {
        let moved = self.modules.moved().into_iter().take(MAX_MOVED_SHOWN);
        let now: BTreeSet<String> = moved.map(|moved| moved.version.to_string()).collect();
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        for version in named.iter().chain(&now) {
            let is_moved = if now.contains(version) { 1.0 } else { 0.0 };
            metrics::gauge!("quipu_tag_moved", "version" => version.clone()).set(is_moved);
        }
        *named = now;
    }

    /// What this server is and how a go command is pointed at it.
    pub(crate) fn home(&self) -> Reply {
        let head = self.ledger.head();
        let text = format!(
            "quipu: a Go module proxy and checksum database.\n\nUse it:\n\n{}\n\
             The log holds {} records; its signed head is at /latest.\n",
            self.operation.exports,
            head.size()
        );
        reply::ok(Bytes::from(text), reply::TEXT, Freshness::Revalidate)
    }
}

/// Sets a gauge without labels.
#[expect(
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "metrics are floats; 2^53 is enough for all of these"
)]
pub(crate) fn gauge(name: &'static str, value: u64) {
    metrics::gauge!(name).set(value as f64);
}
