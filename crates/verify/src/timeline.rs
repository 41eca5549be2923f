//! The timeline: the latest head seen, which only ever grows, and only by proof.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use quipu_note::VerifierKey;
use quipu_tlog::{
    Hash, HashReader, Node, OutOfRange, ReadError, consistency_nodes, prove_consistency, tree_nodes,
    tree_root,
};

use crate::error::Error;
use crate::evidence::Evidence;
use crate::head::SignedHead;
use crate::state::State;
use crate::ways::Ways;

/// One history of one database, as far as it was seen.
pub(crate) struct Timeline {
    keys: Vec<VerifierKey>,
    state: Arc<dyn State>,
    max_size: u64,
    /// The largest head seen; all others seen begin it. Replaced only by [`Timeline::advance`].
    latest: Mutex<Option<Arc<SignedHead>>>,
}

/// How a head relates to the latest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// It is smaller, and the latest begins with it.
    Past,
    /// It is the same tree.
    Now,
    /// It was larger and is now the latest.
    Future,
}

impl Timeline {
    /// The timeline as it was kept.
    pub(crate) fn load(keys: Vec<VerifierKey>, state: Arc<dyn State>, max_size: u64) -> Result<Self, Error> {
        let kept = state.latest().map_err(|e| Error::state(KEPT, e))?;
        let latest = kept.map(|note| open_kept(note, &keys, max_size)).transpose()?.map(Arc::new);
        Ok(Self { keys, state, max_size, latest: Mutex::new(latest) })
    }

    /// Opens a note that came from the network.
    pub(crate) fn open(&self, what: &str, note: Bytes) -> Result<SignedHead, Error> {
        SignedHead::open(what, note, &self.keys, self.max_size)
    }

    /// The latest head; none before the first.
    pub(crate) fn latest(&self) -> Option<Arc<SignedHead>> {
        self.lock().clone()
    }

    /// Takes in a signed head: one from the past must be what the latest begins with, one from the future must begin
    /// with the latest and takes its place, also in what is kept.
    pub(crate) async fn merge(&self, tiles: &Ways, head: Arc<SignedHead>) -> Result<(), Error> {
        if self.place(tiles, head).await? == When::Future { self.persist(tiles).await } else { Ok(()) }
    }

    /// Finds the place of a head on the timeline. No lock is held while tiles are fetched, so the latest head may have
    /// changed by then: then the head is compared with that one.
    async fn place(&self, tiles: &Ways, head: Arc<SignedHead>) -> Result<When, Error> {
        for _ in 0..MAX_ROUNDS {
            let latest = self.latest();
            if let Some(latest) = &latest {
                if head.size() <= latest.size() {
                    self.check(tiles, &head, latest).await?;
                    return Ok(if head.size() < latest.size() { When::Past } else { When::Now });
                }
                self.check(tiles, latest, &head).await?;
            }
            if self.advance(latest.as_ref(), &head) {
                return Ok(When::Future);
            }
        }
        Err(Error::unavailable("signed tree", "heads arrive faster than they can be checked"))
    }

    /// Makes `head` the latest if that is still `expected`.
    fn advance(&self, expected: Option<&Arc<SignedHead>>, head: &Arc<SignedHead>) -> bool {
        let mut latest = self.lock();
        let unchanged = match (latest.as_ref(), expected) {
            (None, None) => true,
            (Some(now), Some(then)) => Arc::ptr_eq(now, then),
            _ => false,
        };
        if unchanged {
            *latest = Some(head.clone());
        }
        unchanged
    }

    /// Writes the latest head to the state, taking in what another process may have written there meanwhile.
    async fn persist(&self, tiles: &Ways) -> Result<(), Error> {
        for _ in 0..MAX_ROUNDS {
            let kept = self.state.latest().map_err(|e| Error::state(KEPT, e))?;
            if let Some(note) = kept.clone() {
                let head = open_kept(note, &self.keys, self.max_size)?;
                if self.place(tiles, Arc::new(head)).await? != When::Past {
                    return Ok(());
                }
            }
            let Some(latest) = self.latest() else { return Ok(()) };
            let replaced = self.state.replace_latest(kept.as_deref(), latest.note());
            if replaced.map_err(|e| Error::state(KEPT, e))? {
                return Ok(());
            }
        }
        Err(Error::state(KEPT, "other processes keep changing it"))
    }

