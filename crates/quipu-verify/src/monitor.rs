//! `quipu-verify monitor`: follows a log for as long as it is let.

mod event;
mod feed;
mod frugal;
mod memory;
mod metrics;
mod rounds;
mod shared;
mod sinks;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use quipu_module::Patterns;
use quipu_verify::{Client, DirState, Limits};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::database::{Database, Target, way_to};
use crate::exit::{Exit, wrong_usage};
use crate::net::Http;
use crate::runtime::block_on;

use event::Kind;
use feed::Feed;
use frugal::FrugalState;
use memory::{Memory, MemoryFile, Place};
use rounds::{Pace, Rounds};
use shared::{Shared, now};
use sinks::{Exec, Sinks, Webhook};
use watch::Watch;

/// Arguments of `monitor`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  quipu-verify monitor --match 'corp.example,github.com/corp/*'\n  \
                        quipu-verify monitor --json --webhook https://hooks.corp.example/go --max-age 3600 \
                        --metrics 9464\n  \
                        quipu-verify monitor --db sum.golang.org --also https://mirror.example/sumdb/sum.golang.org\n  \
                        quipu-verify monitor --once --max-age 86400     # from cron\n\n\
                        A new version is a line on stdout: record, path, version, hash of the zip, hash of the \
                        go.mod. Everything else that happens is said on stderr. With --json both are objects on \
                        stdout, as they are for --webhook and --exec. An event may be told twice, after a crash or \
                        if an answer is lost; its \"key\" is the same then.\n\n\
                        Exit codes: 0 stopped by a signal (--once: all is well), 1 failed or could not ask, \
                        3 misbehaviour proven, 4 (--once) rolled back, stalled, unproven \
                        or a bad record.")]
pub(crate) struct Monitor {
    #[command(flatten)]
    target: Target,
    /// Seconds between two rounds; more after failures
    #[arg(long, value_name = "SECONDS", default_value = "30",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    every: u64,
    /// Report versions of these modules only: globs over paths, as in GOPRIVATE
    #[arg(long = "match", value_name = "PATTERN[,PATTERN]")]
    patterns: Option<String>,
    /// On the first run begin with this record, not at the end of the log
    #[arg(long, value_name = "ID", conflicts_with = "from_start")]
    from: Option<u64>,
    /// On the first run begin with the first record of the log
    #[arg(long)]
    from_start: bool,
    /// Print events as JSON, one object a line
    #[arg(long)]
    json: bool,
    /// Post each event as JSON to this http or https URL, until it says 2xx
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// Run a command for each event, with its JSON on stdin, until it ends well; it is split at spaces, without a shell
    #[arg(long, value_name = "COMMAND")]
    exec: Option<String>,
    /// Report a stall if the log has not grown for so long
    #[arg(long, value_name = "SECONDS")]
    max_age: Option<u64>,
    /// Another place where the same database is served (repeat for more): all must show one history
    #[arg(long, value_name = "URL")]
    also: Vec<String>,
    /// Go on after a fork was proven
    #[arg(long)]
    keep_going: bool,
    /// Ask once, report what is new, and end
    #[arg(long)]
    once: bool,
    /// Serve /metrics and /healthz here; a port alone is on 127.0.0.1
    #[arg(long, value_name = "ADDR:PORT", conflicts_with = "once")]
    metrics: Option<String>,
}

/// Follows the log.
///
/// # Errors
/// The arguments make no sense, or what is to be remembered cannot be.
pub(crate) fn run(args: &Monitor) -> Result<Exit> {
    if args.target.offline {
        return Err(wrong_usage("a monitor that asks nobody (--offline) sees nothing"));
    }
    block_on(async {
        let (rounds, feed) = assemble(args)?;
        if args.once { once(&rounds, feed).await } else { follow(args, rounds, feed).await }
    })
}

fn assemble(args: &Monitor) -> Result<(Rounds, Feed)> {
    let http = Arc::new(Http::new(args.target.timeout()));
    let sinks = |database: &Database| -> Result<Sinks> {
        let exec = args.exec.as_deref().map(|text| Exec::parse(text, args.target.timeout())).transpose()?;
        let webhook = args.webhook.as_deref().map(|url| Webhook::parse(url, http.clone())).transpose()?;
        Ok(Sinks { database: database.name().to_owned(), as_json: args.json, exec, webhook })
    };
    let patterns = patterns(args)?;
    let database = Database::open(&args.target)?;
    let sinks = sinks(&database)?;
    let file = MemoryFile::open(database.dir())?;
    let places = places(args, &database, &http)?;
    let client = places.first().map(|(_, client)| client.clone()).context("no way to the database")?;
    let memory = match file.load(database.name())? {
        Some(memory) => memory,
        None => first_memory(&database, &client),
    };
    let shared = Arc::new(Shared::new(database, Watch::new(memory, args.max_age), file));
    begin(args, &shared);
    let pace = Pace { every: Duration::from_secs(args.every), slowest: slowest(args) };
    let limit = args.target.timeout().saturating_mul(REQUESTS_IN_A_ROW);
    let feed = Feed::new(shared.clone(), client, sinks, patterns, args.once.then_some(PATIENCE));
    Ok((Rounds { shared, places, pace, keep_going: args.keep_going, limit }, feed))
}

