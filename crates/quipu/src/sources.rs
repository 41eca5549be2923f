//! The sources of modules: what is published here, repositories, proxies, in the order of the settings.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use quipu_fetch::{
    Authority, Chain, Command, CommandOptions, Direct, DirectParts, Discovery, DiscoveryRules, GitAccess,
    GitLimits, GitOptions, GitProgram, Named, Nowhere, Policy, Repositories, RepositoryMap, Source, Sources,
    SshAccess, Upstream, Url, roots_as_pem,
};
use quipu_module::{Govcs, ModulePath, Patterns, ProxyList};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use tracing::warn;

use crate::config::{Config, CredentialRule, Settings, SourceRule, patterns};
use crate::keys::DataDir;
use crate::logins::{self, EVERYTHING, pattern_of};
use crate::upstream;

const MIB: u64 = 1 << 20;

/// Everything that modules come from, as one.
pub(crate) struct Modules {
    /// What the cache asks.
    pub(crate) upstream: Arc<dyn Upstream>,
    /// What of it leads to repositories.
    pub(crate) direct: Arc<Direct>,
    /// By whom the paths are owned, in order.
    owners: Vec<(Patterns, Owner)>,
}

/// Who has the modules of a path. Prints for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// They are published here.
    Published,
    /// A `[[source]]`, with what it is made of.
    Rule(String),
    /// Repositories alone.
    Private,
    /// The GOPROXY list.
    Public,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Published => f.write_str("published here ([publish] patterns)"),
            Self::Rule(from) => write!(f, "a [[source]]: {from}"),
            Self::Private => f.write_str("repositories (GOPRIVATE or GONOPROXY)"),
            Self::Public => f.write_str("GOPROXY"),
        }
    }
}

impl Modules {
    /// Whose the path is.
    pub(crate) fn owner(&self, path: &ModulePath) -> Owner {
        let owner = self.owners.iter().find(|(patterns, _)| patterns.matches(path));
        owner.map_or(Owner::Public, |(_, owner)| owner.clone())
    }
}

/// Reads the settings and puts the sources together.
///
/// # Errors
/// A setting that is malformed, or a file that it names cannot be read.
pub(crate) async fn modules(
    config: &Config,
    data: &DataDir,
    outside: &upstream::Upstream,
) -> Result<Modules> {
    let direct = Arc::new(direct(config, data, outside).await?);
    let shared: Arc<dyn Upstream> = direct.clone();
    let here = Nowhere { why: "it was not published here, and is not asked of anybody else" };
    let mut first: Vec<(Owner, Patterns, Arc<dyn Upstream>)> =
        vec![(Owner::Published, config.published()?, Arc::new(here))];
    for rule in &config.set.sources {
        let (patterns, list) = read_rule(rule)?;
        let policy = Arc::new(Policy::within(patterns.clone()));
        let proxies = logins::of_proxies(&config.set, Some(&rule.pattern), list.entries())?;
        let chain = Chain::new(&proxies, &outside.client, &policy, Some(&shared))
            .map_err(|e| anyhow!("[[source]] {}: {e}", rule.pattern))?;
        first.push((Owner::Rule(list.to_string()), patterns, Arc::new(chain)));
    }
    first.push((Owner::Private, upstream::no_proxy(&config.set)?, shared.clone()));
    let rest = Chain::new(&outside.proxies, &outside.client, &outside.policy, Some(&shared))
        .map_err(|e| anyhow!("GOPROXY: {e}"))?;
    let owners = first.iter().map(|(owner, patterns, _)| (patterns.clone(), owner.clone())).collect();
    let first = first.into_iter().map(|(_, patterns, upstream)| Source { patterns, upstream }).collect();
    Ok(Modules { upstream: Arc::new(Sources::new(first, Arc::new(rest))), direct, owners })
}

/// Whether the settings of sources are good, as far as can be told without asking anybody.
///
/// # Errors
/// What is wrong with one.
pub(crate) fn check(config: &Config) -> Result<()> {
    let set = &config.set;
    for rule in &set.sources {
        logins::of_proxies(set, Some(&rule.pattern), read_rule(rule)?.1.entries())?;
    }
    access(set, set.credentials.iter())?;
    git_limits(set)?;
    extra_roots(set)?;
    repository_map(set)?;
    govcs(set)?;
    Ok(())
}

