//! The one place that starts git: nothing of the server's environment, limits set by the kernel, a bounded number at once.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::settings::{Access, environment};
use crate::child::running::{Exit, Running};
use crate::child::{Bounds, Limits, Program};
use crate::error::{Error, Result};
use crate::places::{Place, Places};

/// The oldest git that can be fenced: the first that connects where it is told (`http.curloptResolve`).
const OLDEST_GIT: (u32, u32) = (2, 37);

/// What one git process may use.
#[derive(Clone, Debug)]
pub struct GitLimits {
    /// Longest time for one run of git, from its start.
    pub deadline: Duration,
    /// Largest file that it may write, in bytes; a larger pack is refused.
    pub file_bytes: u64,
    /// Most processor time of one process, in seconds.
    pub cpu_seconds: u64,
    /// Most address space of one process, in bytes. Packs are mapped into it.
    pub memory_bytes: u64,
    /// Most processes and threads of this program's user, this program's own included, for git to start another.
    pub processes: u64,
    /// Most that may come out of one archive, in bytes.
    pub archive_bytes: u64,
    /// Most conversations with repositories at once; further ones wait.
    pub network: usize,
    /// Most readers of cached repositories at once; further ones wait.
    pub local: usize,
}

impl Default for GitLimits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(120),
            file_bytes: 1 << 30,
            cpu_seconds: 240,
            memory_bytes: 4 << 30,
            processes: 4096,
            archive_bytes: 2 << 30,
            network: 4,
            local: 8,
        }
    }
}

impl GitLimits {
    fn of_process(&self) -> Limits {
        Limits {
            file_bytes: self.file_bytes,
            cpu_seconds: self.cpu_seconds,
            memory_bytes: self.memory_bytes,
            processes: Some(self.processes),
            open_files: None,
        }
    }
}

/// Which git is run, and how.
#[derive(Clone, Debug)]
pub struct GitProgram {
    /// Where programs are looked for, as in the variable `PATH`: `git`, `prlimit`, and `ssh` where it is used.
    pub path: OsString,
    /// What each process may use.
    pub limits: GitLimits,
}

impl Default for GitProgram {
    fn default() -> Self {
        Self { path: "/usr/local/bin:/usr/bin:/bin".into(), limits: GitLimits::default() }
    }
}

/// Starts git.
pub(super) struct Fence {
    git: Program,
    program: GitProgram,
    /// A directory in which nothing is, so that nothing is found from there.
    idle: PathBuf,
    network: Places,
    local: Places,
}

/// One run of git.
pub(super) struct Job<'a> {
    /// Its arguments. Whatever comes from elsewhere was parsed before, or stands behind `--end-of-options`.
    pub(super) args: &'a [&'a str],
    /// The repository; `None` where none is needed.
    pub(super) git_dir: Option<&'a Path>,
    /// What it reads.
    pub(super) stdin: Bytes,
    /// Most that it may print, in bytes.
    pub(super) max_stdout: u64,
    /// Whom it may talk to; `None`: nobody.
    pub(super) access: Option<&'a Access>,
    /// Whether git notes on stderr what both sides say: no headers, so no credentials.
    pub(super) overheard: bool,
}

impl<'a> Job<'a> {
    /// A run on `git_dir` that talks to nobody and prints at most a mebibyte.
    pub(super) fn local(git_dir: &'a Path, args: &'a [&'a str]) -> Self {
        Self { git_dir: Some(git_dir), ..Self::remote(args, None, 1 << 20) }
    }

    /// A run without a repository that prints at most `max_stdout` bytes.
    pub(super) fn remote(args: &'a [&'a str], access: Option<&'a Access>, max_stdout: u64) -> Self {
        Self { args, git_dir: None, stdin: Bytes::new(), max_stdout, access, overheard: false }
    }
}

