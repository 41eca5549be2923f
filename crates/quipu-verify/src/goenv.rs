//! What the go command is set to here.

use std::collections::HashMap;
use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use quipu_module::Patterns;

/// The value of a Go variable: the environment's, else what `go env` says (`go env -w` may have set it), if there is
/// a go command. None if it is empty.
pub(crate) fn go_env(name: &str) -> Option<String> {
    let value = env::var(name).ok().filter(|value| !value.is_empty()).or_else(|| ask_go(name))?;
    let value = value.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// The modules that GONOSUMDB or GONOPROXY, by default GOPRIVATE, keep from databases or proxies.
pub(crate) fn kept_from(name: &str) -> Patterns {
    Patterns::new(&go_env(name).or_else(|| go_env("GOPRIVATE")).unwrap_or_default())
}

/// A go command that can only tell its settings: run in the root directory and without other toolchains, so that no
/// project makes it fetch or run anything. None if there is none.
pub(crate) fn settings_command() -> Option<Command> {
    let mut command = Command::new(find_go()?);
    command.current_dir("/").env("GOTOOLCHAIN", "local").stdin(Stdio::null()).arg("env");
    Some(command)
}

/// The go command in an absolute directory of PATH: one that lies in the current directory is nobody's.
pub(crate) fn find_go() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let named = |dir: PathBuf| dir.join(format!("go{}", env::consts::EXE_SUFFIX));
    env::split_paths(&path).filter(|dir| dir.is_absolute()).map(named).find(|file| file.is_file())
}

/// Starting the go command takes longer than much of what this program does, so it is asked once for all.
fn ask_go(name: &str) -> Option<String> {
    static KNOWN: OnceLock<HashMap<String, String>> = OnceLock::new();
    debug_assert!(ASKED.contains(&name), "{name} is not asked for");
    KNOWN.get_or_init(|| ask_go_for_all().unwrap_or_default()).get(name).cloned()
}

fn ask_go_for_all() -> Option<HashMap<String, String>> {
    let output = settings_command()?.arg("-json").args(ASKED).output().ok()?;
    serde_json::from_slice(&output.stdout).ok().filter(|_| output.status.success())
}

const ASKED: [&str; 6] = ["GOMODCACHE", "GONOPROXY", "GONOSUMDB", "GOPRIVATE", "GOPROXY", "GOSUMDB"];