fn read_rule(rule: &SourceRule) -> Result<(Patterns, ProxyList)> {
    let patterns = patterns("[[source]] pattern", &rule.pattern)?;
    let list = ProxyList::parse(&rule.from).map_err(|e| anyhow!("[[source]] {}: {e}", rule.pattern))?;
    Ok((patterns, list))
}

async fn direct(config: &Config, data: &DataDir, outside: &upstream::Upstream) -> Result<Direct> {
    let set = &config.set;
    let insecure = insecure(set)?;
    let rules = DiscoveryRules {
        within: Patterns::new("*"),
        insecure: insecure.clone(),
        trusted: trusted(set),
        private: upstream::private(set)?,
        govcs: govcs(set)?,
        credentials: logins::of_hosts(set)?,
    };
    let discovery = Arc::new(Discovery::new(outside.client.clone(), rules));
    let command = command(config, data, &discovery)?;
    let Copies { git, strangers } = repositories(config, data).await?;
    Ok(Direct::new(DirectParts {
        map: repository_map(set)?,
        discovery,
        insecure,
        git,
        strangers,
        command: Some(command),
    }))
}

fn command(config: &Config, data: &DataDir, discovery: &Arc<Discovery>) -> Result<Arc<dyn Upstream>> {
    if !config.set.direct.commands.unwrap_or(false) {
        return Ok(Arc::new(Command::off(discovery.clone(), "[direct] commands = true")));
    }
    let options = command_options(&config.set, data)?;
    let command = Command::new(discovery.clone(), &options);
    Ok(Arc::new(command.map_err(|e| anyhow!("[direct] commands: {e}"))?))
}

/// What the go command may use, by the settings for git.
///
/// # Errors
/// As [`git_limits`].
fn command_options(set: &Settings, data: &DataDir) -> Result<CommandOptions> {
    let limits = git_limits(set)?;
    let mut options = CommandOptions::new(data.repositories().join("commands"));
    options.file_bytes = limits.file_bytes;
    if set.direct.timeout_seconds.is_some() {
        options.deadline = limits.deadline;
    }
    Ok(options)
}

fn repository_map(set: &Settings) -> Result<RepositoryMap> {
    let mut map = RepositoryMap::default();
    for rule in &set.repositories {
        map.add(&rule.root, &rule.url).map_err(|e| anyhow!("[[repository]] {e}"))?;
    }
    Ok(map)
}

/// Copies of git repositories.
struct Copies {
    /// Apart for each set of credentials, by the modules that these are for.
    git: Vec<(Patterns, Repositories)>,
    /// Those that nothing is shown to.
    strangers: Option<Repositories>,
}

async fn repositories(config: &Config, data: &DataDir) -> Result<Copies> {
    let (set, rules) = (&config.set, &config.set.credentials);
    let mut lists: Vec<&str> = Vec::new();
    for list in rules.iter().map(pattern_of).filter(|list| *list != EVERYTHING).chain([EVERYTHING]) {
        if !lists.contains(&list) {
            lists.push(list);
        }
    }
    let ca_file = roots_for_git(set, data)?;
    let mut all = Vec::new();
    for list in lists {
        let patterns = patterns("[[credential]] pattern", list)?;
        let ours = rules.iter().filter(|rule| [list, EVERYTHING].contains(&pattern_of(rule)));
        let digest = Sha256::digest(list);
        let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        all.push((Some(patterns), name, GitAccess { ca_file: ca_file.clone(), ..access(set, ours)? }));
    }
    all.push((None, "strangers".to_owned(), GitAccess { ca_file, ..GitAccess::default() }));
    let limits = git_limits(set)?;
    let mut copies = Copies { git: Vec::new(), strangers: None };
    for (patterns, name, access) in all {
        let options = GitOptions {
            access,
            program: GitProgram { limits: limits.clone(), ..GitProgram::default() },
            max_bytes: set.direct.cache_mib.unwrap_or(10 << 10) * MIB,
            observer: Arc::new(upstream::Counting),
            ..GitOptions::default()
        };
        match (Repositories::open(&data.repositories().join(name), options).await, patterns) {
            (Ok(opened), Some(patterns)) => copies.git.push((patterns, opened)),
            (Ok(opened), None) => copies.strangers = Some(opened),
            (Err(error), _) => {
                warn!(%error, "nothing can be fetched from git repositories: install git 2.37 or later");
                return Ok(Copies { git: Vec::new(), strangers: None });
            }
        }
    }
    if copies.strangers.as_ref().is_some_and(|opened| !opened.is_limited()) {
        warn!(
            "prlimit is not installed: git runs without limits of memory and file size (install util-linux)"
        );
    }
    Ok(copies)
}

