//! The start of a log: what is found on the disk is compared, checked and put into service, or refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::Clock;
use crate::decide::{Found, Start, decide};
use crate::durable::{BLOCK, Disk, Lock, replace};
use crate::head::{Published, SignedHead, published};
use crate::identity::{Card, Identity};
use crate::refusal::OpenError;
use crate::restore::{Unfit, replay, restore};
use crate::round::State;
use crate::seal::{SealError, Sealer};
use crate::space::{Room, Space};
use crate::store::{CommitError, Head, Round, Store};
use crate::writer::{Parts, Writer};

/// What an operator vouches for when a log is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vouch {
    /// Nothing.
    #[default]
    Nothing,
    /// This copied or moved data directory (or guard) is the only one that will ever be written again.
    Moved,
    /// The guard is lost, and nobody has seen a head larger than the stored one.
    NewGuard,
}

/// All that [`start`] works with.
pub struct Setup {
    /// Storage, freshly opened.
    pub store: Arc<dyn Store>,
    /// Guard and signers.
    pub sealer: Box<dyn Sealer>,
    /// The data directory: it must exist.
    pub data: PathBuf,
    /// The guard's name in messages.
    pub guard: String,
    /// Random bytes: the instance, should this be the founding.
    pub random: [u8; 16],
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The file system of the data directory.
    pub disk: Arc<dyn Disk>,
    /// How much room to keep.
    pub room: Room,
    /// What the operator vouches for.
    pub vouch: Vouch,
}

/// Checks everything that must agree, finishes what a crash interrupted, signs the head, and gives out the writer.
///
/// # Errors
/// See [`OpenError`].
pub fn start(mut setup: Setup) -> Result<Writer, OpenError> {
    let place = Place::new(&setup.data, &setup.guard);
    let lock = place.lock(setup.disk.as_ref())?;
    let space = Space::open(Arc::clone(&setup.disk), setup.data.clone(), setup.room)
        .map_err(|error| OpenError::io(format!("the disk reserve in {}", place.data), &error))?;
    let guarded = setup.sealer.guarded().map_err(|error| place.seal(error))?;
    let card = place.read_card(setup.disk.as_ref())?;
    let stored = setup.store.head().map_err(|error| OpenError::of_read(error, &place.data))?;
    let found = Found {
        place: &place,
        us: setup.sealer.signs_as(),
        random: setup.random,
        guarded: guarded.as_ref(),
        card: card.as_ref(),
        stored,
        vouch: setup.vouch,
    };
    let (old, state) = match decide(&found)? {
        Start::Found(identity, head) => place.found(&mut setup, &identity, head)?,
        Start::GoOn(identity, old) => place.go_on(&mut setup, &identity, old, stored.unwrap_or(old))?,
    };
    let published = place.sign(setup.sealer.as_mut(), &old, state.head())?;
    let parts = Parts { sealer: setup.sealer, clock: setup.clock, space, _lock: lock };
    Ok(Writer::new(setup.store, parts, state, published))
}

/// The identity written beside the store in `data`, and whether its file is the one that was written and not a copy;
/// `None` if there is none. Changes and locks nothing.
///
/// # Errors
/// See [`OpenError`]: the file cannot be read or is damaged.
pub fn read_identity(disk: &dyn Disk, data: &Path) -> Result<Option<(Identity, bool)>, OpenError> {
    let card = Place::new(data, "").read_card(disk)?;
    Ok(card.map(|card| (card.identity, card.original)))
}

/// The files of a log, for use and by name in messages.
pub(crate) struct Place {
    pub(crate) data: String,
    pub(crate) guard: String,
    /// The file beside the store that says which log this is.
    pub(crate) card: PathBuf,
    lock: PathBuf,
}

/// The identity found beside the store.
pub(crate) struct FoundCard {
    pub(crate) identity: Identity,
    /// Whether this is the file that was written, and not a copy of it.
    pub(crate) original: bool,
}

impl Place {
    pub(crate) fn new(data: &Path, guard: &str) -> Self {
        Self {
            data: data.display().to_string(),
            guard: guard.to_owned(),
            card: data.join("ledger.id"),
            lock: data.join("ledger.lock"),
        }
    }

    pub(crate) fn card(&self) -> String {
        self.card.display().to_string()
    }

    fn lock(&self, disk: &dyn Disk) -> Result<Lock, OpenError> {
        let name = self.lock.display();
        let lock = disk.lock(&self.lock).map_err(|error| OpenError::io(format!("locking {name}"), &error))?;
        lock.ok_or_else(|| OpenError::Busy { what: self.data.clone() })
    }

