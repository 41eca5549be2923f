//! Where this server itself gets modules and proofs from: the `[go]` settings made into parts.

use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use quipu_fetch::{Authority, Base, Client, ClientOptions, Database, Egress, Named, Observe, Policy};
use quipu_module::{BaseUrl, Patterns, ProxyEntry, ProxyList, ProxyTarget, SumDatabase, SumDb};
use quipu_server::Reached;
use quipu_verify as verify;
use tracing::{debug, info, warn};

use crate::config::{Config, Go, Settings, patterns};
use crate::keys::DataDir;
use crate::{logins, sources};

/// What leads outside.
pub(crate) struct Upstream {
    pub(crate) client: Client,
    pub(crate) proxies: Vec<ProxyEntry>,
    pub(crate) policy: Arc<Policy>,
    /// The upstream database, unless GOSUMDB is `off`.
    pub(crate) database: Option<SumDatabase>,
    /// Further databases passed through.
    pub(crate) others: Vec<SumDatabase>,
}

/// What this server is called, by which it recognises itself among its upstreams.
pub(crate) struct Myself<'a> {
    pub(crate) name: &'a str,
    pub(crate) instance: &'a str,
    /// Every URL under which it may be configured.
    pub(crate) urls: Vec<String>,
}

impl Upstream {
    /// Reads the settings. Settings that lead back to this server are left out with a warning.
    ///
    /// # Errors
    /// A setting that is malformed, named by its key.
    pub(crate) fn new(config: &Config, myself: &Myself<'_>) -> Result<Self> {
        config.check_patterns()?;
        let go = &config.set.go;
        let proxies = logins::of_proxies(&config.set, None, &proxies(go, myself)?)?;
        let database = database(go, myself)?;
        let others = others(config)?;
        let mut named = named(&proxies, database.iter().chain(&others))?;
        for host in sources::hosts(&config.set)? {
            info!(%host, "may be fetched from, wherever it is");
            named.insert(host);
        }
        let client = Client::new(ClientOptions {
            instance: myself.instance.to_owned(),
            named,
            extra_roots: sources::extra_roots(&config.set)?,
            max_concurrent: config.set.limits.upstream.unwrap_or(64),
            observer: Arc::new(Counting),
            ..ClientOptions::default()
        })
        .map_err(|e| anyhow!("the outbound client cannot be set up: {e}"))?;
        let policy = policy(&config.set)?.publishing(config.published()?);
        Ok(Self { client, proxies, policy: Arc::new(policy), database, others })
    }

    /// A verifying client of a database, with its state below the data directory.
    ///
    /// # Errors
    /// The key or the URL is malformed, or the state cannot be used.
    pub(crate) fn verifier(&self, database: &SumDatabase, data: &DataDir) -> Result<verify::Client> {
        let name = database.name();
        // Not as it prints: then its password would be masked.
        let url = database.url().map(BaseUrl::as_str);
        let reached = Database::new(name, url, &self.proxies, &self.client, Arc::clone(&self.policy))
            .map_err(|e| anyhow!("checksum database {name}: {e}"))?;
        let key = database.key().parse().with_context(|| format!("the key of database {name}"))?;
        let dir = data.sumdb(name);
        let state = verify::DirState::open(&dir).with_context(|| format!("cannot use {}", dir.display()))?;
        let limits = verify::Limits::default();
        verify::Client::new(vec![key], Arc::new(Reached(reached)), Arc::new(state), limits)
            .with_context(|| format!("checksum database {name}"))
    }
}

/// What the operator named may be anywhere, also on loopback and in private networks.
fn named<'a>(proxies: &[ProxyEntry], databases: impl Iterator<Item = &'a SumDatabase>) -> Result<Named> {
    let urls = databases.filter_map(|database| database.url().map(ToString::to_string));
    let databases: Vec<_> = urls.filter_map(|url| authority(&url).transpose()).collect::<Result<_>>()?;
    let mut named = Named::default();
    for authority in authorities(proxies)?.into_iter().chain(databases) {
        info!(upstream = %authority, "may be asked");
        named.insert(authority);
    }
    if proxies.iter().any(|entry| matches!(entry.target, ProxyTarget::Direct)) {
        info!("GOPROXY ends with direct: the hosts of modules themselves may be asked");
    }
    Ok(named)
}

