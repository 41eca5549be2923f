//! go.mod files, read as far as serving modules needs it: the module path, the go version, retractions and
//! deprecation.
//!
//! There are two readers, because `go` has two and they disagree on odd files: [`quick_module_path`] looks
//! for one line and knows no syntax; [`GoMod::parse_lax`] parses the file and passes over what it does not
//! know, so that new directives in a dependency break nothing.

mod quoted;
mod syntax;

use std::cmp::Ordering;

use self::{
    quoted::unquote,
    syntax::{Comments, Line, Statements},
};
use crate::{
    error::Error,
    path::split_path_version,
    quote::quote,
    semver::{self, canonical_version},
    version::check_path_major,
    zip::MAX_ROOT_FILE,
};

/// What a go.mod file says about its module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoMod {
    /// The module path as written; not checked. `None` if there is no `module` line.
    pub module: Option<String>,
    /// The go version, such as `1.24`, `1.24.1` or `1.24rc1`.
    pub go: Option<String>,
    /// What it requires, in the order of the file.
    pub require: Vec<Requirement>,
    /// The retractions, in the order of the file.
    pub retract: Vec<Retraction>,
    /// The deprecation message; `None` if the module is not deprecated.
    pub deprecated: Option<String>,
}

/// A module that is required, and the least version of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The module path as written; only its major version was looked at.
    pub path: String,
    /// The version in canonical form.
    pub version: String,
}

/// Versions that an author has withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retraction {
    /// The lowest of them, as written; not checked.
    pub low: String,
    /// The highest of them, as written; not checked.
    pub high: String,
    /// Why, from the comments; may be empty.
    pub rationale: String,
}

impl Retraction {
    /// Whether `version` is one of them.
    #[must_use]
    pub fn covers(&self, version: &str) -> bool {
        semver::compare(&self.low, version) != Ordering::Greater
            && semver::compare(version, &self.high) != Ordering::Greater
    }
}

impl GoMod {
    /// Parses the go.mod file of a dependency: unknown directives and blocks, and those that only count in a
    /// main module, are passed over; so are retractions that cannot be understood.
    ///
    /// # Errors
    /// The file is over [`MAX_ROOT_FILE`] bytes, breaks the syntax, or one of the directives `module`, `go`,
    /// `require` and `ignore` is wrong.
    pub fn parse_lax(content: &[u8]) -> Result<Self, Error> {
        if content.len() as u64 > MAX_ROOT_FILE {
            return Err(Error::malformed(format!(
                "go.mod file too large (max size is {MAX_ROOT_FILE} bytes)"
            )));
        }
        let text = String::from_utf8_lossy(content);
        let mut go_mod = Self::default();
        let mut statements = Statements::new(&text);
        while let Some(line) = statements.next()? {
            let position = line.position;
            go_mod.add(&line).map_err(|reason| position.error(&reason))?;
        }
        Ok(go_mod)
    }

    /// The language version, `major.minor` of the go version, but `1` for 1.0; `None` without a go version
    /// that is one.
    #[must_use]
    pub fn language(&self) -> Option<&str> {
        let go = self.go.as_deref()?;
        let (numbers, prerelease) =
            go.split_at(go.find(|c: char| c.is_ascii_lowercase()).unwrap_or(go.len()));
        let (minor_at, _) = go.match_indices('.').next()?;
        let end = numbers.get(minor_at + 1..)?.find('.').map(|dot| minor_at + 1 + dot);
        // 1.24rc1 is a version, 1.24.0rc1 and 1.24rc01 are not.
        let number = prerelease.trim_start_matches(|c: char| c.is_ascii_lowercase());
        let good_prerelease = end.is_none() && (number == "0" || !number.starts_with('0'));
        let language = go.get(..end.unwrap_or(numbers.len())).map(|v| if v == "1.0" { "1" } else { v });
        language.filter(|_| prerelease.is_empty() || good_prerelease)
    }