    fn read_card(&self, disk: &dyn Disk) -> Result<Option<FoundCard>, OpenError> {
        let failed = |error| OpenError::io(format!("reading {}", self.card()), &error);
        let Some(mut file) = disk.open(&self.card).map_err(failed)? else { return Ok(None) };
        let bytes = file.read(BLOCK).map_err(failed)?;
        let number = file.number().map_err(failed)?;
        let card = str::from_utf8(&bytes).ok().and_then(Card::parse);
        let damaged =
            || OpenError::GuardDamaged { file: self.card(), why: "its lines are not intact".to_owned() };
        let card = card.ok_or_else(damaged)?;
        Ok(Some(FoundCard { identity: card.identity, original: card.number == number }))
    }

    /// Writes the identity anew, so that its bytes are fresh and its number is that of the new file.
    fn write_card(&self, disk: &dyn Disk, identity: &Identity) -> Result<(), OpenError> {
        let card = |number| Card { identity: identity.clone(), number }.format();
        if card(u64::MAX).is_none() {
            return Err(OpenError::Usage("the log's name and keys are too long".to_owned()));
        }
        replace(disk, &self.card, |number| card(number).unwrap_or_default().into_bytes())
            .map(drop)
            .map_err(|error| OpenError::io(format!("writing {}", self.card()), &error))
    }

    /// The first start, or the rest of one that was interrupted: guard, then identity, then the store's empty head.
    fn found(
        &self,
        setup: &mut Setup,
        identity: &Identity,
        head: Option<Head>,
    ) -> Result<(Head, State), OpenError> {
        let state = State::founded(head.map_or_else(|| setup.clock.now(), |head| head.time));
        let head = *state.head();
        setup.sealer.settle(identity, &head).map_err(|error| self.seal(error))?;
        self.write_card(setup.disk.as_ref(), identity)?;
        let round = Round { records: Vec::new(), tiles: Vec::new(), head, notes: Vec::new() };
        setup.store.commit(0, &round).map_err(|error| self.commit(&error))?;
        Ok((head, state))
    }

    /// Any other start: the store must bear the guarded head and at most one round more.
    fn go_on(
        &self,
        setup: &mut Setup,
        identity: &Identity,
        old: Head,
        stored: Head,
    ) -> Result<(Head, State), OpenError> {
        let state = self.check(setup.store.as_ref(), &old, &stored)?;
        self.write_card(setup.disk.as_ref(), identity)?;
        setup.sealer.settle(identity, &old).map_err(|error| self.seal(error))?;
        Ok((old, state))
    }

    /// The state of the store, whose tree must contain the guarded one. What was written since is hashed again.
    fn check(&self, store: &dyn Store, old: &Head, stored: &Head) -> Result<State, OpenError> {
        let state = restore(store, old).map_err(|unfit| self.unfit(unfit, old, stored))?;
        if stored.size == old.size {
            return Ok(state);
        }
        self.check_one_round(store, old, stored)?;
        replay(store, state, stored).map_err(|unfit| self.unfit(unfit, old, stored))
    }

    /// Every round stores the notes of the head before it. So after exactly one round past the guarded head there are
    /// notes of that head and of no head in between.
    fn check_one_round(&self, store: &dyn Store, old: &Head, stored: &Head) -> Result<(), OpenError> {
        let signed = |size| store.notes(size).map_err(|error| OpenError::of_read(error, &self.data));
        if signed(old.size)?.is_none() {
            return Err(self.too_far(old, stored, format!("but no signed head of {}", old.size)));
        }
        for size in old.size.saturating_add(1)..stored.size {
            if signed(size)?.is_some() {
                return Err(self.too_far(old, stored, format!("and a signed head of {size}")));
            }
        }
        Ok(())
    }

    pub(crate) fn too_far(&self, old: &Head, stored: &Head, ahead: String) -> OpenError {
        let (data, guard) = (self.data.clone(), self.guard.clone());
        OpenError::TooFarAhead { guard, data, guarded: old.size, stored: stored.size, ahead }
    }

    fn sign(&self, sealer: &mut dyn Sealer, old: &Head, head: &Head) -> Result<Arc<Published>, OpenError> {
        let sealed = sealer.seal(old, head).map_err(|error| self.seal(error))?;
        Ok(published(SignedHead { head: *head, notes: sealed.notes }))
    }

    fn seal(&self, error: SealError) -> OpenError {
        OpenError::of_seal(error, &self.guard)
    }

    fn commit(&self, error: &CommitError) -> OpenError {
        OpenError::io(format!("founding the log in {}", self.data), &error)
    }

    fn unfit(&self, unfit: Unfit, old: &Head, head: &Head) -> OpenError {
        let data = self.data.clone();
        match unfit {
            Unfit::Read(error) => OpenError::of_read(error, &data),
            Unfit::Damaged(why) => OpenError::StoreDamaged { data, why },
            Unfit::Root { size, stored } if size == old.size && size < head.size => {
                OpenError::Forked { guard: self.guard.clone(), data, size, guarded: old.root, stored }
            }
            Unfit::Root { size, stored } => OpenError::StoreDamaged {
                data,
                why: format!("its tiles of size {size} have the root {stored}"),
            },
        }
    }
}
