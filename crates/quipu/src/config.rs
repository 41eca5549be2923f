//! Configuration: one table of settings, read from flags, `QUIPU_…` variables, a TOML file and, for `[go]`, from
//! the go command's own environment variables; the first of these that says something wins. What no flag could hold,
//! the lists of the policy, only the file has.

mod oidc;
mod policy;
mod sources;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use quipu_module::Patterns;
use quipu_server::Rules;
use serde::{Deserialize, Serialize};

pub(crate) use self::oidc::OidcRule;
pub(crate) use self::sources::{CredentialRule, RepositoryRule, SourceRule};

/// Declares one table of settings: every field optional, the same in flags, environment and file; lists of tables are
/// in the file alone. Makes `or`, which fills what is unset from a lower layer, and `tell`, which lists what is set.
macro_rules! table {
    (
        $(#[$meta:meta])* $name:ident {
            $($(#[doc = $doc:literal])* $field:ident : $type:ty, $flag:literal, $var:literal, $key:literal;)*
        }
        $(sections { $($section:ident : $table:ident, $heading:literal;)* })?
        $(lists { $($(#[doc = $list_doc:literal])* $list:ident : $item:ty, $list_key:literal;)* })?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, clap::Args, Deserialize, Serialize)]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct $name {
            $(
                $(#[doc = $doc])*
                #[arg(id = $flag, long = $flag, env = $var)]
                #[serde(rename = $key, skip_serializing_if = "Option::is_none")]
                pub(crate) $field: Option<$type>,
            )*
            $($(
                #[doc = $heading]
                #[command(flatten, next_help_heading = $heading)]
                pub(crate) $section: $table,
            )*)?
            $($(
                $(#[doc = $list_doc])*
                #[arg(skip)]
                #[serde(rename = $list_key, skip_serializing_if = "Vec::is_empty")]
                pub(crate) $list: Vec<$item>,
            )*)?
        }

        impl $name {
            /// What is set here, else what is set below.
            fn or(self, below: Self) -> Self {
                Self {
                    $($field: self.$field.or(below.$field),)*
                    $($($section: self.$section.or(below.$section),)*)?
                    $($($list: if self.$list.is_empty() { below.$list } else { self.$list },)*)?
                }
            }

            /// Notes the origin of everything that is set here and has none yet.
            fn tell(&self, section: &str, origin: &str, origins: &mut BTreeMap<String, String>) {
                $(if self.$field.is_some() {
                    origins.entry(format!("{section}{}", $key)).or_insert_with(|| origin.to_owned());
                })*
                $($(self.$section.tell(concat!(stringify!($section), "."), origin, origins);)*)?
            }
        }
    };
}

table! {
    /// `[go]`: the go command's own settings, with its meaning, for what this server fetches.
    Go {
        /// Where modules come from: a GOPROXY list
        goproxy: String, "goproxy", "QUIPU_GOPROXY", "GOPROXY";
        /// Modules not asked of proxies [default: GOPRIVATE]
        gonoproxy: String, "gonoproxy", "QUIPU_GONOPROXY", "GONOPROXY";
        /// The upstream checksum database [default: sum.golang.org]
        gosumdb: String, "gosumdb", "QUIPU_GOSUMDB", "GOSUMDB";
        /// Modules the upstream database is not asked about [default: GOPRIVATE]
        gonosumdb: String, "gonosumdb", "QUIPU_GONOSUMDB", "GONOSUMDB";
        /// Private modules: never asked of anybody outside
        goprivate: String, "goprivate", "QUIPU_GOPRIVATE", "GOPRIVATE";
        /// Version control systems allowed, for fetching directly
        govcs: String, "govcs", "QUIPU_GOVCS", "GOVCS";
        /// Modules that may be fetched without TLS, for fetching directly
        goinsecure: String, "goinsecure", "QUIPU_GOINSECURE", "GOINSECURE";
    }
}

table! {
    /// `[log]`: the transparency log.
    Log {
        /// What a public record needs: "required" a proof from the upstream database, or "prefer" one
        upstream: Upstream, "log-upstream", "QUIPU_LOG_UPSTREAM", "upstream";
        /// Further keys to sign with (rotation): files, comma-separated
        more_keys: String, "log-more-keys", "QUIPU_LOG_MORE_KEYS", "more_keys";
        /// Memory for the store's block cache, in MiB [default: 64]
        cache_mib: u32, "log-cache-mib", "QUIPU_LOG_CACHE_MIB", "cache_mib";
        /// Disk space kept in reserve for a clean stop when the disk is full, in MiB [default: 64]
        reserve_mib: u32, "log-reserve-mib", "QUIPU_LOG_RESERVE_MIB", "reserve_mib";
    }
}

table! {
    /// `[sumdb]`: other checksum databases passed through.
    Sumdb {
        /// Databases passed through under `/sumdb/NAME/`: `VKEY [URL]` entries separated by commas; the upstream
        /// database is always among them
        passthrough: String, "sumdb-passthrough", "QUIPU_SUMDB_PASSTHROUGH", "passthrough";
    }
}

table! {
    /// `[access]`: who may read, and for how long it is known who did.
    Access {
        /// Modules that may be read without a token; with `*` everything may [default: *]
        anonymous: String, "access-anonymous", "QUIPU_ACCESS_ANONYMOUS", "anonymous";
        /// For how many days it is remembered which token downloaded what, for `quipu who`; 0: not at all [default: 180]
        downloads_days: u16, "access-downloads-days", "QUIPU_ACCESS_DOWNLOADS_DAYS", "downloads_days";
    }
}

table! {
    /// `[publish]`: modules that come from here.
    Publish {
        /// Modules that may be published here, and that nobody else is ever asked for [default: none]
        patterns: String, "publish-patterns", "QUIPU_PUBLISH_PATTERNS", "patterns";
    }
}

table! {
    /// `[tls]`: certificate and key; both or neither.
    Tls {
        /// PEM file of the certificate chain
        cert: PathBuf, "tls-cert", "QUIPU_TLS_CERT", "cert";
        /// PEM file of its private key
        key: PathBuf, "tls-key", "QUIPU_TLS_KEY", "key";
    }
}

table! {
    /// `[direct]`: fetching from repositories.
    Direct {
        /// Hosts that may be anywhere, also in private networks: hosts, or HOST:PORT, separated by commas. Hosts without
        /// wildcards in GOPRIVATE and in sources, and those of their URLs and of credentials, are always among them
        hosts: String, "direct-hosts", "QUIPU_DIRECT_HOSTS", "hosts";
        /// Fetch from Mercurial, Subversion, Fossil and Bazaar through the installed go command [default: false]
        commands: bool, "direct-commands", "QUIPU_DIRECT_COMMANDS", "commands";
        /// Disk space for copies of repositories, in MiB [default: 10240]
        cache_mib: u64, "direct-cache-mib", "QUIPU_DIRECT_CACHE_MIB", "cache_mib";
        /// Most that one fetch may bring of a git repository, and largest file of other ones, in MiB; of what is larger
        /// nothing can be had [default: 1024]
        max_mib: u64, "direct-max-mib", "QUIPU_DIRECT_MAX_MIB", "max_mib";
        /// Longest time for one run of git [default: 120], or of go for other repositories [default: 300], in seconds
        timeout_seconds: u64, "direct-timeout-seconds", "QUIPU_DIRECT_TIMEOUT_SECONDS", "timeout_seconds";
    }
}

table! {
    /// `[hooks]`: webhooks, by which forges tell that a repository has changed. Each file holds one secret a line, of at
    /// least 16 bytes.
    Hooks {
        /// File of the secrets of GitHub's webhooks to URL/-/hooks/github
        github: PathBuf, "hooks-github", "QUIPU_HOOKS_GITHUB", "github";
        /// File of the secret tokens of GitLab's webhooks to URL/-/hooks/gitlab
        gitlab: PathBuf, "hooks-gitlab", "QUIPU_HOOKS_GITLAB", "gitlab";
        /// File of the secrets of Gitea's webhooks to URL/-/hooks/gitea
        gitea: PathBuf, "hooks-gitea", "QUIPU_HOOKS_GITEA", "gitea";
        /// File of the secrets of Forgejo's webhooks to URL/-/hooks/forgejo
        forgejo: PathBuf, "hooks-forgejo", "QUIPU_HOOKS_FORGEJO", "forgejo";
    }
}

table! {
    /// `[cache]`: what is kept of modules.
    Retention {
        /// Disk space for zips of modules, in MiB: beyond it those not used for longest go, as far as they can be had
        /// again [default: all stay]
        quota_mib: u64, "cache-quota-mib", "QUIPU_CACHE_QUOTA_MIB", "quota_mib";
        /// A version in use is compared with its origin so often, in hours; 0: never [default: 24]
        compare_hours: u64, "cache-compare-hours", "QUIPU_CACHE_COMPARE_HOURS", "compare_hours";
        /// Zips of public modules without a known licence go so many days after their last use, although there is room
        /// [default: never]
        unlicensed_days: u32, "cache-unlicensed-days", "QUIPU_CACHE_UNLICENSED_DAYS", "unlicensed_days";
        /// Requirements of a go.mod fetched at once before they are asked for: their .mod and .info, no zips
        /// [default: 0]
        ahead: u16, "cache-ahead", "QUIPU_CACHE_AHEAD", "ahead";
    }
}

table! {
    /// `[limits]`: how much at once.
    Limits {
        /// Connections at once [default: 10000]
        connections: usize, "max-connections", "QUIPU_LIMITS_CONNECTIONS", "connections";
        /// Requests to upstreams at once [default: 64]
        upstream: usize, "max-upstream", "QUIPU_LIMITS_UPSTREAM", "upstream";
        /// Appends waiting for the log at once [default: 4096]
        appends: usize, "max-appends", "QUIPU_LIMITS_APPENDS", "appends";
        /// Seconds that requests under way get when the server stops [default: 30]
        drain_seconds: u64, "drain-seconds", "QUIPU_LIMITS_DRAIN_SECONDS", "drain_seconds";
        /// Free disk space below which nothing new is fetched, in MiB [default: 512]
        free_mib: u64, "min-free-mib", "QUIPU_LIMITS_FREE_MIB", "free_mib";
    }
}

table! {
    /// `[policy]`: what of all that could be had is offered.
    Policy {
        /// Refuse nothing by the rules below: log and count what would be refused
        dry_run: bool, "policy-dry-run", "QUIPU_POLICY_DRY_RUN", "dry_run";
        /// Offer no public version younger than so many days [default: 0]
        cooldown_days: u16, "cooldown-days", "QUIPU_POLICY_COOLDOWN_DAYS", "cooldown_days";
        /// OSV file, or folder of them: the fixes they name are offered at once
        osv: PathBuf, "osv", "QUIPU_POLICY_OSV", "osv";
    }
    lists {
        /// Rules about modules.
        rules: policy::Rule, "rule";
        /// Rules about toolchains.
        toolchains: policy::Toolchain, "toolchain";
        /// What is offered although it is young.
        waivers: policy::Waiver, "waiver";
    }
}

table! {
    /// `[output]`: what the server says of itself.
    Output {
        /// Form of the log lines on stderr
        format: Format, "log-format", "QUIPU_OUTPUT_FORMAT", "format";
        /// Least level of the log lines: error, warn, info, debug, trace [default: info]
        level: String, "log-level", "QUIPU_OUTPUT_LEVEL", "level";
    }
}

/// What a record of a public module needs before it is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Upstream {
    /// Its inclusion in the upstream database, verified.
    #[default]
    Required,
    /// The same where it can be had; else what was fetched is logged.
    Prefer,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

table! {
    /// All settings of one layer; also the flags of `quipu serve`.
    Settings {
        /// Directory of the log, the key and the module cache [default: ./quipu-data]
        data: PathBuf, "data", "QUIPU_DATA", "data";
        /// Address and port to listen on [default: 127.0.0.1:8080]
        listen: String, "listen", "QUIPU_LISTEN", "listen";
        /// Name of the checksum database, host[/path] [default: sum.HOSTNAME]
        name: String, "name", "QUIPU_NAME", "name";
        /// File of the signing key, used as it is [default: made in the data directory at first start]
        key: PathBuf, "key", "QUIPU_KEY", "key";
        /// URL under which clients reach this server, for the printed exports [default: http://LISTEN]
        url: String, "url", "QUIPU_URL", "url";
        /// File that remembers the last signed head, best on another volume [default: DATA.guard]
        guard: PathBuf, "guard", "QUIPU_GUARD", "guard";
        /// PEM file of root certificates to trust besides those of the system, for all that is fetched
        ca_file: PathBuf, "ca-file", "QUIPU_CA_FILE", "ca_file";
    }
    sections {
        go: Go, "Go settings, as in `go help environment`";
        log: Log, "Log";
        sumdb: Sumdb, "Other checksum databases";
        access: Access, "Access";
        publish: Publish, "Publishing";
        tls: Tls, "TLS";
        direct: Direct, "Fetching from repositories";
        hooks: Hooks, "Webhooks";
        cache: Retention, "Module cache";
        limits: Limits, "Limits";
        policy: Policy, "Policy";
        output: Output, "Output";
    }
    lists {
        /// `[[source]]`: where modules of some paths come from. The first whose pattern matches counts.
        sources: SourceRule, "source";
        /// `[[repository]]`: where repositories are, so that no discovery is needed. The first that matches counts.
        repositories: RepositoryRule, "repository";
        /// `[[credential]]`: what private repositories are reached with.
        credentials: CredentialRule, "credential";
        /// `[[oidc]]`: whose ID tokens are taken. The first that fits a token counts.
        oidc: OidcRule, "oidc";
    }
}

/// The settings in force, and where each comes from.
#[derive(Debug)]
pub(crate) struct Config {
    /// Every setting that something set.
    pub(crate) set: Settings,
    /// `section.key` to "flag or QUIPU_ variable", "file", "environment".
    pub(crate) origins: BTreeMap<String, String>,
}

impl Config {
    /// Puts the layers together: `given` (flags and `QUIPU_…` variables) over the file over the go command's
    /// environment variables.
    ///
    /// # Errors
    /// A file that cannot be read, is no TOML, or holds a key that is not known.
    pub(crate) fn resolve(given: Settings, file: Option<&Path>) -> Result<Self> {
        let mut origins = BTreeMap::new();
        given.tell("", "flag or QUIPU_ variable", &mut origins);
        let from_file = file.map(read).transpose()?.unwrap_or_default();
        from_file.tell("", "file", &mut origins);
        let from_env = Settings { go: go_environment(), ..Settings::default() };
        from_env.tell("", "environment", &mut origins);
        let set = keep_private(given).or(keep_private(from_file)).or(from_env);
        Ok(Self { set, origins })
    }

    /// Everything that is set, as TOML; each line says where it comes from. What is not listed has its default.
    ///
    /// # Errors
    /// A path that is not UTF-8 cannot be written as TOML.
    pub(crate) fn show(&self) -> Result<String> {
        let text = toml::to_string(&self.set).context("cannot be written as TOML")?;
        let mut section = String::new();
        let mut shown = String::new();
        for line in mask_passwords(&text).lines() {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                section = format!("{name}.");
            }
            let origin =
                line.split_once(" = ").and_then(|(key, _)| self.origins.get(&format!("{section}{key}")));
            match origin {
                Some(origin) => shown.push_str(&format!("{line}  # {origin}\n")),
                None => shown.push_str(&format!("{line}\n")),
            }
        }
        Ok(shown)
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.set.data.clone().unwrap_or_else(|| PathBuf::from("quipu-data"))
    }

    /// Where to listen.
    pub(crate) fn listen(&self) -> &str {
        self.set.listen.as_deref().unwrap_or("127.0.0.1:8080")
    }

    /// The head guard's file: beside the data directory, so that restoring the one does not restore the other.
    pub(crate) fn guard(&self) -> PathBuf {
        self.set.guard.clone().unwrap_or_else(|| {
            let data = self.data();
            let mut name = data.file_name().unwrap_or_default().to_owned();
            name.push(".guard");
            data.with_file_name(name)
        })
    }

    /// Whether every list of patterns could match: one that cannot would protect nothing, and nobody would see it. Those of
    /// `[policy]` and `[[oidc]]` are judged with what they are part of.
    ///
    /// # Errors
    /// A pattern is malformed or has white space in it, wherever it comes from.
    pub(crate) fn check_patterns(&self) -> Result<()> {
        let go = &self.set.go;
        let lists = [
            ("GOPRIVATE", &go.goprivate),
            ("GONOPROXY", &go.gonoproxy),
            ("GONOSUMDB", &go.gonosumdb),
            ("GOINSECURE", &go.goinsecure),
        ];
        for (name, list) in lists {
            let origin = self.origins.get(&format!("go.{name}")).map_or("", String::as_str);
            patterns(&format!("{name} ({origin})"), list.as_deref().unwrap_or_default())?;
        }
        self.published()?;
        self.rules()?;
        for rule in &self.set.sources {
            patterns("[[source]] pattern", &rule.pattern)?;
        }
        for rule in &self.set.credentials {
            patterns("[[credential]] pattern", rule.pattern.as_deref().unwrap_or_default())?;
        }
        Ok(())
    }

    /// The modules that are published here.
    ///
    /// # Errors
    /// A pattern is malformed: it would protect nothing.
    pub(crate) fn published(&self) -> Result<Patterns> {
        patterns("[publish] patterns", self.set.publish.patterns.as_deref().unwrap_or_default())
    }

    /// Who may do what without a token.
    ///
    /// # Errors
    /// A pattern is malformed.
    pub(crate) fn rules(&self) -> Result<Rules> {
        let anonymous = self.set.access.anonymous.as_deref().unwrap_or("*");
        Ok(Rules::new(patterns("[access] anonymous", anonymous)?))
    }

    /// Certificate and key, if TLS is wanted.
    ///
    /// # Errors
    /// One without the other.
    pub(crate) fn tls(&self) -> Result<Option<(&Path, &Path)>> {
        match (&self.set.tls.cert, &self.set.tls.key) {
            (Some(cert), Some(key)) => Ok(Some((cert, key))),
            (None, None) => Ok(None),
            _ => bail!("[tls] needs both cert and key"),
        }
    }
}

/// A list of patterns, all of which must be good ones.
///
/// # Errors
/// One is malformed or has white space in it: it would protect nothing.
pub(crate) fn patterns(key: &str, list: &str) -> Result<Patterns> {
    Patterns::parse(list).map_err(|error| anyhow!("{key}: {error}"))
}

fn read(path: &Path) -> Result<Settings> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read the configuration {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("in the configuration {}", path.display()))
}

/// The go command's variables as this process has them; empty ones count as unset, as for the go command.
fn go_environment() -> Go {
    let var = |name| env::var(name).ok().filter(|value| !value.is_empty());
    Go {
        goproxy: var("GOPROXY"),
        gonoproxy: var("GONOPROXY"),
        gosumdb: var("GOSUMDB"),
        gonosumdb: var("GONOSUMDB"),
        goprivate: var("GOPRIVATE"),
        govcs: var("GOVCS"),
        goinsecure: var("GOINSECURE"),
    }
}

/// The layer in which an empty list of what is private counts as not set, as it does for the go command: it must not
/// open what a lower layer keeps. `none` does.
fn keep_private(mut layer: Settings) -> Settings {
    for list in [&mut layer.go.goprivate, &mut layer.go.gonoproxy, &mut layer.go.gonosumdb] {
        list.take_if(|list| list.is_empty());
    }
    layer
}

/// The text with `xxxxx` for each password in a URL: what is shown is copied elsewhere.
fn mask_passwords(text: &str) -> String {
    let mut parts = text.split("://");
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        masked.push_str("://");
        let end = part.find(|c: char| c.is_whitespace() || "/\"',|".contains(c)).unwrap_or(part.len());
        let (authority, rest) = part.split_at(end);
        match authority.rsplit_once('@').and_then(|(login, host)| Some((login.split_once(':')?.0, host))) {
            Some((user, host)) => masked.push_str(&format!("{user}:xxxxx@{host}")),
            None => masked.push_str(authority),
        }
        masked.push_str(rest);
    }
    masked
}

#[cfg(test)]
mod tests;
