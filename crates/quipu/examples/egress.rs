//! Judges what strace saw of a run of the stories: whether anything left this machine, and what the resolver was asked.
//!
//! Run by `tools/egress`: `egress RECORD [--own HOST]… [--inside ADDRESS]… [--pinned HOST]… [--search DOMAIN]…`.
//! The last line counts what passed and failed.
#![expect(clippy::print_stdout, reason = "what it prints is its result")]

#[path = "egress/trace.rs"]
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use trace::{Address, Event};

/// Fewer would mean that nothing was recorded.
const LEAST: usize = 3;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (mut record, mut judge) = (None, Judge::default());
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--own" => judge.own.extend(args.next()),
            "--inside" => judge.inside.extend(args.next()),
            "--pinned" => judge.pinned.extend(args.next()),
            "--search" => judge.search.extend(args.next()),
            _ => record = Some(arg),
        }
    }
    let text = record.and_then(|file| std::fs::read(file).ok());
    let Some(text) = text else {
        println!("the record cannot be read");
        return ExitCode::from(2);
    };
    String::from_utf8_lossy(&text).lines().for_each(|line| judge.see(line));
    ExitCode::from(u8::from(!judge.close()))
}

/// What was seen so far.
#[derive(Default)]
struct Judge {
    /// Hosts of private modules that may be resolved, to be asked themselves.
    own: Vec<String>,
    /// Addresses that lead nowhere but to this machine, because of the network they are used in.
    inside: Vec<String>,
    /// Names that git is given with the address they lead to. That is judged when it connects.
    pinned: Vec<String>,
    /// What this machine's resolver adds to names.
    search: Vec<String>,
    connections: usize,
    programs: usize,
    /// By name: how often the resolver was asked for it.
    asked: BTreeMap<String, usize>,
    /// Processes that are connected to a resolver and have not asked anything yet.
    silent: BTreeSet<u32>,
    faults: BTreeSet<String>,
}

impl Judge {
    fn see(&mut self, line: &str) {
        let Some((pid, events)) = trace::read(line) else { return };
        for event in events {
            match event {
                Event::Connect(address) => self.connect(pid, address),
                Event::Question(name) => {
                    self.silent.remove(&pid);
                    if !self.may_be_asked(&name) {
                        self.faults.insert(format!("the resolver was asked for {name}"));
                    }
                    *self.asked.entry(name).or_default() += 1;
                }
                Event::Address(host) => {
                    self.programs += 1;
                    if !trace::is_here(&host) && !self.inside.contains(&host) && !self.pinned.contains(&host)
                    {
                        self.faults.insert(format!("git or ssh was sent to {host}"));
                    }
                }
            }
        }
    }

    fn connect(&mut self, pid: u32, address: Address) {
        match address {
            Address::Net { port: 53, .. } => {
                self.silent.insert(pid);
            }
            Address::Net { host, .. } if trace::is_here(&host) || self.inside.contains(&host) => {
                self.connections += 1;
            }
            Address::Net { host, port } => {
                self.faults.insert(format!("connected to {host} port {port}"));
            }
            Address::Other(what) => {
                self.faults.insert(format!("connected to {what}, which may pass names on"));
            }
        }
    }

    fn may_be_asked(&self, name: &str) -> bool {
        self.own.iter().any(|own| {
            let rest = name.strip_prefix(own.as_str());
            rest.is_some_and(|rest| {
                rest.is_empty() || self.search.iter().any(|domain| rest.strip_prefix('.') == Some(domain))
            })
        })
    }

    /// Prints the verdict; whether it is good.
    fn close(mut self) -> bool {
        if !self.silent.is_empty() {
            self.faults.insert("a resolver was asked in a way that cannot be read".to_owned());
        }
        for fault in &self.faults {
            println!("LEFT THIS MACHINE: {fault}");
        }
        for (name, times) in &self.asked {
            println!("asked of the resolver, {times} times: {name}");
        }
        let (connections, programs) = (self.connections, self.programs);
        println!("{connections} connections within this machine, {programs} addresses given to git and ssh");
        let blind = connections < LEAST && self.faults.is_empty();
        if blind {
            println!("nothing was recorded");
        }
        let good = self.faults.is_empty() && !blind;
        println!("{} passed, {} failed", usize::from(good), usize::from(!good));
        good
    }
}
