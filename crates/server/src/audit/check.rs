//! Checking a whole audit log: every line, every hash, every number.

use std::fmt;
use std::io::{self, BufRead, Read as _};

use super::event::Wire;
use super::file::{Link, MAX_LINE, genesis, hex, link, parse_line};

/// What was found in an audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditReport {
    /// How many lines are good, from the first.
    pub entries: u64,
    /// The hash of the last good line, in hexadecimal: note it elsewhere, and later checks can tell that nothing
    /// before it has changed and nothing was cut off.
    pub last: String,
    /// Whether a line with the hash that was asked for is there.
    pub holds_known: bool,
    /// The first line that is not good, if there is one; nothing behind it is looked at.
    pub fault: Option<AuditFault>,
}

/// A line that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditFault {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for AuditFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

/// Reads an audit log through. `known` is a hash of one of its lines that was noted earlier, in hexadecimal.
///
/// # Errors
/// Reading fails.
pub fn check_audit_log(mut log: impl BufRead, known: Option<&str>) -> io::Result<AuditReport> {
    let (mut entries, mut last, mut holds_known) = (0, genesis(), false);
    let fault = loop {
        let mut line = Vec::new();
        let length = log.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line)?;
        if length == 0 {
            break None;
        }
        match check_line(&line, entries + 1, &last) {
            Ok(next) => last = next,
            Err(why) => break Some(AuditFault { line: entries + 1, why }),
        }
        entries += 1;
        holds_known |= known.is_some_and(|known| known.eq_ignore_ascii_case(&hex(&last)));
    };
    Ok(AuditReport { entries, last: hex(&last), holds_known, fault })
}

fn check_line(line: &[u8], number: u64, before: &Link) -> Result<Link, String> {
    let line = line.strip_suffix(b"\n").ok_or("it has no end: cut off, or longer than any entry")?;
    let line = std::str::from_utf8(line).map_err(|_| "it is not UTF-8")?;
    let (hash, json) = parse_line(line).ok_or("it is not a hash and an entry")?;
    let computed = link(before, json);
    if computed != hash {
        let (says, is) = (hex(&hash), hex(&computed));
        return Err(format!(
            "its hash is {says}, but that of what stands there is {is}: something was changed"
        ));
    }
    let wire: Wire =
        serde_json::from_str(json).map_err(|error| format!("no entry of this format: {error}"))?;
    if wire.seq != number {
        return Err(format!("it says that it is number {}", wire.seq));
    }
    Ok(hash)
}