/// The hosts of a GOPROXY list.
///
/// # Errors
/// A URL that no client could ask.
pub(crate) fn authorities(proxies: &[ProxyEntry]) -> Result<Vec<Authority>> {
    let urls = proxies.iter().filter_map(|entry| match &entry.target {
        ProxyTarget::Url(url) => Some(url.to_string()),
        _ => None,
    });
    urls.filter_map(|url| authority(&url).transpose()).collect()
}

/// The host of a URL; a `file` URL has none.
fn authority(url: &str) -> Result<Option<Authority>> {
    let base = Base::parse(url).map_err(|e| anyhow!("{url}: {e}"))?;
    Ok(base.authority().cloned())
}

/// The GOPROXY list: from the settings, else what the go command would use.
fn proxies(go: &Go, myself: &Myself<'_>) -> Result<Vec<ProxyEntry>> {
    let list = match &go.goproxy {
        Some(list) => Some(list.clone()),
        None => go_env_goproxy(),
    };
    let Some(list) = list else {
        warn!(
            "no upstream: set GOPROXY (in [go], as --goproxy, or in the environment). Only what is stored is served"
        );
        return Ok(Vec::new());
    };
    let list = ProxyList::parse(&list).map_err(|e| anyhow!("GOPROXY: {e}"))?;
    let (mine, entries): (Vec<_>, Vec<_>) =
        list.entries().iter().cloned().partition(|entry| leads_to(entry, myself));
    for entry in mine {
        warn!(entry = ?entry.target, "GOPROXY names this server itself: that entry is left out. If these are the exports \
               this server printed, unset them where the server is started");
    }
    if entries.is_empty() {
        warn!("no upstream: GOPROXY leads nowhere. Only what is stored is served");
    }
    Ok(entries)
}

fn leads_to(entry: &ProxyEntry, myself: &Myself<'_>) -> bool {
    let ProxyTarget::Url(url) = &entry.target else { return false };
    let url = url.to_string();
    myself.urls.iter().any(|mine| url.trim_end_matches('/').eq_ignore_ascii_case(mine.trim_end_matches('/')))
}

/// What `go env GOPROXY` says, if there is a go command.
fn go_env_goproxy() -> Option<String> {
    let output = Command::new("go").args(["env", "GOPROXY"]).output().ok()?;
    let list = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !list.is_empty()).then(|| {
        info!("GOPROXY is not set: using what the go command uses");
        list
    })
}

fn database(go: &Go, myself: &Myself<'_>) -> Result<Option<SumDatabase>> {
    let value = go.gosumdb.as_deref().unwrap_or_default();
    match SumDb::parse(value).map_err(|e| anyhow!("GOSUMDB: {e}"))? {
        SumDb::Off => {
            warn!("GOSUMDB=off: records are made from what is fetched, proven by nobody else");
            Ok(None)
        }
        SumDb::Database(database) if database.name() == myself.name => {
            warn!(
                "GOSUMDB names this server's own database: sum.golang.org is used. If these are the exports this server \
                   printed, unset them where the server is started"
            );
            match SumDb::parse("").map_err(|e| anyhow!("GOSUMDB: {e}"))? {
                SumDb::Database(public) => Ok(Some(public)),
                SumDb::Off => Ok(None),
            }
        }
        SumDb::Database(database) => Ok(Some(database)),
    }
}

fn others(config: &Config) -> Result<Vec<SumDatabase>> {
    let list = config.set.sumdb.passthrough.as_deref().unwrap_or_default();
    let mut others = Vec::new();
    for value in list.split(',').map(str::trim).filter(|value| !value.is_empty()) {
        match SumDb::parse(value).map_err(|e| anyhow!("[sumdb] passthrough: {e}"))? {
            SumDb::Database(database) => others.push(database),
            SumDb::Off => return Err(anyhow!("[sumdb] passthrough: \"off\" is no database")),
        }
    }
    Ok(others)
}

