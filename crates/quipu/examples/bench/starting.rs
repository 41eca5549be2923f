//! From the start of the process to serving: after a clean stop, and after a crash.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Args;
use crate::fixture;
use crate::process::Running;
use crate::report::{Goal, Report, median};

const RECORDS: u64 = 1_000_000;

pub(crate) fn measure(args: &Args, report: &mut Report) {
    let data = fixture::log_of(&args.dir, RECORDS);
    let start = || Running::quipu(&args.program, &data, "off", "off");
    drop(start());
    let clean: Vec<f64> = (0..args.turns).map(|_| start().started.as_secs_f64()).collect();
    let detail = format!("median of {}", clean.len());
    report.add("start, clean, 1 M records", (median(clean), " s"), Goal::Most(1.0, 1.0), detail);
    // It grows by what is appended before each kill, so it is a copy that goes.
    let crashed = args.dir.join("crashed");
    fixture::found(&crashed);
    fixture::Log::open(&crashed).append(0..RECORDS);
    let after: Vec<f64> = (0..args.turns)
        .map(|_| {
            crash(&crashed);
            let running = Running::quipu(&args.program, &crashed, "off", "off");
            let started = running.started.as_secs_f64();
            running.kill();
            started
        })
        .collect();
    let detail = format!("killed while appending in bulk; median of {}", after.len());
    report.add("start after kill -9, 1 M records", (median(after), " s"), Goal::Most(2.0, 2.0), detail);
    fixture::remove(&crashed);
}

/// Appends in another process for two seconds and kills it.
fn crash(data: &Path) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("--die")
        .arg(data)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "appending\n");
    std::thread::sleep(Duration::from_secs(2));
    child.kill().unwrap();
    child.wait().unwrap();
}
