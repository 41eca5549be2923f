//! Reading a note and checking the signatures of known keys.

use crate::name::{KeyId, KeyName};
use crate::signature::Signature;
use crate::verifier::VerifierKey;
use std::collections::HashSet;
use std::fmt;

/// Most signature lines in a note, as in the Go reference.
pub const MAX_SIGNATURES: usize = 100;

/// A text and its signatures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// The text with its final LF.
    pub text: String,
    /// Signatures by known keys, checked, at most one a key, in the order of the note.
    pub verified: Vec<Signature>,
    /// Signatures by unknown keys, in the order of the note, without exact repetitions.
    pub unverified: Vec<Signature>,
}

impl Note {
    /// A note without signatures yet.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), verified: Vec::new(), unverified: Vec::new() }
    }
}

/// Reads a note and checks the signatures of the keys in `known`, exactly as the Go reference does. A caller who
/// reads from the network bounds the length first.
///
/// Signatures by other keys are kept but mean nothing. A second signature by a known key is passed over.
///
/// # Errors
///
/// See [`OpenError`]: whatever it is, nothing in the note is to be believed. The first line that gives cause for an
/// error decides which it is.
pub fn open(message: &[u8], known: &[VerifierKey]) -> Result<Note, OpenError> {
    let (text, lines) = split(message).ok_or(OpenError::Malformed)?;
    let mut note = Note::new(text);
    let mut seen_unverified = HashSet::new();
    for (count, line) in lines.split_terminator('\n').enumerate() {
        let signature: Signature = line.parse().map_err(|_| OpenError::Malformed)?;
        if count >= MAX_SIGNATURES {
            return Err(OpenError::Malformed);
        }
        match find(known, &signature)? {
            None if seen_unverified.insert(line) => note.unverified.push(signature),
            Some(_) if is_by_same_key(&note.verified, &signature) => {}
            Some(key) if key.verify(text.as_bytes(), signature.bytes()) => note.verified.push(signature),
            Some(key) => {
                return Err(OpenError::InvalidSignature { name: key.name().clone(), id: key.id() });
            }
            None => {}
        }
    }
    if note.verified.is_empty() { Err(OpenError::Unverified(Box::new(note))) } else { Ok(note) }
}

/// The text and the signature lines, of which there is at least one, each ending in LF.
fn split(message: &[u8]) -> Option<(&str, &str)> {
    let message = std::str::from_utf8(message).ok()?;
    if message.bytes().any(|b| b < 0x20 && b != b'\n') {
        return None;
    }
    let at = message.rfind("\n\n")?;
    let (text, lines) = (&message[..=at], &message[at + 2..]);
    if lines.ends_with('\n') { Some((text, lines)) } else { None }
}

fn find<'a>(known: &'a [VerifierKey], signature: &Signature) -> Result<Option<&'a VerifierKey>, OpenError> {
    let mut keys = known.iter().filter(|key| key.id() == signature.id() && key.name() == signature.name());
    match (keys.next(), keys.next()) {
        (Some(key), Some(_)) => Err(OpenError::AmbiguousVerifier { name: key.name().clone(), id: key.id() }),
        (key, _) => Ok(key),
    }
}

fn is_by_same_key(signatures: &[Signature], signature: &Signature) -> bool {
    signatures.iter().any(|s| s.id() == signature.id() && s.name() == signature.name())
}

/// A note was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// It does not have the form of a note: wrong characters, no signature block, a bad line in it, more than
    /// [`MAX_SIGNATURES`].
    Malformed,
    /// A signature that names a known key is not one by that key. No other signature makes up for it.
    InvalidSignature {
        /// Name of the key.
        name: KeyName,
        /// Id of the key.
        id: KeyId,
    },
    /// None of the keys that signed is known.
    Unverified(Box<Note>),
    /// Two of the known keys have the same name and id: the list of known keys is wrong.
    AmbiguousVerifier {
        /// Name of the keys.
        name: KeyName,
        /// Id of the keys.
        id: KeyId,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("malformed note"),
            Self::InvalidSignature { name, id } => write!(f, "invalid signature for key {name}+{id}"),
            Self::Unverified(_) => f.write_str("note has no verifiable signatures"),
            Self::AmbiguousVerifier { name, id } => write!(f, "ambiguous key {name}+{id}"),
        }
    }
}

impl std::error::Error for OpenError {}
