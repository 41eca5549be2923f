//! A line of the record: at which time of the day who got which file of which version.

use std::fmt::Write as _;

use quipu_module::{ModulePath, ModuleVersion, Version};
use serde::Serialize;

use super::Sent;
use super::day::Day;
use crate::access::Token;

/// What stands in the place of a token where there was none.
const NOBODY: &str = "-";

/// Longest id and longest name of a holder that are written, in characters.
const MAX_ID: usize = 64;
const MAX_NAME: usize = 200;

/// What begins a line that names a holder. No time of the day does.
const HOLDER: &str = "holder ";

/// What of a version was downloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DownloadKind {
    /// The code.
    Zip,
    /// Its go.mod, which the go command also reads of versions that it does not use.
    GoMod,
}

impl DownloadKind {
    /// As lines call it.
    const fn name(self) -> &'static str {
        match self {
            Self::Zip => "zip",
            Self::GoMod => "mod",
        }
    }
}

/// A download on its way into the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Seconds since 1970.
    pub(super) time: u64,
    /// Id and name of the token; none of somebody without.
    pub(super) holder: Option<(String, String)>,
    pub(super) kind: DownloadKind,
    pub(super) module: ModuleVersion,
}

/// A line as it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed<'a> {
    /// From here on this id means the token of this name.
    Holder { id: &'a str, name: &'a str },
    /// A download.
    Taken {
        /// Seconds since the day began.
        second: u64,
        /// The id of the token.
        holder: Option<&'a str>,
        kind: DownloadKind,
        /// Path and version, unescaped.
        module: &'a str,
    },
}

impl Line {
    /// None for what cannot have been sent.
    pub(super) fn new(sent: Sent<'_>, holder: Option<&Token>, time: u64) -> Option<Self> {
        let path = ModulePath::unescape(sent.path).ok()?;
        let module = ModuleVersion::new(path, Version::unescape(sent.version).ok()?).ok()?;
        let holder = holder.map(|token| (word(token.id()), one_line(token.name())));
        Some(Self { time, holder, kind: sent.kind, module })
    }

    /// Adds it to a text, which is all for its day.
    pub(super) fn write(&self, text: &mut String) {
        let second = self.time.saturating_sub(Day::of(self.time).start());
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let holder = self.holder.as_ref().map_or(NOBODY, |(id, _)| id);
        let (kind, module) = (self.kind.name(), &self.module);
        let _ = writeln!(text, "{hour:02}:{minute:02}:{second:02} {holder} {kind} {module}");
    }
}

/// Adds the line that names a holder.
pub(super) fn write_holder(id: &str, name: &str, text: &mut String) {
    let _ = writeln!(text, "{HOLDER}{id} {name}");
}

/// Reads a line without its end; `None` if it is none.
pub(super) fn parse(line: &str) -> Option<Parsed<'_>> {
    if let Some(rest) = line.strip_prefix(HOLDER) {
        let (id, name) = rest.split_once(' ')?;
        return Some(Parsed::Holder { id, name });
    }
    let mut words = line.split(' ');
    let (time, holder, kind, module) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let kind = [DownloadKind::Zip, DownloadKind::GoMod].into_iter().find(|known| known.name() == kind)?;
    let whole = words.next().is_none() && !holder.is_empty() && !module.is_empty();
    let holder = (holder != NOBODY).then_some(holder);
    whole.then_some(Parsed::Taken { second: parse_time(time)?, holder, kind, module })
}

/// Seconds since midnight of `hh:mm:ss`.
fn parse_time(time: &str) -> Option<u64> {
    let mut parts = time.split(':').map(|part| {
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<u64>().ok())?
    });
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let good = parts.next().is_none() && hour < 24 && minute < 60 && second < 60;
    good.then_some(hour * 3600 + minute * 60 + second)
}

/// Something without spaces.
fn word(text: &str) -> String {
    let plain = |c: char| if c.is_control() || c.is_whitespace() { '_' } else { c };
    text.chars().take(MAX_ID).map(plain).collect()
}

fn one_line(text: &str) -> String {
    text.chars().take(MAX_NAME).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(second: u64, holder: Option<&str>, kind: DownloadKind) -> Option<Parsed<'_>> {
        Some(Parsed::Taken { second, holder, kind, module: "example.com/Upper@v1.0.0" })
    }

    #[test]
    fn a_line_as_it_stands_in_the_file() {
        let sent = Sent { path: "example.com/!upper", version: "v1.0.0", kind: DownloadKind::Zip };
        let mut line = Line::new(sent, None, 951_868_799).unwrap();
        let mut text = String::new();
        line.write(&mut text);
        (line.holder, line.kind) = (Some(("3f1c9a0b7d52".to_owned(), "x".to_owned())), DownloadKind::GoMod);
        line.write(&mut text);
        write_holder("3f1c9a0b7d52", "laptop of Ana", &mut text);
        let want = "23:59:59 - zip example.com/Upper@v1.0.0\n\
                    23:59:59 3f1c9a0b7d52 mod example.com/Upper@v1.0.0\n\
                    holder 3f1c9a0b7d52 laptop of Ana\n";
        assert_eq!(text, want);
        let parsed: Vec<_> = text.lines().map(parse).collect();
        assert_eq!(parsed[0], taken(86_399, None, DownloadKind::Zip));
        assert_eq!(parsed[1], taken(86_399, Some("3f1c9a0b7d52"), DownloadKind::GoMod));
        assert_eq!(parsed[2], Some(Parsed::Holder { id: "3f1c9a0b7d52", name: "laptop of Ana" }));
        assert!(Line::new(Sent { version: "master", ..sent }, None, 0).is_none());
    }

    #[test]
    fn what_is_no_line() {
        for wrong in [
            "",
            "holder",
            "holder x",
            "24:00:00 - zip a.b/c@v1.0.0",
            "1:00:00 - zip a.b/c@v1.0.0",
            "01:00 - zip a.b/c@v1.0.0",
            "01:00:00:00 - zip a.b/c@v1.0.0",
            "01:00:00 - info a.b/c@v1.0.0",
            "01:00:00 - zip",
            "01:00:00 - zip ",
            "01:00:00  zip a.b/c@v1.0.0",
            "01:00:00 - zip a.b/c@v1.0.0 x",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_panics(text in "(holder )?[0-9:]{0,9}[ -~]{0,60}", any in ".{0,60}") {
            let _ = (parse(&text), parse(&any));
        }

        #[test]
        fn names_stay_on_their_line(id in ".{0,80}", name in ".{0,250}") {
            let (id, name) = (format!("x{}", word(&id)), one_line(&name));
            let mut text = String::new();
            write_holder(&id, &name, &mut text);
            let line = text.strip_suffix('\n').unwrap();
            proptest::prop_assert_eq!(parse(line), Some(Parsed::Holder { id: &id, name: &name }));
        }
    }
}
