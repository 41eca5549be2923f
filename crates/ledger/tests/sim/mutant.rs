//! Engines that are wrong on purpose: the oracle must notice each of them, or it could not be trusted with the right one.

use std::sync::Arc;
use std::time::Duration;

use quipu_ledger::{Guarded, Head, Identity, Notes, SealError, Sealed, Sealer, Store};
use quipu_note::{Note, SignerKey};
use quipu_tlog::{Tree, format_checkpoint, format_tree};

use crate::disk::Lies;
use crate::oracle::NAME;
use crate::store::Faulty;
use crate::world::Observed;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Nothing.
    None,
    /// Signs before the guard advances.
    SignsFirst,
    /// Goes on signing after the guard failed.
    IgnoresGuard,
    /// Takes the store's head for the guarded one.
    ForgetsGuard,
    /// The guard is not synced.
    GuardNotSynced,
    /// The guard's directory is not synced.
    NamesNotSynced,
    /// The store does not sync its commits.
    StoreNotSynced,
    /// The store trusts the page cache when it opens.
    StoreTrustsCache,
    /// The store says that a failed sync wrote nothing.
    StoreDeniesUnknown,
}

impl Mutant {
    pub(crate) const ALL: [Self; 8] = [
        Self::SignsFirst,
        Self::IgnoresGuard,
        Self::ForgetsGuard,
        Self::GuardNotSynced,
        Self::NamesNotSynced,
        Self::StoreNotSynced,
        Self::StoreTrustsCache,
        Self::StoreDeniesUnknown,
    ];

    pub(crate) fn lies(self) -> Lies {
        Lies {
            no_sync: (self == Self::GuardNotSynced).then_some("guard"),
            no_dir_sync: self == Self::NamesNotSynced,
        }
    }

    pub(crate) fn faulty(self) -> Faulty {
        Faulty {
            no_sync: self == Self::StoreNotSynced,
            trusts_cache: self == Self::StoreTrustsCache,
            denies_unknown: self == Self::StoreDeniesUnknown,
        }
    }
}

/// The sealer, wrong if the mutant says so.
pub(crate) fn mutate(
    mutant: Mutant,
    observed: Observed,
    signer: SignerKey,
    store: Arc<dyn Store>,
) -> Box<dyn Sealer> {
    match mutant {
        Mutant::SignsFirst | Mutant::IgnoresGuard | Mutant::ForgetsGuard => {
            Box::new(Wrong { mutant, observed, signer, store })
        }
        _ => Box::new(observed),
    }
}

struct Wrong {
    mutant: Mutant,
    observed: Observed,
    signer: SignerKey,
    store: Arc<dyn Store>,
}

impl Wrong {
    fn sign(&self, head: &Head) -> Sealed {
        let tree = Tree { size: head.size, root: head.root };
        let note = |text: String| quipu_note::sign(&Note::new(text), &[&self.signer]).unwrap().into();
        let notes = Notes {
            size: head.size,
            sumdb: note(format_tree(&tree)),
            checkpoint: note(format_checkpoint(NAME, &tree)),
        };
        self.observed.then.tell(&notes);
        Sealed { notes, guarding: Duration::ZERO, signing: Duration::ZERO }
    }
}

impl Sealer for Wrong {
    fn signs_as(&self) -> (String, Vec<String>) {
        self.observed.signs_as()
    }

    fn guarded(&self) -> Result<Option<Guarded>, SealError> {
        let mut guarded = self.observed.guarded()?;
        if let (Mutant::ForgetsGuard, Some(guarded), Ok(Some(head))) =
            (self.mutant, &mut guarded, self.store.head())
        {
            guarded.head = head;
        }
        Ok(guarded)
    }

    fn settle(&mut self, identity: &Identity, head: &Head) -> Result<(), SealError> {
        self.observed
            .settle(identity, head)
            .or_else(|error| if self.mutant == Mutant::ForgetsGuard { Ok(()) } else { Err(error) })
    }

    fn seal(&mut self, from: &Head, to: &Head) -> Result<Sealed, SealError> {
        match self.mutant {
            Mutant::SignsFirst => {
                let sealed = self.sign(to);
                self.observed.seal(from, to).map(|_| sealed)
            }
            _ => self.observed.seal(from, to).or_else(|_| Ok(self.sign(to))),
        }
    }
}