    /// Checks that the newer tree begins with the older one, from authenticated tiles of the newer.
    async fn check(&self, tiles: &Ways, older: &SignedHead, newer: &SignedHead) -> Result<(), Error> {
        let Some(what) = comparison(older, newer) else { return Ok(()) };
        if older.size() == newer.size() {
            return Err(same_size(&self.keys, older, newer));
        }
        let nodes = fork_nodes(older.size(), newer.size()).map_err(|e| Error::unproven(&what, e))?;
        let proven = tiles.read_anywhere(newer, &nodes, &what).await?;
        compare(&self.keys, older, newer, &proven.hashes)?;
        tiles.keep(&proven);
        Ok(())
    }

    /// A panic elsewhere cannot leave the pointer half-written.
    fn lock(&self) -> MutexGuard<'_, Option<Arc<SignedHead>>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What comparing two trees is called; none if there is nothing to compare.
fn comparison(older: &SignedHead, newer: &SignedHead) -> Option<String> {
    let trivial = older.tree() == newer.tree() || (older.size() == 0 && newer.size() > 0);
    (!trivial).then(|| format!("checking tree#{} against tree#{}", older.size(), newer.size()))
}

/// Checks that the newer tree begins with the older one, from hashes of the newer that are authenticated.
pub(crate) fn compare<R>(
    keys: &[VerifierKey],
    older: &SignedHead,
    newer: &SignedHead,
    hashes: &R,
) -> Result<(), Error>
where
    R: HashReader<Error: fmt::Display>,
{
    let Some(what) = comparison(older, newer) else { return Ok(()) };
    if older.size() == newer.size() {
        return Err(same_size(keys, older, newer));
    }
    let unproven = |e: ReadError<R::Error>| Error::unproven(&what, e);
    let implied = tree_root(older.size(), hashes).map_err(unproven)?;
    if implied == older.tree().root {
        return Ok(());
    }
    let proof = prove_consistency(newer.size(), older.size(), hashes).map_err(unproven)?;
    Err(accuse(keys, older, newer, (implied, proof)))
}

/// Checks two trees of which no hashes are needed to see that they contradict each other.
pub(crate) fn compare_sizes(
    keys: &[VerifierKey],
    older: &SignedHead,
    newer: &SignedHead,
) -> Result<(), Error> {
    if older.size() == newer.size() && older.tree() != newer.tree() {
        return Err(same_size(keys, older, newer));
    }
    Ok(())
}

/// The error of two trees of one size that are not the same.
fn same_size(keys: &[VerifierKey], older: &SignedHead, newer: &SignedHead) -> Error {
    accuse(keys, older, newer, (newer.tree().root, Vec::new()))
}

/// Accuses only with evidence that a third person would accept.
fn accuse(
    keys: &[VerifierKey],
    older: &SignedHead,
    newer: &SignedHead,
    (implied, proof): (Hash, Vec<Hash>),
) -> Error {
    let notes = (older.note().clone(), newer.note().clone());
    match Evidence::prove(keys, notes, implied, proof) {
        Ok(evidence) => Error::Misbehaved(Arc::new(evidence)),
        Err(why) => {
            let both = format_args!(
                "{} records with root {} and {} records with root {} cannot both be true, but {why}",
                older.size(),
                older.tree().root,
                newer.size(),
                newer.tree().root
            );
            Error::unproven("comparing signed trees", both)
        }
    }
}

/// What is needed to compare two trees and, if they disagree, to prove it.
fn fork_nodes(older: u64, newer: u64) -> Result<Vec<Node>, OutOfRange> {
    let mut nodes = tree_nodes(older)?;
    nodes.extend(consistency_nodes(newer, older)?);
    Ok(nodes)
}

/// Opens the note that was kept. If that fails no other head may be believed, for it could be a fork.
fn open_kept(note: Bytes, keys: &[VerifierKey], max_size: u64) -> Result<SignedHead, Error> {
    SignedHead::open(KEPT, note, keys, max_size)
        .map_err(|e| Error::state("initializing", format_args!("{e} (has the database changed its key?)")))
}

const KEPT: &str = "kept head";
/// Each round means that somebody else made progress; nobody waits for more than this.
const MAX_ROUNDS: usize = 100;
