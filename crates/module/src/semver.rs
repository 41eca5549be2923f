//! Semantic versions as Go writes them: with a `v` in front, `vX` and `vX.Y` allowed, numbers unbounded.

use std::cmp::Ordering;

/// A parsed semantic version; borrows from the text it was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Semver<'a> {
    text: &'a str,
    major: &'a str,
    minor: &'a str,
    patch: &'a str,
    prerelease: &'a str,
    build: &'a str,
}

impl<'a> Semver<'a> {
    /// Parses `vX[.Y[.Z[-pre][+build]]]`; `None` if `text` is not of that form. Numbers have no leading
    /// zeros, nor have identifiers of digits alone in the pre-release.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (core, suffix) = match text.find(['-', '+']) {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        let mut numbers = core.strip_prefix('v')?.split('.');
        let major = numbers.next().filter(|n| is_number(n))?;
        let minor = numbers.next();
        let patch = numbers.next();
        let good = |n: Option<&str>| n.is_none_or(is_number);
        let short_with_suffix = patch.is_none() && !suffix.is_empty();
        if !good(minor) || !good(patch) || numbers.next().is_some() || short_with_suffix {
            return None;
        }
        let (prerelease, build) = split_suffix(suffix)?;
        Some(Self {
            text,
            major,
            minor: minor.unwrap_or("0"),
            patch: patch.unwrap_or("0"),
            prerelease,
            build,
        })
    }

    /// The text that was parsed.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// `vX`.
    #[must_use]
    pub fn major(&self) -> &'a str {
        self.text.get(..1 + self.major.len()).unwrap_or(self.text)
    }

    /// `vX.Y`, with `.0` filled in where the text is shorter.
    #[must_use]
    pub fn major_minor(&self) -> String {
        format!("v{}.{}", self.major, self.minor)
    }

    /// The patch number, decimal digits.
    #[must_use]
    pub fn patch(&self) -> &'a str {
        self.patch
    }

    /// The pre-release with its leading `-`, or nothing.
    #[must_use]
    pub fn prerelease(&self) -> &'a str {
        self.prerelease
    }

    /// The build metadata with its leading `+`, or nothing.
    #[must_use]
    pub fn build(&self) -> &'a str {
        self.build
    }

    /// `vX.Y.Z[-pre]`: numbers filled in, build metadata dropped.
    #[must_use]
    pub fn canonical(&self) -> String {
        format!("v{}.{}.{}{}", self.major, self.minor, self.patch, self.prerelease)
    }

    /// Precedence by the rules of semver.org: build metadata does not count.
    #[must_use]
    pub fn precedence(&self, other: &Self) -> Ordering {
        compare_numbers(self.major, other.major)
            .then_with(|| compare_numbers(self.minor, other.minor))
            .then_with(|| compare_numbers(self.patch, other.patch))
            .then_with(|| compare_prereleases(self.prerelease, other.prerelease))
    }
}

/// Precedence of two versions; an invalid one is less than a valid one and equal to another invalid one.
#[must_use]
pub fn compare(v: &str, w: &str) -> Ordering {
    match (Semver::parse(v), Semver::parse(w)) {
        (Some(v), Some(w)) => v.precedence(&w),
        (v, w) => v.is_some().cmp(&w.is_some()),
    }
}

/// A total order for sorting: precedence, and between versions of equal precedence the bytes.
#[must_use]
pub fn compare_total(v: &str, w: &str) -> Ordering {
    compare(v, w).then_with(|| v.cmp(w))
}

/// The canonical form of a module version: `vX.Y.Z[-pre]`, keeping of build metadata only
/// `+incompatible`. `None` if `v` is not a semantic version.
#[must_use]
pub fn canonical_version(v: &str) -> Option<String> {
    let semver = Semver::parse(v)?;
    let kept = if semver.build() == INCOMPATIBLE { INCOMPATIBLE } else { "" };
    Some(semver.canonical() + kept)
}

/// The build metadata that marks a version ≥ 2 of a module without a go.mod file.
pub(crate) const INCOMPATIBLE: &str = "+incompatible";

fn is_number(text: &str) -> bool {
    is_digits(text) && !has_leading_zero(text)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn has_leading_zero(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0')
}

/// Splits `[-pre][+build]` after checking the identifiers of both.
fn split_suffix(suffix: &str) -> Option<(&str, &str)> {
    let (prerelease, build) = suffix.split_at(suffix.find('+').unwrap_or(suffix.len()));
    let good_prerelease = match prerelease.strip_prefix('-') {
        Some(identifiers) => {
            identifiers.split('.').all(|id| is_identifier(id) && !(is_digits(id) && has_leading_zero(id)))
        }
        None => prerelease.is_empty(),
    };
    let good_build = match build.strip_prefix('+') {
        Some(identifiers) => identifiers.split('.').all(is_identifier),
        None => build.is_empty(),
    };
    (good_prerelease && good_build).then_some((prerelease, build))
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Compares digit strings without leading zeros, however long.
fn compare_numbers(x: &str, y: &str) -> Ordering {
    x.len().cmp(&y.len()).then_with(|| x.cmp(y))
}

fn compare_prereleases(x: &str, y: &str) -> Ordering {
    match (x.strip_prefix('-'), y.strip_prefix('-')) {
        (Some(x), Some(y)) => compare_identifiers(x, y),
        // A version without a pre-release comes after all those with one.
        (x, y) => y.is_some().cmp(&x.is_some()),
    }
}

fn compare_identifiers(x: &str, y: &str) -> Ordering {
    let (mut x, mut y) = (x.split('.'), y.split('.'));
    loop {
        let order = match (x.next(), y.next()) {
            (Some(x), Some(y)) => compare_identifier(x, y),
            (None, None) => return Ordering::Equal,
            (x, y) => return x.is_some().cmp(&y.is_some()),
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Numbers before names; numbers by value, names by bytes.
fn compare_identifier(x: &str, y: &str) -> Ordering {
    match (is_digits(x), is_digits(y)) {
        (true, true) => compare_numbers(x, y),
        (false, false) => x.cmp(y),
        (x, y) => y.cmp(&x),
    }
}
