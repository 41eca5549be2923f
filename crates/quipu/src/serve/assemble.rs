//! Putting the server together from the settings.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use metrics_exporter_prometheus::PrometheusHandle;
use quipu_fetch::{Cache, CacheOptions};
use quipu_ledger::Ledger;
use quipu_module::SumDatabase;
use quipu_note::VerifierKey;
use quipu_server::{
    Access, Admission, App, AuditLog, Downloads, Operation, Other, Parts, TokenFile, Vouching,
};
use quipu_verify as verify;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tracing::warn;

use super::house;
use crate::config::{self, Config};
use crate::hooks;
use crate::keys::DataDir;
use crate::oidc;
use crate::policy;
use crate::sources;
use crate::upstream::{Myself, Upstream};

const MIB: u64 = 1 << 20;

/// In seconds.
const DAY: u64 = 24 * 60 * 60;

/// How the server is reached and recognised.
pub(super) struct Served<'a> {
    pub(super) verifier: &'a VerifierKey,
    pub(super) url: &'a str,
    pub(super) metrics: PrometheusHandle,
    pub(super) access: Access,
    pub(super) downloads: Downloads,
}

pub(super) async fn assemble(
    config: &Config,
    data: &DataDir,
    ledger: &Ledger,
    served: Served<'_>,
) -> Result<App> {
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
    let Served { verifier, url, metrics, access, downloads } = served;
    let operation =
        Operation { exports: exports(url, verifier), metrics: Arc::new(move || metrics.render()) };
    let hooks = hooks::secrets(&config.set.hooks)?;
    let app = App::new(Parts {
        ledger: ledger.clone(),
        name,
        instance,
        admission,
        modules: modules.clone(),
        others,
        access,
        hooks,
        operation,
        offering,
        downloads,
        ahead: retention.ahead.unwrap_or(0),
    });
    // What is finished now may be published, and only the application has made sure that it is noted.
    tokio::spawn(house::recover(modules.clone()));
    tokio::spawn(house::keep(modules));
    Ok(app)
}

/// Bytes that stay free on the disk of the module cache.
pub(crate) fn disk_floor(config: &Config) -> u64 {
    config.set.limits.free_mib.unwrap_or(512).saturating_mul(MIB)
}

/// The record of who downloaded what, unless none is wanted.
pub(super) fn downloads(config: &Config, data: &DataDir) -> Result<Downloads> {
    let (days, directory) = (config.set.access.downloads_days.unwrap_or(180), data.downloads());
    if days == 0 {
        return Ok(Downloads::none());
    }
    Downloads::open(&directory, days)
        .with_context(|| format!("cannot use the record of downloads in {}", directory.display()))
}

/// Who may do what, by the configuration and the tokens of the data directory.
pub(super) fn access(
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
pub(super) fn exports(url: &str, verifier: &VerifierKey) -> String {
    format!("export GOPROXY={url}\nexport GOSUMDB=\"{verifier}\"")
}

pub(super) fn url(config: &Config, listener: &TcpListener, tls: bool) -> Result<String> {
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
