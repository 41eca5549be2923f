//! The database that is checked: which, with what key, reached how, remembered where.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use quipu_module::{SumDatabase, SumDb};
use quipu_note::VerifierKey;
use quipu_verify::{Client, DirState, EvidenceDir, Limits, Transport};

use crate::exit::wrong_usage;
use crate::goenv::go_env;
use crate::net::{self, Http};

/// The arguments that all commands share which ask a database.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// The database as in GOSUMDB: a verifier key or sum.golang.org, and perhaps a URL (http, https, file) or directory
    /// [default: GOSUMDB of the environment, else of `go env`, else sum.golang.org]
    #[arg(long, value_name = "VKEY [URL]", help_heading = SHARED)]
    pub(crate) db: Option<String>,
    /// Proxies through which a database without URL is looked for, as in GOPROXY
    /// [default: GOPROXY of the environment, else of `go env`]
    #[arg(long, value_name = "URL", help_heading = SHARED)]
    pub(crate) proxy: Option<String>,
    /// Directory for what is remembered of databases: their latest heads above all
    /// [default: quipu-verify below XDG_STATE_HOME or ~/.local/state]
    #[arg(long, value_name = "DIR", env = "QUIPU_VERIFY_STATE", help_heading = SHARED)]
    pub(crate) state: Option<PathBuf>,
    /// Longest time that one answer may take, to its last byte
    #[arg(long, value_name = "SECONDS", default_value = "30", help_heading = SHARED,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
    /// Ask nobody: check with what is remembered
    #[arg(long, help_heading = SHARED)]
    pub(crate) offline: bool,
}

const SHARED: &str = "Database";

impl Target {
    /// Longest time that one answer may take.
    pub(crate) const fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    /// How often an answer is asked for that may only just now not be had.
    pub(crate) const fn tries(&self) -> u32 {
        if self.offline { 1 } else { 3 }
    }

    /// The value of `--proxy`, else that of GOPROXY.
    pub(crate) fn goproxy(&self) -> Option<String> {
        self.proxy.clone().or_else(|| go_env("GOPROXY"))
    }
}

/// The arguments of commands that need only the key of a database, and ask nobody.
#[derive(Args, Clone, Debug)]
pub(crate) struct Known {
    /// The database as in GOSUMDB: a verifier key or sum.golang.org
    /// [default: GOSUMDB of the environment, else of `go env`, else sum.golang.org]
    #[arg(long, value_name = "VKEY", help_heading = SHARED)]
    db: Option<String>,
}

impl Known {
    /// The name of the database, and its key.
    ///
    /// # Errors
    /// Wrong usage: no such database can be.
    pub(crate) fn key(&self) -> Result<(String, VerifierKey)> {
        let named = named(self.db.as_ref())?;
        Ok((named.name().to_owned(), key_of(&named)?))
    }
}

/// A database and the means to check it.
pub(crate) struct Database {
    keys: Vec<VerifierKey>,
    name: String,
    transport: Arc<dyn Transport>,
    /// The directory that it is in, if it is not reached over a network.
    files: Option<PathBuf>,
    dir: PathBuf,
}

impl Database {
    /// The database that the arguments name. Nothing is asked yet.
    ///
    /// # Errors
    /// Wrong usage: no such database can be. Otherwise there is no place for the state.
    pub(crate) fn open(target: &Target) -> Result<Self> {
        let named = named(target.db.as_ref())?;
        let key = key_of(&named)?;
        let dir = state_root(target)?.join(named.name());
        let transport = transport(&named, target)?;
        let files = named.url().filter(|url| url.scheme() == "file");
        let files = files.and_then(|url| url.as_str().strip_prefix("file://")).map(PathBuf::from);
        Ok(Self { keys: vec![key], name: named.name().to_owned(), transport, files, dir })
    }

    /// The name of the database.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The keys that its heads are signed with.
    pub(crate) fn keys(&self) -> &[VerifierKey] {
        &self.keys
    }

    /// The way to it.
    pub(crate) fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// The directory that it is in, if it is one.
    pub(crate) fn files(&self) -> Option<&std::path::Path> {
        self.files.as_deref()
    }

    /// The directory for what is remembered of it.
    pub(crate) fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    /// Where evidence against it goes.
    pub(crate) fn evidence(&self) -> EvidenceDir {
        EvidenceDir::new(&self.dir.join("evidence"))
    }

    /// A client of it, with what was remembered.
    ///
    /// # Errors
    /// The state cannot be read or believed.
    pub(crate) fn client(&self) -> Result<Client> {
        let state = DirState::open(self.dir());
        let state = state.with_context(|| format!("cannot use the state in {}", self.dir.display()))?;
        Client::new(self.keys().to_vec(), self.transport().clone(), Arc::new(state), Limits::default())
            .with_context(|| format!("the state in {}", self.dir.display()))
    }
}

fn key_of(named: &SumDatabase) -> Result<VerifierKey> {
    named.key().parse().map_err(|e| wrong_usage(format!("--db: the key of {}: {e}", named.name())))
}

fn named(db: Option<&String>) -> Result<SumDatabase> {
    let value = db.cloned().or_else(|| go_env("GOSUMDB")).unwrap_or_default();
    match SumDb::parse(&with_file_scheme(&value)).map_err(|e| wrong_usage(format!("--db: {e}")))? {
        SumDb::Database(database) => Ok(database),
        SumDb::Off => Err(wrong_usage("GOSUMDB is off: name the database to check with --db")),
    }
}

/// A directory in the place of the URL is the `file` URL of it.
fn with_file_scheme(value: &str) -> String {
    match value.split_once(' ') {
        Some((key, place)) if place.trim_start().starts_with(['/', '.']) => {
            let place = place.trim();
            let absolute = std::path::absolute(place).unwrap_or_else(|_| place.into());
            format!("{key} file://{}", absolute.display())
        }
        _ => value.to_owned(),
    }
}

/// The way to a database at a place: a URL (http, https, file) or a directory.
///
/// # Errors
/// Wrong usage: it is none.
pub(crate) fn way_to(place: &str, http: &Arc<Http>) -> Result<Arc<dyn Transport>> {
    let place = with_file_scheme(&format!("- {place}"));
    let url = place.trim_start_matches("- ");
    if url.starts_with("file:") {
        Ok(Arc::new(net::Files::at(url)?))
    } else {
        Ok(Arc::new(net::Place::new(http.clone(), net::Url::parse(url)?)))
    }
}

fn transport(database: &SumDatabase, target: &Target) -> Result<Arc<dyn Transport>> {
    if target.offline {
        return Ok(Arc::new(net::Offline));
    }
    let http = Arc::new(Http::new(target.timeout()));
    match database.url() {
        Some(url) => way_to(url.as_str(), &http),
        None => Ok(Arc::new(net::Found::new(http, database.name(), target.goproxy().as_deref())?)),
    }
}

fn state_root(target: &Target) -> Result<PathBuf> {
    if let Some(dir) = &target.state {
        return Ok(dir.clone());
    }
    let of_user = env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let of_home = || Some(PathBuf::from(env::var_os("HOME")?).join(".local/state"));
    let root = of_user
        .or_else(of_home)
        .context("neither HOME nor XDG_STATE_HOME is set: name a directory with --state")?;
    Ok(root.join("quipu-verify"))
}
