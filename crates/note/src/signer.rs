//! Private keys, which make signatures.

use crate::encoding::{ED25519, EncodedKey, format_key, typed_key};
use crate::name::{KeyId, KeyName};
use crate::verifier::{KeyError, PublicKey, VerifierKey};
use ed25519_dalek::{Signer as _, SigningKey};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// The private key of a signer of notes. It is wiped from memory when dropped.
pub struct SignerKey {
    /// Derived from `key`, never read from anywhere: signing with another's public key would give the private key
    /// away.
    verifier: VerifierKey,
    key: SigningKey,
}

/// What every encoded signer key begins with.
const PREFIX: &str = "PRIVATE+KEY+";

impl SignerKey {
    /// The key of this name made from 32 random bytes, which are the whole secret.
    pub fn from_seed(name: KeyName, seed: &Zeroizing<[u8; 32]>) -> Self {
        let key = SigningKey::from_bytes(seed);
        let public = PublicKey::from_bytes(key.verifying_key().as_bytes());
        Self { verifier: VerifierKey::from_public(name, public), key }
    }

    /// The text form, `PRIVATE+KEY+<name>+<id>+<base64>`, as the Go reference writes it. It holds the secret.
    pub fn encode(&self) -> Zeroizing<String> {
        let typed_seed = typed_key(ED25519, self.key.as_bytes());
        format_key(PREFIX, self.name(), self.id(), &typed_seed)
    }

    /// The public key that checks what this one signs.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The name of the signer.
    pub fn name(&self) -> &KeyName {
        self.verifier.name()
    }

    /// The id of the public key.
    pub fn id(&self) -> KeyId {
        self.verifier.id()
    }

    /// The signature of a message; for a note, of its text with the final LF. The same for the same message.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl FromStr for SignerKey {
    type Err = KeyError;

    /// Reads a key as the Go reference does; the inverse of [`encode`](Self::encode).
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let encoded = EncodedKey::parse(text.strip_prefix(PREFIX).ok_or(KeyError::Malformed)?)?;
        let seed = encoded.key_of_type(ED25519)?;
        let key = Self::from_seed(encoded.name, &seed);
        if key.id() == encoded.id { Ok(key) } else { Err(KeyError::WrongId) }
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignerKey({}+{})", self.name(), self.id())
    }
}