    /// Interprets one line; those of a block come one by one.
    fn add(&mut self, line: &Line<'_>) -> Result<(), String> {
        match line.verb {
            "module" => self.add_module(line),
            "go" => self.add_go(&line.arguments),
            "require" => {
                self.require.push(parse_require(&line.arguments)?);
                Ok(())
            }
            "ignore" => check_ignore(&line.arguments),
            "retract" => {
                self.retract.extend(parse_retraction(&line.arguments, &line.comments));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn add_module(&mut self, line: &Line<'_>) -> Result<(), String> {
        if self.module.is_some() {
            return Err("repeated module statement".into());
        }
        let [path] = *line.arguments else { return Err("usage: module module/path".into()) };
        self.module = Some(parse_string(path).map_err(|e| format!("invalid quoted string: {e}"))?);
        self.deprecated = parse_deprecation(&line.comments.text()).filter(|message| !message.is_empty());
        Ok(())
    }

    fn add_go(&mut self, arguments: &[&str]) -> Result<(), String> {
        if self.go.is_some() {
            return Err("repeated go statement".into());
        }
        let [version] = *arguments else { return Err("go directive expects exactly one argument".into()) };
        let known = lax_go_version(version)
            .ok_or_else(|| format!("invalid go version '{version}': must match format 1.23.0"))?;
        self.go = Some(known.to_owned());
        Ok(())
    }
}

/// Finds the module path as `go` does where it only needs to know whose go.mod it has: the first line that
/// is `module` and something after white space. Empty if there is none, or its quotes are wrong. What it
/// gives need not be a valid path: for `module (` it is `(`.
#[must_use]
pub fn quick_module_path(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    let path = text.split('\n').find_map(|line| {
        let line = line.split_once("//").map_or(line, |(line, _)| line).trim();
        let rest = line.strip_prefix("module")?;
        let path = rest.trim_start();
        (path.len() < rest.len() && !path.is_empty()).then_some(path)
    });
    match path {
        Some(path) if path.starts_with(['"', '`']) => unquote(path).unwrap_or_default(),
        path => path.unwrap_or_default().to_owned(),
    }
}

/// The go.mod file that stands for a missing one.
#[must_use]
pub fn synthesize_go_mod(path: &crate::ModulePath) -> String {
    format!("module {path}\n")
}

/// `X.Y`, `X.Y.Z` or `X.Yrc1` as it is; of anything else, a leading `v` allowed, `X.Y` if no digit follows.
fn lax_go_version(text: &str) -> Option<&str> {
    if is_go_version(text) {
        return Some(text);
    }
    let text = text.strip_prefix('v').unwrap_or(text);
    let (_, after_major) = split_number(text).filter(|(major, _)| *major != "0")?;
    let (_, rest) = split_number(after_major.strip_prefix('.')?)?;
    // Something other than a digit must follow, and no line feed anywhere after it.
    let good = !rest.is_empty() && !rest.contains('\n');
    good.then(|| text.get(..text.len() - rest.len()))?
}

fn is_go_version(text: &str) -> bool {
    let parse = || {
        let (major, rest) = split_number(text)?;
        let (_, mut rest) = split_number(rest.strip_prefix('.')?)?;
        if let Some(patch) = rest.strip_prefix('.') {
            rest = split_number(patch)?.1;
        }
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_lowercase());
        let good_suffix = rest.is_empty()
            || (digits.len() < rest.len()
                && !digits.is_empty()
                && digits.bytes().all(|b| b.is_ascii_digit()));
        (major != "0" && good_suffix).then_some(())
    };
    parse().is_some()
}

/// Splits off a decimal number without leading zeros; no further digit follows it.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let (number, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let good = number == "0" || (!number.is_empty() && !number.starts_with('0'));
    good.then_some((number, rest))
}

fn parse_require(arguments: &[&str]) -> Result<Requirement, String> {
    let [path, version] = *arguments else { return Err("usage: require module/path v1.2.3".into()) };
    let path = parse_string(path).map_err(|e| format!("invalid quoted string: {e}"))?;
    let version = parse_string(version)
        .map_err(|e| format!("require {path}: version {} invalid: {e}", quote(version)))?;
    let canonical = canonical_version(&version).ok_or_else(|| {
        format!("require {path}: version {} invalid: must be of the form v1.2.3", quote(&version))
    })?;
    let (_, major) = split_path_version(&path).ok_or("invalid module path")?;
    check_path_major(&canonical, major).map_err(|e| format!("require {path}: {e}"))?;
    Ok(Requirement { path, version: canonical.to_string() })
}

fn check_ignore(arguments: &[&str]) -> Result<(), String> {
    let [path] = *arguments else { return Err("ignore directive expects exactly one argument".into()) };
    parse_string(path).map(drop).map_err(|e| format!("invalid quoted string: {e}"))
}

/// `v` or `[ low , high ]`, perhaps followed by things to come; `None` if it is neither.
fn parse_retraction(arguments: &[&str], comments: &Comments<'_>) -> Option<Retraction> {
    let (low, high) = match *arguments {
        ["[", low, ",", high, "]", ..] => (parse_string(low).ok()?, parse_string(high).ok()?),
        ["[" | "(", ..] | [] => return None,
        [version, ..] => (parse_string(version).ok()?, parse_string(version).ok()?),
    };
    Some(Retraction { low, high, rationale: comments.text() })
}

/// The paragraph that starts with `Deprecated:`, without that word.
fn parse_deprecation(comment: &str) -> Option<String> {
    const MARK: &str = "Deprecated:";
    let message = match comment.strip_prefix(MARK) {
        Some(message) => message,
        None => comment.split_once(&format!("\n\n{MARK}"))?.1,
    };
    let message = message.trim_start_matches(' ');
    Some(message.split_once("\n\n").map_or(message, |(message, _)| message).to_owned())
}

/// A word, or a string in double quotes. Other quotes are reserved.
fn parse_string(token: &str) -> Result<String, &'static str> {
    if token.starts_with('"') {
        return unquote(token).ok_or("invalid syntax");
    }
    if token.contains(['"', '\'', '`']) {
        return Err("unquoted string cannot contain quote");
    }
    Ok(token.to_owned())
}
