//! Request paths: percent-decoded exactly once, with everything ambiguous refused.

use std::borrow::Cow;

/// Longest raw path that is looked at, in bytes.
pub(crate) const MAX_PATH: usize = 4096;

/// Why a raw path is refused. All of these are the client's mistake (status 400).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    #[error("path longer than {MAX_PATH} bytes")]
    TooLong,
    #[error("path does not start with a slash")]
    NotAbsolute,
    #[error("malformed percent-encoding in path")]
    Escape,
    #[error("encoded slash or zero byte in path")]
    Hidden,
    #[error("path is percent-encoded twice")]
    Twice,
    #[error("dot segment in path")]
    Dots,
    #[error("path is not UTF-8")]
    Utf8,
}

/// Decodes a raw request path. `!` and `%21` come out the same, as do all other ways to write one canonical path;
/// what could be read in two ways (an encoded slash, a second layer of encoding, dot segments) is refused.
///
/// # Errors
/// See [`PathError`].
pub(crate) fn decode(raw: &str) -> Result<Cow<'_, str>, PathError> {
    if raw.len() > MAX_PATH {
        return Err(PathError::TooLong);
    }
    if !raw.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    let path = if raw.contains('%') { Cow::Owned(unescape(raw)?) } else { Cow::Borrowed(raw) };
    if path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(PathError::Dots);
    }
    Ok(path)
}

fn unescape(raw: &str) -> Result<String, PathError> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let (high, low) = (rest.next().and_then(hex), rest.next().and_then(hex));
        let (Some(high), Some(low)) = (high, low) else { return Err(PathError::Escape) };
        match high << 4 | low {
            0 | b'/' => return Err(PathError::Hidden),
            decoded => out.push(decoded),
        }
    }
    let twice = |w: &[u8]| w[0] == b'%' && w[1].is_ascii_hexdigit() && w[2].is_ascii_hexdigit();
    if out.windows(3).any(twice) {
        return Err(PathError::Twice);
    }
    String::from_utf8(out).map_err(|_| PathError::Utf8)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_resource_however_it_is_written() {
        for raw in [
            "/lookup/example.test/!hello@v1.0.0",
            "/lookup/example.test/%21hello@v1.0.0",
            "/%6Cookup/example.test/%21%68ello%40v1.0.0",
        ] {
            assert_eq!(decode(raw).as_deref(), Ok("/lookup/example.test/!hello@v1.0.0"));
        }
        assert_eq!(decode("/a/@v/100%25.info").as_deref(), Ok("/a/@v/100%.info"));
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        let cases = [
            ("", PathError::NotAbsolute),
            ("*", PathError::NotAbsolute),
            ("/a%2fb", PathError::Hidden),
            ("/a%2Fb", PathError::Hidden),
            ("/a%00", PathError::Hidden),
            ("/a%", PathError::Escape),
            ("/a%2", PathError::Escape),
            ("/a%zz", PathError::Escape),
            ("/a%+1", PathError::Escape),
            ("/a%2521b", PathError::Twice),
            ("/a/../b", PathError::Dots),
            ("/a/%2e%2E/b", PathError::Dots),
            ("/./b", PathError::Dots),
            ("/a/..", PathError::Dots),
            ("/%ff", PathError::Utf8),
        ];
        for (raw, want) in cases {
            assert_eq!(decode(raw), Err(want), "{raw}");
        }
        assert_eq!(decode(&format!("/{}", "a".repeat(MAX_PATH))), Err(PathError::TooLong));
    }
}
