//! The sealer of a single machine: the guard file, and signers in this process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use quipu_note::{Note, SignerKey, VerifierKey};
use quipu_tlog::{Tree, format_checkpoint, format_tree, parse_checkpoint, parse_tree};

use crate::clock::Clock;
use crate::durable::{Disk, Lock, sibling};
use crate::guard::{GuardFile, Guarded};
use crate::identity::Identity;
use crate::seal::{SealError, Sealed, Sealer};
use crate::store::{Head, Notes};

/// Guards heads in a file, and signs with keys held in this process.
pub struct FileSealer {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    clock: Arc<dyn Clock>,
    name: String,
    signers: Vec<SignerKey>,
    verifiers: Vec<VerifierKey>,
    /// There from [`Sealer::settle`] to the first error.
    guard: Option<GuardFile>,
    /// Held beside the guard, which is itself replaced at every start.
    _lock: Lock,
}

impl FileSealer {
    /// Takes the guard's lock; the file itself is not touched. The signers (at least one) must be of one name.
    ///
    /// # Errors
    /// See [`SealError`].
    pub fn open(
        disk: Arc<dyn Disk>,
        path: &Path,
        signers: Vec<SignerKey>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SealError> {
        let name = name_of(&signers)?;
        let beside = sibling(path, "lock");
        let lock = disk.lock(&beside).map_err(|error| guard_error(&error))?;
        let lock = lock.ok_or_else(|| SealError::Busy(format!("the guard {}", path.display())))?;
        let verifiers = signers.iter().map(|signer| signer.verifier().clone()).collect();
        Ok(Self { disk, path: path.to_owned(), clock, name, signers, verifiers, guard: None, _lock: lock })
    }

    /// Both notes of a head, each opened again and compared; or neither.
    fn sign(&self, head: &Head) -> Result<Notes, String> {
        let tree = Tree { size: head.size, root: head.root };
        let sumdb = self.note(&format_tree(&tree))?;
        let checkpoint = self.note(&format_checkpoint(&self.name, &tree))?;
        let first = parse_tree(self.open_again(&sumdb)?).map_err(|error| error.to_string())?;
        let second =
            parse_checkpoint(self.open_again(&checkpoint)?, &self.name).map_err(|error| error.to_string())?;
        if first != tree || second != tree {
            return Err("the notes do not say what was signed".to_owned());
        }
        Ok(Notes { size: head.size, sumdb: Bytes::from(sumdb), checkpoint: Bytes::from(checkpoint) })
    }

    fn note(&self, text: &str) -> Result<String, String> {
        let signers: Vec<&SignerKey> = self.signers.iter().collect();
        quipu_note::sign(&Note::new(text), &signers).map_err(|error| error.to_string())
    }

    /// The text of a note that every signer has signed.
    fn open_again(&self, note: &str) -> Result<String, String> {
        let note = quipu_note::open(note.as_bytes(), &self.verifiers).map_err(|error| error.to_string())?;
        if note.verified.len() == self.verifiers.len() {
            Ok(note.text)
        } else {
            Err("a signature is missing".to_owned())
        }
    }
}

impl Sealer for FileSealer {
    fn signs_as(&self) -> (String, Vec<String>) {
        (self.name.clone(), self.verifiers.iter().map(VerifierKey::to_string).collect())
    }

    fn guarded(&self) -> Result<Option<Guarded>, SealError> {
        Guarded::read(self.disk.as_ref(), &self.path)
    }

    fn settle(&mut self, identity: &Identity, head: &Head) -> Result<(), SealError> {
        let before = self.guarded()?;
        if before.as_ref().is_some_and(|before| !same(&before.head, head)) {
            return Err(SealError::Guard("it does not guard the head to settle on".to_owned()));
        }
        let guard = GuardFile::write_anew(self.disk.as_ref(), &self.path, before.as_ref(), identity, *head);
        self.guard = Some(guard.map_err(|error| guard_error(&error))?);
        Ok(())
    }

    fn seal(&mut self, from: &Head, to: &Head) -> Result<Sealed, SealError> {
        // Taken, and given back only if all went well: after an error nothing is sealed any more.
        let mut guard = self.guard.take().ok_or_else(|| SealError::Guard("it is not in use".to_owned()))?;
        if !same(guard.head(), from) || to.size < from.size || (to.size == from.size && to.root != from.root)
        {
            return Err(SealError::Guard(format!(
                "{} does not lead from {} to {}",
                self.path.display(),
                from.size,
                to.size
            )));
        }
        let started = self.clock.elapsed();
        if to.size > from.size {
            guard.advance(*to).map_err(|error| guard_error(&error))?;
        }
        let guarded = self.clock.elapsed();
        let notes = self.sign(to).map_err(SealError::Sign)?;
        let signed = self.clock.elapsed();
        self.guard = Some(guard);
        Ok(Sealed {
            notes,
            guarding: guarded.saturating_sub(started),
            signing: signed.saturating_sub(guarded),
        })
    }
}

fn same(a: &Head, b: &Head) -> bool {
    a.size == b.size && a.root == b.root
}

fn name_of(signers: &[SignerKey]) -> Result<String, SealError> {
    let (first, rest) =
        signers.split_first().ok_or_else(|| SealError::Sign("there is no signer".to_owned()))?;
    match rest.iter().find(|signer| signer.name() != first.name()) {
        Some(other) => {
            Err(SealError::Sign(format!("signers of two logs: {} and {}", first.name(), other.name())))
        }
        None => Ok(first.name().to_string()),
    }
}

fn guard_error(error: &std::io::Error) -> SealError {
    SealError::Guard(error.to_string())
}
