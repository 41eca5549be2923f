//! The `!` escaping that keeps paths apart on file systems that ignore case.

/// Every ASCII upper-case letter becomes `!` and its lower-case letter; nothing else changes.
/// The text must hold no `!` of its own, which callers have checked.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_uppercase() {
            out.push('!');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// Undoes [`escape`]; `None` for upper-case letters, non-ASCII text, and a `!` not before a–z.
pub(crate) fn unescape(escaped: &str) -> Option<String> {
    let mut out = String::with_capacity(escaped.len());
    let mut chars = escaped.chars();
    while let Some(c) = chars.next() {
        match c {
            '!' => out.push(chars.next().filter(char::is_ascii_lowercase)?.to_ascii_uppercase()),
            'A'..='Z' => return None,
            c if c.is_ascii() => out.push(c),
            _ => return None,
        }
    }
    Some(out)
}
