//! The operator's commands, run as the real program beside the real server.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod client;
mod fsck;
mod restore;
mod support;

use std::path::{Path, PathBuf};
use std::process::Output;

use support::{Http, Server, Upstream, command};

/// The program under test.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_quipu"))
}

/// Runs it to its end.
fn quipu(args: &[&str]) -> Output {
    command(program()).args(args).output().unwrap()
}

/// A directory with a data directory in it.
struct Place {
    dir: tempfile::TempDir,
    upstream: Upstream,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), upstream: Upstream::start() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn try_serve(&self, data: &str) -> Result<Server, String> {
        let log = self.path("server.log");
        let server = Server::wait(Server::spawn(
            program(),
            "sum.ops.test",
            &self.path(data),
            &self.upstream.url,
            &log,
        ));
        server.ok_or_else(|| std::fs::read_to_string(log).unwrap())
    }

    fn serve(&self) -> Server {
        self.try_serve("data").unwrap()
    }
}

/// Has the records of these modules made, one after the other.
fn append(server: &Server, numbers: std::ops::Range<u32>) {
    let mut http = Http::new(&server.url);
    for number in numbers {
        let (status, body) = http.get(&format!("/lookup/ops.test/m{number}@v1.0.0")).unwrap();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
