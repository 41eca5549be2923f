//! `quipu serve`: puts the parts together, says how to use the server, and runs until told to stop.

mod assemble;
mod descriptors;
mod house;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use quipu_ledger::{Ledger, Vouch};
use quipu_note::VerifierKey;
use quipu_server::{AuditLog, Downloads, Event, EventKind, Identity, ListenOptions, last_run_ended};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::config::Config;
use crate::keys::DataDir;
use crate::logging;
use crate::opening::{found, open_ledger};
use crate::output::tell;
use crate::policy;
use assemble::{Served, access, assemble, downloads, exports, url};

pub(crate) use assemble::{disk_floor, vouching};

/// How long the log may take to close, and so the records of what was done.
const CLOSING: Duration = Duration::from_secs(10);

/// How long a start waits for its line in the audit log.
const NOTING: Duration = Duration::from_secs(2);

/// Runs the server until it is told to stop.
///
/// # Errors
/// Whatever keeps it from starting, or stopped it.
pub(crate) fn run(config: &Config) -> Result<()> {
    logging::start(&config.set.output)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let outcome = runtime.block_on(serve(config));
    // Whatever still fetches for nobody is given up.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn serve(config: &Config) -> Result<()> {
    config.check_patterns()?;
    policy::rulebook(&config.set.policy)?;
    let metrics = install_metrics()?;
    let (data, signer) = found(config)?;
    let verifier = signer.verifier().clone();
    let listener = TcpListener::bind(config.listen())
        .await
        .with_context(|| format!("cannot listen on {}", config.listen()))?;
    let tls = config.tls()?.map(|(cert, key)| Identity::load(cert, key)).transpose()?;
    let url = url(config, &listener, tls.is_some())?;
    let ledger = open_ledger(config, &data, signer, Vouch::Nothing)?;
    let door = Door { verifier, listener, tls, url, metrics };
    let outcome = open_door(config, &data, &ledger, door).await;
    // Also after an error: a store that is still open when the program ends may take it down.
    if tokio::time::timeout(CLOSING, ledger.shutdown()).await.is_err() {
        warn!("the log does not close");
    }
    outcome
}

/// Where and as whom the server is reached.
struct Door {
    verifier: VerifierKey,
    listener: TcpListener,
    tls: Option<Arc<Identity>>,
    url: String,
    metrics: PrometheusHandle,
}

/// Serves the log until the server is told to stop.
async fn open_door(config: &Config, data: &DataDir, ledger: &Ledger, door: Door) -> Result<()> {
    let Door { verifier, listener, tls, url, metrics } = door;
    let access = access(config, data, &verifier, (tls.is_some(), &listener))?;
    let (audit, downloads) = (access.audit().clone(), downloads(config, data)?);
    let served = Served { verifier: &verifier, url: &url, metrics, access, downloads: downloads.clone() };
    let app = assemble(config, data, ledger, served).await?;
    // Whoever has read the lines may tell the server to stop, or kill it: the start is on the disk by then.
    let orders = Orders::listen()?;
    audit.note(started(config, data, &verifier)?);
    if tokio::time::timeout(NOTING, audit.sync()).await.is_err() {
        warn!("the audit log is not written: its disk does not answer");
    }
    tell(exports(&url, &verifier))?;
    info!(listen = %listener.local_addr()?, records = ledger.head().size(), data = %data.path().display(), "serving");
    let options = ListenOptions {
        max_connections: descriptors::connections(config.set.limits.connections),
        drain: Duration::from_secs(config.set.limits.drain_seconds.unwrap_or(30)),
        tls: tls.as_ref().map(Identity::server_config).transpose()?,
        ..ListenOptions::default()
    };
    let end = attend(app.serve(listener, options, orders.stopped()), ledger, tls, orders).await;
    let why = match &end {
        Ok(End::Asked) => String::new(),
        Ok(End::LogStopped(why)) => format!("the log stopped: {why}"),
        Err(error) => format!("{error:#}"),
    };
    audit.note(Event::new(EventKind::Stop).what(&verifier.to_string()).detail(&why));
    close(audit, downloads).await;
    match end? {
        End::Asked => Ok(()),
        End::LogStopped(why) => end_at_once(&why),
    }
}