fn patterns(args: &Monitor) -> Result<Option<Patterns>> {
    let patterns = args.patterns.as_deref().map(Patterns::new);
    match &patterns {
        Some(list) if !list.malformed().is_empty() => {
            Err(wrong_usage(format!("--match: malformed glob {}", list.malformed().join(", "))))
        }
        Some(list) if list.is_empty() => Err(wrong_usage("--match: want at least one glob")),
        _ => Ok(patterns),
    }
}

/// The database itself, under its name, and the other places under their URLs, with one timeline for all.
fn places(args: &Monitor, database: &Database, http: &Arc<Http>) -> Result<Vec<(String, Client)>> {
    let mut names = vec![database.name().to_owned()];
    let mut ways = vec![database.transport().clone()];
    for place in &args.also {
        ways.push(way_to(place, http)?);
        names.push(without_credentials(place));
    }
    let state = DirState::open(database.dir());
    let state = state.with_context(|| format!("cannot use the state in {}", database.dir().display()))?;
    let state = Arc::new(FrugalState::new(state));
    let clients = Client::vantages(database.keys().to_vec(), ways, state, Limits::default())
        .with_context(|| format!("the state in {}", database.dir().display()))?;
    Ok(names.into_iter().zip(clients).collect())
}

/// What to remember when there is nothing yet. A head that other commands have seen is not gone back behind.
fn first_memory(database: &Database, client: &Client) -> Memory {
    let size = client.head().map_or(0, |head| head.size());
    let mut memory = Memory::new(database.name(), now(), size);
    memory.places.insert(database.name().to_owned(), Place { high: size, ..Place::default() });
    memory
}

fn begin(args: &Monitor, shared: &Shared) {
    let Some(from) = args.from.or(args.from_start.then_some(0)) else { return };
    if !shared.with(|watch| watch.begin(from)) {
        let position = shared.with(|watch| watch.memory().position).unwrap_or_default();
        eprintln!("quipu-verify: going on with record {position}, where the last run ended");
    }
}

fn slowest(args: &Monitor) -> Duration {
    let half = args.max_age.map_or(u64::MAX, |seconds| seconds / 2);
    Duration::from_secs(SLOWEST.min(half))
}

async fn once(rounds: &Rounds, feed: Feed) -> Result<Exit> {
    rounds.one().await?;
    let delivered = feed.drain().await?;
    Ok(rounds.shared.with(|watch| verdict(watch, delivered)))
}

/// The worst of what is wrong.
fn verdict(watch: &Watch, delivered: bool) -> Exit {
    let wrong = watch.wrong();
    let differs = [Kind::Rollback, Kind::Stall, Kind::Unproven];
    if wrong.contains(&Kind::Fork) {
        Exit::Misbehaved
    } else if differs.iter().any(|kind| wrong.contains(kind)) || watch.events(Kind::BadRecord) > 0 {
        Exit::Differs
    } else if !wrong.is_empty() || !delivered {
        Exit::Failed
    } else {
        Exit::Good
    }
}

/// Goes on until a signal, a fork, or a failure that makes it pointless.
async fn follow(args: &Monitor, rounds: Rounds, feed: Feed) -> Result<Exit> {
    let shared = rounds.shared.clone();
    if let Some(address) = &args.metrics {
        let listener = metrics::listen(address).await?;
        let fresh = rounds.pace.after(0).saturating_mul(3) + rounds.limit;
        tokio::spawn(metrics::serve(listener, shared.clone(), fresh));
    }
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut feed = tokio::spawn(feed.run());
    let ended = tokio::select! {
        _ = terminate.recv() => Ok(Exit::Good),
        _ = interrupt.recv() => Ok(Exit::Good),
        outcome = rounds.run() => outcome.map(|forked| if forked { Exit::Misbehaved } else { Exit::Good }),
        outcome = &mut feed => {
            outcome.context("the feed ended")??;
            Ok(Exit::Failed)
        }
    };
    shared.stop();
    // What is being delivered may finish; what is not delivered by then is remembered.
    if !feed.is_finished() {
        match timeout(GRACE, &mut feed).await {
            Ok(outcome) => outcome.context("the feed ended")??,
            Err(_) => {
                feed.abort();
                shared.save()?;
            }
        }
    }
    ended
}

fn without_credentials(place: &str) -> String {
    match (place.find("://"), place.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}{}", &place[..scheme + 3], place.get(at + 1..).unwrap_or_default())
        }
        _ => place.to_owned(),
    }
}

/// Requests that an answer of a place may need one after the other: its head, and tiles of several levels.
const REQUESTS_IN_A_ROW: u32 = 8;
/// Failures in a row after which `--once` gives up.
const PATIENCE: u32 = 3;
/// Seconds between two rounds at most, however often they failed.
const SLOWEST: u64 = 600;
/// Time for what is being delivered when it is time to end.
const GRACE: Duration = Duration::from_secs(5);
