//! Signed notes: keys, signing, opening and checking of signed text.
//!
//! A note is text with signatures below it, for people and programs to read ([C2SP signed-note],
//! [golang.org/x/mod/sumdb/note]):
//!
//! ```text
//! go.sum database tree
//! 2
//! nND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI=
//!
//! — sum.example.test vdT2eWEqLhX1YpCH1ZSbpDarV8WltaoJDpAdeipCJo4gfdrO5DzL/l4y9a/AaXZwuG75Lx4cboJoId25Ok97Xym11Qc=
//! ```
//!
//! The text is everything before the *last* empty line, with its final LF. Each line after that is a dash
//! (U+2014), the name of a key and base64 of the key's id (4 bytes) and a signature of the text. A key is written as
//! `<name>+<id>+<base64 of type and public key>`; its id is the beginning of SHA-256 over name, LF, type and public
//! key. The one type here is 1, Ed25519; [`cosignature`] has another.
//!
//! [`open`] accepts and refuses exactly what the Go reference does. Reading and writing, keys and times are the
//! caller's: this crate computes only. Signer keys are wiped from memory when dropped and have no printable form
//! except [`SignerKey::encode`].
//!
//! # Example
//!
//! ```
//! use quipu_note::{KeyName, Note, SignerKey, VerifierKey, open, sign};
//! use zeroize::Zeroizing;
//!
//! let seed = Zeroizing::new([0x42; 32]); // random, in real life
//! let signer = SignerKey::from_seed("sum.example.test".parse::<KeyName>()?, &seed);
//! let signed = sign(&Note::new("go.sum database tree\n"), &[&signer])?;
//!
//! // The reader knows the verifier key, as text.
//! let vkey = "sum.example.test+bdd4f679+ASFS+NGbeR0kRTJC4V8uq2y3z/p7al7TAJeWDgaYgdsS";
//! let known: VerifierKey = vkey.parse()?;
//! let note = open(signed.as_bytes(), &[known])?;
//! assert_eq!(note.text, "go.sum database tree\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [C2SP signed-note]: https://c2sp.org/signed-note
//! [golang.org/x/mod/sumdb/note]: https://pkg.go.dev/golang.org/x/mod/sumdb/note

pub mod cosignature;
mod encoding;
mod name;
mod open;
mod sign;
mod signature;
mod signer;
mod verifier;

pub use name::{KeyId, KeyName, MalformedName};
pub use open::{MAX_SIGNATURES, Note, OpenError, open};
pub use sign::{SignError, sign};
pub use signature::{MalformedSignature, Signature};
pub use signer::SignerKey;
pub use verifier::{KeyError, VerifierKey};
