//! What the doctor found, as data, and the one place that writes it out.

use std::fmt::Display;

use anyhow::Result;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::output::{one_line, printable, tell};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Good to know.
    Note,
    /// May be meant so; somebody should decide.
    Warning,
    /// Something leaks, is not verified, or is broken.
    Problem,
}

impl Severity {
    const fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// The go command and its settings as such.
    Setup,
    /// What others learn.
    Leaks,
    /// What nobody checks.
    Unverified,
    /// The signed heads that the go command remembers.
    Heads,
    /// Tiles, lookups and modules in the caches.
    Cache,
    /// What go printed.
    Said,
}

impl Group {
    const fn word(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Leaks => "leaks",
            Self::Unverified => "unverified",
            Self::Heads => "heads",
            Self::Cache => "cache",
            Self::Said => "said",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Setup => "The go command and its settings",
            Self::Leaks => "What others learn",
            Self::Unverified => "What nobody verifies",
            Self::Heads => "The signed trees that go remembers",
            Self::Cache => "The caches",
            Self::Said => "What go said",
        }
    }
}

/// One finding. No text of it holds a password or a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// A name for machines, which stays the same.
    pub(crate) id: &'static str,
    pub(crate) group: Group,
    pub(crate) severity: Severity,
    /// What there is.
    pub(crate) what: String,
    /// Why it matters.
    pub(crate) why: String,
    /// A command line that mends it or leads on; none if there is nothing to do.
    pub(crate) repair: Option<String>,
}

impl Finding {
    /// A finding without a repair.
    pub(crate) fn new(
        (group, severity): (Group, Severity),
        id: &'static str,
        what: impl Display,
        why: impl Display,
    ) -> Self {
        let (what, why) = (one_line(&what.to_string()), one_line(&why.to_string()));
        Self { id, group, severity, what, why, repair: None }
    }

    /// The same with a command that repairs it.
    pub(crate) fn repair(self, command: impl Display) -> Self {
        Self { repair: Some(printable(&command.to_string())), ..self }
    }

    fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "group": self.group.word(),
            "severity": self.severity.word(),
            "what": self.what,
            "why": self.why,
            "repair": self.repair,
        })
    }
}

/// All that was found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    findings: Vec<Finding>,
    /// What was left out because the user wanted it so, or because it was too much.
    skipped: Vec<String>,
    /// What could not be checked.
    failed: Vec<String>,
    /// Files with evidence against a database.
    evidence: Vec<String>,
    forked: bool,
}

impl Report {
    /// Adds findings.
    pub(crate) fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
    }

    /// Takes note of what was not looked at.
    pub(crate) fn skip(&mut self, what: impl Display) {
        self.skipped.push(one_line(&what.to_string()));
    }

    /// Takes note of what could not be looked at.
    pub(crate) fn fail(&mut self, what: impl Display) {
        self.failed.push(one_line(&what.to_string()));
    }

    /// Takes note of a fork that is proven, and of the file of evidence if it could be written.
    pub(crate) fn proven(&mut self, file: Option<String>) {
        self.forked = true;
        self.evidence.extend(file);
    }

    /// Whether nothing was found, skipped or missed.
    pub(crate) fn is_empty(&self) -> bool {
        self.findings.is_empty() && self.failed.is_empty() && !self.forked
    }

    /// How the program should end.
    pub(crate) fn exit(&self) -> Exit {
        let worst = self.findings.iter().map(|finding| finding.severity).max();
        match worst {
            _ if self.forked => Exit::Misbehaved,
            Some(Severity::Warning | Severity::Problem) => Exit::Differs,
            _ if !self.failed.is_empty() => Exit::Failed,
            _ => Exit::Good,
        }
    }

    /// Writes the report.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn print(mut self, as_json: bool) -> Result<Exit> {
        self.findings.sort_by_key(|finding| (finding.group, std::cmp::Reverse(finding.severity)));
        tell(if as_json { self.to_json().to_string() } else { self.to_text() })?;
        Ok(self.exit())
    }

    fn to_json(&self) -> Value {
        json!({
            "verdict": self.exit().verdict(),
            "findings": self.findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
            "skipped": self.skipped,
            "failed": self.failed,
            "evidence": self.evidence,
            "summary": self.summary(),
        })
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        let mut group = None;
        for finding in &self.findings {
            if group.replace(finding.group) != Some(finding.group) {
                text += &format!("{}\n", finding.group.title());
            }
            let (word, id) = (finding.severity.word(), finding.id);
            text += &format!("  {word:<8} {}\n", finding.what);
            for line in wrapped(&format!("{} [{id}]", finding.why)) {
                text += &format!("           {line}\n");
            }
            if let Some(repair) = &finding.repair {
                text += &format!("           $ {repair}\n");
            }
        }
        for (word, lines) in
            [("not checked", &self.skipped), ("could not check", &self.failed), ("evidence", &self.evidence)]
        {
            lines.iter().for_each(|line| text += &format!("{word}: {line}\n"));
        }
        text + &self.summary()
    }

    fn summary(&self) -> String {
        let count = |severity| self.findings.iter().filter(|f| f.severity == severity).count();
        let fork = if self.forked { "MISBEHAVIOUR PROVEN; " } else { "" };
        format!(
            "doctor: {fork}{}, {}, {}{}",
            counted(count(Severity::Problem), "problem"),
            counted(count(Severity::Warning), "warning"),
            counted(count(Severity::Note), "note"),
            if self.failed.is_empty() { "" } else { "; not all could be checked" }
        )
    }
}

/// A text in lines for people. What there is and what to do stay on one line each, for copying.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + word.chars().count() < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

const WIDTH: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity) -> Finding {
        Finding::new((Group::Leaks, severity), "x", "what", "why")
    }

    #[test]
    fn the_worst_decides_how_it_ends() {
        let mut report = Report::default();
        report.extend([finding(Severity::Note)]);
        assert_eq!(report.exit(), Exit::Good);
        report.fail("the head");
        assert_eq!(report.exit(), Exit::Failed);
        report.extend([finding(Severity::Warning)]);
        assert_eq!(report.exit(), Exit::Differs);
        report.proven(None);
        assert_eq!(report.exit(), Exit::Misbehaved);
        assert_eq!(
            report.summary(),
            "doctor: MISBEHAVIOUR PROVEN; 0 problems, 1 warning, 1 note; not all could be checked"
        );
    }

    #[test]
    fn a_finding_cannot_forge_lines() {
        let forged =
            Finding::new((Group::Cache, Severity::Note), "x", "a\nproblem b", "\u{1b}[2J").repair("c\nd");
        assert_eq!((forged.what.lines().count(), forged.why.contains('\u{1b}')), (1, false));
        assert_eq!(forged.repair.unwrap().lines().count(), 1);
    }
}
