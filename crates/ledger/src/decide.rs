//! The decision at a start, as a function of what was found.

use crate::guard::Guarded;
use crate::identity::{Identity, Instance};
use crate::open::{FoundCard, Place, Vouch};
use crate::refusal::OpenError;
use crate::store::Head;

/// What was found on the disk, and who asks.
pub(crate) struct Found<'a> {
    pub(crate) place: &'a Place,
    /// Our name and verifier keys.
    pub(crate) us: (String, Vec<String>),
    pub(crate) random: [u8; 16],
    pub(crate) guarded: Option<&'a Guarded>,
    pub(crate) card: Option<&'a FoundCard>,
    pub(crate) stored: Option<Head>,
    pub(crate) vouch: Vouch,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Found the log, with the empty head that an interrupted founding guarded, if any.
    Found(Identity, Option<Head>),
    /// Go on from the guarded head, if the store bears it.
    GoOn(Identity, Head),
}

/// A store can be ahead of its guard by one round, and no round has more records.
pub(crate) const MAX_ROUND: u64 = 65_536;

/// Decides, without reading anything more.
///
/// # Errors
/// The refusal that fits best; what may fork the log goes before what merely looks odd.
pub(crate) fn decide(found: &Found<'_>) -> Result<Start, OpenError> {
    let Found { place, guarded, card, stored, vouch, .. } = found;
    let (name, keys) = &found.us;
    let instance = guarded.map(|guarded| guarded.identity.instance);
    let instance = instance.or(card.map(|card| card.identity.instance));
    let instance = instance.unwrap_or_else(|| Instance::from_bytes(found.random));
    let us = Identity { instance, name: name.clone(), keys: keys.clone() };
    check_ours(found, &us)?;
    match (guarded, stored) {
        (Some(_), _) if *vouch == Vouch::NewGuard => Err(OpenError::Usage(format!(
            "there is a guard {}: it stays as long as it can be read",
            place.guard
        ))),
        (Some(guarded), Some(stored)) => {
            check_heads(place, &guarded.head, stored)?;
            check_originals(found, guarded)?;
            Ok(Start::GoOn(us, guarded.head))
        }
        (Some(guarded), None) if guarded.head.size == 0 => Ok(Start::Found(us, Some(guarded.head))),
        (Some(guarded), None) => Err(OpenError::GuardWithoutStore {
            guard: place.guard.clone(),
            data: place.data.clone(),
            size: guarded.head.size,
        }),
        (None, Some(stored)) if *vouch == Vouch::NewGuard => Ok(Start::GoOn(us, *stored)),
        (None, None) if card.is_none() || *vouch == Vouch::NewGuard => Ok(Start::Found(us, None)),
        (None, stored) => Err(OpenError::StoreWithoutGuard {
            guard: place.guard.clone(),
            data: place.data.clone(),
            size: stored.map_or(0, |stored| stored.size),
        }),
    }
}

/// Whatever says which log this is must say ours: the name, at least one of the keys, and one founding.
fn check_ours(found: &Found<'_>, us: &Identity) -> Result<(), OpenError> {
    let guard = found.guarded.map(|guarded| (found.place.guard.clone(), &guarded.identity));
    let card = found.card.map(|card| (found.place.card(), &card.identity));
    for (file, theirs) in guard.into_iter().chain(card) {
        let difference = if theirs.name != us.name {
            format!("its name is {}, not {}", theirs.name, us.name)
        } else if !theirs.keys.iter().any(|key| us.keys.contains(key)) {
            format!("its key is {}, not {}", theirs.keys.join(" or "), us.keys.join(" or "))
        } else if theirs.instance != us.instance {
            format!("it was founded as {}, the guard as {}", theirs.instance, us.instance)
        } else {
            continue;
        };
        return Err(OpenError::OtherLog { file, difference });
    }
    Ok(())
}

fn check_heads(place: &Place, guarded: &Head, stored: &Head) -> Result<(), OpenError> {
    let (data, guard) = (place.data.clone(), place.guard.clone());
    if stored.size < guarded.size {
        return Err(OpenError::Behind { guard, data, guarded: guarded.size, stored: stored.size });
    }
    if stored.size == guarded.size && stored.root != guarded.root {
        let (size, guarded, stored) = (stored.size, guarded.root, stored.root);
        return Err(OpenError::Forked { guard, data, size, guarded, stored });
    }
    if stored.size - guarded.size > MAX_ROUND {
        return Err(place.too_far(
            guarded,
            stored,
            format!("{} of them unguarded", stored.size - guarded.size),
        ));
    }
    Ok(())
}

/// A copy of a file has another number than the one written into it. What this cannot notice: a snapshot of the whole
/// file system, taken back or mounted twice, keeps the numbers.
fn check_originals(found: &Found<'_>, guarded: &Guarded) -> Result<(), OpenError> {
    if found.vouch == Vouch::Moved {
        return Ok(());
    }
    let copied = |file, how| Err(OpenError::Copied { file, how });
    match found.card {
        None => copied(found.place.card(), "is missing, though the store is not empty"),
        Some(card) if !card.original => copied(found.place.card(), COPY),
        Some(_) if !guarded.original => copied(found.place.guard.clone(), COPY),
        Some(_) => Ok(()),
    }
}

const COPY: &str = "is a copy, or was moved from another file system";
