//! `quipu warm`: a running server is asked for everything that files name, so that it is cached and logged.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use quipu_module::ModuleVersion;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::cli;
use crate::output::tell;
use crate::progress::Progress;
use crate::remote::{Remote, block_on};
use crate::wanted::{self, Zip};

/// How often one file is asked for, where the server says that it may be had later.
const ATTEMPTS: u32 = 3;

/// Asks for everything and prints what came of it.
///
/// # Errors
/// What is named cannot be read, or the URL is none.
pub(crate) fn run(args: &cli::Warm) -> Result<ExitCode> {
    let wanted = wanted::read(&args.what)?
        .into_iter()
        .map(|(version, want)| (version, want.zip == Zip::Needed))
        .collect();
    let remote = Arc::new(Remote::new(&args.url, &args.caller)?);
    let started = Instant::now();
    let outcome = block_on(ask(remote, wanted, args.parallel.into()))?;
    outcome.failed.iter().for_each(|text| eprintln!("not cached: {text}"));
    let Outcome { versions, files, bytes, failed } = &outcome;
    let seconds = started.elapsed().as_secs_f64();
    if args.json {
        tell(
            json!({ "versions": versions, "files": files, "bytes": bytes, "failed": failed, "seconds": seconds }),
        )?;
    } else {
        let mib = bytes >> 20;
        tell(format_args!(
            "{versions} module versions: {files} files cached, {} failed; {mib} MiB in {seconds:.1} s",
            failed.len()
        ))?;
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Default)]
struct Outcome {
    versions: usize,
    files: u64,
    bytes: u64,
    failed: Vec<String>,
}

/// What came of one version: files and bytes, or why not.
type Warmed = Result<(u64, u64)>;

async fn ask(remote: Arc<Remote>, wanted: Vec<(ModuleVersion, bool)>, at_once: usize) -> Result<Outcome> {
    let mut progress = Progress::new("module versions", wanted.len() as u64);
    let mut outcome = Outcome { versions: wanted.len(), ..Outcome::default() };
    let (mut tasks, mut done, mut wanted) = (JoinSet::new(), 0, wanted.into_iter());
    loop {
        while tasks.len() < at_once
            && let Some((version, zip)) = wanted.next()
        {
            let remote = Arc::clone(&remote);
            tasks.spawn(async move {
                let warmed = warm(&remote, &version, zip).await;
                (version, warmed)
            });
        }
        let Some(warmed) = tasks.join_next().await else { return Ok(outcome) };
        match warmed.context("a question ended by a fault in the program")? {
            (_, Ok((files, bytes))) => {
                outcome.files += files;
                outcome.bytes = outcome.bytes.saturating_add(bytes);
            }
            (version, Err(error)) => outcome.failed.push(format!("{version}: {error:#}")),
        }
        done += 1;
        progress.show(done);
    }
}

/// Asks for the go.mod of a version, and if its zip is wanted for that and for the rest.
async fn warm(remote: &Remote, version: &ModuleVersion, zip: bool) -> Warmed {
    let kinds = if zip { &["mod", "zip", "info"][..] } else { &["mod"] };
    let mut bytes = 0u64;
    for kind in kinds {
        let path = format!("/{}/@v/{}.{kind}", version.path().escaped(), version.version().escaped());
        bytes = bytes.saturating_add(fetch(remote, &path).await?);
    }
    Ok((kinds.len() as u64, bytes))
}

/// Reads a file and lets it go; asks again where the answer may be another in a moment.
async fn fetch(remote: &Remote, path: &str) -> Result<u64> {
    let mut attempt = 1;
    loop {
        let failure = match remote.drain(path).await {
            Ok((200, bytes, _)) => return Ok(bytes),
            Ok((status @ (429 | 503 | 504), _, text)) => format!("{status}: {text}"),
            Ok((status, _, text)) => bail!("{status}: {text}"),
            Err(error) => format!("{error:#}"),
        };
        if attempt == ATTEMPTS {
            bail!("{failure}");
        }
        sleep(Duration::from_secs(u64::from(attempt))).await;
        attempt += 1;
    }
}
