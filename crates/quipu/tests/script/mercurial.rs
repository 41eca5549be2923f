//! A Mercurial repository: the real `hg serve`.

use std::path::Path;
use std::process::Command;

use crate::daemon::{Daemon, free_address};

/// A running `hg serve`.
pub(crate) struct Mercurial {
    _daemon: Daemon,
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
        let address = free_address()?;
        let mut command = Command::new("hg");
        command
            .args(["serve", "--address", "127.0.0.1", "--port", &address.port().to_string()])
            .args(["--accesslog", "hg.log", "--repository", "hg"])
            .current_dir(work)
            .env("HGRCPATH", "");
        let daemon = Daemon::start(&mut command, address, &work.join("hg.said"))?;
        Ok(Some(Self { _daemon: daemon, url: format!("http://{address}") }))
    }
}
