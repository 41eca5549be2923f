//! Kills the real server at random moments under eight writers, and fails its system calls one by one; after each time the
//! log must be whole, hold every record that was acknowledged, and continue every head that anybody saw.
//!
//! Run by `tools/crash`, which builds what is needed.
#![expect(clippy::unwrap_used, reason = "a harness that cannot go on fails by panicking")]
#![expect(clippy::print_stdout, reason = "what it prints is its result")]

#[path = "crash/faults.rs"]
mod faults;
#[path = "crash/kills.rs"]
mod kills;
#[path = "crash/meddle.rs"]
mod meddle;
#[path = "crash/mirror.rs"]
mod mirror;
#[path = "../../rocks/examples/load/random.rs"]
mod random;
#[path = "../tests/ops/support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use meddle::Meddle;
use mirror::Mirror;
use random::Random;
use support::{Server, Upstream, command};

fn main() -> ExitCode {
    let args = Args::parse();
    println!("seed {}", args.seed);
    let (passed, failed) = if args.self_test {
        meddle::self_test(&args)
    } else if args.syscalls {
        faults::run(Run::new(&args))
    } else {
        kills::run(Run::new(&args), args.rounds)
    };
    println!("{passed} passed, {failed} failed");
    ExitCode::from(u8::from(failed > 0 || passed == 0))
}

struct Args {
    program: PathBuf,
    rounds: u32,
    seed: u64,
    syscalls: bool,
    self_test: bool,
    meddle: Option<Meddle>,
}

impl Args {
    fn parse() -> Self {
        let mut all = std::env::args().skip(1);
        let seed = std::time::UNIX_EPOCH.elapsed().map_or(1, |now| now.as_secs());
        let program = PathBuf::new();
        let mut args = Self { program, rounds: 100, seed, syscalls: false, self_test: false, meddle: None };
        while let Some(arg) = all.next() {
            match arg.as_str() {
                "--rounds" => args.rounds = all.next().unwrap().parse().expect("--rounds wants a number"),
                "--seed" => args.seed = all.next().unwrap().parse().expect("--seed wants a number"),
                "--syscalls" => args.syscalls = true,
                "--self-test" => args.self_test = true,
                "--meddle" => {
                    args.meddle = Some(Meddle::named(&all.next().unwrap()).expect("no such meddling"))
                }
                _ => args.program = arg.into(),
            }
        }
        args
    }
}

/// One log, driven from crash to crash.
struct Run {
    program: PathBuf,
    dir: PathBuf,
    upstream: Upstream,
    random: Random,
    mirror: Mirror,
    meddle: Option<Meddle>,
}

impl Run {
    fn new(args: &Args) -> Self {
        let dir = std::env::temp_dir().join(format!("quipu-crash-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (program, random) = (args.program.clone(), Random(args.seed));
        let (upstream, mirror) = (Upstream::start(), Mirror::default());
        Self { program, dir, upstream, random, mirror, meddle: args.meddle }
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn spawn(&self) -> std::process::Child {
        Server::spawn(
            &self.program,
            "sum.ops.test",
            &self.data(),
            &self.upstream.url,
            &self.dir.join("server.log"),
        )
    }

    fn start(&self) -> Result<Server, String> {
        Server::wait(self.spawn()).ok_or_else(|| {
            let log = std::fs::read_to_string(self.dir.join("server.log")).unwrap_or_default();
            format!("the server does not start again: {log}")
        })
    }

    /// Runs `quipu fsck`.
    fn fsck(&self) -> Result<(), String> {
        let output = command(&self.program).arg("fsck").arg(self.data()).output().unwrap();
        if output.status.success() {
            return Ok(());
        }
        let text = [output.stdout, output.stderr].concat();
        Err(format!("fsck: {}", String::from_utf8_lossy(&text).trim_end()))
    }

    /// Checks the files, starts the server again, and compares what it serves with all that was seen before.
    fn examine(&mut self) -> Result<Server, String> {
        if self.data().join("vkey").exists()
            && self.data().join("log/CURRENT").exists()
            && self.mirror.seen_any()
        {
            self.fsck()?;
        }
        let server = self.start()?;
        self.mirror.follow(&server.url)?;
        Ok(server)
    }
}

/// Takes the files away if all went well.
fn finish(run: &Run, failed: u32) {
    if failed == 0 {
        let _ = std::fs::remove_dir_all(&run.dir);
    } else {
        println!("what remains is in {}", run.dir.display());
    }
}

/// Is there such a file in a folder of PATH.
fn on_path(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).exists()))
}
