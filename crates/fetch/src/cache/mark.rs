//! What stands beside an admitted file: by whom it was admitted, and exactly which bytes.
//!
//! A file without a valid mark was never admitted here (it was dropped in, or a crash came between placing and marking);
//! it is checked and admitted when it is first asked for. Marks are not synced: a lost one costs one more check.

use quipu_module::H1;

/// First line of every mark.
const FORMAT: &str = "quipu-admitted 1";

/// The admission of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The log that admitted it.
    pub(super) owner: String,
    /// Its go.sum hash.
    pub(super) h1: H1,
    /// SHA-256 of its bytes.
    pub(super) sha256: [u8; 32],
    /// Its length in bytes.
    pub(super) length: u64,
}

impl Mark {
    pub(super) fn format(&self) -> String {
        format!("{FORMAT}\n{}\n{}\n{}\n{}\n", self.owner, self.h1, hex(&self.sha256), self.length)
    }

    /// Reads a mark; `None` if it is damaged.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let [FORMAT, owner, h1, sha256, length, ""] = text.split('\n').collect::<Vec<_>>()[..] else {
            return None;
        };
        Some(Self {
            owner: owner.to_owned(),
            h1: h1.parse().ok()?,
            sha256: unhex(sha256)?,
            length: length.parse().ok()?,
        })
    }
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads exactly what [`hex`] writes for 32 bytes.
pub(super) fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_round_trip_and_damage_shows() {
        let mark = Mark {
            owner: "sum.example".into(),
            h1: quipu_module::hash_go_mod(b"module m\n"),
            sha256: [0xa7; 32],
            length: 123,
        };
        let text = mark.format();
        assert_eq!(Mark::parse(text.as_bytes()), Some(mark));
        for end in 0..text.len() {
            assert_eq!(Mark::parse(&text.as_bytes()[..end]), None, "{end}");
        }
        assert_eq!(Mark::parse(text.replace("1\n", "2\n").as_bytes()), None);
        assert_eq!(Mark::parse(text.replace("a7", "A7").as_bytes()), None);
        assert_eq!(Mark::parse(format!("{text}x").as_bytes()), None);
    }
}
