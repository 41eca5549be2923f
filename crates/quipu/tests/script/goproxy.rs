//! Somebody else's module proxy: github.com/goproxy/goproxy, built by `tools/test` into the directory `QUIPU_INTEROP`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::daemon::{Daemon, free_address};
use crate::program::command;

/// A running goproxy.
pub(crate) struct Goproxy {
    _daemon: Daemon,
    pub(crate) url: String,
}

impl Goproxy {
    /// Starts it on a port of its own, with what the go command has in its environment; `None` where it is not built.
    /// It caches in `goproxy-cache` and writes to `goproxy.log`, both in `work`.
    pub(crate) fn start(
        work: &Path,
        env: &BTreeMap<String, String>,
        flags: &[&str],
    ) -> Result<Option<Self>, String> {
        let program = std::env::var_os("QUIPU_INTEROP").map(|built| PathBuf::from(built).join("goproxy"));
        let Some(program) = program.filter(|program| program.exists()) else { return Ok(None) };
        let address = free_address()?;
        let mut command = command(&program.display().to_string(), env);
        command
            .args(["server", "--cacher-dir", "goproxy-cache", "--address", &address.to_string()])
            .args(flags)
            .current_dir(work);
        let daemon = Daemon::start(&mut command, address, &work.join("goproxy.log"))?;
        Ok(Some(Self { _daemon: daemon, url: format!("http://{address}") }))
    }
}
