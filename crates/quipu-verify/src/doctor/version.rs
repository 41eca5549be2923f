//! Which versions of the go command are safe against a hostile proxy and database.

/// How a version compares with the oldest safe ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// It has the repairs of 2026.
    Safe,
    /// It has not.
    Old,
    /// One cannot tell, as with development versions.
    Unknown,
}

/// Judges a version as go prints it, such as `go1.26.8` or `go1.27rc1`.
pub(crate) fn age(version: &str) -> Age {
    let number = version.split_whitespace().next().and_then(|first| first.strip_prefix("go1."));
    // Distributions put their own marks behind a dash or plus.
    let Some(number) = number.map(|number| number.split(['-', '+']).next().unwrap_or(number)) else {
        return Age::Unknown;
    };
    let (minor, patch) = number.split_once('.').unwrap_or((number, "0"));
    let minor = minor.split(|c: char| c.is_ascii_lowercase()).next().unwrap_or(minor);
    let (Ok(minor), Ok(patch)) = (minor.parse::<u32>(), patch.parse::<u32>()) else { return Age::Unknown };
    let safe = match minor {
        ..25 => false,
        25 => patch >= 13,
        26 => patch >= 6,
        27.. => true,
    };
    if safe { Age::Safe } else { Age::Old }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_safe_versions() {
        for version in
            ["go1.25.13", "go1.26.6", "go1.26.8", "go1.27", "go1.27rc1", "go1.26.6-2~deb13", "go1.30.1 X:a"]
        {
            assert_eq!(age(version), Age::Safe, "{version}");
        }
        for version in ["go1.25.12", "go1.26.5", "go1.26", "go1.26rc2", "go1.13.1", "go1.24.99", "go1.25"] {
            assert_eq!(age(version), Age::Old, "{version}");
        }
        for version in ["devel go1.27-abcdef", "", "1.26.8", "go2.0", "go1.x", "go1.26.x"] {
            assert_eq!(age(version), Age::Unknown, "{version}");
        }
    }
}
