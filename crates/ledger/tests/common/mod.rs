//! A sealer that passes everything on, for tests that have a say in what comes of each signature.

use quipu_ledger::{Guarded, Head, Identity, SealError, Sealed, Sealer};

/// What happens after each signature.
pub(crate) trait Then: Send + 'static {
    /// Takes in what was signed, and says what comes of it.
    fn signed(&self, sealed: Sealed) -> Result<Sealed, SealError>;
}

/// Passes everything on to `inner`, and what it signed to `then`.
pub(crate) struct Passing<T> {
    pub(crate) inner: Box<dyn Sealer>,
    pub(crate) then: T,
}

impl<T: Then> Sealer for Passing<T> {
    fn signs_as(&self) -> (String, Vec<String>) {
        self.inner.signs_as()
    }

    fn guarded(&self) -> Result<Option<Guarded>, SealError> {
        self.inner.guarded()
    }

    fn settle(&mut self, identity: &Identity, head: &Head) -> Result<(), SealError> {
        self.inner.settle(identity, head)
    }

    fn seal(&mut self, from: &Head, to: &Head) -> Result<Sealed, SealError> {
        let sealed = self.inner.seal(from, to)?;
        self.then.signed(sealed)
    }
}