/// The modules of which the settings speak: their repositories may lie with any host that is named there, and be read with its
/// credentials, whoever says that they are there.
fn trusted(set: &Settings) -> Patterns {
    let sources = set.sources.iter().map(|rule| rule.pattern.as_str());
    let credentials = set.credentials.iter().map(pattern_of).filter(|list| *list != EVERYTHING);
    let lists = set.go.goprivate.as_deref().into_iter().chain(sources).chain(credentials);
    Patterns::new(&lists.collect::<Vec<_>>().join(","))
}

/// What one run of git may use, by the settings. What is not set itself grows with what is: an archive may be twice as
/// large as a fetch, and git may compute twice as long as it may take, since it has two threads.
///
/// # Errors
/// A limit under which nothing could be fetched, or that is none.
fn git_limits(set: &Settings) -> Result<GitLimits> {
    let mut limits = GitLimits::default();
    if let Some(mib) = set.direct.max_mib {
        ensure!((1..=MOST_MIB).contains(&mib), "[direct] max_mib: {mib} is not from 1 to {MOST_MIB}");
        limits.file_bytes = mib * MIB;
        limits.archive_bytes = mib * MIB * 2;
    }
    if let Some(seconds) = set.direct.timeout_seconds {
        let most = MOST_SECONDS;
        ensure!((1..=most).contains(&seconds), "[direct] timeout_seconds: {seconds} is not from 1 to {most}");
        limits.deadline = Duration::from_secs(seconds);
        limits.cpu_seconds = seconds * 2;
    }
    Ok(limits)
}

/// What can be asked for of one fetch: a tebibyte, and what any fetch for the module cache may take.
const MOST_MIB: u64 = 1 << 20;
const MOST_SECONDS: u64 = 15 * 60;

/// The certificates that are trusted besides those of the system.
///
/// # Errors
/// The file cannot be read, or holds none.
pub(crate) fn extra_roots(set: &Settings) -> Result<Vec<CertificateDer<'static>>> {
    let Some(file) = &set.ca_file else { return Ok(Vec::new()) };
    let pem = fs::read(file).with_context(|| format!("cannot read ca_file {}", file.display()))?;
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|e| anyhow!("ca_file {}: {e}", file.display()))?;
    if found.is_empty() {
        bail!("ca_file {}: there is no certificate in it", file.display());
    }
    Ok(found)
}

/// A file of all that this program trusts, for git, which trusts what it is given instead of what the system has; `None`
/// where that is the same.
fn roots_for_git(set: &Settings, data: &DataDir) -> Result<Option<PathBuf>> {
    let extra = extra_roots(set)?;
    let told = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some());
    if extra.is_empty() && !told {
        return Ok(None);
    }
    let file = std::path::absolute(data.repositories().join("roots.pem"))?;
    let written =
        fs::create_dir_all(data.repositories()).and_then(|()| fs::write(&file, roots_as_pem(&extra)));
    written.with_context(|| format!("cannot write {}", file.display()))?;
    Ok(Some(file))
}

fn access<'a>(set: &Settings, rules: impl Iterator<Item = &'a CredentialRule>) -> Result<GitAccess> {
    let mut access = GitAccess { named: Named::default(), ..GitAccess::default() };
    for authority in hosts(set)? {
        access.named.insert(authority);
    }
    for rule in rules {
        match (&rule.secret_file, &rule.ssh_key_file) {
            (Some(secret), None) => access.credentials.push(logins::login(rule, secret)?),
            (None, Some(key)) => access.ssh.push(ssh(rule, key)?),
            _ => bail!("[[credential]] for {}: needs either secret_file or ssh_key_file", rule.host),
        }
    }
    Ok(access)
}

