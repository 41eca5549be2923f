//! The servers that are measured, as child processes.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::command::command;

/// A running server. Ended when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From the start of the process to the first answer that could have been had.
    pub(crate) started: Duration,
}

impl Running {
    /// quipu on a data directory, fetching from `goproxy` and vouching for itself unless `gosumdb` names a database.
    pub(crate) fn quipu(program: &Path, data: &Path, goproxy: &str, gosumdb: &str) -> Self {
        Self::quipu_with(program, data, (goproxy, gosumdb), &[])
    }

    /// The same with more arguments.
    pub(crate) fn quipu_with(
        program: &Path,
        data: &Path,
        (goproxy, gosumdb): (&str, &str),
        more: &[&str],
    ) -> Self {
        let mut command = command(program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--name", "bench.example", "--drain-seconds", "1"]);
        command.args(["--goproxy", goproxy, "--gosumdb", gosumdb, "--log-level", "warn"]).args(more);
        command.arg("--data").arg(data).stderr(log(data));
        Self::spawn(command, |line| line.strip_prefix("export GOPROXY=http://").map(str::to_owned))
    }

    /// x/mod's server with a log in memory, of the kind `test` or `lean`.
    pub(crate) fn refserver(program: &Path, records: u64, kind: &str, dir: &Path) -> Self {
        let mut command = Command::new(program);
        command.args(["-log", kind, "-records", &records.to_string()]).stderr(log(&dir.join(kind)));
        // It ends with its standard input, which the child's handle keeps open.
        command.stdin(Stdio::piped());
        Self::spawn(command, |line| {
            line.strip_prefix("http://").and_then(|line| line.split(' ').next()).map(str::to_owned)
        })
    }

    /// nginx serving the files under `root`, set up for speed.
    pub(crate) fn nginx(dir: &Path, root: &Path) -> Self {
        let dir = dir.join("nginx");
        fs::create_dir_all(&dir).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        fs::write(dir.join("nginx.conf"), nginx_conf(&dir, address, root)).unwrap();
        let mut command = Command::new(nginx_program());
        command
            .arg("-p")
            .arg(&dir)
            .arg("-c")
            .arg(dir.join("nginx.conf"))
            .arg("-e")
            .arg(dir.join("error.log"));
        let begun = Instant::now();
        let child = command.stdout(Stdio::null()).stderr(log(&dir)).spawn().expect("nginx does not start");
        while TcpStream::connect(address).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "nginx does not answer: see {}",
                dir.display()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, address, started: begun.elapsed() }
    }

    /// Starts a program and waits for the line that says where it listens.
    fn spawn(mut command: Command, address: impl Fn(&str) -> Option<String>) -> Self {
        let begun = Instant::now();
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| address(&line.unwrap()));
        let address = address.unwrap_or_else(|| panic!("{command:?} ended before it served"));
        let address = address.parse().unwrap();
        drop(TcpStream::connect(address).unwrap());
        let started = begun.elapsed();
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address, started }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Processor time of the process and its children so far, in steps of 10 ms.
    pub(crate) fn cpu(&self) -> Duration {
        family(self.child.id()).iter().map(|pid| cpu_of(*pid)).sum()
    }

    /// Memory in use now and at most, in megabytes.
    pub(crate) fn memory(&self) -> (f64, f64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let of = |name| {
            let line = status.lines().find_map(|line: &str| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
        };
        (of("VmRSS:"), of("VmHWM:"))
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

fn log(beside: &Path) -> fs::File {
    fs::File::create(beside.with_extension("log")).unwrap()
}

/// Debian keeps it where not everybody looks.
fn nginx_program() -> PathBuf {
    let known = PathBuf::from("/usr/sbin/nginx");
    if known.exists() { known } else { PathBuf::from("nginx") }
}

fn nginx_conf(dir: &Path, address: SocketAddr, root: &Path) -> String {
    let (dir, root) = (dir.display(), root.display());
    let user = if rustix::process::getuid().is_root() { "user root;\n" } else { "" };
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("  {name}_temp_path {dir}/{name};\n"))
        .concat();
    format!(
        "{user}daemon off;\nworker_processes auto;\npid {dir}/nginx.pid;\nerror_log {dir}/error.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n{temp}  access_log off;\n  sendfile on;\n  tcp_nopush on;\n  tcp_nodelay on;\n\
         \x20 keepalive_requests 1000000000;\n  open_file_cache max=20000 inactive=1h;\n  open_file_cache_valid 1h;\n\
         \x20 types {{ application/zip zip; application/json info; text/plain mod; }}\n\
         \x20 default_type application/octet-stream;\n\
         \x20 server {{\n    listen {address};\n    root {root};\n\
         \x20   add_header Cache-Control \"public, max-age=31536000, immutable\";\n  }}\n}}\n"
    )
}

/// The process and its children.
fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).chain([pid]).collect()
}

fn cpu_of(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything; the times are the 14th and 15th fields.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|text| text.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
