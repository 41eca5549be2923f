//! Hashes of records, of subtrees and of the empty tree (RFC 6962, section 2.1).

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// Go's standard base64 decoder looks at padding strictly but accepts any trailing bits.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true),
);

/// A SHA-256 hash of a record, a subtree or a whole tree.
///
/// Its text form is standard base64 with padding, 44 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; Self::SIZE]);

impl Hash {
    /// Bytes in a hash.
    pub const SIZE: usize = 32;

    /// The root of the tree without records: SHA-256 of nothing.
    pub const EMPTY_TREE: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
        0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ]);

    /// The hash with these bytes.
    pub const fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        Self(bytes)
    }

    /// The bytes of the hash.
    pub const fn as_bytes(&self) -> &[u8; Self::SIZE] {
        &self.0
    }

    /// Decodes base64 as Go does: CR and LF are skipped, the unused bits of the last character may be
    /// anything. To hold a text to the one canonical form, format the hash again and compare.
    pub(crate) fn parse_lenient(text: &[u8]) -> Result<Self, ParseHashError> {
        // Longer than any accepted text unless somebody pads it with line ends; bounded by the caller.
        let text: Vec<u8> = text.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
        let bytes = BASE64.decode(text).map_err(|_| ParseHashError)?;
        bytes.try_into().map(Self).map_err(|_| ParseHashError)
    }
}

/// The hash of a record: SHA-256 of a zero byte and the record.
pub fn leaf_hash(record: &[u8]) -> Hash {
    let mut sha = Sha256::new();
    sha.update([0x00]);
    sha.update(record);
    Hash(sha.finalize().into())
}

/// The hash of a subtree made of two: SHA-256 of a one byte and the two hashes.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut message = [0x01; 1 + 2 * Hash::SIZE];
    message[1..=Hash::SIZE].copy_from_slice(&left.0);
    message[1 + Hash::SIZE..].copy_from_slice(&right.0);
    Hash(Sha256::digest(message).into())
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&BASE64.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = ParseHashError;

    /// Decodes base64 exactly as Go's `tlog.ParseHash` does, which is more than [`Display`](fmt::Display)
    /// writes: CR and LF are skipped, and the unused bits of the last character may be anything.
    fn from_str(text: &str) -> Result<Self, ParseHashError> {
        Self::parse_lenient(text.as_bytes())
    }
}

/// A text is not the base64 form of 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseHashError;

impl fmt::Display for ParseHashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed hash: want base64 of 32 bytes")
    }
}

impl std::error::Error for ParseHashError {}
