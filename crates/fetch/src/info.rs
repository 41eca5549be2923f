//! What a proxy says about a version: `.info` and `@latest`.

use quipu_module::{ModulePath, ModuleVersion, Version};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A version and what is known about it besides its content. Not authenticated by any log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    version: Version,
    time: Option<String>,
    origin: Option<Origin>,
}

/// Where a version was made from, as the `go` command describes it. Empty members are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Origin {
    /// Kind of version control: `git`, `hg`, …
    #[serde(rename = "VCS", skip_serializing_if = "String::is_empty")]
    pub vcs: String,
    /// Address of the repository.
    #[serde(rename = "URL", skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Directory of the module in it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subdir: String,
    /// Commit.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hash: String,
    /// Prefix of the tags that are versions of the module.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tag_prefix: String,
    /// Hash over those tags (`t1:…`).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tag_sum: String,
    /// The reference that was resolved.
    #[serde(rename = "Ref", skip_serializing_if = "String::is_empty")]
    pub reference: String,
    /// Hash over all references (`r1:…`).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub repo_sum: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wire {
    version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
}

impl Info {
    /// Longest `.info` or `@latest` that is read, in bytes.
    pub const MAX_BYTES: usize = 1 << 20;

    /// An info made here.
    ///
    /// # Errors
    /// `time` is not in the form of RFC 3339.
    pub fn new(version: Version, time: Option<String>, origin: Option<Origin>) -> Result<Self> {
        if time.as_deref().is_some_and(|time| !is_rfc3339(time)) {
            return Err(Error::rejected("the time of the version is not in the form of RFC 3339"));
        }
        Ok(Self { version, time, origin: origin.filter(|origin| *origin != Origin::default()) })
    }

    /// Reads the JSON of `.info` or `@latest` for a module with this `path`. Unknown members are dropped.
    ///
    /// # Errors
    /// It is not such an object, or its version is not canonical or does not agree with the path.
    pub fn parse(path: &ModulePath, json: &[u8]) -> Result<Self> {
        let wire: Wire = serde_json::from_slice(json)
            .map_err(|_| Error::rejected(format!("{path}: the version information is not valid JSON")))?;
        let version = Version::parse(&wire.version)
            .and_then(|version| ModuleVersion::new(path.clone(), version))
            .map_err(|error| Error::rejected(error.to_string()))?;
        Self::new(version.version().clone(), wire.time, wire.origin).map_err(|error| error.about(path))
    }

    /// The JSON to store and serve: `Version`, `Time`, `Origin`, no white space. Inverse of [`Info::parse`].
    pub fn format(&self) -> String {
        let wire = Wire {
            version: self.version.as_str().to_owned(),
            time: self.time.clone(),
            origin: self.origin.clone(),
        };
        // Strings and nothing else: there is nothing in it that JSON cannot say.
        serde_json::to_string(&wire).unwrap_or_default()
    }

    /// The version, always canonical.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// When it was made, in the form of RFC 3339.
    pub fn time(&self) -> Option<&str> {
        self.time.as_deref()
    }

    /// What it was made from.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }
}

/// Whether `text` is a date and time as RFC 3339 section 5.6 writes it, ranges checked, calendar not.
fn is_rfc3339(text: &str) -> bool {
    let Some((date_time, rest)) = text.split_at_checked(19) else { return false };
    let shape_ok = date_time.bytes().zip(b"0000-00-00T00:00:00").all(|(byte, shape)| match shape {
        b'0' => byte.is_ascii_digit(),
        shape => byte == *shape,
    });
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    let fraction_ok =
        !rest.starts_with('.') || (zone.len() + 1 < rest.len() && rest.len() - zone.len() <= 10);
    let number = |text: &str, at: usize| text.get(at..at + 2).and_then(|digits| digits.parse::<u8>().ok());
    let in_range =
        |text, at, range: std::ops::RangeInclusive<u8>| number(text, at).is_some_and(|n| range.contains(&n));
    let zone_ok = match zone.as_bytes() {
        [b'Z'] => true,
        [b'+' | b'-', _, _, b':', _, _] => in_range(zone, 1, 0..=23) && in_range(zone, 4, 0..=59),
        _ => false,
    };
    let parts = [(5, 1..=12), (8, 1..=31), (11, 0..=23), (14, 0..=59), (17, 0..=59)];
    shape_ok && fraction_ok && zone_ok && parts.into_iter().all(|(at, range)| in_range(date_time, at, range))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;

    fn path() -> ModulePath {
        ModulePath::parse("example.com/m").unwrap()
    }

    #[test]
    fn infos_round_trip_in_the_form_of_the_public_proxy() {
        let json = r#"{"Version":"v1.2.3","Time":"2022-09-27T20:59:27Z","Origin":{"VCS":"git","URL":"https://git.example/m","Hash":"e3b0c442","Ref":"refs/tags/v1.2.3"}}"#;
        let info = Info::parse(&path(), json.as_bytes()).unwrap();
        assert_eq!(info.version().as_str(), "v1.2.3");
        assert_eq!(info.time(), Some("2022-09-27T20:59:27Z"));
        assert_eq!(info.origin().unwrap().reference, "refs/tags/v1.2.3");
        assert_eq!(info.format(), json);
    }

    #[test]
    fn unknown_and_empty_members_go() {
        let json = br#" {"Name":"x","Short":7,"Origin":{"New":[1]},"Time":null,"Version":"v1.0.0-pre"} "#;
        assert_eq!(Info::parse(&path(), json).unwrap().format(), r#"{"Version":"v1.0.0-pre"}"#);
    }

    #[test]
    fn wrong_infos_are_rejected() {
        for json in [
            "",
            "<html>",
            "[]",
            "{}",
            r#"{"Version":null}"#,
            r#"{"Version":"v1.2"}"#,
            r#"{"Version":"v1.2.3+meta"}"#,
            r#"{"Version":"v2.0.0"}"#,
            r#"{"Version":"v1.0.0\n"}"#,
            r#"{"Version":"v1.0.0","Time":"yesterday"}"#,
            r#"{"Version":"v1.0.0","Time":7}"#,
            r#"{"Version":"v1.0.0","Origin":{"URL":7}}"#,
            r#"{"Version":"v1.0.0"}x"#,
        ] {
            let error = Info::parse(&path(), json.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Rejected, "{json}");
        }
    }

    #[test]
    fn times() {
        for good in ["2022-09-27T20:59:27Z", "2022-09-27T20:59:27.123456789Z", "1970-01-01T00:00:00+05:30"] {
            assert!(is_rfc3339(good), "{good}");
        }
        for bad in [
            "",
            "2022-09-27",
            "2022-09-27 20:59:27Z",
            "2022-09-27T20:59:27",
            "2022-13-27T20:59:27Z",
            "2022-09-32T20:59:27Z",
            "2022-09-27T24:59:27Z",
            "2022-09-27T20:60:27Z",
            "2022-09-27T20:59:27.Z",
            "2022-09-27T20:59:27.1234567890Z",
            "2022-09-27T20:59:27+0530",
            "2022-09-27T20:59:27+24:00",
            "２022-09-27T20:59:27Z",
        ] {
            assert!(!is_rfc3339(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_formatting_parses(json in ".*", time in "[0-9TZ:.+-]{0,40}") {
            let _ = Info::parse(&path(), json.as_bytes());
            if let Ok(info) = Info::new(Version::parse("v1.0.0").unwrap(), Some(time), None) {
                prop_assert_eq!(Info::parse(&path(), info.format().as_bytes()).unwrap(), info);
            }
        }
    }
}
