//! The tiles and lookups that the go command keeps of its database: does each belong to the signed tree?

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use quipu_module::ModuleVersion;
use quipu_tlog::{Tile, TileLevel};
use quipu_verify::{Client, Error, Fetch, Limits, MemoryState, Transport, TransportError};
use tokio::task::JoinSet;

use super::files::{Found, files_below, read_small};
use super::finding::{Finding, Group, Report, Severity};
use super::heads::{Kept, refused};
use super::text::{shell_path, some_of, without_credentials};
use crate::database::Database;
use crate::exit::Exit;

/// What the cache is checked with.
pub(crate) struct Checks<'a> {
    pub(crate) database: &'a Database,
    pub(crate) kept: &'a Kept,
    /// Has the head that is believed, and nothing else of what is checked.
    pub(crate) state: Arc<MemoryState>,
    /// The way to tiles: the database, or offline the cache itself.
    pub(crate) tiles: Arc<dyn Transport>,
    pub(crate) offline: bool,
    /// Check everything, however long it takes.
    pub(crate) deep: bool,
}

/// The modules that the cache has lookups of, which makes their names known to the database.
pub(crate) fn looked_up(cache: &Path) -> Vec<ModuleVersion> {
    let files = files_below(&cache.join("lookup"), &[], MAX_FILES);
    files.iter().filter_map(|file| ModuleVersion::parse_escaped(&file.name).ok()).collect()
}

/// Checks tiles and lookups.
///
/// # Errors
/// The believed head cannot be used.
pub(crate) async fn examine(report: &mut Report, checks: &Checks<'_>) -> anyhow::Result<()> {
    let transport = Arc::new(Suspect { lookups: checks.kept.cache.clone(), tiles: checks.tiles.clone() });
    let keys = checks.database.keys().to_vec();
    let client = Client::new(keys, transport, checks.state.clone(), Limits::default())?;
    // The head by itself needs tiles, too: without one there is nothing to compare with.
    tiles(report, checks, &client).await;
    lookups(report, checks, &client).await;
    Ok(())
}

/// What is wrong with a cached file.
enum Verdict {
    Good,
    /// It does not belong there.
    Wrong(String),
    /// What it takes to tell cannot be had.
    Unknown(String),
    /// It is proof of two histories.
    Fork(Error),
}

impl Verdict {
    fn of_error(error: Error) -> Self {
        match error {
            Error::Misbehaved(_) => Self::Fork(error),
            Error::Unproven(why) | Error::Malformed(why) => Self::Wrong(without_credentials(why.why())),
            other => Self::Unknown(without_credentials(&other.to_string())),
        }
    }
}

async fn tiles(report: &mut Report, checks: &Checks<'_>, client: &Client) {
    let files = files_below(&checks.kept.cache.join("tile"), &[], MAX_FILES);
    let files = sample(report, files, checks, MAX_TILES, "tiles");
    let judged = each(files, |file| judge_tile(file, client.clone())).await;
    let dir = checks.kept.cache.join("tile");
    tell(report, checks, "tile", &dir, judged);
}

async fn judge_tile(file: Found, client: Client) -> (Found, Verdict) {
    let verdict = match Tile::parse_sumdb(&format!("tile/{}", file.name)) {
        Ok(tile) => compare_tile(&file, tile, &client).await,
        Err(why) => Verdict::Wrong(format!("its name is none of a tile: {why}")),
    };
    (file, verdict)
}

async fn compare_tile(file: &Found, tile: Tile, client: &Client) -> Verdict {
    if tile.level() == TileLevel::Data {
        return Verdict::Wrong("go keeps no data tiles".to_owned());
    }
    if file.size != tile.hash_bytes() as u64 {
        return Verdict::Wrong(format!("it has {} bytes, and {} are right", file.size, tile.hash_bytes()));
    }
    let body = match read_small(&file.path, MAX_TILE) {
        Ok(body) => body,
        Err(error) => return Verdict::Wrong(error.to_string()),
    };
    match client.tile(tile).await {
        Ok(proven) if proven == body => Verdict::Good,
        Ok(_) => Verdict::Wrong("the signed tree has other hashes there".to_owned()),
        Err(Error::NotFound(why)) => Verdict::Wrong(why.why().to_owned()),
        Err(error) => Verdict::of_error(error),
    }
}

async fn lookups(report: &mut Report, checks: &Checks<'_>, client: &Client) {
    let dir = checks.kept.cache.join("lookup");
    let files = sample(report, files_below(&dir, &[], MAX_FILES), checks, MAX_LOOKUPS, "lookups");
    let judged = each(files, |file| judge_lookup(file, client.clone())).await;
    tell(report, checks, "lookup", &dir, judged);
}

