//! Module, import and file paths: what may stand in them.

use std::{fmt, str::FromStr};

use crate::{
    error::Error,
    escape::{escape, unescape},
    quote::{quote, quote_char},
    unicode::is_letter,
};

/// A valid, plain (unescaped) module path such as `golang.org/x/text` or `rsc.io/quote/v2`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModulePath(String);

impl ModulePath {
    /// Checks `path` against the rules of `golang.org/x/mod/module.CheckPath`.
    ///
    /// # Errors
    /// The path breaks one of them.
    pub fn parse(path: &str) -> Result<Self, Error> {
        check_module_path(path)?;
        Ok(Self(path.to_owned()))
    }

    /// Reads the escaped form, in which an upper-case letter is `!` and its lower-case letter.
    ///
    /// # Errors
    /// The text is not an escaped string, or the path that it stands for is not valid.
    pub fn unescape(escaped: &str) -> Result<Self, Error> {
        let context = || format!("invalid escaped module path {}", quote(escaped));
        let path = unescape(escaped).ok_or_else(|| Error::malformed(context()))?;
        Self::parse(&path).map_err(|e| e.within(context()))
    }

    /// The escaped form, for URLs and file names. Inverse of [`ModulePath::unescape`].
    #[must_use]
    pub fn escaped(&self) -> String {
        escape(&self.0)
    }

    /// The plain path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The major-version suffix: empty, `/vN` (N ≥ 2), or for `gopkg.in` paths `.vN` or `.vN-unstable`.
    #[must_use]
    pub fn path_major(&self) -> &str {
        self.split().1
    }

    /// The path without its major-version suffix.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.split().0
    }

    /// The first path element, a host name.
    #[must_use]
    pub fn first_element(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(first, _)| first)
    }

    fn split(&self) -> (&str, &str) {
        split_path_version(&self.0).unwrap_or((&self.0, ""))
    }
}

impl fmt::Display for ModulePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ModulePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for ModulePath {
    type Err = Error;

    fn from_str(path: &str) -> Result<Self, Error> {
        Self::parse(path)
    }
}

/// Checks that `path` may be an import path: like a module path, but `+` and elements with a leading
/// dot are allowed and the first element need not be a host name.
///
/// # Errors
/// `path` breaks one of the rules.
pub fn check_import_path(path: impl AsRef<[u8]>) -> Result<(), Error> {
    check(path.as_ref(), Kind::Import)
}

/// Checks that `path` may name a file inside a module: slash-separated elements of ASCII letters, digits,
/// spaces, most ASCII punctuation and Unicode letters; no element is a Windows device or ends in a dot.
///
/// # Errors
/// `path` breaks one of the rules.
pub fn check_file_path(path: impl AsRef<[u8]>) -> Result<(), Error> {
    check(path.as_ref(), Kind::File)
}

/// Splits `path` into prefix and major-version suffix (see [`ModulePath::path_major`]), without checking
/// anything else. `None` if the last element looks like a version but is none: `/v1`, `/v02`, `/v2.0`,
/// or a `gopkg.in` path without `.vN`.
#[must_use]
pub fn split_path_version(path: &str) -> Option<(&str, &str)> {
    if path.starts_with("gopkg.in/") {
        return split_gopkg_in(path);
    }
    let stem = path.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let Some(prefix) = stem.strip_suffix("/v").filter(|_| stem.len() < path.len()) else {
        return Some((path, ""));
    };
    let number = path.get(stem.len()..)?;
    let good = !number.contains('.') && !number.starts_with('0') && number != "1";
    good.then(|| path.split_at(prefix.len()))
}

fn split_gopkg_in(path: &str) -> Option<(&str, &str)> {
    let stable = path.strip_suffix("-unstable").unwrap_or(path);
    let stem = stable.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = stable.get(stem.len()..)?;
    let prefix = stem.strip_suffix(".v")?;
    let (prefix, major) = path.split_at(prefix.len());
    // `.v-unstable`, without a number, passes: x/mod takes it too. No version agrees with it.
    let good = major != ".v" && (!number.starts_with('0') || major == ".v0");
    good.then_some((prefix, major))
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Module,
    Import,
    File,
}

