//! Pages of the index of a large log: how long one takes, wherever it begins.

use std::time::Instant;

use bytes::Bytes;
use quipu_ledger::Entry;

use crate::Args;
use crate::fixture::{self, Log};
use crate::http::Http;
use crate::process::Running;
use crate::random::Random;
use crate::report::{Goal, Report, quantile};

const RECORDS: u64 = 10_000_000;

/// Versions of the one module that has many.
const MANY: u64 = 5000;

const PAGES: usize = 500;

pub(crate) fn measure(args: &Args, report: &mut Report) {
    let data = fixture::log_of(&args.dir, RECORDS);
    let log = Log::open(&data);
    append_many(&log);
    let time = |index: u64| {
        let micros = log.ledger.records(index..index + 1).unwrap().unwrap()[0].time;
        quipu_module::format_rfc3339(i128::from(micros) * 1000).unwrap()
    };
    let mut random = Random(3);
    let times: Vec<String> = (0..PAGES).map(|_| time(random.below(RECORDS - 2000))).collect();
    drop(log);
    let quipu = Running::quipu(&args.program, &data, "off", "off");
    let since = |more: &str| times.iter().map(|time| format!("/index?since={time}{more}")).collect();
    let one = |n: usize| fixture::lookup(n as u64 * 1999 % RECORDS).replace("/lookup/", "/index?module=");
    let rows: [(&str, Vec<String>); 5] = [
        ("/index, 2,000 lines from anywhere", since("")),
        ("/index, 10 lines from anywhere", since("&limit=10")),
        ("/index of a module with one version", (0..PAGES).map(|n| without_version(&one(n))).collect()),
        ("/index of a module with 5,000 versions", vec!["/index?module=bench.example/many".into(); PAGES]),
        ("/feed of a module with 5,000 versions", vec!["/feed/bench.example/many".into(); PAGES]),
    ];
    for (name, paths) in rows {
        if args.wants(name) {
            row(&quipu, name, &paths, report);
        }
    }
}

fn row(quipu: &Running, name: &str, paths: &[String], report: &mut Report) {
    let mut http = Http::new(&quipu.url());
    let mut bytes = 0;
    let mut ask = |path: &String| {
        let begun = Instant::now();
        let (status, body) = http.get(path).unwrap();
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        assert!(!body.is_empty(), "{path}");
        bytes += body.len();
        begun.elapsed().as_secs_f64() * 1e3
    };
    // Once unmeasured: the first answers come from the disk.
    for path in paths {
        ask(path);
    }
    let mut took: Vec<f64> = paths.iter().map(&mut ask).collect();
    let (middle, most) = (quantile(&mut took, 0.5), quantile(&mut took, 1.0));
    let worst = quantile(&mut took, 0.99);
    let kilobytes = bytes / paths.len() / 2000;
    let detail = format!("median {middle:.2} ms, longest of {} {most:.2} ms; {kilobytes} KB", took.len());
    report.add(&format!("{name}, p99"), (worst, " ms"), Goal::Most(5.0, 5.0), detail);
}

fn without_version(path: &str) -> String {
    path.split('@').next().unwrap_or_default().to_owned()
}

/// Gives one module many versions, unless it has them.
fn append_many(log: &Log) {
    let entry = |n: u64| {
        let key = format!("bench.example/many v1.0.{n} ");
        let hash = "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let text = format!("{key}{hash}\n{}/go.mod {hash}\n", key.trim_end());
        Entry::new(Bytes::from(text), key.len()).unwrap()
    };
    if log.ledger.find(entry(MANY - 1).key()).unwrap().is_none() {
        let answers = log.runtime.block_on(log.ledger.append_all((0..MANY).map(entry).collect()));
        answers.into_iter().for_each(|answer| drop(answer.unwrap()));
    }
}
