//! Which log this is: the few lines that lie both beside the store and in the guard.
//!
//! ```text
//! quipu log 1
//! name sum.corp.example
//! instance 5f0c…              (32 hex digits, drawn when the log was founded)
//! key sum.corp.example+…      (one line for each verifier key)
//! file 1234567                (the number of this very file: a copy has another one)
//! check …                     (SHA-256 of the lines above, base64)
//! ```

use std::fmt::{self, Write as _};

use quipu_tlog::Hash;
use sha2::{Digest as _, Sha256};

use crate::durable::BLOCK;

/// A number drawn at random when a log is founded, so that two logs of one name are not taken for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance(u128);

impl Instance {
    /// From random bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    fn parse(text: &str) -> Option<Self> {
        let number = u128::from_str_radix(text, 16).ok().map(Self)?;
        (number.to_string() == text).then_some(number)
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A log's name and verifier keys, and which founding of it this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The founding.
    pub instance: Instance,
    /// The name of the log: the name in its keys and the origin of its checkpoints.
    pub name: String,
    /// The verifier keys of all signers, in text form.
    pub keys: Vec<String>,
}

/// An identity as read from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Card {
    pub(crate) identity: Identity,
    /// The number of the file that the lines were written into.
    pub(crate) number: u64,
}

impl Card {
    /// The lines; `None` if they do not fit a block, or a name or key has no place in a line.
    pub(crate) fn format(&self) -> Option<String> {
        let Identity { instance, name, keys } = &self.identity;
        if keys.iter().chain([name]).any(|text| text.is_empty() || text.contains(char::is_control)) {
            return None;
        }
        let mut text = format!("{FIRST}\nname {name}\ninstance {instance}\n");
        for key in keys {
            writeln!(text, "key {key}").ok()?;
        }
        writeln!(text, "file {}", self.number).ok()?;
        let check = checksum([text.as_bytes()]);
        writeln!(text, "check {check}").ok()?;
        (text.len() < BLOCK).then_some(text)
    }

    /// Reads the lines back; `None` if they are not exactly what [`Card::format`] writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        (lines.next()? == FIRST).then_some(())?;
        let name = lines.next()?.strip_prefix("name ")?.to_owned();
        let instance = Instance::parse(lines.next()?.strip_prefix("instance ")?)?;
        let mut keys = Vec::new();
        let number = loop {
            let line = lines.next()?;
            match line.strip_prefix("key ") {
                Some(key) => keys.push(key.to_owned()),
                None => break line.strip_prefix("file ")?.parse().ok()?,
            }
        };
        let card = Self { identity: Identity { instance, name, keys }, number };
        (card.format()? == text).then_some(card)
    }
}

const FIRST: &str = "quipu log 1";

/// SHA-256 over the parts, one after the other.
pub(crate) fn checksum<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Hash {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    Hash::from_bytes(hash.finalize().into())
}

#[cfg(test)]
pub(crate) fn sample() -> Identity {
    Identity {
        instance: Instance::from_bytes(*b"sixteen bytes it"),
        name: "sum.example".to_owned(),
        keys: vec!["sum.example+01234567+AAAA".to_owned(), "sum.example+89abcdef+BBBB".to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_read_back_and_notice_every_changed_byte() {
        let card = Card { identity: sample(), number: 42 };
        let text = card.format().unwrap();
        assert_eq!(Card::parse(&text), Some(card));
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(Card::parse(&changed), None, "byte {at}");
            assert_eq!(Card::parse(&text[..at]), None, "cut at {at}");
        }
        assert_eq!(Card::parse(&format!("{text}\n")), None);
    }

    #[test]
    fn names_that_break_a_line_and_cards_over_a_block_are_refused() {
        for name in ["", "two\nlines", "tab\t"] {
            let identity = Identity { name: name.to_owned(), ..sample() };
            assert_eq!(Card { identity, number: 1 }.format(), None);
        }
        let keys = vec!["k".repeat(100); 50];
        assert_eq!(Card { identity: Identity { keys, ..sample() }, number: 1 }.format(), None);
    }
}
