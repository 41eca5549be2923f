//! Guard and signers behind one interface: nothing is signed that was not guarded before.

use std::time::Duration;

use crate::guard::Guarded;
use crate::identity::Identity;
use crate::store::{Head, Notes};

/// Guards heads and signs them. The engine knows no other way to a signature, so a sealer may live in a process of its
/// own and keep the log from forking even if the engine is taken over.
pub trait Sealer: Send + 'static {
    /// The name of the log and the verifier keys of all signers.
    fn signs_as(&self) -> (String, Vec<String>);

    /// What is guarded; `None` if nothing ever was.
    ///
    /// # Errors
    /// See [`SealError`].
    fn guarded(&self) -> Result<Option<Guarded>, SealError>;

    /// Makes the identity and the head durable anew, in bytes freshly written. Called once at every start, after all
    /// checks, with the guarded head itself, or with the empty head when nothing is guarded.
    ///
    /// # Errors
    /// See [`SealError`].
    fn settle(&mut self, identity: &Identity, head: &Head) -> Result<(), SealError>;

    /// Makes `to` the guarded head, durably, and then signs both of its notes; `from` must be the guarded head. With
    /// `from` equal to `to` only signs. After any error the sealer must not be used again.
    ///
    /// # Errors
    /// See [`SealError`]. No signature is given out with an error.
    fn seal(&mut self, from: &Head, to: &Head) -> Result<Sealed, SealError>;
}

/// Two notes, and how long they took.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Both notes.
    pub notes: Notes,
    /// Time until the guard was durable.
    pub guarding: Duration,
    /// Time for the signatures.
    pub signing: Duration,
}

/// Why a head was not sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Another process has the guard.
    #[error("another process holds the guard {0}")]
    Busy(String),
    /// The guard is there but cannot be what was written.
    #[error("the guard is damaged: {0}")]
    Damaged(String),
    /// The guard could not be read or advanced.
    #[error("the guard failed: {0}")]
    Guard(String),
    /// The signers failed, or made a note that does not verify.
    #[error("signing failed: {0}")]
    Sign(String),
}