impl Fence {
    /// Finds git and what limits it; `idle` is an empty directory.
    ///
    /// # Errors
    /// There is no git, or one too old to be fenced.
    pub(super) async fn open(program: GitProgram, idle: &Path) -> Result<Self> {
        let git = Program::find("git", "git", &program.path)
            .ok_or_else(|| Error::unavailable("git is not installed: repositories cannot be read"))?;
        if !git.is_limited() {
            tracing::warn!(
                "prlimit (of util-linux) is not installed: git runs without limits of file size, processor time, \
                 memory and processes; only its deadline and the bounds on its output hold"
            );
        }
        let (network, local) = (Places::new(program.limits.network), Places::new(program.limits.local));
        let fence = Self { git, program, idle: idle.to_owned(), network, local };
        fence.check_version().await?;
        Ok(fence)
    }

    /// Whether the kernel limits what git uses.
    pub(super) fn is_limited(&self) -> bool {
        self.git.is_limited()
    }

    pub(super) fn limits(&self) -> &GitLimits {
        &self.program.limits
    }

    /// Starts git and leaves its output to be read as it comes.
    ///
    /// # Errors
    /// No place becomes free in time, or it cannot be started.
    pub(super) async fn start(&self, job: Job<'_>) -> Result<Running> {
        let place = self.place(job.access).await?;
        let limits = self.limits();
        let mut command = self.git.command(&limits.of_process());
        command
            .args(job.args)
            .current_dir(&self.idle)
            .env("PATH", &self.program.path)
            .envs(environment(job.access));
        // Where no repository is meant, none must be found.
        command.env("GIT_DIR", job.git_dir.unwrap_or(Path::new("/nonexistent")));
        if job.overheard {
            command.env("GIT_TRACE_PACKET", "1");
        }
        let bounds = Bounds { stdout: job.max_stdout, deadline: limits.deadline };
        self.git.start(command, job.stdin, bounds, Some(place))
    }

    /// Runs git to its end.
    ///
    /// # Errors
    /// As [`Fence::start`]; it prints too much, or does not end in time. How it ended is the caller's to judge.
    pub(super) async fn output(&self, job: Job<'_>) -> Result<(Exit, Vec<u8>)> {
        self.start(job).await?.output().await
    }

    async fn place(&self, access: Option<&Access>) -> Result<Place> {
        let places = if access.is_some() { &self.network } else { &self.local };
        let stranger = access.and_then(|access| access.stranger.as_deref());
        let place = timeout(self.program.limits.deadline, places.take(stranger)).await;
        place.map_err(|_| Error::unavailable("too many repositories are being read, try again"))
    }

    async fn check_version(&self) -> Result<()> {
        let (exit, output) = self.output(Job::remote(&["version"], None, 4096)).await?;
        let version = parse_version(&output).filter(|_| exit.is_success());
        match version {
            Some(version) if version >= OLDEST_GIT => Ok(()),
            Some((major, minor)) => {
                let (oldest_major, oldest_minor) = OLDEST_GIT;
                Err(Error::unavailable(format!(
                    "git {major}.{minor} is too old: {oldest_major}.{oldest_minor} is the first that can be fenced"
                )))
            }
            None => {
                tracing::error!(stderr = exit.stderr(), "git version");
                Err(Error::unavailable("git does not say its version"))
            }
        }
    }
}

/// Major and minor of `git version 2.39.5 (and more)`.
fn parse_version(output: &[u8]) -> Option<(u32, u32)> {
    let text = std::str::from_utf8(output).ok()?;
    let mut numbers = text.strip_prefix("git version ")?.split('.');
    let minor = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
    Some((numbers.next()?.parse().ok()?, minor(numbers.next()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_parse() {
        for (text, version) in [
            ("git version 2.39.5\n", Some((2, 39))),
            ("git version 2.50.1 (Apple Git-155)\n", Some((2, 50))),
            ("git version 2.45\n", Some((2, 45))),
            ("git version 2\n", None),
            ("got version 2.1\n", None),
        ] {
            assert_eq!(parse_version(text.as_bytes()), version, "{text}");
        }
    }
}
