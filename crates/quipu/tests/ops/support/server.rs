//! The server as a child process.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use super::command::command;

/// A running server. Killed when dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    /// Where it is reached.
    pub(crate) url: String,
}

impl Server {
    /// Starts `program serve` as the database `name` on `data`, fetching from `upstream`, without waiting. What it logs goes to `log`.
    pub(crate) fn spawn(program: &Path, name: &str, data: &Path, upstream: &str, log: &Path) -> Child {
        let log = std::fs::File::create(log).unwrap();
        command(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--name", name, "--drain-seconds", "1"])
            .args([
                "--min-free-mib",
                "1",
                "--log-reserve-mib",
                "1",
                "--gosumdb",
                "off",
                "--goproxy",
                upstream,
            ])
            .arg("--data")
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Waits until it serves; none if it ended before.
    pub(crate) fn wait(mut child: Child) -> Option<Self> {
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while out.read_line(&mut line).is_ok_and(|read| read > 0) {
            if let Some(url) = line.trim().strip_prefix("export GOPROXY=") {
                return Some(Self { url: url.to_owned(), child });
            }
            line.clear();
        }
        let _ = child.kill();
        let _ = child.wait();
        None
    }

    /// Ends it at once, as the kernel would.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
