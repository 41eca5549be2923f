//! What can go wrong between asking for a module and having it, named by what the caller should do.

use std::fmt;
use std::sync::Arc;

/// Longest text an [`Error`] carries, in bytes: what the `go` command prints of an error body, with room for a prefix.
pub const MAX_TEXT: usize = 500;

/// What the caller of an [`Upstream`](crate::Upstream) should do about a failure.
///
/// The kinds follow what `go help goproxy` tells a client to do: only [`ErrorKind::NotFound`] lets it try the next
/// place, and therefore only a definite answer may be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// It definitely does not exist (upstream said 404 or 410). Answer 404; may be remembered for seconds.
    NotFound,
    /// The upstream refuses it by policy (403). Answer 403.
    Forbidden,
    /// The path matches the private patterns: nothing was sent anywhere. Answer 403.
    Private,
    /// It cannot be had right now: no upstream, connection trouble, 429, 5xx, disk full. Answer 503; never remember.
    Unavailable,
    /// The upstream did not answer, or not fast enough. Answer 504; never remember.
    Timeout,
    /// What the upstream sent is wrong: malformed, for another version, or contradicting the log.
    /// Answer 502; never store and never remember.
    Rejected,
    /// The upstream sent, or announced, more than was asked for at most. Answer 502; never store and never remember.
    TooLarge,
}

impl ErrorKind {
    /// Whether the upstream answered, and wrongly.
    pub fn is_wrong(self) -> bool {
        matches!(self, Self::Rejected | Self::TooLarge)
    }

    /// Whether the same question may be answered otherwise in a moment.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Unavailable | Self::Timeout) || self.is_wrong()
    }
}

/// A failure to get something: its kind and one short line of text.
///
/// The text may be shown to any client: it is printable, at most [`MAX_TEXT`] bytes, and holds no address of an
/// upstream, no local path and no credentials. It carries no prefix such as `not found: `; whoever turns the kind
/// into a status adds that. Cloning is cheap, as one failure may answer many callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    text: Arc<str>,
    /// Whether it is that nobody can say where the code would be.
    is_unlocated: bool,
}

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind`; of `text` only the first line is kept, without control characters, cut at [`MAX_TEXT`].
    pub fn new(kind: ErrorKind, text: impl AsRef<str>) -> Self {
        Self { kind, text: printable(text.as_ref()).into(), is_unlocated: false }
    }

    /// Definitely absent.
    pub fn not_found(text: impl AsRef<str>) -> Self {
        Self::new(ErrorKind::NotFound, text)
    }

    /// Not to be had right now.
    pub fn unavailable(text: impl AsRef<str>) -> Self {
        Self::new(ErrorKind::Unavailable, text)
    }

    /// Sent by upstream, but wrong.
    pub fn rejected(text: impl AsRef<str>) -> Self {
        Self::new(ErrorKind::Rejected, text)
    }

    /// Sent by upstream, but of more than `max_bytes`.
    pub fn too_large(max_bytes: u64) -> Self {
        Self::new(ErrorKind::TooLarge, format!("upstream sent more than {max_bytes} bytes"))
    }

    /// Not answered in time. The text begins with `fetch timed out`, which clients of other proxies match.
    pub fn timeout(text: impl AsRef<str>) -> Self {
        Self::new(ErrorKind::Timeout, format!("fetch timed out: {}", text.as_ref()))
    }

    /// The same fault, known to have come up in the search for the repository, of which nothing was known.
    #[must_use]
    pub(crate) fn unlocated(self) -> Self {
        Self { is_unlocated: true, ..self }
    }

    /// Whether nobody could say where the code would be.
    pub(crate) fn is_unlocated(&self) -> bool {
        self.is_unlocated
    }

    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The line to show, see the type.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same error with `what` (a module, a version) in front, so that the line stands alone.
    #[must_use]
    pub fn about(&self, what: impl fmt::Display) -> Self {
        Self { is_unlocated: self.is_unlocated, ..Self::new(self.kind, format!("{what}: {}", self.text)) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

/// The first line of `text`, without anything that a terminal or the `go` command would not print.
fn printable(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    let mut kept = String::with_capacity(line.len().min(MAX_TEXT));
    for c in line.chars().filter(|c| !c.is_control() && !is_invisible(*c)) {
        if kept.len() + c.len_utf8() > MAX_TEXT {
            break;
        }
        kept.push(c);
    }
    kept
}

/// Characters that are neither graphic nor space to Go's `unicode` package, one of which makes `go` hide the text,
/// or that change the direction of what is printed after them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff0}'..='\u{fffd}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_one_printable_line() {
        let error = Error::not_found("  unknown\u{1b}[31m revision\u{202e} v9\r\nsecond line");
        assert_eq!(error.text(), "unknown[31m revision v9");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn text_is_cut_on_a_character() {
        let error = Error::unavailable("é".repeat(MAX_TEXT));
        assert_eq!(error.text().len(), MAX_TEXT);
        assert!(error.text().chars().all(|c| c == 'é'));
    }
}
