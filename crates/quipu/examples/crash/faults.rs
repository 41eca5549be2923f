//! Every write-class system call of one append fails once: with EIO, with ENOSPC, or by the death of the process.
//!
//! Twice over, kind of call by kind of call: first in the log's writer thread alone, which stores, guards and signs; then in
//! all threads of the process. (strace counts calls for each kind and each thread.)

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::mirror::Seen;
use super::support::{Http, Server};
use super::{Run, finish, on_path};

/// What changes files. `openat` only where it creates does not exist as a filter: all of them are taken.
const CALLS: [&str; 13] = [
    "write",
    "pwrite64",
    "writev",
    "fdatasync",
    "fsync",
    "sync_file_range",
    "ftruncate",
    "fallocate",
    "rename",
    "renameat2",
    "linkat",
    "unlink",
    "openat",
];

const FAULTS: [&str; 3] = ["error=EIO", "error=ENOSPC", "signal=KILL"];

/// No append makes more calls of one kind than this.
const MOST: u32 = 40;

/// How long the sweep over the whole process may go on.
const BUDGET: Duration = Duration::from_secs(240);

/// Sweeps; returns how many faults were survived, and how many were not.
pub(crate) fn run(mut run: Run) -> (u32, u32) {
    if !on_path("strace") {
        println!("NO STRACE: failing system calls are NOT tested");
        return (0, 1);
    }
    let started = Instant::now();
    let mut passed = 0;
    let kinds = [true, false].into_iter().flat_map(|writer_only| CALLS.map(|call| (writer_only, call)));
    for (writer_only, call) in kinds {
        for fault in FAULTS {
            if !writer_only && started.elapsed() > BUDGET {
                println!(
                    "{} s are over: the rest of the sweep is left out (from {call} {fault} on)",
                    BUDGET.as_secs()
                );
                finish(&run, 0);
                return (passed, 0);
            }
            match sweep(&mut run, writer_only, call, fault) {
                Ok(injected) => passed += injected,
                Err(why) => {
                    println!("{why}");
                    finish(&run, 1);
                    return (passed, 1);
                }
            }
        }
    }
    finish(&run, 0);
    (passed, 0)
}

/// The first call fails, then the second, … until an append makes no more of them.
fn sweep(run: &mut Run, writer_only: bool, call: &str, fault: &str) -> Result<u32, String> {
    let whom = if writer_only { "writer" } else { "process" };
    for nth in 1..=MOST {
        let place = || format!("{whom}, {call} number {nth}, {fault}");
        if !one(run, writer_only, &format!("inject={call}:{fault}:when={nth}"))
            .map_err(|why| format!("{}: {why}", place()))?
        {
            if nth > 1 {
                println!("{whom}: {fault} at each of {} calls of {call}", nth - 1);
            }
            return Ok(nth - 1);
        }
    }
    println!("{whom}: {fault} at each of the first {MOST} calls of {call}");
    Ok(MOST)
}

/// One append with a fault; says whether the fault came up.
fn one(run: &mut Run, writer_only: bool, inject: &str) -> Result<bool, String> {
    let mut server = run.examine()?;
    let trace = run.dir.join("trace");
    let mut strace = attach(&server, writer_only, inject, &trace)?;
    let n = run.random.next();
    let mut seen = Seen::default();
    if let Ok((200, body)) = Http::new(&server.url).get(&format!("/lookup/fault.test/m@v1.0.{n}")) {
        seen.lookup(&body).ok_or("a malformed lookup answer")?;
    }
    server.kill();
    let _ = strace.wait();
    run.mirror.take(seen)?;
    let text = fs::read_to_string(&trace).unwrap_or_default();
    // A killed process writes no mark of the injection: the call without a result is it.
    Ok(text.contains("INJECTED") || text.contains("= ?") && inject.contains("signal="))
}

/// Attaches strace and waits until it is there.
fn attach(server: &Server, writer_only: bool, inject: &str, trace: &PathBuf) -> Result<Child, String> {
    let process = server.child.id();
    let mut strace = Command::new("strace");
    if writer_only {
        let thread = writer_thread(process).ok_or("there is no thread quipu-writer")?;
        strace.args(["-p", &thread]);
    } else {
        strace.args(["-f", "-p", &process.to_string()]);
    }
    let call = inject.split(['=', ':']).nth(1).unwrap_or_default();
    strace.args(["-e", &format!("trace={call}"), "-e", inject, "-o"]).arg(trace);
    let mut child = strace.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    if !line.contains("attached") {
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("STRACE CANNOT ATTACH, failing system calls are NOT tested: {line}"));
    }
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    Ok(child)
}

/// A thread gives itself its name once it runs, so it may take a moment to be found.
fn writer_thread(process: u32) -> Option<String> {
    let named = |task: &fs::DirEntry| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == "quipu-writer")
    };
    (0..200).find_map(|_| {
        let tasks = fs::read_dir(format!("/proc/{process}/task")).ok()?;
        let found = tasks.flatten().find(named);
        if found.is_none() {
            std::thread::sleep(Duration::from_millis(10));
        }
        found?.file_name().into_string().ok()
    })
}
