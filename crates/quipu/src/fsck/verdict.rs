//! What a check found, and how it is told: faults on stderr, one line on stdout.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use quipu_ledger::{Head, ReadError};
use quipu_tlog::{Hash, Tree};
use quipu_verify::check::Report;
use quipu_verify::{Evidence, EvidenceDir};
use serde_json::json;

use crate::output::tell;

/// Faults listed; more are counted.
pub(super) const MAX_FAULTS: usize = 64;

/// What is wrong, as far as it was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    faults: Vec<String>,
    more: u64,
    /// What is worth knowing and no fault.
    notes: Vec<String>,
    /// Proof that the log's key signed two histories.
    pub(super) fork: Option<Evidence>,
}

impl Findings {
    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    pub(super) fn add(&mut self, fault: String) {
        if self.faults.contains(&fault) {
            return;
        }
        if self.faults.len() < MAX_FAULTS { self.faults.push(fault) } else { self.more += 1 }
    }

    pub(super) fn report(&mut self, report: &Report) {
        report.faults.iter().for_each(|fault| self.add(fault.to_string()));
        self.more += report.more;
    }

    /// Damage is a finding; a medium that cannot be read keeps the log from being checked.
    pub(super) fn read(&mut self, error: ReadError) -> Result<()> {
        match error {
            ReadError::Corrupt(why) => self.add(format!("store: {why}")),
            ReadError::Io(_) => bail!(error),
        }
        Ok(())
    }

    pub(super) fn at(&mut self, place: &str, error: ReadError) -> Result<()> {
        match error {
            ReadError::Corrupt(why) => self.add(format!("{place}: {why}")),
            ReadError::Io(_) => bail!("{place}: {error}"),
        }
        Ok(())
    }
}

/// What came of checking a log.
#[derive(Debug)]
pub(crate) struct Verdict {
    dir: String,
    name: String,
    /// The tree of the store's head.
    pub(crate) tree: Tree,
    guard: Option<Head>,
    /// Signed heads kept.
    pub(super) heads: u64,
    faults: Vec<String>,
    more: u64,
    notes: Vec<String>,
    fork: Option<Evidence>,
    /// The file that the evidence of a fork was kept in.
    evidence: Option<String>,
}

impl Verdict {
    pub(super) fn new(dir: &Path, name: &str, guard: Option<Head>) -> Self {
        let tree = Tree { size: 0, root: Hash::EMPTY_TREE };
        let (dir, name) = (dir.display().to_string(), name.to_owned());
        let (faults, notes, heads, more) = (Vec::new(), Vec::new(), 0, 0);
        Self { dir, name, tree, guard, heads, faults, more, notes, fork: None, evidence: None }
    }

    pub(super) fn finish(mut self, found: Findings) -> Self {
        self.faults = found.faults;
        self.more = found.more;
        self.notes = found.notes;
        self.fork = found.fork;
        self
    }

    /// Keeps the evidence of a fork, if there is one: in a file below `dir`, or else in what the program prints.
    pub(super) fn keep_evidence(&mut self, dir: &Path) {
        let Some(fork) = &self.fork else { return };
        match EvidenceDir::new(dir).put(fork) {
            Ok(kept) => self.evidence = Some(kept.file.display().to_string()),
            Err(error) => {
                let (dir, fork) = (dir.display(), fork.to_string());
                eprintln!(
                    "the evidence cannot be kept below {dir} ({error}); this is it:\n{}",
                    fork.trim_end()
                );
            }
        }
    }

    /// Is everything as it should be.
    pub(crate) fn is_good(&self) -> bool {
        self.faults.is_empty() && self.more == 0
    }

    /// Prints the verdict.
    ///
    /// # Errors
    /// It cannot be printed.
    pub(super) fn tell(&self, took: Duration, as_json: bool) -> Result<ExitCode> {
        if as_json {
            tell(self.json(took))?;
        } else {
            self.notes.iter().for_each(|note| eprintln!("note: {note}"));
            self.faults.iter().for_each(|fault| eprintln!("{fault}"));
            if self.more > 0 {
                eprintln!("and {} more", self.more);
            }
            if let Some(fork) = &self.fork {
                eprintln!("the key of {} has signed two histories: {}", self.name, fork.summary());
            }
            tell(self.line(took))?;
        }
        Ok(match &self.fork {
            Some(_) => ExitCode::from(3),
            None if self.is_good() => ExitCode::SUCCESS,
            None => ExitCode::from(4),
        })
    }

    fn line(&self, took: Duration) -> String {
        let Self { dir, name, tree, heads, .. } = self;
        let guard = self.guard.map_or("no guard".to_owned(), |guard| format!("guarded at {}", guard.size));
        let seconds = took.as_secs_f64();
        if self.is_good() {
            let Tree { size, root } = tree;
            return format!(
                "good: {name} has {size} records, root {root}, {heads} signed heads kept, {guard}; {seconds:.1} s"
            );
        }
        let count = self.faults.len() as u64 + self.more;
        let proven = match (&self.fork, &self.evidence) {
            (Some(_), Some(file)) => format!("MISBEHAVIOUR PROVEN, the evidence is in {file}: "),
            (Some(_), None) => "MISBEHAVIOUR PROVEN, the evidence is printed above: ".to_owned(),
            (None, _) => String::new(),
        };
        format!(
            "NOT GOOD: {proven}{count} differences in {dir} ({name}, {} records, {guard}); {seconds:.1} s",
            tree.size
        )
    }

    fn json(&self, took: Duration) -> serde_json::Value {
        json!({
            "verdict": match &self.fork {
                Some(_) => "misbehaviour",
                None if self.is_good() => "good",
                None => "difference",
            },
            "evidence": self.evidence,
            "dir": self.dir,
            "name": self.name,
            "size": self.tree.size,
            "root": self.tree.root.to_string(),
            "heads": self.heads,
            "guard": self.guard.map(|guard| json!({ "size": guard.size, "root": guard.root.to_string() })),
            "faults": self.faults,
            "more": self.more,
            "notes": self.notes,
            "seconds": took.as_secs_f64(),
        })
    }
}
