//! `quipu import`: what others have collected is taken in, after it was verified as if it had been fetched.
//!
//! go.sum files go through a running server. Module files (a module cache, the tree of another proxy, an Athens disk, a
//! bundle) go into the data directory itself, so no server may be using it.

mod bundle;
mod compare;
pub(crate) mod source;
mod sums;
mod take;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;

use crate::cli;
use crate::config::Config;
use crate::files::Files;
use crate::remote::Remote;
use source::Source;

/// What lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A go.sum file
    GoSum,
    /// The module cache of a go command: $GOMODCACHE, or its cache/download
    ModCache,
    /// The file tree of a module proxy, such as the cache directory of goproxy or quipu
    Proxy,
    /// The disk storage of Athens
    Athens,
    /// What `quipu export` wrote: a directory or a .tar
    Bundle,
}

/// What came of an import, in order of importance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Good,
    Failed,
    Differs,
    Misbehaved,
}

impl Verdict {
    /// The verdict on so many things that contradict what is known, and so many that could not be taken.
    const fn of(differing: usize, failed: usize) -> Self {
        match (differing, failed) {
            (0, 0) => Self::Good,
            (0, _) => Self::Failed,
            _ => Self::Differs,
        }
    }

    fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Good => 0,
            Self::Failed => 1,
            Self::Misbehaved => 3,
            Self::Differs => 4,
        })
    }
}

/// Imports everything named and prints what came of it.
///
/// # Errors
/// Something named cannot be read or is of no known kind, or the data directory cannot be used.
pub(crate) fn run(args: cli::Import) -> Result<ExitCode> {
    let (mut sums, mut others) = (Vec::new(), Vec::new());
    for path in &args.paths {
        match args.kind.map_or_else(|| recognise(path), Ok)? {
            Kind::GoSum => sums.push(path.clone()),
            kind => others.push((path.clone(), kind)),
        }
    }
    ensure!(
        sums.is_empty() || !args.dry_run,
        "--dry-run is for module files; go.sum files are looked up at a running server, which logs what it looks up"
    );
    let mut verdict = Verdict::Good;
    if !sums.is_empty() {
        let url = args.configured.settings.url.clone();
        let url = url.unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
        let remote = Remote::new(&url, &args.caller)?;
        verdict = sums::run(&sums, remote, args.json)?;
    }
    if !others.is_empty() {
        let config = Config::resolve(args.configured.settings, args.configured.config.as_deref())?;
        let how = take::How { dry_run: args.dry_run, json: args.json, db: args.db };
        verdict = verdict.max(import_files(&config, others, &how)?);
    }
    Ok(verdict.code())
}

fn import_files(config: &Config, places: Vec<(PathBuf, Kind)>, how: &take::How) -> Result<Verdict> {
    let mut verdict = Verdict::Good;
    for (path, kind) in places {
        let source = Source::open(&path, kind).with_context(|| path.display().to_string())?;
        verdict = verdict.max(take::run(config, source, how)?);
    }
    Ok(verdict)
}

/// The kind of what lies at `path`, by its content.
fn recognise(path: &Path) -> Result<Kind> {
    let metadata = path.metadata().with_context(|| format!("cannot read {}", path.display()))?;
    if metadata.is_file() {
        let archive = Files::open(path).is_ok();
        return Ok(if archive { Kind::Bundle } else { Kind::GoSum });
    }
    if path.join(crate::bundle::MANIFEST).is_file() {
        return Ok(Kind::Bundle);
    }
    if source::cache_prefix(&Files::Directory(path.to_owned())).is_some() {
        return Ok(Kind::ModCache);
    }
    let names = Files::Directory(path.to_owned()).names("")?;
    if names.iter().any(|name| name.contains("/@v/")) {
        return Ok(Kind::Proxy);
    }
    if names.iter().any(|name| name.ends_with("/source.zip")) {
        return Ok(Kind::Athens);
    }
    bail!(
        "{} is neither a module cache, nor the tree of a module proxy, nor an Athens disk, nor a bundle (say which \
         with --kind)",
        path.display()
    )
}
