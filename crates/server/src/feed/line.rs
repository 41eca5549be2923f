//! One entry of the feed: a record's module, version and time.

use quipu_ledger::Record;
use quipu_module::format_rfc3339;
use serde::Serialize;

/// An entry, borrowed from its record. The members are those of the public index.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Line<'a> {
    /// Module path, unescaped.
    pub(super) path: &'a str,
    /// Version, unescaped.
    pub(super) version: &'a str,
    /// When the record came into the log: UTC, microseconds, trailing zeros trimmed.
    pub(super) timestamp: String,
}

impl<'a> Line<'a> {
    /// The entry of a record; `None` if the record is not that of a module version.
    pub(super) fn of(record: &'a Record) -> Option<Self> {
        let mut words = record.text.splitn(3, |byte| *byte == b' ').map(std::str::from_utf8);
        let (path, version) = (words.next()?.ok()?, words.next()?.ok()?);
        let timestamp = format_rfc3339(i128::from(record.time) * 1000)?;
        Some(Self { path, version, timestamp })
    }

    /// Appends the line to a page.
    pub(super) fn write(&self, page: &mut Vec<u8>) {
        // Three strings into memory: there is nothing that can fail.
        let _ = serde_json::to_writer(&mut *page, self);
        page.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn lines_are_those_of_the_public_index() {
        let text =
            Bytes::from_static(b"golang.org/x/text v0.3.0 h1:x=\ngolang.org/x/text v0.3.0/go.mod h1:y=\n");
        let record = Record { time: 1_554_923_332_997_264, text };
        let mut page = Vec::new();
        Line::of(&record).unwrap().write(&mut page);
        let want =
            br#"{"Path":"golang.org/x/text","Version":"v0.3.0","Timestamp":"2019-04-10T19:08:52.997264Z"}"#;
        assert_eq!(page, [&want[..], b"\n"].concat());
        let odd = Record { time: 1, text: Bytes::from_static(b"\xff v1 x") };
        assert!(Line::of(&odd).is_none());
    }
}
