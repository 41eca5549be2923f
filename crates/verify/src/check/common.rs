//! A short cut for go.sum records of the common kind.
//!
//! Checking a record by the full rules takes several times as long as hashing it. What passes here would pass there,
//! with the same key (a property that is tested); what does not pass here is not thereby wrong.

use std::ops::ControlFlow;

/// The length of the key of a record, if it is surely good: two lines for one plain path and version, no `+` in the
/// version, no `gopkg.in` path, nothing near the odd rules.
pub(super) fn key_len(text: &[u8]) -> Option<usize> {
    let (key_len, record_len) = first(text)?;
    (record_len == text.len()).then_some(key_len)
}

/// The lengths of the key and of the whole record with which a text begins, if that record is surely good.
pub(super) fn first(text: &[u8]) -> Option<(usize, usize)> {
    let path_len = text.iter().position(|b| *b == b' ')?;
    let (path, rest) = text.split_at_checked(path_len)?;
    let rest = rest.get(1..)?;
    let version_len = rest.iter().position(|b| *b == b' ')?;
    let (version, rest) = rest.split_at_checked(version_len)?;
    let key_len = path_len + 1 + version_len + 1;
    let key = text.get(..key_len - 1)?;

    let rest = strip_hash(rest.get(1..)?)?;
    let rest = strip_hash(rest.strip_prefix(key)?.strip_prefix(b"/go.mod ")?)?;
    let agree = match (path_major(path)?, version_major(version)?) {
        (Some(path), version) => path == version,
        (None, version) => matches!(version, b"0" | b"1"),
    };
    agree.then_some((key_len, text.len() - rest.len()))
}

/// What follows a well-formed hash in canonical base64 and a line feed.
fn strip_hash(text: &[u8]) -> Option<&[u8]> {
    let (hash, rest) = text.strip_prefix(b"h1:")?.split_at_checked(45)?;
    let (digits, end) = hash.split_at_checked(43)?;
    // 43 digits are 258 bits, of which the last two are none of the 32 bytes and must be zero.
    let last = digits.last().copied()?;
    let good = end == b"=\n" && all(digits, BASE64) && LAST_DIGITS.contains(&last);
    good.then_some(rest)
}

/// Checks a plain path. The major version in its suffix, if it has one.
fn path_major(path: &[u8]) -> Option<Option<&[u8]>> {
    let mut elements = path.split(|b| *b == b'/');
    let host = elements.next()?;
    let good = host.contains(&b'.') && all(host, HOST) && !host.starts_with(b"-");
    if !good || !is_plain_element(host) || host == b"gopkg.in" {
        return None;
    }
    let last = match elements.try_fold(host, |_, element| {
        if is_plain_element(element) { ControlFlow::Continue(element) } else { ControlFlow::Break(()) }
    }) {
        ControlFlow::Continue(last) => last,
        ControlFlow::Break(()) => return None,
    };
    // A path that ends in `/v`, digits and dots has a suffix; only `/v2`, `/v3`, … are plain.
    match last.strip_prefix(b"v").filter(|rest| rest.iter().all(|b| b.is_ascii_digit() || *b == b'.')) {
        None => Some(None),
        Some(number) => (is_number(number) && !matches!(number, b"0" | b"1")).then_some(Some(number)),
    }
}

/// Letters, digits, `-`, `_` and dots within; nothing that Windows takes for a device.
fn is_plain_element(element: &[u8]) -> bool {
    if element.is_empty() || !all(element, ELEMENT) || element.starts_with(b".") || element.ends_with(b".") {
        return false;
    }
    // The names of devices have three or four characters before the first dot.
    let short = matches!(element, [_, _, _] | [_, _, _, _] | [_, _, _, b'.', ..] | [_, _, _, _, b'.', ..]);
    let start = element.get(..3).unwrap_or_default();
    !short || !DEVICES.iter().any(|name| start.eq_ignore_ascii_case(&name[..]))
}

/// Checks a plain canonical version, `vX.Y.Z` or `vX.Y.Z-pre`. Its major version.
fn version_major(version: &[u8]) -> Option<&[u8]> {
    let version = version.strip_prefix(b"v")?;
    let end = version.iter().position(|b| *b == b'-').unwrap_or(version.len());
    let (core, prerelease) = version.split_at_checked(end)?;
    let mut numbers = core.split(|b| *b == b'.');
    let (major, minor, patch) = (numbers.next()?, numbers.next()?, numbers.next()?);
    let good = [major, minor, patch].into_iter().all(is_number) && numbers.next().is_none();
    let good =
        good && (prerelease.is_empty() || prerelease.get(1..)?.split(|b| *b == b'.').all(is_identifier));
    good.then_some(major)
}

