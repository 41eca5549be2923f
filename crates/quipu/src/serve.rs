//! `quipu serve`: puts the parts together, says how to use the server, and runs until told to stop.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use quipu_fetch::{Cache, CacheOptions, Evicted};
use quipu_ledger::{Guarded, Ledger, OpenError, OpenOptions, RealDisk, SealError, Vouch, read_identity};
use quipu_module::SumDatabase;
use quipu_note::{SignerKey, VerifierKey};
use quipu_rocks::RocksStore;
use quipu_server::{
    Access, Admission, App, AuditLog, Downloads, Event, EventKind, Identity, ListenOptions, Operation, Other,
    Parts, TokenFile, Vouching,
};
use quipu_verify as verify;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::config::{self, Config};
use crate::hooks;
use crate::keys::{self, DataDir};
use crate::logging;
use crate::oidc;
use crate::output::tell;
use crate::policy;
use crate::sources;
use crate::store;
use crate::upstream::{Myself, Upstream};

const MIB: u64 = 1 << 20;

/// In seconds.
const DAY: u64 = 24 * 60 * 60;

/// How often it is looked for versions without a licence, in minutes.
const LICENCES_EVERY: u8 = 60;

/// How long the log may take to close, and so the records of what was done.
const CLOSING: Duration = Duration::from_secs(10);

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
    // Whoever has read the lines may tell the server to stop.
    let orders = Orders::listen()?;
    tell(exports(&url, &verifier))?;
    info!(listen = %listener.local_addr()?, records = ledger.head().size(), data = %data.path().display(), "serving");
    let options = ListenOptions {
        max_connections: config.set.limits.connections.unwrap_or(10_000),
        drain: Duration::from_secs(config.set.limits.drain_seconds.unwrap_or(30)),
        tls: tls.as_ref().map(Identity::server_config).transpose()?,
        ..ListenOptions::default()
    };
    audit.note(Event::new(EventKind::Start).what(&verifier.to_string()).detail(env!("CARGO_PKG_VERSION")));
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

/// The record of who downloaded what, unless none is wanted.
fn downloads(config: &Config, data: &DataDir) -> Result<Downloads> {
    let (days, directory) = (config.set.access.downloads_days.unwrap_or(180), data.downloads());
    if days == 0 {
        return Ok(Downloads::none());
    }
    Downloads::open(&directory, days)
        .with_context(|| format!("cannot use the record of downloads in {}", directory.display()))
}

/// Who may do what, by the configuration and the tokens of the data directory.
fn access(
    config: &Config,
    data: &DataDir,
    verifier: &VerifierKey,
    (tls, listener): (bool, &TcpListener),
) -> Result<Access> {
    let rules = config.rules()?;
    let closed = !rules.is_open() || !config.published()?.is_empty();
    if closed && !tls && !listener.local_addr()?.ip().is_loopback() {
        warn!(
            "tokens would cross the network in clear text, and the go command sends none without https: configure [tls], \
             or listen on loopback behind a proxy that speaks TLS"
        );
    }
    let file = data.audit();
    let audit =
        AuditLog::open(&file).with_context(|| format!("cannot use the audit log {}", file.display()))?;
    let tokens = TokenFile::new(&data.tokens());
    let Some(issuers) = oidc::issuers(&config.set, verifier.name().as_ref())? else {
        return Ok(Access::open(rules, tokens, audit)?);
    };
    oidc::fetch_keys(issuers.clone());
    Ok(Access::open_with(rules, tokens, issuers, audit)?)
}

/// The data directory and the signing key, both made at the very first start.
///
/// # Errors
/// They are not of one log, or something says that there was another log before.
pub(crate) fn found(config: &Config) -> Result<(DataDir, SignerKey)> {
    let data = DataDir::new(config.data());
    refuse_to_start_over(config, &data)?;
    data.create()?;
    let signer = keys::signer(&data, config.set.key.as_deref(), config.set.name.as_deref())?;
    data.introduce(signer.verifier())?;
    Ok((data, signer))
}

