//! Public keys, which check signatures.

use crate::encoding::{ED25519, EncodedKey, format_key, typed_key};
use crate::name::{KeyId, KeyName};
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use std::fmt;
use std::str::FromStr;

/// The public key of a signer of notes.
///
/// Its text form is `<name>+<id>+<base64>`, as in `GOSUMDB`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    id: KeyId,
    public: PublicKey,
}

impl VerifierKey {
    /// The key of this name with these bytes, which the signer's key has given.
    pub(crate) fn from_public(name: KeyName, public: PublicKey) -> Self {
        let id = KeyId::of(&name, typed_key(ED25519, &public.bytes).as_slice());
        Self { name, id, public }
    }

    /// The name of the signer.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The id of the key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The Ed25519 public key as RFC 8032 encodes it.
    pub fn public_key(&self) -> &[u8; 32] {
        &self.public.bytes
    }

    /// Whether `signature` is one of `message` by this key.
    ///
    /// Like Go's `ed25519.Verify` this refuses a scalar that is not reduced, and compares the encoding of R.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.public.verify(message, signature)
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    /// Reads a key as the Go reference does: the digits of the id may be of either case, the base64 may contain
    /// CR and LF and need not be canonical.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let encoded = EncodedKey::parse(text)?;
        if encoded.id != KeyId::of(&encoded.name, &encoded.typed_key) {
            return Err(KeyError::WrongId);
        }
        let public = PublicKey::from_bytes(&*encoded.key_of_type(ED25519)?);
        Ok(Self { name: encoded.name, id: encoded.id, public })
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_key("", &self.name, self.id, &typed_key(ED25519, &self.public.bytes)))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

/// An Ed25519 public key, which need not be a point of the curve: then it verifies nothing.
#[derive(Clone)]
pub(crate) struct PublicKey {
    pub(crate) bytes: [u8; 32],
    point: Option<VerifyingKey>,
}

impl PublicKey {
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self { bytes: *bytes, point: VerifyingKey::from_bytes(bytes).ok() }
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let Some(key) = &self.point else { return false };
        Signature::from_slice(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for PublicKey {}

/// A text is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// It does not have the form of a key.
    Malformed,
    /// It is a key of a type that this kind of key does not have.
    UnknownType,
    /// The id is not that of the key: a part of the text was mistyped or exchanged.
    WrongId,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed key: want <name>+<8 hex digits>+<base64>",
            Self::UnknownType => "unknown type of key",
            Self::WrongId => "malformed key: its id does not match its name and key",
        })
    }
}

impl std::error::Error for KeyError {}
