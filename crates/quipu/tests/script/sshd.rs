//! A real sshd on a port of its own, with its own host key, which lets in one key that is made for it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::daemon::{Daemon, free_address};

/// Where Debian and others have it: it wants to be started by its absolute path.
const PROGRAM: &str = "/usr/sbin/sshd";

/// A running sshd.
pub(crate) struct Sshd {
    _daemon: Daemon,
    /// `ssh://user@host:port`
    pub(crate) url: String,
    /// `host:port`
    pub(crate) host: String,
}

impl Sshd {
    /// Starts it; `None` where there is none. In `work` there are then `id`, the key that it lets in, `other_id`, which it
    /// does not, and `known_hosts` with its own key; `other_hosts` has another key for it, `no_hosts` none.
    pub(crate) fn start(work: &Path) -> Result<Option<Self>, String> {
        if !Path::new(PROGRAM).exists() {
            return Ok(None);
        }
        for key in ["id", "other_id", "host_key", "other_host_key"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", key, "-f", key])
                .current_dir(work)
                .status();
            made.map_err(|e| format!("ssh-keygen: {e}"))?
                .success()
                .then_some(())
                .ok_or("ssh-keygen failed")?;
        }
        let address = free_address()?;
        let port = address.port();
        let write = |name: &str, text: String| fs::write(work.join(name), text).map_err(|e| e.to_string());
        let read = |name: &str| fs::read_to_string(work.join(name)).map_err(|e| e.to_string());
        for (file, key) in [("known_hosts", "host_key.pub"), ("other_hosts", "other_host_key.pub")] {
            write(file, format!("[127.0.0.1]:{port} {}", read(key)?))?;
        }
        write("no_hosts", String::new())?;
        write("authorized", read("id.pub")?)?;
        let at = |name: &str| work.join(name).display().to_string();
        let settings = [
            format!("Port {port}"),
            "ListenAddress 127.0.0.1".to_owned(),
            format!("HostKey {}", at("host_key")),
            format!("AuthorizedKeysFile {}", at("authorized")),
            "PidFile none\nUsePAM no\nStrictModes no".to_owned(),
            "PasswordAuthentication no\nKbdInteractiveAuthentication no".to_owned(),
            "PermitRootLogin prohibit-password\nMaxStartups 100\n".to_owned(),
        ];
        write("sshd_config", settings.join("\n"))?;
        // Run by root it wants this directory, which the service makes elsewhere.
        let _ = fs::create_dir("/run/sshd");
        let mut command = Command::new(PROGRAM);
        command.args(["-D", "-e", "-f", &at("sshd_config")]);
        let daemon = Daemon::start(&mut command, address, &work.join("sshd.log"))?;
        let host = address.to_string();
        Ok(Some(Self { _daemon: daemon, url: format!("ssh://{}@{host}", user()?), host }))
    }
}

/// Who runs this, who is whom sshd lets in.
fn user() -> Result<String, String> {
    let output = Command::new("id").arg("-un").output().map_err(|e| format!("id: {e}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