fn ssh(rule: &CredentialRule, key: &Path) -> Result<SshAccess> {
    let known_hosts = rule.known_hosts_file.clone().with_context(|| {
        format!(
            "[[credential]] for {}: an ssh key needs known_hosts_file (make one with ssh-keyscan)",
            rule.host
        )
    })?;
    for file in [key, &known_hosts] {
        fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    let (host, port) = rule.host.rsplit_once(':').unwrap_or((&rule.host, "22"));
    let port = port.parse().with_context(|| format!("[[credential]] host {}: no such port", rule.host))?;
    Ok(SshAccess { host: host.to_ascii_lowercase(), port, key: key.to_owned(), known_hosts })
}

/// The hosts that the settings name, for which it does not matter where they are.
///
/// # Errors
/// One is malformed.
pub(crate) fn hosts(set: &Settings) -> Result<HashSet<Authority>> {
    let mut hosts = HashSet::new();
    for host in split(set.direct.hosts.as_deref()) {
        hosts.insert(authority(host).context("[direct] hosts")?);
    }
    for rule in set.credentials.iter().filter(|rule| rule.secret_file.is_some()) {
        hosts.insert(authority(&rule.host).context("[[credential]] host")?);
    }
    for rule in &set.repositories {
        // What a star stands for is named by others.
        let url = rule.url.split('$').next().unwrap_or_default();
        let whole = url.splitn(4, '/').count() == 4;
        hosts.extend(Url::parse(url).filter(|_| whole).map(|url| url.authority().clone()));
    }
    for rule in &set.sources {
        let (_, list) = read_rule(rule)?;
        hosts.extend(upstream::authorities(list.entries())?);
    }
    let insecure = insecure_hosts(set)?;
    let lists = set.sources.iter().map(|rule| rule.pattern.as_str());
    for pattern in lists.chain(set.go.goprivate.as_deref()).flat_map(|list| split(Some(list))) {
        let host = pattern.split('/').next().unwrap_or_default();
        let schemes = if insecure.matches(host) { &["https", "http"][..] } else { &["https"] };
        let urls = schemes.iter().filter_map(|scheme| Url::parse(&format!("{scheme}://{host}/")));
        if host.contains('.') && !host.contains(['*', '?', '[', '\\']) {
            hosts.extend(urls.map(|url| url.authority().clone()));
        }
    }
    Ok(hosts)
}

/// What may be fetched without TLS.
fn insecure(set: &Settings) -> Result<Patterns> {
    patterns("GOINSECURE", set.go.goinsecure.as_deref().unwrap_or_default())
}

/// The hosts at which something may be fetched without TLS. Which modules that are is for [`insecure`] to say, where one is
/// fetched.
fn insecure_hosts(set: &Settings) -> Result<Patterns> {
    insecure(set)?;
    let hosts = split(set.go.goinsecure.as_deref()).filter_map(|pattern| pattern.split('/').next());
    Ok(Patterns::new(&hosts.collect::<Vec<_>>().join(",")))
}

/// Which version control systems may be used for what.
fn govcs(set: &Settings) -> Result<Govcs> {
    let rules = set.go.govcs.as_deref().unwrap_or_default();
    for rule in split(Some(rules)) {
        patterns("GOVCS", rule.split(':').next().unwrap_or_default().trim())?;
    }
    Govcs::parse(rules).map_err(|e| anyhow!("GOVCS: {e}"))
}

fn split(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.unwrap_or_default().split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

/// `[http://]host[:port]`.
pub(crate) fn authority(host: &str) -> Result<Authority> {
    let url = if host.contains("://") { host.to_owned() } else { format!("https://{host}") };
    let url = Url::parse(&url).filter(|url| url.path_and_query() == "/");
    Ok(url.ok_or_else(|| anyhow!("{host}: not a host of the form [http://]host[:port]"))?.authority().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn hosts_that_the_settings_name() {
        let set = settings(
            r#"
            [go]
            GOPRIVATE = "git.corp.example/team,*.corp.example,lib.corp.example,,plain"
            GOINSECURE = "lib.corp.example,git.*.example/team,tools.corp.example/a/b,other.example/x"
            [direct]
            hosts = "forge.corp.example:8443"
            [[source]]
            pattern = "tools.corp.example"
            from = "direct"
            [[source]]
            pattern = "*.tools.corp.example"
            from = "http://127.0.0.1:3001/go|https://proxy.corp.example:8081,file:///srv/modules,off"
            [[repository]]
            root = "a.example/*"
            url = "https://repos.corp.example/$1"
            [[repository]]
            root = "*/b"
            url = "https://$1/b"
            [[credential]]
            host = "http://127.0.0.1:3000"
            secret_file = "secret"
            "#,
        );
        let mut hosts: Vec<String> = hosts(&set).unwrap().iter().map(ToString::to_string).collect();
        hosts.sort();
        assert_eq!(
            hosts,
            [
                "http://127.0.0.1:3000",
                "http://127.0.0.1:3001",
                "http://git.corp.example",
                "http://lib.corp.example",
                "http://tools.corp.example",
                "https://forge.corp.example:8443",
                "https://git.corp.example",
                "https://lib.corp.example",
                "https://proxy.corp.example:8081",
                "https://repos.corp.example",
                "https://tools.corp.example",
            ]
        );
    }

    #[test]
    fn settings_that_make_no_sense_are_named() {
        for (text, named) in [
            ("[[source]]\npattern = \"[\"\nfrom = \"direct\"", "[[source]] pattern"),
            ("[[source]]\npattern = \"a.example\"\nfrom = \"ftp://x\"", "a.example"),
            ("[[repository]]\nroot = \"a.example/*\"\nurl = \"https://x/$2\"", "[[repository]] a.example/*"),
            ("[[credential]]\nhost = \"git.example\"", "git.example"),
            ("[[credential]]\nhost = \"git.example\"\nssh_key_file = \"k\"", "known_hosts_file"),
            ("[[credential]]\nhost = \"git.example/x\"\nsecret_file = \"k\"", "git.example/x"),
            ("[direct]\nhosts = \"a b\"", "[direct] hosts"),
            ("[direct]\nmax_mib = 0", "[direct] max_mib"),
            ("[direct]\nmax_mib = 18446744073709551615", "[direct] max_mib"),
            ("[direct]\ntimeout_seconds = 0", "[direct] timeout_seconds"),
            ("[direct]\ntimeout_seconds = 901", "[direct] timeout_seconds"),
            ("[go]\nGOVCS = \"public\"", "GOVCS"),
            (
                "[go]\nGOVCS = \"private:git, corp.example/[x:off\"",
                "GOVCS: malformed pattern \"corp.example/[x\"",
            ),
            ("ca_file = \"/nonexistent/ca.pem\"", "ca_file /nonexistent/ca.pem"),
            ("ca_file = \"/dev/null\"", "no certificate"),
        ] {
            let config = Config { set: settings(text), origins: std::collections::BTreeMap::new() };
            let error = format!("{:#}", check(&config).unwrap_err());
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn limits_of_git_are_those_of_the_settings() {
        let (default, ours) = (GitLimits::default(), git_limits(&settings("")).unwrap());
        assert_eq!((ours.file_bytes, ours.deadline), (1 << 30, Duration::from_secs(120)));
        assert_eq!(format!("{ours:?}"), format!("{default:?}"), "what is not set is the default");
        let ours = git_limits(&settings("[direct]\nmax_mib = 64\ntimeout_seconds = 300")).unwrap();
        assert_eq!((ours.file_bytes, ours.archive_bytes), (64 << 20, 128 << 20));
        assert_eq!((ours.deadline, ours.cpu_seconds), (Duration::from_secs(300), 600));
    }

    #[test]
    fn they_hold_for_the_go_command_too() {
        let options =
            |text: &str| command_options(&settings(text), &DataDir::new(Path::new("data"))).unwrap();
        let default = options("");
        assert_eq!((default.file_bytes, default.deadline), (1 << 30, Duration::from_secs(300)));
        let ours = options("[direct]\nmax_mib = 64\ntimeout_seconds = 60");
        assert_eq!((ours.file_bytes, ours.deadline), (64 << 20, Duration::from_secs(60)));
    }

    #[test]
    fn sources_are_private_unless_they_say_otherwise() {
        let set = settings(
            "[go]\nGOPRIVATE = \"a.example\"\n[[source]]\npattern = \"b.example\"\nfrom = \"direct\"\n\
             [[source]]\npattern = \"c.example\"\nfrom = \"direct\"\npublic = true",
        );
        for (path, is_private) in [("a.example/x", true), ("b.example/x", true), ("c.example/x", false)] {
            assert_eq!(upstream::private(&set).unwrap().matches(path), is_private, "{path}");
            assert_eq!(upstream::no_proxy(&set).unwrap().matches(path), is_private, "{path}");
        }
        let proxied = settings("[go]\nGOPRIVATE = \"a.example\"\nGONOPROXY = \"none\"");
        assert!(!upstream::no_proxy(&proxied).unwrap().matches("a.example/x"));
        let unset = settings("[go]\nGOPRIVATE = \"a.example\"\nGONOPROXY = \"\"");
        assert!(upstream::no_proxy(&unset).unwrap().matches("a.example/x"));
    }
}
