//! What the go command is set to: asked of itself, or read from the environment where there is none.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quipu_module::{Patterns, ProxyList, ProxyTarget, SumDatabase, SumDb};
use tokio::process::Command;

use super::text::host_of;
use crate::goenv::settings_command;

/// The settings, and the go command that has them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    values: BTreeMap<String, String>,
    /// Why there are no answers of a go command; none if there are.
    pub(crate) no_go: Option<String>,
    /// Hosts of the proxies that this go command asks when nobody set any.
    pub(crate) built_in_proxies: Vec<String>,
    pub(crate) home: Option<PathBuf>,
}

impl Settings {
    /// Reads the settings of this machine. The go command is run in the root directory, where no project can make it
    /// do anything, and only to print its settings.
    pub(crate) async fn read() -> Self {
        let home = env::var_os("HOME").map(PathBuf::from);
        let written = written_file().map(|file| parse_env_file(&read_text(&file))).unwrap_or_default();
        let (answers, no_go) = match ask_go().await {
            Ok(answers) => (answers, None),
            Err(why) => (BTreeMap::new(), Some(why)),
        };
        let from_env = NAMES.iter().filter_map(|name| Some(((*name).to_owned(), env::var(name).ok()?)));
        let from_env: BTreeMap<_, _> = from_env.filter(|(_, value)| !value.is_empty()).collect();
        let mut values = written.clone();
        values.extend(from_env.clone());
        values.extend(answers);
        let root = values.get("GOROOT").map(|root| Path::new(root).join("go.env"));
        let built_in = root.map(|file| parse_env_file(&read_text(&file))).unwrap_or_default();
        // It was overridden when go was asked, so that go asks for no other go.
        let toolchain = [&from_env, &written, &built_in].into_iter().find_map(|from| from.get("GOTOOLCHAIN"));
        values.insert("GOTOOLCHAIN".to_owned(), toolchain.cloned().unwrap_or_default());
        let built_in_proxies = hosts_in(built_in.get("GOPROXY").map_or("", String::as_str));
        Self { values, no_go, built_in_proxies, home }
    }

    /// Settings with these values.
    #[cfg(test)]
    pub(crate) fn of(values: &[(&str, &str)]) -> Self {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let built_in_proxies = vec!["mirror.public".to_owned()];
        Self { values, built_in_proxies, ..Self::default() }
    }

    /// The value of a variable; empty if it has none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.values.get(name).map_or("", |value| value.trim())
    }

    /// The proxies; none if nobody named any, and go knows its own.
    ///
    /// # Errors
    /// The list is malformed.
    pub(crate) fn proxies(&self) -> Result<Option<ProxyList>, String> {
        let list = Some(self.get("GOPROXY")).filter(|list| !list.is_empty());
        list.map(ProxyList::parse).transpose().map_err(|e| e.to_string())
    }

    /// The database; none if it is off.
    ///
    /// # Errors
    /// The value is malformed.
    pub(crate) fn database(&self) -> Result<Option<SumDatabase>, String> {
        match SumDb::parse(self.get("GOSUMDB")).map_err(|e| e.to_string())? {
            SumDb::Database(database) => Ok(Some(database)),
            SumDb::Off => Ok(None),
        }
    }

    /// The modules that the database is not asked about.
    pub(crate) fn no_sum(&self) -> Patterns {
        self.patterns("GONOSUMDB")
    }

    /// The modules that no proxy is asked for.
    pub(crate) fn no_proxy(&self) -> Patterns {
        self.patterns("GONOPROXY")
    }

    /// Where modules and what belongs to them lie.
    pub(crate) fn mod_cache(&self) -> Option<PathBuf> {
        let named = Some(self.get("GOMODCACHE")).filter(|dir| !dir.is_empty()).map(PathBuf::from);
        named.or_else(|| Some(self.go_path()?.join("pkg/mod")))
    }

    /// Where the heads of databases lie, one directory a database.
    pub(crate) fn heads(&self) -> Option<PathBuf> {
        Some(self.go_path()?.join("pkg/sumdb"))
    }

    fn go_path(&self) -> Option<PathBuf> {
        let first = env::split_paths(self.get("GOPATH")).find(|dir| dir.is_absolute());
        first.or_else(|| Some(self.home.as_ref()?.join("go")))
    }

    fn patterns(&self, name: &str) -> Patterns {
        let value = self.get(name);
        Patterns::new(if value.is_empty() { self.get("GOPRIVATE") } else { value })
    }
}