/// Digits without a leading zero.
fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit) && (text.len() == 1 || !text.starts_with(b"0"))
}

/// An identifier of a pre-release: a number, or letters, digits and dashes.
fn is_identifier(text: &[u8]) -> bool {
    let good = !text.is_empty() && all(text, IDENTIFIER);
    good && (!text.iter().all(u8::is_ascii_digit) || is_number(text))
}

/// Whether all bytes belong to one of the classes.
fn all(text: &[u8], classes: u8) -> bool {
    // Without a way out in the middle: faster for texts this short.
    text.iter().fold(classes, |common, b| common & CLASSES[usize::from(*b)]) != 0
}

/// Classes of bytes, a bit each.
const BASE64: u8 = 1;
const HOST: u8 = 2;
const ELEMENT: u8 = 4;
const IDENTIFIER: u8 = 8;

/// The classes that each byte belongs to.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut b = 0_u8;
    while b < 128 {
        let i = b as usize;
        if b.is_ascii_alphanumeric() {
            classes[i] = BASE64 | ELEMENT | IDENTIFIER;
        }
        if b.is_ascii_lowercase() || b.is_ascii_digit() {
            classes[i] |= HOST;
        }
        b += 1;
    }
    classes[b'+' as usize] = BASE64;
    classes[b'/' as usize] = BASE64;
    classes[b'-' as usize] = HOST | ELEMENT | IDENTIFIER;
    classes[b'.' as usize] = HOST | ELEMENT;
    classes[b'_' as usize] = ELEMENT;
    classes
};

/// What the names of Windows devices begin with.
const DEVICES: [&[u8; 3]; 6] = [b"con", b"prn", b"aux", b"nul", b"com", b"lpt"];

/// The digits of base64 whose last two bits are zero.
const LAST_DIGITS: &[u8; 16] = b"AEIMQUYcgkosw048";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::rules::by_full_rules;
    use proptest::prelude::*;

    const H: &str = "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    fn record(path: &str, version: &str) -> String {
        format!("{path} {version} {H}\n{path} {version}/go.mod {H}\n")
    }

    #[test]
    fn common_records_take_the_short_cut() {
        for (path, version) in [
            ("github.com/Azure/azure-sdk-for-go", "v0.0.0-20240102150405-0123456789ab"),
            ("github.com/pelletier/go-toml/v2", "v2.2.4"),
            ("golang.org/x/mod", "v0.42.0"),
            ("golang.org/toolchain", "v0.0.1-go1.26.8.linux-amd64"),
            ("k8s.io/api", "v0.35.0-alpha.1"),
            ("example.com/console/communication", "v1.0.0-rc.1.0-x"),
        ] {
            assert!(key_len(record(path, version).as_bytes()).is_some(), "{path} {version}");
        }
    }

    fn path() -> impl Strategy<Value = String> {
        let element = prop_oneof![
            4 => "[a-zA-Z0-9._~-]{1,6}",
            1 => "(?i)(con|aux|nul|com1|lpt9|com0|con1)(\\.[a-z]{0,2})?",
            1 => "v[0-9.]{0,3}",
            1 => "[a-z]{1,3}~[0-9]{0,2}",
        ];
        let host = prop_oneof![Just("gopkg.in".to_owned()), "[a-zA-Z0-9.-]{1,8}", "[a-z]{1,4}\\.[a-z]{2}"];
        (host, prop::collection::vec(element, 0..4))
            .prop_map(|(host, elements)| [vec![host], elements].concat().join("/"))
    }

    fn version() -> impl Strategy<Value = String> {
        let number = || prop_oneof![3 => "[0-3]", 1 => "[0-9]{1,3}"];
        let suffix =
            prop_oneof![3 => "", 2 => "-[0-9a-zA-Z.-]{0,8}", 1 => "\\+[a-z]{1,3}", 1 => "\\+incompatible"];
        (number(), number(), number(), suffix).prop_map(|(x, y, z, suffix)| format!("v{x}.{y}.{z}{suffix}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_passes_here_passes_the_full_rules(path in path(), version in version()) {
            let text = record(&path, &version);
            if let Some(len) = key_len(text.as_bytes()) {
                prop_assert_eq!(by_full_rules(text.as_bytes()), Ok(&text.as_bytes()[..len]));
            }
        }

        #[test]
        fn also_with_a_byte_changed(path in path(), version in version(), at: usize, byte in 0..128_u8) {
            let mut text = record(&path, &version).into_bytes();
            let at = at % text.len();
            text[at] = byte;
            if let Some(len) = key_len(&text) {
                prop_assert_eq!(by_full_rules(&text), Ok(&text[..len]));
            }
        }
    }
}
