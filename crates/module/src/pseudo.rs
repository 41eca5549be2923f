//! Pseudo-versions: versions made from a commit's time and hash where no tag names the commit.
//!
//! ```text
//! vX.0.0-yyyymmddhhmmss-abcdefabcdef            no earlier tag
//! vX.Y.(Z+1)-0.yyyymmddhhmmss-abcdefabcdef      the latest earlier tag is vX.Y.Z
//! vX.Y.Z-pre.0.yyyymmddhhmmss-abcdefabcdef      the latest earlier tag is vX.Y.Z-pre
//! ```
//!
//! The last two may end in `+incompatible`.

use crate::{error::Error, quote::quote, semver::Semver, time};

/// The parts of a pseudo-version; borrows from the text it was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pseudo<'a> {
    text: &'a str,
    /// `vX.0.0`, `vX.Y.(Z+1)-0` or `vX.Y.Z-pre.0`.
    stem: &'a str,
    timestamp: &'a str,
    revision: &'a str,
    build: &'a str,
}

impl<'a> Pseudo<'a> {
    /// Takes `text` apart. The time stamp need not be a real time, nor need there be a valid base.
    ///
    /// # Errors
    /// `text` does not have the form of a pseudo-version.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        split(text).ok_or_else(|| invalid(text, "syntax error"))
    }

    /// The time stamp as written: 14 digits, `yyyymmddhhmmss`, UTC.
    #[must_use]
    pub fn timestamp(&self) -> &'a str {
        self.timestamp
    }

    /// The time in seconds since 1970-01-01 00:00:00 UTC.
    ///
    /// # Errors
    /// The time stamp is no date and time of the calendar.
    pub fn time(&self) -> Result<i64, Error> {
        time::parse_stamp(self.timestamp)
            .ok_or_else(|| invalid(self.text, &format!("malformed time {}", quote(self.timestamp))))
    }

    /// The revision, usually the first 12 hex digits of a commit hash.
    #[must_use]
    pub fn revision(&self) -> &'a str {
        self.revision
    }

    /// The build metadata with its leading `+`, or nothing.
    #[must_use]
    pub fn build(&self) -> &'a str {
        self.build
    }

    /// The tag that the pseudo-version follows; `None` for the form that follows none.
    ///
    /// # Errors
    /// There can be no such tag: `vX.0.0-…+incompatible`, and patch numbers below zero.
    pub fn base(&self) -> Result<Option<String>, Error> {
        if let Some(release) = self.stem.strip_suffix(".0").filter(|s| s.contains('-')) {
            return Ok(Some(format!("{release}{}", self.build)));
        }
        if let Some(next) = self.stem.strip_suffix("-0") {
            let reason =
                || invalid(self.text, &format!("version before {next} would have negative patch number"));
            let (minor, patch) = next.rsplit_once('.').ok_or_else(reason)?;
            let patch = decrement(patch).ok_or_else(reason)?;
            return Ok(Some(format!("{minor}.{patch}{}", self.build)));
        }
        if self.build.is_empty() {
            return Ok(None);
        }
        let reason = format!("lacks base version, but has build metadata {}", quote(self.build));
        Err(invalid(self.text, &reason))
    }
}

/// Whether `version` has the form of a pseudo-version.
#[must_use]
pub fn is_pseudo(version: &str) -> bool {
    split(version).is_some()
}

/// Makes the pseudo-version for a commit at `time` (seconds since 1970, UTC) named `revision`, following
/// the tag `older` if that is a semantic version, else the first of major version `major` (`v2`; empty: `v0`).
///
/// # Errors
/// The year does not have four digits, or what results is no pseudo-version because `major` or
/// `revision` cannot be part of one.
pub fn format_pseudo(major: &str, older: &str, time: i64, revision: &str) -> Result<String, Error> {
    let stamp = time::format_stamp(time)
        .ok_or_else(|| Error::malformed(format!("time {time} cannot be written in a pseudo-version")))?;
    let text = match Semver::parse(older) {
        None => format!("{}.0.0-{stamp}-{revision}", if major.is_empty() { "v0" } else { major }),
        Some(older) if older.prerelease().is_empty() => {
            let (minor, patch) = (older.major_minor(), increment(older.patch()));
            format!("{minor}.{patch}-0.{stamp}-{revision}{}", older.build())
        }
        Some(older) => format!("{}.0.{stamp}-{revision}{}", older.canonical(), older.build()),
    };
    Pseudo::parse(&text)?;
    Ok(text)
}

fn invalid(text: &str, reason: &str) -> Error {
    Error::malformed(format!("pseudo-version {} invalid: {reason}", quote(text)))
}

fn split(text: &str) -> Option<Pseudo<'_>> {
    let build = Semver::parse(text)?.build();
    let (front, revision) = text.strip_suffix(build)?.rsplit_once('-')?;
    let stamp_at = front.len().checked_sub(14)?;
    let (stem, timestamp) = front.split_at_checked(stamp_at)?;
    let (release, prerelease) = stem.split_once('-')?;
    let stem = match prerelease {
        "" if release.ends_with(".0.0") => release,
        _ if prerelease == "0." || prerelease.ends_with(".0.") => stem.strip_suffix('.')?,
        _ => return None,
    };
    let good = timestamp.bytes().all(|b| b.is_ascii_digit())
        && !revision.is_empty()
        && revision.bytes().all(|b| b.is_ascii_alphanumeric());
    good.then_some(Pseudo { text, stem, timestamp, revision, build })
}

/// One more than the decimal number `digits`.
fn increment(digits: &str) -> String {
    let nines = digits.len() - digits.trim_end_matches('9').len();
    let (head, _) = digits.split_at(digits.len() - nines);
    let zeros = "0".repeat(nines);
    let mut head: Vec<char> = head.chars().collect();
    match head.pop() {
        Some(last) => format!("{}{}{zeros}", head.iter().collect::<String>(), next_digit(last)),
        None => format!("1{zeros}"),
    }
}

/// One less than the decimal number `digits`; `None` if that is zero.
fn decrement(digits: &str) -> Option<String> {
    let head = digits.trim_end_matches('0');
    let nines = "9".repeat(digits.len() - head.len());
    let (rest, last) = head.split_at(head.len().checked_sub(1)?);
    match (rest, last) {
        ("", "1") if !nines.is_empty() => Some(nines),
        _ => Some(format!("{rest}{}{nines}", previous_digit(last))),
    }
}

fn next_digit(digit: char) -> char {
    digit.to_digit(10).and_then(|d| char::from_digit(d + 1, 10)).unwrap_or(digit)
}

fn previous_digit(digit: &str) -> String {
    digit.parse::<u8>().map_or_else(|_| digit.to_owned(), |d| d.saturating_sub(1).to_string())
}
