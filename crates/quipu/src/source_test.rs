//! `quipu source test`: whether a module can be had by the settings, step by step, in plain words.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use quipu_fetch::{Staging, Upstream};
use quipu_module::{ModulePath, ModuleVersion, Query, check_zip};

use crate::cli::Configured;
use crate::config::Config;
use crate::keys::DataDir;
use crate::logging;
use crate::output::tell;
use crate::sources::{self, Owner};
use crate::upstream::{self, Myself};

/// What to try.
#[derive(Debug, clap::Args)]
pub(crate) struct SourceTest {
    /// Module path, or MODULE@VERSION to try this version (or branch or commit) instead of the latest
    pub(crate) module: String,
    #[command(flatten)]
    pub(crate) configured: Configured,
}

/// Tries a module by the settings. The exit code says whether all of it works.
///
/// # Errors
/// As [`run`].
pub(crate) fn command(test: SourceTest) -> Result<ExitCode> {
    let Configured { config, settings } = test.configured;
    let config = Config::resolve(settings, config.as_deref())?;
    logging::start(&config.set.output)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let good = runtime.block_on(run(&config, &test.module))?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tries a module, and says what works; `false` if something does not. Nothing is stored or logged.
///
/// # Errors
/// The settings or the arguments are malformed.
async fn run(config: &Config, module: &str) -> Result<bool> {
    let (path, query) = module.split_once('@').map_or((module, None), |(path, query)| (path, Some(query)));
    let path = ModulePath::parse(path).map_err(|e| anyhow!("{e}"))?;
    let query = query.map(Query::parse).transpose().map_err(|e| anyhow!("{e}"))?;
    let scratch = tempfile::tempdir()?;
    let data = DataDir::new(scratch.path());
    let myself = Myself { name: "quipu-source-test", instance: "quipu-source-test", urls: Vec::new() };
    let outside = upstream::Upstream::new(config, &myself)?;
    let modules = sources::modules(config, &data, &outside).await?;
    let owner = modules.owner(&path);
    tell(format_args!("source      {owner}"))?;
    if matches!(owner, Owner::Private | Owner::Rule(_)) {
        tell("privacy     its path is sent to no proxy of GOPROXY and to no database")?;
    }
    if owner == Owner::Private && !say("repository", modules.direct.whereabouts(&path).await)? {
        return Ok(false);
    }
    let staging = Staging::new(&scratch.path().join("staging"))?;
    Trial { upstream: modules.upstream, staging, path }.run(query.as_ref()).await
}

struct Trial {
    upstream: Arc<dyn Upstream>,
    staging: Staging,
    path: ModulePath,
}

impl Trial {
    async fn run(&self, query: Option<&Query>) -> Result<bool> {
        let list = self.upstream.list(&self.path).await.map(|versions| match versions.as_slice() {
            [] => "no tagged versions".to_owned(),
            [.., last] => format!("{}, the highest is {last}", versions.len()),
        });
        let listed = say("versions", list)?;
        let info = match query {
            Some(query) => self.upstream.info(&self.path, query).await,
            None => self.upstream.latest(&self.path).await,
        };
        let asked = query.map_or("latest", Query::as_str);
        let shown = info.as_ref().map(|info| {
            let commit = info.origin().map(|origin| format!(", commit {}", origin.hash)).unwrap_or_default();
            format!("{asked} is {} of {}{commit}", info.version(), info.time().unwrap_or("no known time"))
        });
        if !say("version", shown.map_err(Clone::clone))? {
            return Ok(false);
        }
        let Ok(info) = info else { return Ok(false) };
        let version = ModuleVersion::new(self.path.clone(), info.version().clone());
        let version = version.map_err(|e| anyhow!("{e}"))?;
        let go_mod = self.upstream.go_mod(&version).await;
        let good = say("go.mod", go_mod.map(|bytes| format!("{} bytes", bytes.len())))?;
        Ok(say("zip", self.zip(&version).await)? && good && listed)
    }

    async fn zip(&self, version: &ModuleVersion) -> quipu_fetch::Result<String> {
        let mut zip = self.staging.create(quipu_fetch::MAX_ZIP).await?;
        self.upstream.zip(version, &mut zip).await?;
        let zip = zip.finish().await?;
        let checked = zip
            .open()
            .map_err(|error| error.to_string())
            .and_then(|file| check_zip(version, file).map_err(|error| error.to_string()));
        let report = checked.map_err(quipu_fetch::Error::rejected)?;
        Ok(format!("{} files, {} bytes, {}", report.files, report.zip_size, report.hash))
    }
}

/// Prints a step, and says whether it was good.
fn say(step: &str, outcome: quipu_fetch::Result<impl std::fmt::Display>) -> Result<bool> {
    match outcome {
        Ok(found) => tell(format_args!("{step:<11} {found}"))?,
        Err(error) => {
            tell(format_args!("{step:<11} FAILED: {error}"))?;
            return Ok(false);
        }
    }
    Ok(true)
}