/// What is asked of no proxy: GONOPROXY, which is GOPRIVATE unless set, and what the settings have another source for.
///
/// # Errors
/// A pattern is malformed or has white space in it: it would protect nothing.
pub(crate) fn no_proxy(set: &Settings) -> Result<Patterns> {
    listed(set, set.go.gonoproxy.as_ref()).context("GONOPROXY, GOPRIVATE or [[source]]")
}

/// What is private: GOPRIVATE, and what the settings have another source for.
///
/// # Errors
/// As [`no_proxy`].
pub(crate) fn private(set: &Settings) -> Result<Patterns> {
    listed(set, None).context("GOPRIVATE or [[source]]")
}

/// What no database is asked about: GONOSUMDB, which is GOPRIVATE unless set, and what the settings have another source for.
fn no_sumdb(set: &Settings) -> Result<Patterns> {
    listed(set, set.go.gonosumdb.as_ref()).context("GONOSUMDB, GOPRIVATE or [[source]]")
}

/// What nobody else vouches for, so that the first content counts: all that is private by any setting, or published here.
///
/// # Errors
/// As [`no_proxy`].
pub(crate) fn ours(set: &Settings) -> Result<Patterns> {
    let lists = [&set.go.goprivate, &set.go.gonoproxy, &set.go.gonosumdb, &set.publish.patterns];
    let lists = lists.into_iter().flatten().map(String::as_str);
    let all = lists.chain(private_sources(set)).collect::<Vec<_>>().join(",");
    patterns("GOPRIVATE, GONOPROXY, GONOSUMDB, [publish] or [[source]]", &all)
}

/// Whether there is an upstream database to ask.
///
/// # Errors
/// GOSUMDB is malformed.
pub(crate) fn has_database(set: &Settings) -> Result<bool> {
    let value = SumDb::parse(set.go.gosumdb.as_deref().unwrap_or_default());
    Ok(matches!(value.map_err(|e| anyhow!("GOSUMDB: {e}"))?, SumDb::Database(_)))
}

/// The patterns of the sources that the upstream database must not hear of.
fn private_sources(set: &Settings) -> impl Iterator<Item = &str> {
    set.sources.iter().filter(|rule| !rule.public).map(|rule| rule.pattern.as_str())
}

/// An empty list is one that is not set, as for the go command: it must not open what is private.
fn listed(set: &Settings, list: Option<&String>) -> Result<Patterns> {
    let list = list.filter(|list| !list.is_empty()).or(set.go.goprivate.as_ref()).map(String::as_str);
    Ok(Patterns::parse(&list.into_iter().chain(private_sources(set)).collect::<Vec<_>>().join(","))?)
}

/// Private modules are neither asked of proxies nor looked up, unless GONOPROXY and GONOSUMDB say otherwise.
fn policy(set: &Settings) -> Result<Policy> {
    Ok(Policy::new(no_proxy(set)?, no_sumdb(set)?))
}

/// Counts and logs what leaves this machine.
pub(crate) struct Counting;

impl Observe for Counting {
    fn egress(&self, record: &Egress) {
        let purpose = record.purpose.to_string();
        let result = match (record.status, record.failure) {
            (Some(200), None) => "ok",
            (Some(404 | 410), None) => "not_found",
            _ => "error",
        };
        metrics::counter!("proxy_upstream_fetch_total", "fetch_result" => result, "purpose" => purpose.clone()).increment(1);
        metrics::histogram!("proxy_upstream_fetch_duration_seconds", "purpose" => purpose)
            .record(record.duration.as_secs_f64());
        debug!(host = record.host, path = record.path, status = record.status, bytes = record.bytes, took = ?record.duration,
               failure = ?record.failure, "upstream");
    }
}