impl Kind {
    fn noun(self) -> &'static str {
        match self {
            Self::Module => "module",
            Self::Import => "import",
            Self::File => "file",
        }
    }

    fn allows(self, c: char) -> bool {
        let in_module_path = c.is_ascii_alphanumeric() || "-._~".contains(c);
        match self {
            Self::Module => in_module_path,
            Self::Import => in_module_path || c == '+',
            Self::File => c.is_ascii_alphanumeric() || "!#$%&()+,-.=@[]^_{}~ ".contains(c) || is_letter(c),
        }
    }
}

fn check_module_path(path: &str) -> Result<(), Error> {
    check(path.as_bytes(), Kind::Module)?;
    check_host(path).map_err(|reason| malformed(path.as_bytes(), Kind::Module, &reason))
}

fn check(path: &[u8], kind: Kind) -> Result<(), Error> {
    let text = str::from_utf8(path).map_err(|_| malformed(path, kind, "invalid UTF-8"))?;
    check_elements(text, kind).map_err(|reason| malformed(path, kind, &reason))
}

fn malformed(path: &[u8], kind: Kind, reason: &str) -> Error {
    Error::malformed(format!("malformed {} path {}: {reason}", kind.noun(), quote(path)))
}

/// The rules that only module paths have: a host name in front, a version suffix that can be one.
fn check_host(path: &str) -> Result<(), String> {
    let host = path.split_once('/').map_or(path, |(host, _)| host);
    if !host.contains('.') {
        return Err("missing dot in first path element".into());
    }
    let bad = |c: &char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(*c));
    if let Some(c) = host.chars().find(bad) {
        return Err(format!("invalid char {} in first path element", quote_char(c)));
    }
    if split_path_version(path).is_none() {
        return Err("invalid version".into());
    }
    Ok(())
}

fn check_elements(path: &str, kind: Kind) -> Result<(), String> {
    if path.is_empty() {
        return Err("empty string".into());
    }
    if path.starts_with('-') && kind != Kind::File {
        return Err("leading dash".into());
    }
    if path.contains("//") {
        return Err("double slash".into());
    }
    if path.ends_with('/') {
        return Err("trailing slash".into());
    }
    path.split('/').try_for_each(|element| check_element(element, kind))
}

/// Whether `name` may stand as one element of a file path, and if not, why.
pub(crate) fn check_file_element(name: &str) -> Result<(), String> {
    check_element(name, Kind::File)
}

fn check_element(element: &str, kind: Kind) -> Result<(), String> {
    if element.is_empty() {
        return Err("empty path element".into());
    }
    if element.bytes().all(|b| b == b'.') {
        return Err(format!("invalid path element {}", quote(element)));
    }
    if element.starts_with('.') && kind == Kind::Module {
        return Err("leading dot in path element".into());
    }
    if element.ends_with('.') {
        return Err("trailing dot in path element".into());
    }
    if let Some(c) = element.chars().find(|&c| !kind.allows(c)) {
        return Err(format!("invalid char {}", quote_char(c)));
    }
    check_windows(element, kind)
}

/// Windows opens a device for names such as `NUL` and `con.txt`, and gives `LONGNAME` also as `LONGNA~1`.
fn check_windows(element: &str, kind: Kind) -> Result<(), String> {
    let short = element.split_once('.').map_or(element, |(short, _)| short);
    if is_windows_device(short) {
        return Err(format!("{} disallowed as path element component on Windows", quote(short)));
    }
    // Short names of files do no harm: files are never asked for by name.
    if kind != Kind::File
        && let Some((_, digits)) = short.rsplit_once('~')
        && !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
    {
        return Err("trailing tilde and digits in path element".into());
    }
    Ok(())
}

fn is_windows_device(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    match upper.as_bytes() {
        b"CON" | b"PRN" | b"AUX" | b"NUL" => true,
        [b'C', b'O', b'M', digit] | [b'L', b'P', b'T', digit] => (b'1'..=b'9').contains(digit),
        _ => false,
    }
}
