//! The text form of keys: name, id and base64, as both kinds of keys have it.

use crate::name::{KeyId, KeyName};
use crate::verifier::KeyError;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// Go's standard base64 decoder looks at padding strictly but accepts any trailing bits.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true),
);

/// Type byte of Ed25519 keys.
pub(crate) const ED25519: u8 = 1;

/// Type byte and 32 bytes of key.
const TYPED_KEY: usize = 33;

/// Those 33 bytes in base64: no padding.
const ENCODED_KEY: usize = 44;

/// Decodes base64 as Go does: CR and LF are skipped, the unused bits of the last character may be anything. What
/// is decoded may be secret.
pub(crate) fn decode_base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut kept = Zeroizing::new(Vec::with_capacity(text.len()));
    kept.extend(text.bytes().filter(|b| !matches!(b, b'\r' | b'\n')));
    BASE64.decode(kept.as_slice()).ok().map(Zeroizing::new)
}

/// Encodes canonical base64. Not for secrets: it leaves copies behind.
pub(crate) fn encode_base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// A key taken apart, with nothing checked but its form. It may be secret.
pub(crate) struct EncodedKey {
    pub(crate) name: KeyName,
    pub(crate) id: KeyId,
    /// The type byte and what follows it; not empty.
    pub(crate) typed_key: Zeroizing<Vec<u8>>,
}

impl EncodedKey {
    /// Takes `<name>+<id>+<base64>` apart; the base64 may contain further pluses.
    pub(crate) fn parse(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Malformed);
        };
        let name = name.parse().map_err(|_| KeyError::Malformed)?;
        let id = KeyId::parse_hex(id).ok_or(KeyError::Malformed)?;
        let typed_key = decode_base64(key).filter(|key| !key.is_empty()).ok_or(KeyError::Malformed)?;
        Ok(Self { name, id, typed_key })
    }

    /// The 32 bytes of key after the type byte `kind`.
    pub(crate) fn key_of_type(&self, kind: u8) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        match self.typed_key.split_first() {
            Some((found, key)) if *found == kind => {
                let mut bytes = Zeroizing::new([0; 32]);
                if key.len() != bytes.len() {
                    return Err(KeyError::Malformed);
                }
                bytes.copy_from_slice(key);
                Ok(bytes)
            }
            Some(_) => Err(KeyError::UnknownType),
            None => Err(KeyError::Malformed),
        }
    }
}

/// The type byte and the key, as they are hashed and encoded.
pub(crate) fn typed_key(kind: u8, key: &[u8; 32]) -> Zeroizing<[u8; TYPED_KEY]> {
    let mut bytes = Zeroizing::new([kind; TYPED_KEY]);
    bytes[1..].copy_from_slice(key);
    bytes
}

/// Writes `<name>+<id>+<base64>` after `prefix`. The key may be secret: no copy of it is left behind.
pub(crate) fn format_key(
    prefix: &str,
    name: &KeyName,
    id: KeyId,
    key: &[u8; TYPED_KEY],
) -> Zeroizing<String> {
    let mut encoded = Zeroizing::new([b'A'; ENCODED_KEY]);
    // Cannot fail: the buffer has the exact length.
    let _ = BASE64.encode_slice(key, encoded.as_mut_slice());
    let name_and_id = format!("{prefix}{name}+{id}+");
    let mut text = Zeroizing::new(String::with_capacity(name_and_id.len() + ENCODED_KEY));
    text.push_str(&name_and_id);
    text.push_str(std::str::from_utf8(encoded.as_slice()).unwrap_or_default());
    text
}
