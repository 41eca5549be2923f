//! Running the go command: its environment, its limits, and its end.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command as Process};
use tokio::time::timeout;

use crate::error::{Error, Result};

/// Most output that is read, in bytes.
const MAX_OUTPUT: u64 = 16 << 20;

/// Most of what it complains that is read, in bytes.
const MAX_COMPLAINT: u64 = 64 << 10;

/// Largest file that it or what it starts may write, in bytes.
const MAX_FILE: u64 = 1 << 30;

/// Most memory that each process may map, in bytes. The go command maps far more than it uses.
const MAX_MEMORY: u64 = 8 << 30;

/// The programs that are needed.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    go: PathBuf,
    /// Sets the limits of what it starts.
    prlimit: PathBuf,
    search: OsString,
}

impl Programs {
    /// Looks for them in `search`, a list like PATH.
    pub(super) fn find(search: &OsString) -> Result<Self> {
        let find = |name: &str| {
            let found = std::env::split_paths(search)
                .map(|directory| directory.join(name))
                .find(|path| path.is_file());
            found.ok_or_else(|| Error::unavailable(format!("there is no program {name} here")))
        };
        Ok(Self { go: find("go")?, prlimit: find("prlimit")?, search: search.clone() })
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
}

impl Run<'_> {
    /// What `go` with these arguments prints on standard output, whether or not it succeeds.
    pub(super) async fn go(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        prepare(self.directory, self.proxy).map_err(|error| crate::staged::disk_error(&error))?;
        let failed = |error: io::Error| unreadable(&error);
        let mut child = self.process(arguments).spawn().map_err(failed)?;
        let group = Group::of(&child);
        let (output, complaint) = (child.stdout.take(), child.stderr.take());
        let work = async {
            let (output, complaint) = tokio::try_join!(all(output), some(complaint))?;
            let status = child.wait().await.map_err(failed)?;
            tracing::debug!(%status, complaint = %String::from_utf8_lossy(&complaint), "go {arguments:?}");
            Ok(output)
        };
        let output = timeout(self.deadline, work).await;
        drop(group);
        output.map_err(|_| Error::timeout("version control takes too long"))?
    }

    fn process(&self, arguments: &[&str]) -> Process {
        let mut process = Process::new(&self.programs.prlimit);
        process
            .arg(format!("--fsize={MAX_FILE}"))
            .arg(format!("--as={MAX_MEMORY}"))
            .arg(format!("--cpu={}", self.deadline.as_secs().saturating_mul(2).max(1)))
            .args(["--core=0", "--nofile=4096", "--"])
            .arg(&self.programs.go)
            .args(arguments)
            .current_dir(self.directory.join("empty"))
            .env_clear()
            .envs(self.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
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

/// All of what it prints.
async fn all(stream: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let Some(stream) = stream else { return Ok(bytes) };
    let mut limited = stream.take(MAX_OUTPUT);
    limited.read_to_end(&mut bytes).await.map_err(|error| unreadable(&error))?;
    if limited.limit() == 0 { Err(Error::too_large(MAX_OUTPUT)) } else { Ok(bytes) }
}

/// The beginning of what it complains; the rest is read too, as it must not wait for a reader.
async fn some(stream: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let Some(mut stream) = stream else { return Ok(bytes) };
    (&mut stream).take(MAX_COMPLAINT).read_to_end(&mut bytes).await.map_err(|error| unreadable(&error))?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map_err(|error| unreadable(&error))?;
    Ok(bytes)
}

fn unreadable(error: &io::Error) -> Error {
    tracing::error!(%error, "running the go command");
    Error::unavailable("the go command cannot be run")
}

/// A child and all that it started. They end with this.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Nobody left is as good.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
