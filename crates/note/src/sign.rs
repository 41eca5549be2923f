//! Writing a note with signatures.

use crate::open::Note;
use crate::signature::Signature;
use crate::signer::SignerKey;
use std::fmt::{self, Write as _};

/// Signs a note and writes it out: the text, an empty line, the signatures it had (verified ones first, without
/// those by the keys that sign now), the new signatures in the order of the signers.
///
/// Nothing but the end of the text is checked, as in the Go reference: a text with control characters can be signed
/// but not opened.
///
/// # Errors
///
/// [`SignError`] if the text does not end in LF.
pub fn sign(note: &Note, signers: &[&SignerKey]) -> Result<String, SignError> {
    if !note.text.ends_with('\n') {
        return Err(SignError);
    }
    let had = note.verified.iter().chain(&note.unverified);
    let kept = had.filter(|old| !signers.iter().any(|s| s.id() == old.id() && s.name() == old.name()));
    let new = signers.iter().map(|signer| signature(signer, &note.text));
    let mut message = format!("{}\n", note.text);
    for signature in kept.cloned().chain(new) {
        // Writing to a string cannot fail.
        let _ = writeln!(message, "{signature}");
    }
    Ok(message)
}

fn signature(signer: &SignerKey, text: &str) -> Signature {
    Signature::new(signer.name().clone(), signer.id(), &signer.sign(text.as_bytes()))
}

/// A text that does not end in LF cannot be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignError;

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed note: its text does not end in a line feed")
    }
}

impl std::error::Error for SignError {}
