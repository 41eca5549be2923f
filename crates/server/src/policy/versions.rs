//! Ranges of versions, as rules name them.

use std::cmp::Ordering;

use quipu_module::semver::{Semver, compare};

use super::PolicyError;

/// Some versions: the union of any number of ranges, and every version if there is none.
///
/// A range is written as a version (that one alone), as an interval `[v1.0.0, v1.2.3]` with both ends in it, like those
/// of `retract` in go.mod, or as comparisons that must all hold: `>=v1.2.0 <v2.0.0`. Shortened versions mean the same as
/// for Go (`v1` is `v1.0.0`). Order is that of semver.org: `v2.0.0-rc.1` comes before `v2.0.0`, and what follows a `+`
/// does not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions(Vec<Range>);

/// Comparisons that must all hold.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Range(Vec<(Comparison, String)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

impl Versions {
    /// Reads ranges of module versions.
    ///
    /// # Errors
    /// A range that is not written as described above.
    pub fn parse(ranges: &[impl AsRef<str>]) -> Result<Self, PolicyError> {
        Self::parse_as(ranges, |version| Semver::parse(version).map(|version| version.canonical()))
    }

    /// Reads ranges in a notation of versions that `canonical` knows.
    pub(super) fn parse_as(
        ranges: &[impl AsRef<str>],
        canonical: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, PolicyError> {
        let range = |text: &str| parse_range(text, &canonical);
        Ok(Self(ranges.iter().map(|text| range(text.as_ref())).collect::<Result<_, _>>()?))
    }

    /// Whether they are all versions.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `version`, a semantic version with `v` in front, is among them.
    #[must_use]
    pub fn contains(&self, version: &str) -> bool {
        self.is_all() || self.0.iter().any(|range| range.contains(version))
    }
}

impl Range {
    fn contains(&self, version: &str) -> bool {
        self.0.iter().all(|(comparison, bound)| comparison.holds(compare(version, bound)))
    }
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::AtLeast => order.is_ge(),
            Self::More => order.is_gt(),
        }
    }

    /// The comparison that `text` begins with, and the rest of it.
    fn split(text: &str) -> (Self, &str) {
        let signs = [
            (">=", Self::AtLeast),
            ("<=", Self::AtMost),
            (">", Self::More),
            ("<", Self::Less),
            ("=", Self::Equal),
        ];
        let found = signs.iter().find_map(|(sign, found)| Some((*found, text.strip_prefix(sign)?)));
        found.unwrap_or((Self::Equal, text))
    }
}

fn parse_range(text: &str, canonical: impl Fn(&str) -> Option<String>) -> Result<Range, PolicyError> {
    let version = |part: &str| {
        let no_version = || PolicyError::new(format!("{text:?}: {part:?} is no version"));
        canonical(part).ok_or_else(no_version)
    };
    if let Some(interval) = text.trim().strip_prefix('[') {
        let ends = interval.strip_suffix(']').and_then(|ends| ends.split_once(','));
        let (low, high) = ends
            .ok_or_else(|| PolicyError::new(format!("{text:?}: an interval is written [lowest, highest]")))?;
        let (low, high) = (version(low.trim())?, version(high.trim())?);
        if compare(&low, &high).is_gt() {
            return Err(PolicyError::new(format!("{text:?}: the lowest version is above the highest")));
        }
        return Ok(Range(vec![(Comparison::AtLeast, low), (Comparison::AtMost, high)]));
    }
    let parts = text.split([' ', ',']).filter(|part| !part.is_empty());
    let bounds: Vec<_> = parts
        .map(Comparison::split)
        .map(|(comparison, part)| Ok((comparison, version(part)?)))
        .collect::<Result<_, PolicyError>>()?;
    if bounds.is_empty() {
        return Err(PolicyError::new("an empty range: write no range to mean every version"));
    }
    Ok(Range(bounds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_they_say() {
        let cases = [
            (&["v1.2.3"][..], &["v1.2.3", "v1.2.3+incompatible"][..], &["v1.2.4", "v1.2.3-pre", "v1"][..]),
            (
                &["[v1.0.0, v1.2.0]"],
                &["v1.0.0", "v1.1.9", "v1.2.0", "v1.2.0-rc.1"],
                &["v1.0.0-rc.1", "v1.2.1"],
            ),
            (&["[v1,v1]"], &["v1.0.0"], &["v1.0.1"]),
            (&[">=v1.2.0 <v2"], &["v1.2.0", "v1.99.0", "v2.0.0-rc.1"], &["v2.0.0", "v1.2.0-0", "v0.9.0"]),
            (&[">v1.0.0,<=v1.1.0"], &["v1.0.1", "v1.1.0"], &["v1.0.0", "v1.1.1"]),
            (&["=v1.0.0", "v3.0.0"], &["v1.0.0", "v3.0.0"], &["v2.0.0"]),
            (&["<v0.0.0-20200101000000-000000000000"], &["v0.0.0-20190101000000-ffffffffffff"], &["v0.0.0"]),
            (&[], &["v1.0.0", "v0.0.0-x"], &[]),
        ];
        for (ranges, inside, outside) in cases {
            let versions = Versions::parse(ranges).unwrap();
            for version in inside {
                assert!(versions.contains(version), "{ranges:?} {version}");
            }
            for version in outside {
                assert!(!versions.contains(version), "{ranges:?} {version}");
            }
        }
    }

    #[test]
    fn what_is_no_range_is_named() {
        for text in [
            "",
            " ",
            "1.2.3",
            "latest",
            "[v1.0.0]",
            "[v1.0.0, v0.9.0]",
            "[v1, v2",
            ">=",
            ">= v1",
            "v1.x",
            "!v1",
        ] {
            let why = Versions::parse(&["v1.0.0", text]).unwrap_err().to_string();
            assert!(text.trim().is_empty() || why.contains(&format!("{text:?}")), "{text}: {why}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_range_panics(text in "[\\[\\]<>=v0-9., -]{0,20}", any in ".{0,20}", version in "v[0-9]\\.[0-9]\\.[0-9]") {
            for text in [text, any] {
                let _ = Versions::parse(&[text]).map(|versions| versions.contains(&version));
            }
        }

        #[test]
        fn intervals_agree_with_comparisons(low in 0_u8..4, high in 0_u8..4, minor in 0_u8..4) {
            let version = format!("v1.{minor}.0");
            if let Ok(interval) = Versions::parse(&[format!("[v1.{low}.0, v1.{high}.0]")]) {
                proptest::prop_assert_eq!(interval.contains(&version), (low..=high).contains(&minor));
            } else {
                proptest::prop_assert!(low > high);
            }
        }
    }
}
