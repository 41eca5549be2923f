//! The program as a command.

use std::path::Path;
use std::process::Command;

/// The program without the settings of whoever runs the tests.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("QUIPU_") || name.starts_with("GO") {
            command.env_remove(name);
        }
    }
    command
}
