//! A program under way: its output as it comes, its deadline, and the end of everything that it started.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use bytes::{Bytes, BytesMut};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout_at};

use super::Bounds;
use crate::error::{Error, Result};
use crate::places::Place;

/// Most of what it says on stderr that is kept, in bytes.
const MAX_STDERR: usize = 8 << 10;

/// How much is read at once, in bytes.
const PIECE: usize = 64 << 10;

/// A process group with the program at its head. Dropped, it is killed as a whole.
pub(crate) struct Running {
    name: &'static str,
    group: Group,
    child: Child,
    stdout: ChildStdout,
    stderr: JoinHandle<Vec<u8>>,
    buffer: BytesMut,
    deadline: Instant,
    /// Bytes that it may still print.
    left: u64,
    max_stdout: u64,
    _place: Option<Place>,
}

/// How it ended.
pub(crate) struct Exit {
    status: ExitStatus,
    stderr: String,
}

impl Running {
    /// Watches over `child`, which leads a process group.
    pub(super) fn new(
        name: &'static str,
        mut child: Child,
        stdin: Bytes,
        bounds: Bounds,
        place: Option<Place>,
    ) -> Result<Self> {
        let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let lost = || Error::unavailable(format!("{name} cannot be started"));
        let input = child.stdin.take().ok_or_else(lost)?;
        let stdout = child.stdout.take().ok_or_else(lost)?;
        let stderr = child.stderr.take().ok_or_else(lost)?;
        // Both end at the latest with the processes at the other end of their pipes.
        drop(tokio::spawn(feed(input, stdin)));
        let stderr = tokio::spawn(drain(stderr));
        let deadline = Instant::now() + bounds.deadline;
        Ok(Self {
            name,
            group,
            child,
            stdout,
            stderr,
            buffer: BytesMut::new(),
            deadline,
            left: bounds.stdout,
            max_stdout: bounds.stdout,
            _place: place,
        })
    }

    /// What it prints next, never empty; `None` at the end.
    ///
    /// # Errors
    /// It has printed too much, or the deadline is over. Then it is of no more use.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        self.buffer.reserve(PIECE);
        let read = timeout_at(self.deadline, self.stdout.read_buf(&mut self.buffer)).await;
        let read = read.map_err(|_| late())?.map_err(|error| self.broken(&error))?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| Error::too_large(self.max_stdout))?;
        Ok((read > 0).then(|| self.buffer.split().freeze()))
    }

    /// Reads all that it prints, and waits for its end.
    ///
    /// # Errors
    /// As [`Running::chunk`] and [`Running::finish`]. How it ended is the caller's to judge.
    pub(crate) async fn output(mut self) -> Result<(Exit, Vec<u8>)> {
        let mut output = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            output.extend_from_slice(&chunk);
        }
        Ok((self.finish().await?, output))
    }

    /// Waits until it has ended by itself, then ends what it left behind.
    ///
    /// # Errors
    /// The deadline is over.
    pub(crate) async fn finish(mut self) -> Result<Exit> {
        let group = self.group.0;
        let ended = spawn_blocking(move || wait_unreaped(group));
        match timeout_at(self.deadline, ended).await {
            Ok(Ok(Ok(()))) => {}
            Ok(_) => return Err(Error::unavailable(format!("{} was lost sight of", self.name))),
            Err(_) => return Err(late()),
        }
        // Still unreaped, so the number of the group cannot have become another's.
        self.group.kill();
        let status = self.child.wait().await.map_err(|error| self.broken(&error))?;
        let stderr = timeout_at(self.deadline, self.stderr).await.ok().and_then(Result::ok);
        let stderr = String::from_utf8_lossy(&stderr.unwrap_or_default()).into_owned();
        Ok(Exit { status, stderr })
    }

    fn broken(&self, error: &io::Error) -> Error {
        tracing::error!(%error, "reading from {}", self.name);
        Error::unavailable(format!("the output of {} cannot be read", self.name))
    }
}

impl Exit {
    pub(crate) fn is_success(&self) -> bool {
        self.status.success()
    }

    /// The exit code, unless a signal ended it.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Whether a limit of the kernel ended it or, as git says it, one of its helpers: of file size, or of processor time.
    pub(crate) fn hit_limit(&self) -> Option<Limit> {
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
    pub(crate) fn stderr(&self) -> &str {
        &self.stderr
    }
}

/// A limit of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
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
