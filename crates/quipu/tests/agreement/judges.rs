//! The verifiers.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::log;
use crate::support::command;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted,
    Refused,
}

/// Programs that check what a server says.
pub(crate) struct Judges {
    /// Where `gosumcheck` and `fsck` are.
    interop: PathBuf,
    ours: PathBuf,
    dir: TempDir,
}

impl Judges {
    /// None, said loudly, if they are not here.
    pub(crate) fn find() -> Option<Self> {
        let Some(interop) = std::env::var_os("QUIPU_INTEROP").map(PathBuf::from) else {
            // Past the harness, which shows nothing of what a passing test prints.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: QUIPU_INTEROP names no directory with gosumcheck and fsck (tools/test builds them)"
            );
            return None;
        };
        let ours = Path::new(env!("CARGO_BIN_EXE_quipu")).with_file_name("quipu-verify");
        assert!(ours.exists(), "{} is not built: cargo build -p quipu-verify-cli", ours.display());
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("log.pub"), format!("{}\n", log::key())).unwrap();
        Some(Self { interop, ours, dir })
    }

    /// The client of the go command, which remembers nothing between runs.
    pub(crate) fn go(&self, url: &str, go_sum: &Path) -> Verdict {
        let mut gosumcheck = command(&self.interop.join("gosumcheck"));
        gosumcheck.args(["-k", &log::key().to_string(), "-u", url]).arg(go_sum);
        // It prints each line that it refuses, and nothing of the others.
        judge(&mut gosumcheck, |out, _| out.is_empty())
    }

    /// Our own, remembering nothing either.
    pub(crate) fn ours(&self, url: &str, records: &[u64]) -> Verdict {
        let state = tempfile::tempdir().unwrap();
        let refused = records.iter().any(|n| {
            let (path, version) = log::module(*n);
            let mut lookup = command(&self.ours);
            lookup.args(["lookup", "--db", &format!("{} {url}", log::key()), "--state"]).arg(state.path());
            lookup.arg(format!("{path}@{version}"));
            let output = lookup.output().unwrap();
            !output.status.success()
                || !String::from_utf8(output.stdout).unwrap().starts_with(&log::lines(*n))
        });
        if refused { Verdict::Refused } else { Verdict::Accepted }
    }

    /// Our own, of the whole log. It remembers what it audited before, so that the log is followed as it grows.
    pub(crate) fn audit(&self, url: &str) -> Verdict {
        let mut audit = command(&self.ours);
        audit.args(["audit", "--db", &format!("{} {url}", log::key()), "--state"]).arg(self.dir.path());
        judge(&mut audit, |out, _| out.starts_with("good: "))
    }

    /// The whole tree of the C2SP view.
    pub(crate) fn fsck(&self, url: &str) -> Verdict {
        let key = self.dir.path().join("log.pub");
        let mut fsck = command(&self.interop.join("fsck"));
        fsck.args(["--ui=false", "--N=8", &format!("--storage_url={url}/")]);
        fsck.arg(format!("--public_key={}", key.display()));
        judge(&mut fsck, |_, err| err.contains("Successfully fsck'd log"))
    }
}

/// Neither program says by its exit code what it found.
fn judge(command: &mut Command, accepted: impl Fn(&str, &str) -> bool) -> Verdict {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if std::env::var_os("QUIPU_INTEROP_SHOW").is_some() {
        eprintln!("{command:?}: {}\n{out}{err}", output.status);
    }
    if output.status.success() && accepted(&out, &err) { Verdict::Accepted } else { Verdict::Refused }
}
