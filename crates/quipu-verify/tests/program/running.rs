//! A program that goes on running while a test looks at what it says.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::log::key;
use crate::run::program;
use crate::site::Site;

/// A running monitor. Ends with the test.
pub(crate) struct Running {
    child: Child,
    out: Arc<Mutex<Vec<String>>>,
    err: Arc<Mutex<Vec<String>>>,
}

/// The arguments of a monitor of a site.
pub(crate) fn of(site: &Site) -> Vec<String> {
    let database = format!("{} {}", key(), site.url());
    ["monitor", "--every", "1", "--timeout", "2", "--db", &database].map(str::to_owned).to_vec()
}

impl Running {
    /// Starts a monitor of a site, with its state in a directory.
    pub(crate) fn start(state: &Path, site: &Site, more: &[&str]) -> Self {
        let mut command = program(state);
        command.args(of(site)).args(more).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (out, err) = (collect(child.stdout.take().unwrap()), collect(child.stderr.take().unwrap()));
        Self { child, out, err }
    }

    /// Starts one, and waits until it has seen the head.
    pub(crate) fn started(state: &Path, site: &Site, more: &[&str]) -> Self {
        let running = Self::start(state, site, more);
        running.until("a first round", |_| memory(state).is_some());
        running
    }

    pub(crate) fn out(&self) -> Vec<String> {
        self.out.lock().unwrap().clone()
    }

    pub(crate) fn err(&self) -> String {
        self.err.lock().unwrap().join("\n")
    }

    /// Stdout as JSON, line by line.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.out().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The kinds of the events on stdout.
    pub(crate) fn kinds(&self) -> Vec<String> {
        self.events().iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until something is so; long, since a busy machine takes its time.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            let (out, err) = (self.out(), self.err());
            assert!(began.elapsed() < Duration::from_secs(120), "no {what}: {out:#?}\n{err}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Memory that the program has in use now, in KiB.
    pub(crate) fn memory_in_use(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Waits for the end; gives the exit code, none after a signal that kills.
    pub(crate) fn ends(&mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // What it wrote last is read by then.
                thread::sleep(Duration::from_millis(100));
                return status.code();
            }
            assert!(began.elapsed() < Duration::from_secs(30), "does not end: {}", self.err());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks it to end, which must succeed.
    pub(crate) fn stop(mut self) -> Self {
        self.signal("-TERM");
        assert_eq!(self.ends(), Some(0), "{}", self.err());
        self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the monitor remembers.
pub(crate) fn memory(state: &Path) -> Option<Value> {
    let text = std::fs::read(state.join("state/sum.example.test/monitor.json")).ok()?;
    Some(serde_json::from_slice(&text).unwrap())
}

fn collect(stream: impl Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let all = lines.clone();
    thread::spawn(move || {
        BufReader::new(stream).lines().map_while(Result::ok).for_each(|line| all.lock().unwrap().push(line));
    });
    lines
}
