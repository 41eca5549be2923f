//! What a key is known by: its name and its id.

use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// The name of a key: not empty, without white space (in the sense of Unicode) and without `+`.
///
/// The key of a checksum database has the database's name, `host` or `host/path`; that form is not checked here.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = MalformedName;

    fn from_str(name: &str) -> Result<Self, MalformedName> {
        if name.is_empty() || name.contains(|c: char| c == '+' || c.is_whitespace()) {
            return Err(MalformedName);
        }
        Ok(Self(name.to_owned()))
    }
}

impl AsRef<str> for KeyName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The id of a key, which finds the key that a signature was made with. It is short: a key is known by its name
/// and id together, and even that is no proof of anything.
///
/// Its text form is 8 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(u32);

impl KeyId {
    /// The id with this number, as it is in the first four bytes (big-endian) of a signature.
    pub const fn from_u32(id: u32) -> Self {
        Self(id)
    }

    /// The number.
    pub const fn as_u32(self) -> u32 {
        self.0
    }

    /// The id of a public key: the first four bytes of SHA-256 over name, LF, type byte and key.
    pub(crate) fn of(name: &KeyName, typed_public_key: &[u8]) -> Self {
        let mut sha = Sha256::new();
        sha.update(name.as_str());
        sha.update(b"\n");
        sha.update(typed_public_key);
        let [a, b, c, d, ..] = <[u8; 32]>::from(sha.finalize());
        Self(u32::from_be_bytes([a, b, c, d]))
    }

    /// Reads exactly 8 hexadecimal digits, of either case.
    pub(crate) fn parse_hex(digits: &str) -> Option<Self> {
        let valid = digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        if valid { u32::from_str_radix(digits, 16).ok().map(Self) } else { None }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// A text is not the name of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedName;

impl fmt::Display for MalformedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed key name: want a name without white space and '+'")
    }
}

impl std::error::Error for MalformedName {}
