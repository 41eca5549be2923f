//! What the go command is set to here.

use std::env;
use std::process::Command;

/// The value of a Go variable: the environment's, else what `go env` says (`go env -w` may have set it), if there is
/// a go command. None if it is empty.
pub(crate) fn go_env(name: &str) -> Option<String> {
    let value = env::var(name).ok().filter(|value| !value.is_empty()).or_else(|| ask_go(name))?;
    let value = value.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

fn ask_go(name: &str) -> Option<String> {
    let output = Command::new("go").args(["env", name]).output().ok()?;
    String::from_utf8(output.stdout).ok().filter(|_| output.status.success())
}
