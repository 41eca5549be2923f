//! Quoting for error texts, as Go's `%q` writes strings and characters.

use std::fmt::Write as _;

use crate::unicode::is_printable;

/// `text` in double quotes, with control and unprintable characters and invalid UTF-8 escaped.
pub(crate) fn quote(text: impl AsRef<[u8]>) -> String {
    let mut out = String::from("\"");
    for chunk in text.as_ref().utf8_chunks() {
        chunk.valid().chars().for_each(|c| push_escaped(&mut out, c, '"'));
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

/// `c` in single quotes, escaped likewise.
pub(crate) fn quote_char(c: char) -> String {
    let mut out = String::from("'");
    push_escaped(&mut out, c, '\'');
    out.push('\'');
    out
}

fn push_escaped(out: &mut String, c: char, delimiter: char) {
    match c {
        '\\' => out.push_str("\\\\"),
        c if c == delimiter => out.extend(['\\', c]),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        c if is_printable(c) => out.push(c),
        c => push_code(out, u32::from(c)),
    }
}

fn push_code(out: &mut String, code: u32) {
    let _ = match code {
        0..0x20 | 0x7f => write!(out, "\\x{code:02x}"),
        0..0x10000 => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

#[cfg(test)]
mod tests {
    use super::{quote, quote_char};

    #[test]
    fn quotes_like_go() {
        // Left: input. Right: what fmt.Sprintf("%q", …) of Go 1.26 prints.
        let cases: [(&[u8], &str); 7] = [
            (b"a\"b'c", r#""a\"b'c""#),
            (b"\x00\x07\x08\x0c\n\r\t\x0b\x1b\x7f", r#""\x00\a\b\f\n\r\t\v\x1b\x7f""#),
            (b"\xffa\xe2\x82", r#""\xffa\xe2\x82""#),
            ("é世😀".as_bytes(), "\"é世😀\""),
            ("e\u{301}".as_bytes(), "\"e\u{301}\""),
            ("\u{200d}\u{a0}\u{e000}".as_bytes(), r#""\u200d\u00a0\ue000""#),
            ("\u{10ffff}\\".as_bytes(), r#""\U0010ffff\\""#),
        ];
        for (input, want) in cases {
            assert_eq!(quote(input), want);
        }
        assert_eq!(quote_char('\''), r"'\''");
        assert_eq!(quote_char('"'), "'\"'");
    }
}
