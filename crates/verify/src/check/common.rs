//! A short cut for go.sum records of the common kind.
//!
//! Checking a record by the full rules takes several times as long as hashing it. What passes here would pass there,
//! with the same key (a property that is tested); what does not pass here is not thereby wrong.

/// The length of the key of a record, if it is surely good: two lines for one plain path and version, no `+` in the
/// version, no `gopkg.in` path, nothing near the odd rules.
pub(super) fn key_len(text: &[u8]) -> Option<usize> {
    let (key_len, record_len) = first(text)?;
    (record_len == text.len()).then_some(key_len)
}

/// The lengths of the key and of the whole record with which a text begins, if that record is surely good.
pub(super) fn first(text: &[u8]) -> Option<(usize, usize)> {
    let (path_major, rest) = strip_path(text)?;
    let (version_major, rest) = strip_version(rest)?;
    let key_len = text.len() - rest.len();
    let key = text.get(..key_len - 1)?;

    let rest = strip_hash(rest)?;
    let rest = strip_hash(rest.strip_prefix(key)?.strip_prefix(b"/go.mod ")?)?;
    let agree = match path_major {
        Some(major) => major == version_major,
        None => matches!(version_major, b"0" | b"1"),
    };
    agree.then_some((key_len, text.len() - rest.len()))
}

/// What follows a well-formed hash in canonical base64 and a line feed.
fn strip_hash(text: &[u8]) -> Option<&[u8]> {
    let (hash, rest) = text.strip_prefix(b"h1:")?.split_at_checked(45)?;
    let (digits, end) = hash.split_at_checked(43)?;
    // 43 digits are 258 bits, of which the last two are none of the 32 bytes and must be zero.
    let last = digits.last()?;
    // Two blocks that overlap are all 43.
    let good = is_base64(digits.first_chunk()?) & is_base64(digits.last_chunk()?);
    (good && end == b"=\n" && LAST_DIGITS.contains(last)).then_some(rest)
}

/// Whether these are digits of base64. By arithmetic and on a length that is known, which makes vector instructions of it.
fn is_base64(block: &[u8; 32]) -> bool {
    let strange = |b: u8| {
        let letter = (b | 0x20).wrapping_sub(b'a') < 26;
        // The slash comes right before the zero.
        let digit = b.wrapping_sub(b'/') <= b'9' - b'/';
        !(letter | digit | (b == b'+'))
    };
    block.iter().fold(0, |all, b| all | u8::from(strange(*b))) == 0
}

/// Checks a plain path with a space after it. The major version in its suffix, if it has one, and what follows the space.
fn strip_path(text: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (host, mut rest) = strip_element(text)?;
    if !host.contains(&b'.') || !all(host, HOST) || host.starts_with(b"-") || host == b"gopkg.in" {
        return None;
    }
    let mut last = host;
    while let Some(after) = rest.strip_prefix(b"/") {
        (last, rest) = strip_element(after)?;
    }
    let rest = rest.strip_prefix(b" ")?;
    // A path that ends in `/v`, digits and dots has a suffix; only `/v2`, `/v3`, … are plain.
    match last.strip_prefix(b"v").filter(|rest| rest.iter().all(|b| b.is_ascii_digit() || *b == b'.')) {
        None => Some((None, rest)),
        Some(major) => (is_number(major) && !matches!(major, b"0" | b"1")).then_some((Some(major), rest)),
    }
}

/// A plain element of a path, and what follows it.
fn strip_element(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (element, rest) = strip_all(text, ELEMENT)?;
    is_plain_element(element).then_some((element, rest))
}

/// Of bytes that elements are made of: no dots but within; nothing that Windows takes for a device.
fn is_plain_element(element: &[u8]) -> bool {
    if element.is_empty() || element.starts_with(b".") || element.ends_with(b".") {
        return false;
    }
    // The names of devices have three or four characters before the first dot.
    let short = matches!(element, [_, _, _] | [_, _, _, _] | [_, _, _, b'.', ..] | [_, _, _, _, b'.', ..]);
    let start = element.get(..3).unwrap_or_default();
    !short || !DEVICES.iter().any(|name| start.eq_ignore_ascii_case(&name[..]))
}

/// Checks a plain canonical version, `vX.Y.Z` or `vX.Y.Z-pre`, with a space after it. Its major version and what follows
/// the space.
fn strip_version(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (major, rest) = strip_number(text.strip_prefix(b"v")?)?;
    let (_, rest) = strip_number(rest.strip_prefix(b".")?)?;
    let (_, mut rest) = strip_number(rest.strip_prefix(b".")?)?;
    let mut separator = b'-';
    while let Some(after) = rest.strip_prefix(&[separator]) {
        let (identifier, after) = strip_all(after, IDENTIFIER)?;
        if !is_identifier(identifier) {
            return None;
        }
        (separator, rest) = (b'.', after);
    }
    Some((major, rest.strip_prefix(b" ")?))
}

/// A number, and what follows it.
fn strip_number(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (number, rest) = strip_all(text, DIGIT)?;
    is_number(number).then_some((number, rest))
}

/// Digits without a leading zero.
fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit) && (text.len() == 1 || !text.starts_with(b"0"))
}

/// Of letters, digits and dashes, whether they are an identifier of a pre-release: if digits alone, then a number.
fn is_identifier(text: &[u8]) -> bool {
    !text.is_empty() && (!text.iter().all(u8::is_ascii_digit) || is_number(text))
}

/// The bytes of one of the classes at the start, and what follows them, which is not nothing.
fn strip_all(text: &[u8], class: u8) -> Option<(&[u8], &[u8])> {
    text.split_at_checked(text.iter().position(|b| CLASSES[usize::from(*b)] & class == 0)?)
}

/// Whether all bytes belong to one of the classes.
fn all(text: &[u8], classes: u8) -> bool {
    // Without a way out in the middle: faster for texts this short.
    text.iter().fold(classes, |common, b| common & CLASSES[usize::from(*b)]) != 0
}

/// Classes of bytes, a bit each.
const DIGIT: u8 = 1;
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
            classes[i] = ELEMENT | IDENTIFIER;
        }
        if b.is_ascii_digit() {
            classes[i] |= DIGIT;
        }
        if b.is_ascii_lowercase() || b.is_ascii_digit() {
            classes[i] |= HOST;
        }
        b += 1;
    }
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
