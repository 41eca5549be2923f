//! The real `go` command, fetching from repositories on this disk as if they were on a well-known host.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::go_import::{Import, serve};
use super::ours::{HOST, TELLING};

/// A directory that stands for the host of the repositories, and the paths of others that lead there.
pub(crate) struct Site<'a> {
    pub(crate) directory: &'a Path,
    pub(crate) imports: &'a [Import],
}

/// A `go` with caches of its own.
pub(crate) struct Go {
    directory: tempfile::TempDir,
}

/// What `go mod download -json` says of a version.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Download {
    pub(crate) path: String,
    pub(crate) version: String,
    pub(crate) error: Option<String>,
    pub(crate) info: Option<PathBuf>,
    pub(crate) go_mod: Option<PathBuf>,
    pub(crate) sum: Option<String>,
}

impl Go {
    /// `None`, and a word about it, without `go` on this machine.
    pub(crate) fn find() -> Option<Self> {
        if Command::new("go").arg("version").output().is_err() {
            // Past the harness, which shows nothing of what a passing test prints.
            let _ = writeln!(std::io::stderr(), "SKIPPED: no go command here");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        // A shallow history makes the base of a pseudo-version depend on what was asked for before; a complete one
        // gives what is meant.
        let git = directory.path().join("git");
        let path = std::env::var("PATH").unwrap();
        let script = format!(
            "#!/bin/sh\nPATH='{path}'\nfor a; do shift; [ \"$a\" = --depth=1 ] || set -- \"$@\" \"$a\"; done\nexec git \"$@\"\n"
        );
        std::fs::write(&git, script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&git, mode).unwrap();
        Some(Self { directory })
    }

    /// Downloads all `queries` (`path@query`).
    pub(crate) fn download(&self, site: &Site<'_>, queries: &[String]) -> Vec<Download> {
        let output = self.command(site).args(["mod", "download", "-json"]).args(queries).output();
        let output = output.unwrap();
        let answers = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Download>();
        let answers: Vec<Download> = answers.map(|answer| answer.unwrap()).collect();
        assert_eq!(answers.len(), queries.len(), "{}", String::from_utf8_lossy(&output.stderr));
        answers
    }

    /// The versions of modules, as `go list` has them; `None` for one that has an error instead.
    pub(crate) fn list<'m>(
        &self,
        site: &Site<'_>,
        modules: impl ExactSizeIterator<Item = &'m str>,
    ) -> Vec<Option<Vec<String>>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Listed {
            #[serde(default)]
            versions: Vec<String>,
            error: Option<serde_json::Value>,
        }
        let mut command = self.command(site);
        let count = modules.len();
        command.args(["list", "-m", "-e", "-versions", "-retracted", "-json"]);
        command.args(modules.map(|module| format!("{module}@latest")));
        let output = command.output().unwrap();
        let answers = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Listed>();
        let answers = answers.map(|answer| answer.unwrap());
        let answers: Vec<_> = answers.map(|a| a.error.is_none().then_some(a.versions)).collect();
        assert_eq!(answers.len(), count, "{}", String::from_utf8_lossy(&output.stderr));
        answers
    }

    fn command(&self, site: &Site<'_>) -> Command {
        let Site { directory, imports } = site;
        let own = self.directory.path();
        let path = format!("{}:{}", own.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("go");
        command.current_dir(own).env_clear().env("PATH", path).env("HOME", own).env("GOPATH", own.join("go"));
        command.envs([("GOPROXY", "direct"), ("GOSUMDB", "off"), ("GOENV", "off"), ("GOTOOLCHAIN", "local")]);
        command.envs([
            ("GOFLAGS", "-modcacherw"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ]);
        command.env("GOCACHE", own.join("cache")).env("GIT_CONFIG_COUNT", "1");
        command.env("GIT_CONFIG_KEY_0", format!("url.file://{}/.insteadOf", directory.display()));
        command.env("GIT_CONFIG_VALUE_0", format!("https://{HOST}/"));
        let proxy = serve(imports);
        command.env("GOINSECURE", TELLING).env("HTTP_PROXY", &proxy).env("HTTPS_PROXY", &proxy);
        command
    }
}
