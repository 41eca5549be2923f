//! Go string literals.

/// The value of a literal in double quotes or back quotes; `None` if it is not a complete one.
pub(super) fn unquote(literal: &str) -> Option<String> {
    if let Some(raw) = literal.strip_prefix('`') {
        let raw = raw.strip_suffix('`').filter(|raw| !raw.contains('`'))?;
        return Some(raw.replace('\r', ""));
    }
    let mut rest = literal.strip_prefix('"')?;
    let mut value = Vec::new();
    loop {
        let mut chars = rest.chars();
        match chars.next()? {
            '"' => break,
            '\n' => return None,
            '\\' => rest = push_escape(&mut value, chars.as_str())?,
            c => {
                push_char(&mut value, c);
                rest = chars.as_str();
            }
        }
    }
    // Bytes written as \x80 need not be UTF-8; nothing valid has them.
    (rest == "\"").then(|| String::from_utf8_lossy(&value).into_owned())
}

/// Appends what the escape (after its backslash) stands for; gives what follows it.
fn push_escape<'a>(value: &mut Vec<u8>, escape: &'a str) -> Option<&'a str> {
    let mut chars = escape.chars();
    let simple = match chars.next()? {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        '"' => b'"',
        'x' => return push_byte(value, chars.as_str(), 2, 16),
        '0'..='7' => return push_byte(value, escape, 3, 8),
        'u' => return push_code(value, chars.as_str(), 4),
        'U' => return push_code(value, chars.as_str(), 8),
        _ => return None,
    };
    value.push(simple);
    Some(chars.as_str())
}

fn push_byte<'a>(value: &mut Vec<u8>, text: &'a str, length: usize, radix: u32) -> Option<&'a str> {
    let (number, rest) = parse_digits(text, length, radix)?;
    value.push(u8::try_from(number).ok()?);
    Some(rest)
}

fn push_code<'a>(value: &mut Vec<u8>, text: &'a str, length: usize) -> Option<&'a str> {
    let (number, rest) = parse_digits(text, length, 16)?;
    push_char(value, char::from_u32(number)?);
    Some(rest)
}

fn push_char(value: &mut Vec<u8>, c: char) {
    value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn parse_digits(text: &str, length: usize, radix: u32) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(length)?;
    let all_digits = digits.chars().all(|c| c.is_digit(radix));
    all_digits.then(|| u32::from_str_radix(digits, radix).ok().map(|number| (number, rest)))?
}

#[cfg(test)]
mod tests {
    use super::unquote;

    #[test]
    fn unquotes_like_go() {
        let good = [
            (r#""""#, ""),
            (r#""a\tb\\\"\x41\101\u00e9\U0001F600""#, "a\tb\\\"AAé😀"),
            ("`a\\n\r\nb`", "a\\n\nb"),
            (r#""it's""#, "it's"),
        ];
        for (literal, want) in good {
            assert_eq!(unquote(literal).as_deref(), Some(want), "{literal}");
        }
        let bad = [
            "",
            "\"",
            "\"a",
            "\"a\"b",
            "\"a\\",
            "\"\\q\"",
            r#""\'""#,
            "\"\\x4\"",
            "\"\\400\"",
            "\"\\ud800\"",
            "\"\\U00110000\"",
            "\"a\nb\"",
            "`",
            "`a`b`",
            "a",
            "\"\\x+1\"",
        ];
        for literal in bad {
            assert_eq!(unquote(literal), None, "{literal}");
        }
    }
}
