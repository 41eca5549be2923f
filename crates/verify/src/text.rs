//! The text form that evidence and proofs share: headings, and below each its content, indented by a tab.

use std::fmt::{self, Display, Write as _};
use std::iter::Peekable;
use std::str::Lines;

use bytes::Bytes;
use quipu_tlog::Hash;

/// Takes a text apart, section by section. What it takes for granted (one spelling, one final LF) is checked by writing
/// again what was read.
pub(crate) struct Sections<'a>(Peekable<Lines<'a>>);

impl<'a> Sections<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Self(text.lines().peekable())
    }

    /// The content of the next section, if it has this heading.
    pub(crate) fn take(&mut self, heading: &str) -> Option<Vec<&'a str>> {
        self.0.next_if_eq(&heading)?;
        let mut content = Vec::new();
        while let Some(line) = self.0.peek().and_then(|line| line.strip_prefix('\t')) {
            content.push(line);
            self.0.next();
        }
        Some(content)
    }

    /// The content of the next section, which has one line.
    pub(crate) fn take_line(&mut self, heading: &str) -> Option<&'a str> {
        match *self.take(heading)? {
            [line] => Some(line),
            _ => None,
        }
    }

    /// The content of the next section as the text that it was.
    pub(crate) fn take_text(&mut self, heading: &str) -> Option<Bytes> {
        Some(join(&self.take(heading)?))
    }

    /// The content of the next section, a hash in each line.
    pub(crate) fn take_hashes(&mut self, heading: &str) -> Option<Vec<Hash>> {
        hashes(&self.take(heading)?)
    }

    /// Nothing, if nothing follows.
    pub(crate) fn end(mut self) -> Option<()> {
        self.0.next().is_none().then_some(())
    }
}

/// Lines as the text that they are of: each ends in LF.
pub(crate) fn join(lines: &[&str]) -> Bytes {
    lines.iter().flat_map(|line| [line, "\n"]).collect::<String>().into()
}

/// A hash in each line.
pub(crate) fn hashes(lines: &[&str]) -> Option<Vec<Hash>> {
    lines.iter().map(|hash| hash.parse().ok()).collect()
}

/// A section of these lines.
pub(crate) fn section(
    out: &mut fmt::Formatter<'_>,
    heading: &str,
    lines: impl IntoIterator<Item: Display>,
) -> fmt::Result {
    writeln!(out, "{heading}")?;
    lines.into_iter().try_for_each(|line| writeln!(out, "\t{line}"))
}

/// A section with the lines of a text.
pub(crate) fn text_section(out: &mut fmt::Formatter<'_>, heading: &str, text: &[u8]) -> fmt::Result {
    let text = String::from_utf8_lossy(text);
    out.write_str(heading)?;
    out.write_char('\n')?;
    text.lines().try_for_each(|line| writeln!(out, "\t{line}"))
}
