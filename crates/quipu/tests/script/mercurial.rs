//! A Mercurial repository: the real `hg serve`.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// A running `hg serve`. Killed when dropped.
pub(crate) struct Mercurial {
    child: Child,
    pub(crate) url: String,
}

impl Mercurial {
    /// Serves the repository `hg` in `work` on a port of its own, and writes there what it was asked to `hg.log`; `None`
    /// where there is no hg.
    pub(crate) fn start(work: &Path) -> Result<Option<Self>, String> {
        let search = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&search).any(|directory| directory.join("hg").is_file()) {
            return Ok(None);
        }
        let free = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        let address = free.local_addr().map_err(|e| e.to_string())?;
        drop(free);
        let said = work.join("hg.said");
        let file = File::create(&said).map_err(|e| e.to_string())?;
        let child = Command::new("hg")
            .args(["serve", "--address", "127.0.0.1", "--port", &address.port().to_string()])
            .args(["--accesslog", "hg.log", "--repository", "hg"])
            .current_dir(work)
            .env("HGRCPATH", "")
            .stdin(Stdio::null())
            .stdout(file.try_clone().map_err(|e| e.to_string())?)
            .stderr(file)
            .spawn()
            .map_err(|e| format!("hg: {e}"))?;
        let mercurial = Self { child, url: format!("http://{address}") };
        for _ in 0..2000 {
            if TcpStream::connect(address).is_ok() {
                return Ok(Some(mercurial));
            }
            sleep(Duration::from_millis(10));
        }
        Err(format!("hg does not listen:\n{}", fs::read_to_string(said).unwrap_or_default()))
    }
}

impl Drop for Mercurial {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