/// What is noted of a start: with which settings (the hash of what `quipu config show` prints), and if the run before has
/// noted no end.
fn started(config: &Config, data: &DataDir, verifier: &VerifierKey) -> Result<Event> {
    let ended = last_run_ended(&data.audit()).unwrap_or_else(|error| {
        warn!(%error, "the end of the audit log cannot be read");
        None
    });
    let settings = hex::encode(Sha256::digest(config.show()?));
    let mut detail = format!("{}; settings sha256:{settings}", env!("CARGO_PKG_VERSION"));
    if ended == Some(false) {
        warn!(
            "the run before noted no end: it was killed, the power went, or the audit log could not be written"
        );
        detail += "; the run before noted no end";
    }
    Ok(Event::new(EventKind::Start).what(&verifier.to_string()).detail(&detail))
}

/// Writes what is left of the records of what was done. A disk that does not answer keeps nobody waiting for ever.
async fn close(audit: AuditLog, downloads: Downloads) {
    let closed = tokio::task::spawn_blocking(move || {
        audit.close();
        downloads.close();
    });
    if tokio::time::timeout(CLOSING, closed).await.is_err() {
        warn!("the audit log and the record of downloads do not close");
    }
}

/// Why the server ends.
enum End {
    /// It was told to, and what was under way is done.
    Asked,
    /// A fault in the log.
    LogStopped(Arc<str>),
}

/// The signals by which the server is told to stop, and the word to its connections that it was.
struct Orders {
    terminate: Signal,
    interrupt: Signal,
    stop: watch::Sender<bool>,
}

impl Orders {
    /// From now on no signal ends the process by itself.
    fn listen() -> Result<Self> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt, stop: watch::Sender::new(false) })
    }

    fn stopped(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Returns when a signal comes.
    async fn next(&mut self) {
        tokio::select! { _ = self.terminate.recv() => {}, _ = self.interrupt.recv() => {} }
    }
}

/// Serves until a signal or until the log stops.
async fn attend(
    serving: impl Future<Output = usize>,
    ledger: &Ledger,
    tls: Option<Arc<Identity>>,
    mut orders: Orders,
) -> Result<End> {
    if let Some(tls) = tls {
        tokio::spawn(follow_certificate(tls, signal(SignalKind::hangup())?));
    }
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        _ = serving.as_mut() => bail!("the listener ended"),
        why = ledger.stopped() => return Ok(End::LogStopped(why)),
        () = orders.next() => {}
    }
    info!("stopping: finishing the requests under way; a second signal stops at once");
    let _ = orders.stop.send(true);
    tokio::select! {
        cut = serving.as_mut() => if cut > 0 { warn!(connections = cut, "cut off at the end of the drain time") },
        () = orders.next() => bail!("stopped at once"),
    }
    ledger.shutdown().await;
    info!(records = ledger.head().size(), "stopped");
    Ok(End::Asked)
}

/// After a fault in the log: nothing may touch the store any more, not even to close it, because what the system says of
/// its files may no longer be what is on the disk.
fn end_at_once(why: &str) -> ! {
    error!(why, "the log stopped. Start again: the next start finds out what is durable");
    std::process::exit(1)
}

/// Takes over a changed certificate: at once on SIGHUP, else within a minute.
async fn follow_certificate(tls: Arc<Identity>, mut hangup: Signal) {
    let mut minute = tokio::time::interval(Duration::from_secs(60));
    loop {
        tokio::select! { _ = minute.tick() => {}, _ = hangup.recv() => {} }
        match tls.reload() {
            Ok(true) => info!("certificate reloaded"),
            Ok(false) => {}
            Err(error) => error!(%error, "the changed certificate cannot be used; the old one stays in use"),
        }
    }
}

fn install_metrics() -> Result<PrometheusHandle> {
    let seconds = [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
    let handle = PrometheusBuilder::new().set_buckets(&seconds)?.install_recorder()?;
    let upkeep = handle.clone();
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_secs(5));
        loop {
            tick.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}
