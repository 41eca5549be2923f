//! A program that a story leaves running beside it, and that takes connections.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// A running program. Killed when dropped.
pub(crate) struct Daemon(Child);

impl Daemon {
    /// Starts it, with what it says in the file `said`, and waits until it listens at `address`.
    pub(crate) fn start(command: &mut Command, address: SocketAddr, said: &Path) -> Result<Self, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let file = File::create(said).map_err(|e| e.to_string())?;
        let copy = file.try_clone().map_err(|e| e.to_string())?;
        let child = command.stdin(Stdio::null()).stdout(copy).stderr(file).spawn();
        let daemon = Self(child.map_err(|e| format!("{name}: {e}"))?);
        for _ in 0..2000 {
            if TcpStream::connect(address).is_ok() {
                return Ok(daemon);
            }
            sleep(Duration::from_millis(10));
        }
        Err(format!("{name} does not listen:\n{}", fs::read_to_string(said).unwrap_or_default()))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address of this machine at which nobody listens.
pub(crate) fn free_address() -> Result<SocketAddr, String> {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).map_err(|e| e.to_string())
}
