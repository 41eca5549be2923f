//! The oracle as a child process, and the lines that go to and come from it.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{Answer, Args};

/// The process, to be waited for when its input has ended.
pub(crate) struct Oracle(Child);

/// The half that asks. Dropping it ends the oracle's input.
pub(crate) struct Asking(BufWriter<ChildStdin>);

/// The half that hears the answers, in the order of the questions.
pub(crate) struct Hearing(BufReader<ChildStdout>);

impl Oracle {
    pub(crate) fn start(program: &OsStr) -> io::Result<(Self, Asking, Hearing)> {
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("no pipes to the oracle"));
        };
        Ok((Self(child), Asking(BufWriter::new(stdin)), Hearing(BufReader::new(stdout))))
    }

    /// Waits for the process to end, which it does when its input has ended.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let status = self.0.wait()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("oracle: {status}"))) }
    }
}

impl Asking {
    pub(crate) fn ask(&mut self, op: &str, args: &Args) -> io::Result<()> {
        let mut line = op.to_owned();
        for arg in args {
            line.push(' ');
            match arg.as_slice() {
                [] => line.push('-'),
                bytes => STANDARD.encode_string(bytes, &mut line),
            }
        }
        line.push('\n');
        self.0.write_all(line.as_bytes())
    }
}

impl Hearing {
    pub(crate) fn hear(&mut self) -> io::Result<Answer> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut words = line.trim_end_matches('\n').split(' ');
        let verdict = words.next().unwrap_or_default();
        let fields = words.map(decode).collect::<io::Result<Vec<_>>>()?;
        let text = |i: usize| fields.get(i).map(|f| String::from_utf8_lossy(f).into_owned());
        match verdict {
            "ok" => Ok(Answer::Ok(fields)),
            "err" => Ok(Answer::Err(text(0).unwrap_or_default(), text(1).unwrap_or_default())),
            "panic" => Ok(Answer::Panic(text(0).unwrap_or_default())),
            _ => Err(io::Error::other(format!("not an answer: {line:?}"))),
        }
    }
}

fn decode(word: &str) -> io::Result<Vec<u8>> {
    if word == "-" {
        return Ok(Vec::new());
    }
    STANDARD.decode(word).map_err(io::Error::other)
}
