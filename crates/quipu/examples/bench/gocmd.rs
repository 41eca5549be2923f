//! `go mod download` of a real project, its client cache in memory: through quipu, and past it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Args;
use crate::fixture;
use crate::process::Running;
use crate::report::{Goal, Report, median};

/// A project with requirements of all sizes.
const GO_MOD: &str = "module bench.example/project

go 1.24

require (
	github.com/BurntSushi/toml v1.5.0
	github.com/google/uuid v1.6.0
	golang.org/x/crypto v0.39.0
	golang.org/x/mod v0.25.0
	golang.org/x/net v0.41.0
	golang.org/x/sync v0.15.0
	golang.org/x/sys v0.33.0
	golang.org/x/term v0.32.0
	golang.org/x/text v0.26.0
	golang.org/x/tools v0.34.0
)
";

pub(crate) fn measure(args: &Args, report: &mut Report) {
    let Some(upstream) = upstream() else {
        eprintln!("SKIPPED: go mod download, as GOPROXY names no proxy by URL");
        return;
    };
    let dir = args.dir.join("go");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(dir.join("project")).unwrap();
    fs::write(dir.join("project/go.mod"), GO_MOD).unwrap();
    let data = dir.join("data");
    // Once unmeasured, so that neither side pays for what the network has to find first.
    download(&dir, &upstream, Sums::Public);
    let mut cold = Vec::new();
    for _ in 0..args.turns {
        let straight = download(&dir, &upstream, Sums::Public);
        fixture::found(&data);
        let quipu = Running::quipu(&args.program, &data, &upstream, "sum.golang.org");
        let vkey = fs::read_to_string(data.join("vkey")).unwrap();
        let through = download(&dir, &quipu.url(), Sums::Of(vkey.trim()));
        cold.push((through.as_secs_f64(), straight.as_secs_f64()));
    }
    add(report, "go mod download, cold : straight", &cold, Goal::Most(1.1, 1.1));
    let quipu = Running::quipu(&args.program, &data, "off", "off");
    let nginx = Running::nginx(&dir, &data.join("modules"));
    let mut warm = Vec::new();
    for _ in 0..args.turns * 2 {
        let ours = download(&dir, &quipu.url(), Sums::Off);
        let theirs = download(&dir, &nginx.url(), Sums::Off);
        warm.push((ours.as_secs_f64(), theirs.as_secs_f64()));
    }
    add(report, "go mod download, warm : nginx", &warm, Goal::Most(1.05, 1.0));
    drop((quipu, nginx));
    fixture::remove(&data);
}

fn add(report: &mut Report, name: &str, turns: &[(f64, f64)], goal: Goal) {
    let of = |get: fn(&(f64, f64)) -> f64| median(turns.iter().map(get).collect());
    let detail = format!("{:.2} : {:.2} s; median of {}", of(|turn| turn.0), of(|turn| turn.1), turns.len());
    report.add(name, (of(|(ours, theirs)| ours / theirs), ""), goal, detail);
}

/// What the go command checks downloads against.
#[derive(Clone, Copy)]
enum Sums<'a> {
    /// Go's database, through the proxy.
    Public,
    /// The log with this verifier key, through the proxy.
    Of(&'a str),
    /// Nothing.
    Off,
}

/// How long `go mod download` takes with empty caches.
fn download(dir: &Path, goproxy: &str, sums: Sums<'_>) -> Duration {
    let caches = client_caches();
    let _ = fs::remove_file(dir.join("project/go.sum"));
    let mut command = Command::new("go");
    command.args(["mod", "download"]).current_dir(dir.join("project")).stdin(Stdio::null());
    command
        .env("GOPROXY", goproxy)
        .env("GOFLAGS", "-modcacherw")
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off");
    for name in ["GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GONOSUMCHECK", "GOINSECURE"] {
        command.env(name, "");
    }
    match sums {
        Sums::Public => command.env("GOSUMDB", "sum.golang.org"),
        Sums::Of(vkey) => command.env("GOSUMDB", vkey),
        Sums::Off => command.env("GOSUMDB", "off"),
    };
    command.env("GOPATH", caches.path()).env("GOMODCACHE", caches.path().join("mod"));
    command.env("GOCACHE", caches.path().join("build"));
    let begun = Instant::now();
    let out = command.output().expect("the go command does not start");
    let took = begun.elapsed();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    took
}

/// An empty directory in memory, where there is one.
fn client_caches() -> tempfile::TempDir {
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
    tempfile::TempDir::new_in(parent).unwrap()
}

/// The first proxy that GOPROXY names by URL.
fn upstream() -> Option<String> {
    let out = Command::new("go").args(["env", "GOPROXY"]).output().ok()?;
    let list = String::from_utf8(out.stdout).ok()?;
    list.trim().split([',', '|']).find(|entry| entry.starts_with("http")).map(str::to_owned)
}
