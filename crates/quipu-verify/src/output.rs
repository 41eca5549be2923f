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