async fn judge_lookup(file: Found, client: Client) -> (Found, Verdict) {
    let verdict = match ModuleVersion::parse_escaped(&file.name) {
        Ok(module) => match client.lookup(&module).await {
            Ok(_) => Verdict::Good,
            Err(error) => Verdict::of_error(error),
        },
        Err(why) => Verdict::Wrong(format!("its name is none of a module version: {why}")),
    };
    (file, verdict)
}

/// Reports what was judged: one finding for all that is wrong, with the command that removes it.
fn tell(report: &mut Report, checks: &Checks<'_>, kind: &str, dir: &Path, judged: Vec<(Found, Verdict)>) {
    let (mut wrong, mut unknown) = (Vec::new(), Vec::new());
    for (file, verdict) in judged {
        match verdict {
            Verdict::Good => {}
            Verdict::Wrong(why) => wrong.push((file, why)),
            Verdict::Unknown(why) => unknown.push((file, why)),
            Verdict::Fork(error) if report.exit() == Exit::Misbehaved => {
                wrong.push((file, error.to_string()));
            }
            Verdict::Fork(error) => refused(report, checks.database, checks.kept, &error),
        }
    }
    if let Some((file, why)) = unknown.first() {
        let some = format!("{} cached {kind}s, such as {}: {why}", unknown.len(), file.name);
        if checks.offline { report.skip(some) } else { report.fail(some) }
    }
    wrong.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    let Some((_, why)) = wrong.first() else { return };
    let names: Vec<&str> = wrong.iter().map(|(file, _)| file.name.as_str()).collect();
    let what = format!("cached {kind}s that do not belong to the signed tree: {} ({why})", some_of(&names));
    let reason = "go stops at them, or asks for them anew each time. They are a cache: go fetches again \
                  what is removed";
    let id = if kind == "tile" { "corrupt-tile" } else { "corrupt-lookup" };
    let remove = if wrong.len() > MAX_REMOVED {
        format!("rm -rf {}", shell_path(dir))
    } else {
        let files: Vec<String> = wrong.iter().map(|(file, _)| shell_path(&file.path)).collect();
        format!("rm -f {}", files.join(" "))
    };
    report.extend([Finding::new((Group::Cache, Severity::Problem), id, what, reason).repair(remove)]);
}

/// The newest files, unless all are wanted.
fn sample(
    report: &mut Report,
    mut files: Vec<Found>,
    checks: &Checks<'_>,
    most: usize,
    kind: &str,
) -> Vec<Found> {
    if !checks.deep && files.len() > most {
        report.skip(format_args!(
            "{} older {kind} of {} in the cache (--deep checks all)",
            files.len() - most,
            files.len()
        ));
        files.truncate(most);
    }
    files
}

/// Runs work on every item, a few at a time.
async fn each<T, F, W>(items: Vec<T>, work: W) -> Vec<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    W: Fn(T) -> F,
{
    let (mut tasks, mut done) = (JoinSet::new(), Vec::new());
    for item in items {
        if tasks.len() >= PARALLEL {
            done.extend(tasks.join_next().await.and_then(Result::ok));
        }
        tasks.spawn(work(item));
    }
    while let Some(outcome) = tasks.join_next().await {
        done.extend(outcome.ok());
    }
    done
}

/// A server whose lookups are the cached files, and whose tiles come from elsewhere: so the cached lookups are checked
/// like answers of a stranger.
struct Suspect {
    lookups: PathBuf,
    tiles: Arc<dyn Transport>,
}

impl Transport for Suspect {
    fn get<'a>(&'a self, path: &'a str, max_bytes: usize) -> Fetch<'a> {
        if path.starts_with("/lookup/") {
            return Box::pin(std::future::ready(self.cached(path, max_bytes)));
        }
        self.tiles.get(path, max_bytes)
    }
}

impl Suspect {
    fn cached(&self, path: &str, max_bytes: usize) -> Result<Bytes, TransportError> {
        let file = self.lookups.join(path.trim_start_matches('/'));
        read_small(&file, max_bytes as u64).map_err(|error| TransportError::Unavailable(error.to_string()))
    }
}

const PARALLEL: usize = 8;
/// Files of each kind that are looked at when not all are wanted.
const MAX_TILES: usize = 200;
const MAX_LOOKUPS: usize = 100;
/// More than any cache has.
const MAX_FILES: usize = 1_000_000;
const MAX_TILE: u64 = 1 << 20;
/// Above this the whole directory is removed rather than file by file.
const MAX_REMOVED: usize = 10;
