//! Cosignatures: what a witness says of a note, and when ([C2SP tlog-cosignature], Ed25519).
//!
//! A cosignature stands in a signature line like any other. After the key's id come a time (seconds since 1970,
//! 8 bytes, big-endian) and an Ed25519 signature of the lines `cosignature/v1` and `time <decimal>` and the text of
//! the note. Keys are of type 4; to [`open`](crate::open()) they are unknown.
//!
//! [C2SP tlog-cosignature]: https://c2sp.org/tlog-cosignature

use crate::encoding::{EncodedKey, format_key, typed_key};
use crate::name::{KeyId, KeyName};
use crate::signature::Signature;
use crate::verifier::{KeyError, PublicKey};
use ed25519_dalek::{Signer as _, SigningKey};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// Type byte of keys that cosign.
const COSIGNATURE: u8 = 4;

/// The latest time that can be cosigned, in seconds since 1970.
const MAX_TIME: u64 = i64::MAX as u64;

/// The public key of a witness. Its text form is `<name>+<id>+<base64>`.
#[derive(Clone, PartialEq, Eq)]
pub struct CosignerKey {
    name: KeyName,
    id: KeyId,
    public: PublicKey,
}

impl CosignerKey {
    /// The name of the witness.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The id of the key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The time, in seconds since 1970, at which this witness cosigned `text`, if `signature` is a valid cosignature
    /// of it by this key.
    pub fn verify(&self, text: &str, signature: &Signature) -> Option<u64> {
        let by_this_key = signature.id() == self.id && *signature.name() == self.name;
        let (time, bytes) = signature.bytes().split_first_chunk::<8>()?;
        let time = u64::from_be_bytes(*time);
        let valid =
            by_this_key && time <= MAX_TIME && self.public.verify(message(text, time).as_bytes(), bytes);
        if valid { Some(time) } else { None }
    }
}

impl FromStr for CosignerKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let encoded = EncodedKey::parse(text)?;
        if encoded.id != KeyId::of(&encoded.name, &encoded.typed_key) {
            return Err(KeyError::WrongId);
        }
        let public = PublicKey::from_bytes(&*encoded.key_of_type(COSIGNATURE)?);
        Ok(Self { name: encoded.name, id: encoded.id, public })
    }
}

impl fmt::Display for CosignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_key("", &self.name, self.id, &typed_key(COSIGNATURE, &self.public.bytes)))
    }
}

impl fmt::Debug for CosignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CosignerKey({self})")
    }
}

/// The private key of a witness. It is wiped from memory when dropped.
///
/// The name of the witness is not signed: a key must serve one name only.
pub struct Cosigner {
    public: CosignerKey,
    key: SigningKey,
}

impl Cosigner {
    /// The key of this name made from 32 random bytes, which are the whole secret.
    pub fn from_seed(name: KeyName, seed: &Zeroizing<[u8; 32]>) -> Self {
        let key = SigningKey::from_bytes(seed);
        let public = PublicKey::from_bytes(key.verifying_key().as_bytes());
        let id = KeyId::of(&name, typed_key(COSIGNATURE, &public.bytes).as_slice());
        Self { public: CosignerKey { name, id, public }, key }
    }

    /// The public key that checks what this one cosigns.
    pub fn verifier(&self) -> &CosignerKey {
        &self.public
    }

    /// The cosignature of the text of a note at `time`, in seconds since 1970; none if that is later than 2^63 - 1.
    pub fn sign(&self, text: &str, time: u64) -> Option<Signature> {
        if time > MAX_TIME {
            return None;
        }
        let signature = self.key.sign(message(text, time).as_bytes()).to_bytes();
        let bytes = [time.to_be_bytes().as_slice(), &signature].concat();
        Some(Signature::new(self.public.name.clone(), self.public.id, &bytes))
    }
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cosigner({}+{})", self.public.name, self.public.id)
    }
}

/// What is signed.
fn message(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}
