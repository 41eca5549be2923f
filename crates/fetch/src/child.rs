//! Programs that others wrote, run so that they can do little harm: with nothing of this program's environment, with limits
//! that the kernel holds, and in a process group that ends as a whole.

pub(crate) mod running;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use tokio::process::Command;

use crate::error::{Error, Result};
use crate::places::Place;
use running::Running;

/// What the kernel lets each process use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Largest file that it may write, in bytes.
    pub(crate) file_bytes: u64,
    /// Most processor time, in seconds.
    pub(crate) cpu_seconds: u64,
    /// Most address space, in bytes.
    pub(crate) memory_bytes: u64,
    /// Most processes and threads of this user, for it to start another; `None`: as for this program.
    pub(crate) processes: Option<u64>,
    /// Most files that it may have open; `None`: as for this program.
    pub(crate) open_files: Option<u64>,
}

/// How long one run may take, and most bytes that it may print.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) stdout: u64,
    pub(crate) deadline: Duration,
}

/// An installed program.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// What it is called in errors.
    name: &'static str,
    path: PathBuf,
    /// Sets the limits before it begins; `None` where that is not installed.
    prlimit: Option<PathBuf>,
}

impl Program {
    /// Looks for `file` on `search`, a list like the variable PATH; `name` is what it is called in errors.
    pub(crate) fn find(file: &str, name: &'static str, search: &OsStr) -> Option<Self> {
        Some(Self { name, path: find(file, search)?, prlimit: find("prlimit", search) })
    }

    /// Whether the kernel limits it.
    pub(crate) fn is_limited(&self) -> bool {
        self.prlimit.is_some()
    }

    /// The program with an empty environment, below `prlimit`, which becomes it: there is no process between.
    pub(crate) fn command(&self, limits: &Limits) -> Command {
        let mut command = match &self.prlimit {
            None => Command::new(&self.path),
            Some(prlimit) => {
                let mut command = Command::new(prlimit);
                command.arg("--core=0").args(limits.arguments()).arg("--").arg(&self.path);
                command
            }
        };
        command.env_clear();
        command
    }

    /// Starts what [`Program::command`] has begun; it reads `stdin`, and `place` is given back at its end.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(
        &self,
        mut command: Command,
        stdin: Bytes,
        bounds: Bounds,
        place: Option<Place>,
    ) -> Result<Running> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let child = command.spawn().map_err(|error| {
            tracing::error!(%error, "cannot start {}", self.name);
            Error::unavailable(format!("{} cannot be started", self.name))
        })?;
        Running::new(self.name, child, stdin, bounds, place)
    }
}

impl Limits {
    fn arguments(&self) -> impl Iterator<Item = String> {
        let fixed =
            [("fsize", self.file_bytes), ("cpu", self.cpu_seconds), ("as", self.memory_bytes)].map(Some);
        let processes = self.processes.map(|most| ("nproc", most));
        let open_files = self.open_files.map(|most| ("nofile", most));
        let all = fixed.into_iter().chain([processes, open_files]).flatten();
        all.map(|(limit, most)| format!("--{limit}={most}"))
    }
}

/// The first executable of this name. Relative elements would depend on where this runs.
fn find(name: &str, search: &OsStr) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let is_program = |path: &PathBuf| {
        std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    let directories = std::env::split_paths(search).filter(|directory| directory.is_absolute());
    directories.map(|directory| directory.join(name)).find(is_program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_on_absolute_paths_only() {
        let at = |path: &str| find("sh", OsStr::new(path));
        assert_eq!(at("/nonexistent:/bin"), Some("/bin/sh".into()));
        assert_eq!(at("bin:../../../../../../bin"), None);
    }

    #[test]
    fn only_limits_that_are_given_are_set() {
        let limits =
            Limits { file_bytes: 1, cpu_seconds: 2, memory_bytes: 3, processes: None, open_files: Some(4) };
        let arguments: Vec<String> = limits.arguments().collect();
        assert_eq!(arguments, ["--fsize=1", "--cpu=2", "--as=3", "--nofile=4"]);
    }
}
