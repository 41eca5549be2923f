//! The text of records: alone with its id, as in a lookup answer, and many together, as in a data tile.

use std::fmt;

/// A record at the start of a lookup answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The id as it was written, which may be negative.
    pub id: i64,
    /// Whether the id was written as [`format_record`] writes it: not negative, no sign, no leading zeros.
    pub canonical_id: bool,
    /// The record, ending in LF: what the leaf hash is made of.
    pub text: &'a str,
    /// What follows the blank line after the record. It is not part of the record and proves nothing.
    pub rest: &'a [u8],
}

/// Whether `text` may be a record: valid UTF-8 that ends in LF, without other control characters below U+0020
/// and without two LF in a row.
pub fn is_record_text(text: &[u8]) -> bool {
    record_text(text).is_some()
}

/// A record as it begins a lookup answer: its id, the text, a blank line.
///
/// # Errors
///
/// [`MalformedRecord`] if [`is_record_text`] does not hold.
pub fn format_record(id: u64, text: &[u8]) -> Result<String, MalformedRecord> {
    let text = record_text(text).ok_or(MalformedRecord)?;
    Ok(format!("{id}\n{text}\n"))
}

/// Reads the record at the start of a lookup answer, up to and including the blank line after it.
///
/// The id may have a sign and leading zeros, as the Go reference accepts; see [`Record::canonical_id`].
///
/// # Errors
///
/// [`MalformedRecord`] if the answer does not begin with an id, valid record text and a blank line.
pub fn parse_record(message: &[u8]) -> Result<Record<'_>, MalformedRecord> {
    parse(message).ok_or(MalformedRecord)
}

/// The body of a data tile: the records in order with a blank line between two of them, none after the last.
///
/// The records must be valid (see [`is_record_text`]), as everything in a log is; otherwise the body cannot be
/// taken apart again.
pub fn join_records<T: AsRef<[u8]>>(texts: &[T]) -> Vec<u8> {
    let length: usize = texts.iter().map(|text| text.as_ref().len() + 1).sum();
    let mut body = Vec::with_capacity(length);
    for text in texts {
        if !body.is_empty() {
            body.push(b'\n');
        }
        body.extend_from_slice(text.as_ref());
    }
    body
}

/// Takes the body of a data tile apart into `count` records, the inverse of [`join_records`].
///
/// The form in which the last record too is followed by a blank line is accepted as well: the server in the Go
/// reference writes it.
///
/// # Errors
///
/// [`RecordsError`] if a record is malformed, or there are more or fewer than `count`.
pub fn split_records(body: &[u8], count: u16) -> Result<Vec<&str>, RecordsError> {
    let mut texts = Vec::with_capacity(usize::from(count));
    let mut rest = body;
    for i in 0..count {
        if rest.is_empty() {
            return Err(RecordsError::TooFew { got: i });
        }
        let text = rest.get(..blank_line(rest)).unwrap_or(rest);
        rest = rest.get(text.len() + 1..).unwrap_or_default();
        texts.push(record_text(text).ok_or(RecordsError::Malformed { at: i })?);
    }
    if rest.is_empty() { Ok(texts) } else { Err(RecordsError::TooMany) }
}

fn parse(message: &[u8]) -> Option<Record<'_>> {
    let line = message.iter().position(|b| *b == b'\n')?;
    let (id, body) = (&message[..line], &message[line + 1..]);
    // Like Go's strconv.ParseInt: an optional sign and digits.
    let id_text = std::str::from_utf8(id).ok()?;
    let id = id_text.parse::<i64>().ok()?;
    let end = body.windows(2).position(|pair| pair == b"\n\n")?;
    let text = record_text(&body[..=end])?;
    let canonical_id = id >= 0 && id_text == id.to_string();
    Some(Record { id, canonical_id, text, rest: &body[end + 2..] })
}

fn record_text(text: &[u8]) -> Option<&str> {
    // Looks at all bytes, whatever it finds: without a way out in the middle this takes many of them at a time.
    let control = text.iter().fold(false, |control, byte| control | (*byte < 0x20 && *byte != b'\n'));
    let whole = blank_line(text) == text.len() && text.ends_with(b"\n");
    if control || !whole { None } else { std::str::from_utf8(text).ok() }
}

/// Where a record ends that is followed by a blank line: after the first LF that another one follows. The whole length
/// if there is none.
fn blank_line(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(end) = text.get(at..).and_then(line_feed) {
        at += end + 1;
        if text.get(at) == Some(&b'\n') {
            return at;
        }
    }
    text.len()
}

/// The place of the first LF.
fn line_feed(text: &[u8]) -> Option<usize> {
    let (chunks, rest) = text.as_chunks::<32>();
    for (i, chunk) in chunks.iter().enumerate() {
        if chunk.iter().fold(false, |found, byte| found | (*byte == b'\n')) {
            return Some(32 * i + chunk.iter().position(|byte| *byte == b'\n')?);
        }
    }
    Some(32 * chunks.len() + rest.iter().position(|byte| *byte == b'\n')?)
}

/// Bytes are not a record, or do not begin with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedRecord;

impl fmt::Display for MalformedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed record data")
    }
}

impl std::error::Error for MalformedRecord {}

/// The body of a data tile does not hold the records that it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordsError {
    /// A record is malformed.
    Malformed {
        /// Its place in the tile, from 0.
        at: u16,
    },
    /// The body ends early.
    TooFew {
        /// Records found.
        got: u16,
    },
    /// Something follows the last record.
    TooMany,
}

impl fmt::Display for RecordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { at } => write!(f, "malformed record data: entry {at} of a data tile"),
            Self::TooFew { got } => write!(f, "a data tile ends after {got} records"),
            Self::TooMany => f.write_str("a data tile goes on after its last record"),
        }
    }
}

impl std::error::Error for RecordsError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Byte by byte, as the rule is written.
    fn is_record(text: &[u8]) -> bool {
        let control = text.iter().any(|byte| *byte < 0x20 && *byte != b'\n');
        let blank = text.windows(2).any(|pair| pair == b"\n\n");
        text.ends_with(b"\n") && !control && !blank && std::str::from_utf8(text).is_ok()
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            6 => "[a-z ]{0,40}".prop_map(String::into_bytes),
            6 => Just(b"\n".to_vec()),
            1 => any::<char>().prop_map(|c| c.to_string().into_bytes()),
            1 => any::<u8>().prop_map(|byte| vec![byte]),
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn many_bytes_at_a_time_are_looked_at_like_single_ones(text in text()) {
            prop_assert_eq!(is_record_text(&text), is_record(&text));
            let end = text.windows(2).position(|pair| pair == b"\n\n").map_or(text.len(), |end| end + 1);
            prop_assert_eq!(blank_line(&text), end);
        }
    }
}
