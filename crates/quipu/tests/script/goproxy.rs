//! Somebody else's module proxy: github.com/goproxy/goproxy, built by `tools/test` into the directory `QUIPU_INTEROP`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread::sleep;
use std::time::Duration;

use crate::program::command;

/// A running goproxy. Killed when dropped.
pub(crate) struct Goproxy {
    child: Child,
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
        let free = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        let address = free.local_addr().map_err(|e| e.to_string())?;
        drop(free);
        let log = work.join("goproxy.log");
        let mut command = command(&program.display().to_string(), env);
        command
            .args(["server", "--cacher-dir", "goproxy-cache", "--address", &address.to_string()])
            .args(flags)
            .current_dir(work)
            .stderr(File::create(&log).map_err(|e| e.to_string())?);
        let child = command.spawn().map_err(|e| format!("{}: {e}", program.display()))?;
        let goproxy = Self { child, url: format!("http://{address}") };
        for _ in 0..1000 {
            if TcpStream::connect(address).is_ok() {
                return Ok(Some(goproxy));
            }
            sleep(Duration::from_millis(10));
        }
        Err(format!("goproxy does not listen:\n{}", fs::read_to_string(log).unwrap_or_default()))
    }
}

impl Drop for Goproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
