//! Hashes of records, of subtrees and of the empty tree (RFC 6962, section 2.1).

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::block_api::compress256;
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
    if record.len() < MOST_RECORDS {
        hash_short::<4>(0x00, &[record])
    } else if record.len() < LONGER_RECORDS {
        hash_short::<8>(0x00, &[record])
    } else {
        Hash(Sha256::new().chain_update([0x00]).chain_update(record).finalize().into())
    }
}

/// The hash of a subtree made of two: SHA-256 of a one byte and the two hashes.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash_short::<2>(0x01, &[&left.0, &right.0])
}

/// Bytes in a block of SHA-256.
const BLOCK: usize = 64;

/// Bytes of a message that fill four blocks, with the end mark and the length.
const MOST_RECORDS: usize = 4 * BLOCK - 9;

/// Bytes of a message that fill eight blocks, with the end mark and the length.
const LONGER_RECORDS: usize = 8 * BLOCK - 9;

/// SHA-256 of a byte and the parts, which with nine bytes more must fit `BLOCKS` blocks. All blocks are hashed at once:
/// with messages as short as those of a log, the hasher that gathers blocks of unknown messages costs a sixth more.
fn hash_short<const BLOCKS: usize>(first: u8, parts: &[&[u8]]) -> Hash {
    let mut blocks = [[0; BLOCK]; BLOCKS];
    let message = blocks.as_flattened_mut();
    message[0] = first;
    let mut len = 1;
    for part in parts {
        message[len..len + part.len()].copy_from_slice(part);
        len += part.len();
    }
    // The padding of FIPS 180-4, section 5.1.1: a one bit, zeros, and the bits of the message in the last eight bytes.
    message[len] = 0x80;
    let count = (len + 9).div_ceil(BLOCK);
    message[count * BLOCK - 8..count * BLOCK].copy_from_slice(&(len as u64 * 8).to_be_bytes());

    let mut state = INITIAL;
    compress256(&mut state, &blocks[..count]);
    let mut hash = [0; Hash::SIZE];
    for (bytes, word) in hash.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    Hash(hash)
}

/// The state of SHA-256 before the first block (FIPS 180-4, section 5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_in_one_call_is_that_of_the_library() {
        let bytes: Vec<u8> = (0..1100_u32).map(|n| (n * 7 + n / 256) as u8).collect();
        for len in 0..bytes.len() {
            let wanted: [u8; 32] = Sha256::digest([&[0x00], &bytes[..len]].concat()).into();
            assert_eq!(leaf_hash(&bytes[..len]), Hash(wanted), "{len} bytes");
        }
        let (left, right) = (leaf_hash(b"left"), leaf_hash(b"right"));
        let wanted: [u8; 32] = Sha256::digest([&[0x01], &left.0[..], &right.0[..]].concat()).into();
        assert_eq!(node_hash(&left, &right), Hash(wanted));
    }
}
