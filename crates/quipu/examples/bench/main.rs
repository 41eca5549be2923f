//! Measures quipu beside nginx, Go's own server and the bare disk, each pair in turns in one run: machines are noisy, ratios
//! are not. Run by `tools/bench`, which builds what is needed.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measuring tool fails by panicking, and what it prints is its result"
)]

#[path = "../../tests/ops/support/command.rs"]
mod command;
mod engine;
mod feed;
mod fixture;
#[path = "../../tests/script/forge.rs"]
#[expect(dead_code, reason = "stories lock repositories, too")]
mod forge;
mod gocmd;
#[path = "../../tests/ops/support/http.rs"]
mod http;
mod load;
mod process;
#[path = "../../../rocks/examples/load/random.rs"]
mod random;
mod report;
mod serving;
mod sources;
mod starting;
#[path = "../../tests/ops/support/zip.rs"]
mod zip;

use std::path::PathBuf;
use std::time::Duration;

use report::Report;

fn main() {
    let args = Args::parse();
    if let Some(dir) = &args.die {
        engine::append_until_killed(dir);
    }
    let mut report = Report::new();
    let groups: [(&str, Group); 6] = [
        ("serving", serving::measure),
        ("engine", engine::measure),
        ("start", starting::measure),
        ("feed", feed::measure),
        ("sources", sources::measure),
        ("go", gocmd::measure),
    ];
    for (name, measure) in groups {
        if args.only.is_empty() || args.only.iter().any(|only| only == name) {
            measure(&args, &mut report);
        }
    }
    println!("\n{}", report.table());
    std::process::exit(i32::from(report.falls_short()));
}

/// Measures some rows.
type Group = fn(&Args, &mut Report);

/// What was asked for.
pub(crate) struct Args {
    /// The server's program.
    program: PathBuf,
    /// Go's server of a checksum database.
    refserver: PathBuf,
    /// Where data is made and kept.
    dir: PathBuf,
    /// How long one side is measured at a time.
    time: Duration,
    /// How often both sides have their turn.
    turns: usize,
    /// Groups to measure; all if empty.
    only: Vec<String>,
    /// Rows of the group to measure: those whose name contains this.
    rows: String,
    /// Append until killed, to this log; for what starts after a crash.
    die: Option<PathBuf>,
}

impl Args {
    fn parse() -> Self {
        let mut all = std::env::args().skip(1);
        let mut args = Self {
            program: PathBuf::new(),
            refserver: PathBuf::new(),
            dir: PathBuf::new(),
            time: Duration::from_secs(3),
            turns: 5,
            only: Vec::new(),
            rows: String::new(),
            die: None,
        };
        while let Some(arg) = all.next() {
            let mut value = || all.next().unwrap_or_else(|| panic!("{arg} wants a value"));
            match arg.as_str() {
                "--program" => args.program = value().into(),
                "--refserver" => args.refserver = value().into(),
                "--dir" => args.dir = value().into(),
                "--seconds" => {
                    args.time = Duration::from_secs_f64(value().parse().expect("--seconds wants a number"))
                }
                "--turns" => args.turns = value().parse().expect("--turns wants a number"),
                "--rows" => args.rows = value(),
                "--die" => args.die = Some(value().into()),
                "serving" | "engine" | "start" | "feed" | "sources" | "go" => args.only.push(arg),
                _ => panic!("unknown argument {arg}"),
            }
        }
        args
    }

    /// Whether a row is asked for.
    pub(crate) fn wants(&self, row: &str) -> bool {
        row.contains(&self.rows)
    }
}
