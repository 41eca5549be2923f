//! Results on stdout. What the program says of itself goes to stderr.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};

/// Writes a result and a line end. A reader that went away (a closed pipe) has what it wanted.
///
/// # Errors
/// Whatever else keeps it from being written.
pub(crate) fn tell(result: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{result}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// A text that somebody else wrote as one line, with nothing that a terminal would act upon.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The same of bounded length.
pub(crate) fn one_line(text: &str) -> String {
    let text = text.trim();
    let mut line: String = text.chars().take(MAX_CHARS).collect();
    if line.len() < text.len() {
        line.push('…');
    }
    printable(&line)
}

const MAX_CHARS: usize = 2000;
