//! Measures `quipu-verify`: audits of logs in files beside the bare hash and a straightforward Go program, in turns in one
//! run, a check from memory, its start. Prints a table of ratios.
//!
//! `verify_bench --program QUIPU-VERIFY --goaudit GOAUDIT --dir DIR [--turns N] [--rows PART]`; `tools/bench verify` builds
//! all and runs it.
#![expect(clippy::print_stdout, reason = "prints what it measures")]

mod check;
mod log;
#[path = "../../../quipu/examples/bench/report.rs"]
#[expect(dead_code, reason = "shared with a program that needs more of it")]
mod report;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use sha2::{Digest, Sha256};

use log::{Maker, log_of, signer, text, warm};
use report::{Goal, Report, median};

struct Bench {
    program: PathBuf,
    goaudit: PathBuf,
    dir: PathBuf,
    turns: usize,
    rows: String,
    report: Report,
}

/// How a program ended.
struct Ran {
    seconds: f64,
    /// The most memory that was resident.
    megabytes: f64,
}

fn main() -> io::Result<ExitCode> {
    let argument = |name: &str| env::args().skip_while(|arg| arg != name).nth(1);
    let path =
        |name| argument(name).map(PathBuf::from).ok_or_else(|| io::Error::other(format!("want {name}")));
    let mut bench = Bench {
        program: path("--program")?,
        goaudit: path("--goaudit")?,
        dir: path("--dir")?,
        turns: argument("--turns").and_then(|turns| turns.parse().ok()).unwrap_or(5),
        rows: argument("--rows").unwrap_or_default(),
        report: Report::new(),
    };
    fs::create_dir_all(&bench.dir)?;
    bench.million()?;
    bench.ten_millions()?;
    bench.incremental()?;
    bench.check()?;
    bench.start()?;
    println!("{}", bench.report.table());
    Ok(if bench.report.falls_short() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Bench {
    /// A million records against the bare hash on all processors, and against Go.
    fn million(&mut self) -> io::Result<()> {
        if !self.wanted("1 M") {
            return Ok(());
        }
        let log = log_of(&self.dir, MILLION)?;
        warm(&log)?;
        let texts: Vec<String> = (0..MILLION).map(text).collect();
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let (mut ours, mut bare, mut go) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.turns {
            bare.push(bare_hashing(&texts, threads));
            ours.push(self.audit(&log, true)?.seconds);
            go.push(run(Command::new(&self.goaudit).arg(signer().verifier().to_string()).arg(&log))?.seconds);
        }
        let (ours, bare, go) = (median(ours), median(bare), median(go));
        let detail = format!("{ours:.2} : {bare:.2} s on {threads} threads; {:.2} M records/s", 1.0 / ours);
        self.report.add("audit of 1 M : bare SHA-256", (bare / ours, ""), Goal::Least(0.5, 0.5), detail);
        let detail = format!("{ours:.2} : {go:.2} s");
        self.report.add("audit of 1 M : x/mod on one thread", (go / ours, ""), Goal::Least(2.0, 2.0), detail);
        Ok(())
    }

    fn ten_millions(&mut self) -> io::Result<()> {
        if !self.wanted("10 M") {
            return Ok(());
        }
        let (small, large) = (log_of(&self.dir, MILLION)?, log_of(&self.dir, 10 * MILLION)?);
        warm(&small)?;
        warm(&large)?;
        let (mut one, mut ten, mut memory) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.turns {
            one.push(self.audit(&small, true)?.seconds);
            let ran = self.audit(&large, true)?;
            ten.push(ran.seconds);
            memory.push(ran.megabytes);
        }
        let most = memory.into_iter().fold(0.0, f64::max);
        let (one, ten) = (median(one), median(ten));
        let detail = format!("{ten:.2} : {one:.2} s");
        self.report.add("audit of 10 M : of 1 M", (ten / one, ""), Goal::Most(11.0, 10.0), detail);
        let detail = format!("{:.2} M records/s", 10.0 / ten);
        self.report.add("audit of 10 M", (ten, " s"), Goal::Most(60.0, 60.0), detail);
        self.report.add(
            "memory, audit of 10 M",
            (most, " MB"),
            Goal::Most(200.0, 200.0),
            "resident".to_owned(),
        );
        Ok(())
    }

    /// A thousand new records.
    fn incremental(&mut self) -> io::Result<()> {
        if !self.wanted("new") {
            return Ok(());
        }
        let log = self.dir.join("tiles-growing");
        let _ = fs::remove_dir_all(&log);
        let mut maker = Maker::new(&log);
        maker.grow(MILLION)?;
        self.audit(&log, true)?;
        let mut took = Vec::new();
        for turn in 1..=self.turns as u64 {
            maker.grow(MILLION + turn * 1000)?;
            took.push(self.audit(&log, false)?.seconds * 1000.0);
        }
        let detail = "after an audit of 1 M".to_owned();
        self.report.add("audit of 1,000 new records", (median(took), " ms"), Goal::None, detail);
        fs::remove_dir_all(log)
    }

    /// A go.sum that was checked before.
    fn check(&mut self) -> io::Result<()> {
        if !self.wanted("check") {
            return Ok(());
        }
        let dir = self.dir.join("warm-check");
        for (size, name) in [(MILLION, "1 M"), (72 * MILLION, "72 M")] {
            let _ = fs::remove_dir_all(&dir);
            let took = check::warm(&self.program, &dir, size, 3 * self.turns).map_err(io::Error::other)?;
            let detail = "offline, a log that it remembers".to_owned();
            let row = format!("check of 500 lines, log of {name}");
            self.report.add(&row, (median(took), " ms"), Goal::Most(100.0, 100.0), detail);
        }
        fs::remove_dir_all(dir)
    }

    /// What it costs to have the program at all.
    fn start(&mut self) -> io::Result<()> {
        if !self.wanted("program") {
            return Ok(());
        }
        let megabytes = fs::metadata(&self.program)?.len() as f64 / 1e6;
        self.report.add("size of the program", (megabytes, " MB"), Goal::Most(15.0, 15.0), String::new());
        let mut took = Vec::new();
        for _ in 0..10 * self.turns {
            let begun = Instant::now();
            Command::new(&self.program).arg("--version").stdout(Stdio::null()).status()?;
            took.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        let detail = "--version, from start to end".to_owned();
        self.report.add("start of the program", (median(took), " ms"), Goal::Most(10.0, 10.0), detail);
        Ok(())
    }

    /// Audits all of a log, or what is new of it.
    fn audit(&self, log: &Path, full: bool) -> io::Result<Ran> {
        let state = self.dir.join("audit-state");
        if full && state.exists() {
            fs::remove_dir_all(&state)?;
        }
        let database = format!("{} {}", signer().verifier(), log.display());
        run(Command::new(&self.program).args(["audit", "--db", &database, "--state"]).arg(&state))
    }

    fn wanted(&self, row: &str) -> bool {
        row.contains(&self.rows)
    }
}

/// Runs a program that must succeed.
fn run(command: &mut Command) -> io::Result<Ran> {
    let begun = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let watch = thread::spawn(move || {
        let mut most = 0.0;
        while let Ok(status) = fs::read_to_string(&status) {
            // Of a process that has ended there is no such line.
            let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) else { break };
            let kilobytes = line.trim().trim_end_matches(" kB").parse::<f64>();
            most = kilobytes.unwrap_or(0.0) / 1000.0;
            thread::sleep(Duration::from_millis(5));
        }
        most
    });
    let ended = child.wait()?;
    let seconds = begun.elapsed().as_secs_f64();
    let megabytes = watch.join().unwrap_or(f64::NAN);
    if !ended.success() {
        return Err(io::Error::other(format!("{command:?}: {ended}")));
    }
    Ok(Ran { seconds, megabytes })
}

/// Seconds for as many hashes as the tree has: one for each record and one for each pair.
fn bare_hashing(texts: &[String], threads: usize) -> f64 {
    let begun = Instant::now();
    thread::scope(|scope| {
        for part in texts.chunks(texts.len().div_ceil(threads).max(1)) {
            scope.spawn(move || {
                let leaf = |text: &String| Sha256::new().chain_update([0]).chain_update(text).finalize();
                let node =
                    |left, right| Sha256::new().chain_update([1]).chain_update(left).chain_update(right);
                let hash = part.iter().map(leaf).reduce(|a, b| node(a, b).finalize());
                std::hint::black_box(hash);
            });
        }
    });
    begun.elapsed().as_secs_f64()
}

const MILLION: u64 = 1_000_000;