/// Where something says that there was a log, and its store or its key are missing, nothing new is made: what the ledger
/// would refuse is refused before there is an empty store and its like to be mistaken for the log.
fn refuse_to_start_over(config: &Config, data: &DataDir) -> Result<()> {
    let (guard, key) = (config.guard(), config.set.key.clone().unwrap_or_else(|| data.signer()));
    ensure!(
        !guard.exists() || data.has_log() || key.exists(),
        "the guard {} knows a log, but {} holds neither its records nor its key: the data directory is wrong, or its \
         content is lost. Name the right directory (--data), or bring the log back with `quipu restore` and the key from \
         where you keep it; starting from nothing would fork the log",
        guard.display(),
        data.path().display()
    );
    if data.has_store_files() {
        return Ok(());
    }
    let names = || (guard.display().to_string(), data.path().display().to_string());
    let refusal = match Guarded::read(&RealDisk, &guard) {
        Ok(Some(known)) if known.head.size > 0 => {
            let (guard, data) = names();
            OpenError::GuardWithoutStore { guard, data, size: known.head.size }
        }
        Ok(None) if read_identity(&RealDisk, data.path())?.is_some() => {
            let (guard, data) = names();
            OpenError::StoreWithoutGuard { guard, data, size: 0 }
        }
        Ok(_) => return Ok(()),
        Err(SealError::Damaged(why)) => OpenError::GuardDamaged { file: names().0, why },
        Err(error) => return Err(error).with_context(|| format!("the guard {}", guard.display())),
    };
    Err(refusal.into())
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

/// Opens the log, or refuses; with what the operator vouches for.
///
/// # Errors
/// The store, a key or the log is refused.
pub(crate) fn open_ledger(
    config: &Config,
    data: &DataDir,
    signer: SignerKey,
    vouch: Vouch,
) -> Result<Ledger> {
    let log = &config.set.log;
    let mut options = quipu_rocks::Options::default();
    options.tell = |text| warn!("{text}");
    if let Some(mib) = log.cache_mib {
        options.cache_bytes = usize::try_from(u64::from(mib) * MIB).context("[log] cache_mib")?;
    }
    let store = RocksStore::open(data.log(), &options).map_err(|error| store::refused(error, data))?;
    let mut signers = vec![signer];
    for file in log.more_keys.as_deref().unwrap_or_default().split(',').filter(|file| !file.is_empty()) {
        signers.push(keys::load(Path::new(file))?.with_context(|| format!("there is no key {file}"))?);
    }
    let mut random = [0; 16];
    getrandom::fill(&mut random).context("no randomness")?;
    let mut open = OpenOptions::new(Arc::new(store), data.path(), signers, random);
    open.guard = config.guard();
    open.vouch = vouch;
    if let Some(mib) = log.reserve_mib {
        open.room.reserve = u64::from(mib) * MIB;
    }
    if let Some(appends) = config.set.limits.appends {
        open.limits.queue = appends.max(1);
    }
    Ok(Ledger::open(open)?)
}

/// How the server is reached and recognised.
struct Served<'a> {
    verifier: &'a VerifierKey,
    url: &'a str,
    metrics: PrometheusHandle,
    access: Access,
    downloads: Downloads,
}

async fn assemble(config: &Config, data: &DataDir, ledger: &Ledger, served: Served<'_>) -> Result<App> {
    let name = served.verifier.name().to_string();
    // Every upstream sees it, and none is told what the organisation calls itself.
    let digest = hex::encode(Sha256::digest(served.verifier.to_string()));
    let instance = digest.get(..16).unwrap_or(&digest).to_owned();
    let myself = Myself { name: &name, instance: &instance, urls: own_urls(config, served.url) };
    let upstream = Upstream::new(config, &myself)?;
    let mut others = Vec::new();
    for database in upstream.database.iter().chain(&upstream.others) {
        others.push(Other { name: database.name().to_owned(), client: upstream.verifier(database, data)? });
    }
    let offering = policy::in_force(config, data, served.access.audit())?;
    let rules = vouching(config, data, &upstream, &others);
    let admission = Admission::under(ledger.clone(), rules, Arc::clone(&offering));
    let sources = sources::modules(config, data, &upstream).await?;
    let retention = &config.set.cache;
    let options = CacheOptions {
        owner: served.verifier.to_string(),
        disk_floor: disk_floor(config),
        published: config.published()?,
        quota: retention.quota_mib.unwrap_or(0).saturating_mul(MIB),
        unlicensed: Duration::from_secs(u64::from(retention.unlicensed_days.unwrap_or(0)) * DAY),
        compare: Duration::from_secs(retention.compare_hours.unwrap_or(24).saturating_mul(3600)),
        ..CacheOptions::default()
    };
    let modules = Cache::open_root(&data.modules(), sources.upstream, admission.admit(), options)
        .with_context(|| format!("cannot use the module cache {}", data.modules().display()))?;
    tokio::spawn(recover(modules.clone()));
    tokio::spawn(keep_house(modules.clone()));
    let Served { verifier, url, metrics, access, downloads } = served;
    let operation =
        Operation { exports: exports(url, verifier), metrics: Arc::new(move || metrics.render()) };
    let hooks = hooks::secrets(&config.set.hooks)?;
    Ok(App::new(Parts {
        ledger: ledger.clone(),
        name,
        instance,
        admission,
        modules,
        others,
        access,
        hooks,
        operation,
        offering,
        downloads,
        ahead: retention.ahead.unwrap_or(0),
    }))
}

