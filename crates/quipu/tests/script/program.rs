//! Programs that a story runs: `go` and others to their end, the server until it is stopped. All with a time limit.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long any program may take, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);

/// What a program left behind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ended {
    pub(crate) good: bool,
    /// The exit code; none when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A command with nothing in its environment but `env` and what every program needs.
pub(crate) fn command(program: &str, env: &BTreeMap<String, String>) -> Command {
    let mut command = Command::new(find(program));
    command.env_clear();
    for name in ["PATH", "LD_LIBRARY_PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.envs(env);
    command
}

/// The programs under test lie side by side.
pub(crate) fn find(program: &str) -> PathBuf {
    let quipu = Path::new(env!("CARGO_BIN_EXE_quipu"));
    match program {
        "quipu" => quipu.to_owned(),
        "quipu-verify" => {
            let verifier = quipu.with_file_name(program);
            assert!(
                verifier.exists(),
                "{} is not built: cargo build -p quipu-verify-cli",
                verifier.display()
            );
            verifier
        }
        other => other.into(),
    }
}

/// Runs a command to its end. Its output goes through files in `scratch`, so that nothing waits for a reader.
pub(crate) fn run(mut command: Command, scratch: &Path) -> Result<Ended, String> {
    let (out, err) = (scratch.join("stdout"), scratch.join("stderr"));
    command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
    let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let status = wait(&mut child).ok_or_else(|| format!("{command:?}: still running after {LIMIT:?}"))?;
    Ok(Ended { good: status.success(), code: status.code(), stdout: read(&out), stderr: read(&err) })
}

/// The end of a program, or `None` if it had to be killed at the limit.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

/// A running server. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
    /// The lines it printed to paste.
    pub(crate) url: String,
    pub(crate) key: String,
}

impl Server {
    /// Starts a server and waits until it has said how to use it; what it left behind if it ended before. The log of
    /// one story is one file, whatever the number of starts.
    pub(crate) fn start(mut command: Command, scratch: &Path) -> Result<Result<Self, Ended>, String> {
        let (out, log) = (scratch.join("server.stdout"), scratch.join("server.log"));
        let before = read(&log).len();
        let append = OpenOptions::new().create(true).append(true).open(&log).unwrap();
        command.stdout(File::create(&out).unwrap()).stderr(append);
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let start = Instant::now();
        loop {
            let printed = read(&out);
            if let Some((url, key)) = exports(&printed) {
                return Ok(Ok(Self { child, log, url, key }));
            }
            if let Some(status) = child.try_wait().unwrap() {
                let stderr = read(&log)[before..].to_owned();
                return Ok(Err(Ended {
                    good: status.success(),
                    code: status.code(),
                    stdout: printed,
                    stderr,
                }));
            }
            if start.elapsed() > LIMIT {
                child.kill().unwrap();
                child.wait().unwrap();
                return Err(format!("the server does not serve after {LIMIT:?}:\n{}", read(&log)));
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `host:port`
    pub(crate) fn addr(&self) -> &str {
        self.url.split_once("://").map_or("", |(_, addr)| addr)
    }

    /// What it wrote to stderr, earlier starts included.
    pub(crate) fn log(&self) -> String {
        read(&self.log)
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end (SIGTERM) and waits; whether it ended well.
    pub(crate) fn stop(mut self) -> Result<bool, String> {
        let told = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        let ended = wait(&mut self.child).ok_or("the server does not stop")?;
        Ok(told.success() && ended.success())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `kill` and `stop` there is nothing left to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The values of the two lines to paste, once both are there.
fn exports(printed: &str) -> Option<(String, String)> {
    let whole = &printed[..=printed.rfind('\n')?];
    let value = |name: &str| whole.lines().find_map(|line| line.strip_prefix(&format!("export {name}=")));
    Some((value("GOPROXY")?.to_owned(), value("GOSUMDB")?.trim_matches('"').to_owned()))
}

fn read(file: &Path) -> String {
    fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
