//! Running the go command: its environment, and the settings of what it starts.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tokio::process::Command as Process;

use crate::child::{Bounds, Limits, Program};
use crate::error::{Error, Result};

/// Most output that is read, in bytes.
const MAX_OUTPUT: u64 = 16 << 20;

/// Most memory that each process may map, in bytes. The go command maps far more than it uses.
const MAX_MEMORY: u64 = 8 << 30;

/// The programs that are needed.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    go: Program,
    search: OsString,
}

impl Programs {
    /// Looks for them in `search`, a list like PATH.
    ///
    /// # Errors
    /// There is no `go`, or no `prlimit` to set the limits of what it starts.
    pub(super) fn find(search: &OsString) -> Result<Self> {
        let missing = |name| Error::unavailable(format!("there is no program {name} here"));
        let go = Program::find("go", "the go command", search).ok_or_else(|| missing("go"))?;
        if !go.is_limited() {
            return Err(missing("prlimit"));
        }
        Ok(Self { go, search: search.clone() })
    }
}

/// One run.
pub(super) struct Run<'a> {
    pub(super) programs: &'a Programs,
    /// Where all that it writes goes.
    pub(super) directory: &'a Path,
    /// Address of the HTTP proxy to use for everything.
    pub(super) proxy: std::net::SocketAddr,
    /// Settings of the go command besides those that never change.
    pub(super) settings: &'a [(&'static str, String)],
    pub(super) deadline: Duration,
    /// Largest file that it or what it starts may write, in bytes.
    pub(super) file_bytes: u64,
}

impl Run<'_> {
    /// What `go` with these arguments prints on standard output, whether or not it succeeds.
    pub(super) async fn go(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        prepare(self.directory, self.proxy).map_err(|error| crate::staged::disk_error(&error))?;
        let bounds = Bounds { stdout: MAX_OUTPUT, deadline: self.deadline };
        let running = self.programs.go.start(self.process(arguments), Bytes::new(), bounds, None)?;
        let (exit, output) = running.output().await?;
        tracing::debug!(code = exit.code(), complaint = exit.stderr(), "go {arguments:?}");
        Ok(output)
    }

    fn process(&self, arguments: &[&str]) -> Process {
        let limits = Limits {
            file_bytes: self.file_bytes,
            cpu_seconds: self.deadline.as_secs().saturating_mul(2).max(1),
            memory_bytes: MAX_MEMORY,
            processes: None,
            open_files: Some(4096),
        };
        let mut process = self.programs.go.command(&limits);
        process.args(arguments).current_dir(self.directory.join("empty")).envs(self.environment());
        process
    }

    fn environment(&self) -> Vec<(&'static str, OsString)> {
        let below = |name: &str| self.directory.join(name).into_os_string();
        let mut environment = vec![
            ("PATH", self.programs.search.clone()),
            ("HOME", below("home")),
            ("TMPDIR", below("tmp")),
            ("GOPATH", below("gopath")),
            ("GOCACHE", below("gocache")),
            ("GOMODCACHE", below("mod")),
            ("HGRCPATH", below("home/hgrc")),
            ("BZR_HOME", below("home")),
            ("BRZ_HOME", below("home")),
        ];
        let fixed = [
            ("GOENV", "off"),
            ("GOFLAGS", ""),
            ("GOWORK", "off"),
            ("GO111MODULE", "on"),
            ("GOPROXY", "direct"),
            ("GOSUMDB", "off"),
            ("GOTOOLCHAIN", "local"),
            ("GOAUTH", "off"),
            ("GIT_ALLOW_PROTOCOL", "none"),
            ("HGPLAIN", "1"),
            ("SVN_SSH", "/bin/false"),
            ("BZR_SSH", "/bin/false"),
            ("USER", "quipu"),
            ("LANG", "C.UTF-8"),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
            ("NO_PROXY", ""),
            ("no_proxy", ""),
        ];
        environment.extend(fixed.map(|(name, value)| (name, value.into())));
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            environment.push((name, format!("http://{}", self.proxy).into()));
        }
        environment.extend(self.settings.iter().map(|(name, value)| (*name, value.into())));
        environment
    }
}

/// Makes the directories, and the settings of those tools that take no proxy, or no proxy for this machine, from the
/// environment.
fn prepare(directory: &Path, proxy: std::net::SocketAddr) -> io::Result<()> {
    for name in ["empty", "tmp", "home/.subversion"] {
        std::fs::create_dir_all(directory.join(name))?;
    }
    let hg = format!(
        "[http_proxy]\nhost = {proxy}\nalways = True\n[ui]\nssh = /bin/false\n[subrepos]\nallowed = no\n[phases]\npublish = no\n"
    );
    std::fs::write(directory.join("home/hgrc"), hg)?;
    let svn = format!(
        "[global]\nhttp-proxy-host = {}\nhttp-proxy-port = {}\nhttp-timeout = 60\nstore-passwords = no\n",
        proxy.ip(),
        proxy.port()
    );
    std::fs::write(directory.join("home/.subversion/servers"), svn)?;
    std::fs::write(directory.join("home/.subversion/config"), "[tunnels]\nssh = /bin/false\n")
}
