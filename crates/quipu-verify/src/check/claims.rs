//! What files here claim the hashes of modules to be.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use quipu_module::{GoSumEntry, H1, ModuleVersion, SumKind, parse_go_sum};

use super::finding::{Finding, Rule};
use crate::local;

/// A hash of a module that some file claims.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) module: ModuleVersion,
    pub(super) kind: SumKind,
    pub(super) hash: H1,
    pub(super) place: Place,
}

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) file: PathBuf,
    /// From 1; none if the file as a whole is meant.
    pub(super) line: Option<usize>,
    pub(super) origin: Origin,
}

/// What made the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// A line of a go.sum file.
    GoSum,
    /// A `.ziphash` file, in which the go command notes the hash of what it has downloaded.
    Recorded,
    /// The file itself, hashed now.
    Hashed,
}

impl Origin {
    /// In a few words.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::GoSum => "in go.sum",
            Self::Recorded => "recorded by go",
            Self::Hashed => "hashed now",
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file.display()),
            None => write!(f, "{}", self.file.display()),
        }
    }
}

/// All claims, and what is wrong with the files that should make some.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) claims: Vec<Claim>,
    pub(super) findings: Vec<Finding>,
    /// Names of what was read, for the summary.
    pub(super) sources: Vec<String>,
}

impl Input {
    /// Reads a go.sum file. A line that is none is a finding: with it the go command would refuse or pass over it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn add_go_sum(&mut self, path: &Path) -> Result<()> {
        let content = local::read(path, MAX_GO_SUM).map_err(|why| anyhow!("{}: {why}", path.display()))?;
        for (number, line) in (1..).zip(content.split(|byte| *byte == b'\n')) {
            let place = Place { file: path.to_owned(), line: Some(number), origin: Origin::GoSum };
            match read_line(line) {
                Ok(None) => {}
                Ok(Some((module, kind, hash))) => self.claims.push(Claim { module, kind, hash, place }),
                Err(why) => self.findings.push(Finding::new(Rule::Malformed, place, why)),
            }
        }
        self.sources.push(path.display().to_string());
        Ok(())
    }
}

type Fields = (ModuleVersion, SumKind, H1);

/// What a line claims; none if it is blank or means nothing to the go command.
fn read_line(line: &[u8]) -> Result<Option<Fields>, String> {
    let why = |error: quipu_module::Error| {
        let text = error.to_string();
        // The file and the number of the line are said elsewhere.
        let text = text.strip_prefix("malformed go.sum: line 1: ").unwrap_or(&text);
        format!("this is no go.sum line: {}", text.strip_prefix("1: ").unwrap_or(text))
    };
    let entries = parse_go_sum(line).map_err(why)?;
    let line = entries.first().map(GoSumEntry::to_line).transpose().map_err(why)?;
    Ok(line.map(|line| (line.module, line.kind, line.hash)))
}

const MAX_GO_SUM: u64 = 64 << 20;