/// Bytes that stay free on the disk of the module cache.
pub(crate) fn disk_floor(config: &Config) -> u64 {
    config.set.limits.free_mib.unwrap_or(512).saturating_mul(MIB)
}

/// Finishes what a crash left half done in the module cache.
async fn recover(modules: Cache) {
    let finished = modules.recover().await;
    if finished > 0 {
        info!(finished, "files that an earlier run had fetched are in the cache now");
    }
}

/// Finds out what the module cache holds, and removes from it what is more than it should hold, or longer there than it should.
async fn keep_house(modules: Cache) {
    if let Err(error) = modules.survey().await {
        warn!(%error, "the module cache cannot be looked through");
    }
    let mut minute = tokio::time::interval(Duration::from_secs(60));
    minute.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for nth in (0..LICENCES_EVERY).cycle() {
        minute.tick().await;
        match modules.make_room().await {
            Ok(Evicted { files: 0, kept: 0, .. }) => {}
            Ok(Evicted { files, bytes, kept }) => info!(files, bytes, kept, "made room in the module cache"),
            Err(error) => warn!(%error, "no room can be made in the module cache"),
        }
        if nth > 0 {
            continue;
        }
        match modules.expire_unlicensed().await {
            Ok(Evicted { files: 0, .. }) => {}
            Ok(Evicted { files, bytes, .. }) => {
                info!(files, bytes, "removed zips of modules without a licence")
            }
            Err(error) => warn!(%error, "the licences of modules cannot be looked for"),
        }
    }
}

/// Who vouches for new records, by the settings.
pub(crate) fn vouching(config: &Config, data: &DataDir, upstream: &Upstream, others: &[Other]) -> Vouching {
    let client = |database: &SumDatabase| others.iter().find(|other| other.name == database.name());
    let proving: Option<verify::Client> =
        upstream.database.as_ref().and_then(client).map(|other| other.client.clone());
    Vouching {
        policy: upstream.policy.as_ref().clone(),
        upstream: proving,
        prefer: config.set.log.upstream.unwrap_or_default() == config::Upstream::Prefer,
        evidence: verify::EvidenceDir::new(&data.evidence()),
    }
}

/// The two lines that point a go command at this server.
fn exports(url: &str, verifier: &VerifierKey) -> String {
    format!("export GOPROXY={url}\nexport GOSUMDB=\"{verifier}\"")
}

fn url(config: &Config, listener: &TcpListener, tls: bool) -> Result<String> {
    match &config.set.url {
        Some(url) => Ok(url.trim_end_matches('/').to_owned()),
        None => {
            let mut addr = listener.local_addr()?;
            if addr.ip().is_unspecified() {
                addr.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
            }
            Ok(format!("{}://{addr}", if tls { "https" } else { "http" }))
        }
    }
}

/// Every URL that means this server: the one it prints, and loopback with its port.
fn own_urls(config: &Config, url: &str) -> Vec<String> {
    let port = config.listen().rsplit_once(':').map_or("8080", |(_, port)| port);
    let hosts = ["localhost", "127.0.0.1", "[::1]"];
    let local = hosts
        .into_iter()
        .flat_map(|host| ["http", "https"].map(|scheme| format!("{scheme}://{host}:{port}")));
    local.chain([url.to_owned(), format!("http://{}", config.listen())]).collect()
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