/// Runs `go env -json`, without a switch to another toolchain.
async fn ask_go() -> Result<BTreeMap<String, String>, String> {
    let command = settings_command().ok_or("there is no go command in PATH")?;
    let mut command = Command::from(command);
    // Without names go would also ask the C compiler for its settings.
    command.args(["-json", "GOVERSION"]).args(NAMES).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.map_err(|_| "go env did not end".to_owned())?.map_err(|e| format!("go env: {e}"))?;
    let values: Option<BTreeMap<String, serde_json::Value>> = serde_json::from_slice(&output.stdout).ok();
    let values = values.filter(|_| output.status.success()).ok_or("go env printed no settings")?;
    let text = |value: serde_json::Value| value.as_str().map(str::to_owned);
    let answers: BTreeMap<_, _> = values.into_iter().filter_map(|(k, v)| Some((k, text(v)?))).collect();
    Ok(answers.into_iter().filter(|(_, value)| !value.is_empty()).collect())
}

/// The file that `go env -w` writes to.
fn written_file() -> Option<PathBuf> {
    match env::var_os("GOENV") {
        Some(off) if off == "off" => None,
        Some(file) if !file.is_empty() => Some(PathBuf::from(file)),
        _ => {
            let config = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
            let config = config.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".config")))?;
            Some(config.join("go/env"))
        }
    }
}

fn read_text(file: &Path) -> String {
    let small = fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.len() < MAX_FILE);
    if small { fs::read_to_string(file).unwrap_or_default() } else { String::new() }
}

/// Lines `NAME=value`; others are passed over, as go does.
fn parse_env_file(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let named = lines.filter(|(name, _)| name.starts_with(|c: char| c.is_ascii_uppercase()));
    named.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn hosts_in(list: &str) -> Vec<String> {
    let list = ProxyList::parse(list).ok();
    let entries = list.iter().flat_map(ProxyList::entries);
    entries
        .filter_map(|entry| match &entry.target {
            ProxyTarget::Url(url) => host_of(url.as_str()),
            ProxyTarget::Direct | ProxyTarget::Off => None,
        })
        .collect()
}

/// What is asked of the go command, and read from the environment if there is none.
const NAMES: [&str; 17] = [
    "GOAUTH",
    "GOENV",
    "GOFLAGS",
    "GOINSECURE",
    "GOMODCACHE",
    "GONOPROXY",
    "GONOSUMCHECK",
    "GONOSUMDB",
    "GOPATH",
    "GOPRIVATE",
    "GOPROXY",
    "GOROOT",
    "GOSUMDB",
    "GOTOOLCHAIN",
    "GOVCS",
    "GOWORK",
    "NETRC",
];
const PATIENCE: Duration = Duration::from_secs(30);
const MAX_FILE: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_default_to_goprivate() {
        let settings = Settings::of(&[("GOPRIVATE", "*.corp"), ("GONOPROXY", "none")]);
        assert!(settings.no_sum().matches("git.corp/x"));
        assert!(!settings.no_proxy().matches("git.corp/x"));
    }

    #[test]
    fn a_file_of_settings_is_read_as_go_reads_it() {
        let values = parse_env_file("# GOPROXY=x\nGOSUMDB=a=b c\n gofoo=1\nnothing\n");
        assert_eq!(values.into_iter().collect::<Vec<_>>(), [("GOSUMDB".to_owned(), "a=b c".to_owned())]);
    }
}
