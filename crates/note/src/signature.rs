//! One signature line of a note.

use crate::encoding::{decode_base64, encode_base64};
use crate::name::{KeyId, KeyName};
use std::fmt;
use std::str::FromStr;

/// What a signature line begins with: U+2014 and a space.
const PREFIX: &str = "— ";

/// A signature as it stands in a note. Having one says nothing about its being valid.
///
/// Its text form is the line without the LF: `— <name> <base64>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signature {
    name: KeyName,
    id: KeyId,
    base64: String,
    bytes: Vec<u8>,
}

impl Signature {
    /// The signature by a key of these bytes, which are what the type of key wants.
    pub(crate) fn new(name: KeyName, id: KeyId, bytes: &[u8]) -> Self {
        let base64 = encode_base64(&[&id.as_u32().to_be_bytes(), bytes].concat());
        Self { name, id, base64, bytes: bytes.to_vec() }
    }

    /// The name of the key that is said to have signed.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The id of that key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Key id and signature in base64, as it was read.
    pub fn base64(&self) -> &str {
        &self.base64
    }

    /// The signature without the key id; at least one byte.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl FromStr for Signature {
    type Err = MalformedSignature;

    /// Reads a line without its LF as the Go reference does.
    fn from_str(line: &str) -> Result<Self, MalformedSignature> {
        let line = line.strip_prefix(PREFIX).ok_or(MalformedSignature)?;
        let (name, base64) = line.split_once(' ').ok_or(MalformedSignature)?;
        let name = name.parse().map_err(|_| MalformedSignature)?;
        let blob = decode_base64(base64).ok_or(MalformedSignature)?;
        match blob.split_first_chunk::<4>() {
            Some((id, bytes)) if !bytes.is_empty() => Ok(Self {
                name,
                id: KeyId::from_u32(u32::from_be_bytes(*id)),
                base64: base64.to_owned(),
                bytes: bytes.to_vec(),
            }),
            _ => Err(MalformedSignature),
        }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{} {}", self.name, self.base64)
    }
}

/// A line is not a signature line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedSignature;

impl fmt::Display for MalformedSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed signature line")
    }
}

impl std::error::Error for MalformedSignature {}
