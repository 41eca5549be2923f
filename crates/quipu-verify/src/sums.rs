//! The lines of go.sum files, for proofs.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use quipu_module::{Patterns, SumLine, parse_go_sum};

use crate::goenv::kept_from;
use crate::local::bounded;

/// A line of a go.sum file.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    file: PathBuf,
    number: usize,
    pub(crate) sum: SumLine,
}

impl Line {
    /// Where the line stands: file and number.
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.number)
    }
}

/// The lines of go.sum files.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    pub(crate) lines: Vec<Line>,
    /// Lines left out, of modules that the go command keeps from databases.
    pub(crate) private: usize,
}

impl Sums {
    /// Reads files. Lines of modules that match GONOSUMDB (by default GOPRIVATE) are left out unless `all` are wanted.
    ///
    /// # Errors
    /// A file cannot be read, or a line of it is none.
    pub(crate) fn read(files: &[PathBuf], all: bool) -> Result<Self> {
        let private = if all { Patterns::default() } else { kept_from("GONOSUMDB") };
        let mut sums = Self::default();
        for file in files {
            sums.add(file, &private)?;
        }
        Ok(sums)
    }

    fn add(&mut self, file: &Path, private: &Patterns) -> Result<()> {
        let content = read_bounded(file, MAX_GO_SUM)?;
        let within = || file.display().to_string();
        for entry in parse_go_sum(&content).with_context(within)? {
            let sum = entry.to_line().with_context(within)?;
            if private.matches(sum.module.path()) {
                self.private += 1;
            } else {
                self.lines.push(Line { file: file.to_owned(), number: entry.number, sum });
            }
        }
        Ok(())
    }
}

/// The content of a file of at most `max` bytes.
///
/// # Errors
/// It cannot be read, or is longer.
pub(crate) fn read_bounded(file: &Path, max: u64) -> Result<Vec<u8>> {
    let content = bounded(file, max).with_context(|| format!("cannot read {}", file.display()))?;
    content.with_context(|| format!("{} is longer than {max} bytes", file.display()))
}

const MAX_GO_SUM: u64 = 64 << 20;
