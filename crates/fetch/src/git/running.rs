//! A git process under way: its output as it comes, its deadline, and the end of everything that it started.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, Result};

/// Most of what git says on stderr that is kept, in bytes.
const MAX_STDERR: usize = 8 << 10;

/// How much is read at once, in bytes.
const PIECE: usize = 64 << 10;

/// A process group with git at its head. Dropped, it is killed as a whole.
pub(super) struct Running {
    group: Group,
    child: Child,
    stdout: ChildStdout,
    stderr: JoinHandle<Vec<u8>>,
    buffer: BytesMut,
    deadline: Instant,
    /// Bytes that it may still print.
    left: u64,
    max_stdout: u64,
    _place: OwnedSemaphorePermit,
}

/// How git ended.
pub(super) struct Exit {
    status: ExitStatus,
    stderr: String,
}

impl Running {
    /// Watches over `child`, which leads a process group; `bounds`: most bytes that it may print, and how long it may run.
    pub(super) fn new(
        mut child: Child,
        stdin: Bytes,
        bounds: (u64, Duration),
        place: OwnedSemaphorePermit,
    ) -> Result<Self> {
        let (max_stdout, patience) = bounds;
        let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let lost = || Error::unavailable("git cannot be started");
        let input = child.stdin.take().ok_or_else(lost)?;
        let stdout = child.stdout.take().ok_or_else(lost)?;
        let stderr = child.stderr.take().ok_or_else(lost)?;
        // Both end at the latest with the processes at the other end of their pipes.
        drop(tokio::spawn(feed(input, stdin)));
        let stderr = tokio::spawn(drain(stderr));
        let deadline = Instant::now() + patience;
        Ok(Self {
            group,
            child,
            stdout,
            stderr,
            buffer: BytesMut::new(),
            deadline,
            left: max_stdout,
            max_stdout,
            _place: place,
        })
    }

    /// What it prints next, never empty; `None` at the end.
    ///
    /// # Errors
    /// It has printed too much, or the deadline is over. Then it is of no more use.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        self.buffer.reserve(PIECE);
        let read = timeout_at(self.deadline, self.stdout.read_buf(&mut self.buffer)).await;
        let read = read.map_err(|_| late())?.map_err(|error| broken(&error))?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| Error::too_large(self.max_stdout))?;
        Ok((read > 0).then(|| self.buffer.split().freeze()))
    }

    /// Waits until git has ended by itself, then ends what it left behind.
    ///
    /// # Errors
    /// The deadline is over.
    pub(super) async fn finish(mut self) -> Result<Exit> {
        let group = self.group.0;
        let ended = spawn_blocking(move || wait_unreaped(group));
        match timeout_at(self.deadline, ended).await {
            Ok(Ok(Ok(()))) => {}
            Ok(_) => return Err(Error::unavailable("git was lost sight of")),
            Err(_) => return Err(late()),
        }
        // Still unreaped, so the number of the group cannot have become another's.
        self.group.kill();
        let status = self.child.wait().await.map_err(|error| broken(&error))?;
        let stderr = timeout_at(self.deadline, self.stderr).await.ok().and_then(Result::ok);
        let stderr = String::from_utf8_lossy(&stderr.unwrap_or_default()).into_owned();
        Ok(Exit { status, stderr })
    }
}

impl Exit {
    pub(super) fn is_success(&self) -> bool {
        self.status.success()
    }

    /// The exit code, unless a signal ended it.
    pub(super) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Whether a limit of the kernel ended git or one of its helpers: of file size, or of processor time.
    pub(super) fn hit_limit(&self) -> Option<Limit> {
        let signal = |signal: Signal| {
            let of_helper = format!("died of signal {}", signal.as_raw());
            self.status.signal() == Some(signal.as_raw()) || self.stderr.contains(&of_helper)
        };
        if signal(Signal::XFSZ) || self.stderr.contains("File too large") {
            Some(Limit::FileSize)
        } else {
            signal(Signal::XCPU).then_some(Limit::Time)
        }
    }

    /// The beginning of what it complained about. For decisions and the log, never for clients.
    pub(super) fn stderr(&self) -> &str {
        &self.stderr
    }
}

/// A limit of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// A file grew too large.
    FileSize,
    /// Too much processor time was used.
    Time,
}

/// A process group, killed when dropped. `None` once nothing may be sent to it.
struct Group(Option<Pid>);

impl Group {
    fn kill(&mut self) {
        if let Some(group) = self.0.take() {
            // That it is gone already is what was wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until the process has ended, and leaves it to be reaped.
fn wait_unreaped(leader: Option<Pid>) -> io::Result<()> {
    let leader = leader.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    loop {
        match waitid(WaitId::Pid(leader), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

async fn feed(mut pipe: ChildStdin, stdin: Bytes) {
    // Who does not want to read all of it says so by ending.
    let _ = pipe.write_all(&stdin).await;
}

/// Reads to the end, and keeps the beginning.
async fn drain(mut pipe: ChildStderr) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = pipe.read(&mut piece).await {
        let room = MAX_STDERR.saturating_sub(kept.len()).min(read);
        kept.extend_from_slice(piece.get(..room).unwrap_or_default());
    }
    kept
}

fn late() -> Error {
    Error::timeout("the repository does not answer, or has too much to tell")
}

fn broken(error: &io::Error) -> Error {
    tracing::error!(%error, "reading from git");
    Error::unavailable("the output of git cannot be read")
}
