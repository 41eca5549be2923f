//! Appending: the engine with its store and guard on the real disk, without HTTP.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use quipu_ledger::RoundStats;

use crate::Args;
use crate::fixture::{self, Log};
use crate::report::{Goal, Report, median, quantile};

const MILLION: u64 = 1_000_000;

const SINGLE: &str = "64 single appends, p99 : p99 of a round";
const FIRST: &str = "bulk append, first million";
const TENTH: &str = "bulk append, 9 to 10 M";

pub(crate) fn measure(args: &Args, report: &mut Report) {
    let data = args.dir.join("append");
    if args.wants(SINGLE) {
        single(&data, report);
    }
    if args.wants(FIRST) || args.wants(TENTH) {
        bulk(args, &data, report);
    }
    fixture::remove(&data);
}

/// Bulk appends up to ten million; the first and the last million count.
fn bulk(args: &Args, data: &Path, report: &mut Report) {
    fixture::found(data);
    let log = Log::open(data);
    let most = if args.wants(TENTH) { 10 } else { 1 };
    for million in 0..most {
        let took = log.append(million * MILLION..(million + 1) * MILLION);
        let rate = MILLION as f64 / took.as_secs_f64();
        let (name, goal) = match million {
            0 => (FIRST, Goal::Least(120_000.0, 150_000.0)),
            9 => (TENTH, Goal::Least(80_000.0, 120_000.0)),
            _ => {
                eprintln!("       {million} to {} M: {rate:.0}/s", million + 1);
                continue;
            }
        };
        report.add(name, (rate, "/s"), goal, format!("{:.1} s", took.as_secs_f64()));
    }
}

/// Tasks that append one record after the other.
const TASKS: u64 = 64;

/// 64 tasks, each appending one record after the other: how long an append takes, in rounds.
fn single(data: &Path, report: &mut Report) {
    fixture::found(data);
    let log = Log::open(data);
    log.append(0..100_000);
    let rounds: Mutex<BTreeMap<u64, RoundStats>> = Mutex::default();
    let rounds = std::sync::Arc::new(rounds);
    let mut waits = Vec::new();
    let begun = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (ledger, rounds) = (log.ledger.clone(), rounds.clone());
            log.runtime.spawn(async move {
                let mut waits = Vec::new();
                for n in (0..).map(|n| 10 * MILLION + task + n * TASKS) {
                    let entry = fixture::entry(n);
                    let asked = Instant::now();
                    ledger.append(entry).await.unwrap();
                    waits.push(asked.elapsed().as_secs_f64());
                    if let Some(round) = ledger.status().last_round {
                        rounds.lock().unwrap().insert(round.size, round);
                    }
                    if begun.elapsed() > Duration::from_secs(10) {
                        break;
                    }
                }
                waits
            })
        })
        .collect();
    for task in tasks {
        waits.extend(log.runtime.block_on(task).unwrap());
    }
    let rounds = rounds.lock().unwrap();
    let of = |part: fn(&RoundStats) -> Duration| {
        median(rounds.values().map(|round| part(round).as_secs_f64()).collect()) * 1e3
    };
    // A sync now and then takes ten times as long as the others; so the slowest are compared with the slowest.
    let mut all: Vec<f64> =
        rounds.values().map(|round| (round.commit + round.guarding).as_secs_f64() * 1e3).collect();
    let (round, slow) = (quantile(&mut all, 0.5), quantile(&mut all, 0.99));
    let mut ms: Vec<f64> = waits.iter().map(|wait| wait * 1e3).collect();
    let (p50, p99) = (quantile(&mut ms, 0.5), quantile(&mut ms, 0.99));
    let detail = format!(
        "p99 {p99:.2} : {slow:.2} ms; p50 {p50:.2} : {round:.2} ms = commit {:.2} + guard {:.2}; besides: building {:.2}, \
         signing {:.2}; {:.0} appends/s, {} in a round",
        of(|round| round.commit),
        of(|round| round.guarding),
        of(|round| round.building),
        of(|round| round.signing),
        waits.len() as f64 / begun.elapsed().as_secs_f64(),
        median(rounds.values().map(|round| round.records as f64).collect()),
    );
    report.add(SINGLE, (p99 / slow, ""), Goal::Most(2.5, 2.5), detail);
    let detail = "the usual append and the usual round".to_owned();
    report.add("64 single appends, p50 : p50 of a round", (p50 / round, ""), Goal::Most(2.5, 2.5), detail);
}

/// Appends to a log until this process is killed.
pub(crate) fn append_until_killed(data: &Path) -> ! {
    let log = Log::open(data);
    let mut next = log.ledger.head().size();
    println!("appending");
    loop {
        log.append(next..next + 1000);
        next += 1000;
    }
}
