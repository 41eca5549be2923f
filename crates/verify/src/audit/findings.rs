//! What an audit finds wrong, collected from many threads.

use std::mem::discriminant;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use quipu_tlog::Tile;

use crate::check::{Fault, differences};
use crate::evidence::Evidence;

/// Something wrong with a log, and what shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub fault: Fault,
    /// The tiles that show it, as they were served: the wrong one first, then what it contradicts.
    pub served: Vec<(Tile, Bytes)>,
    /// What shows it to a third person: proof of misbehaviour, or what was served beside what was signed
    /// ([`Kind::is_signed`](crate::Kind::is_signed)). Findings about one tile share it; there is none of malformed tiles, of
    /// logs in the layout of tlog-tiles, and after the first few of a kind.
    pub evidence: Option<Arc<Evidence>>,
}

/// All findings so far: the first ones of each kind whole, of the others their number.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Mutex<Found>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) findings: Vec<Finding>,
    pub(super) more: u64,
    /// Records that could not be checked because a tile above them is wrong beyond repair.
    pub(super) unchecked: u64,
}

impl Findings {
    pub(super) fn add(&self, fault: Fault, served: Vec<(Tile, Bytes)>) {
        let mut found = self.lock();
        let finding = Finding { fault, served, evidence: None };
        if found.findings.contains(&finding) {
            return;
        }
        // Of each kind for itself: many of one do not hide another.
        let alike = |other: &&Finding| discriminant(&other.fault) == discriminant(&finding.fault);
        if found.findings.iter().filter(alike).count() < MAX_ALIKE {
            found.findings.push(finding)
        } else {
            found.more += 1
        }
    }

    /// One fault for each entry in which a hash tile differs from what it must be.
    pub(super) fn add_entries(&self, tile: Tile, served: &Bytes, right: &[u8]) {
        for entry in differences(served, right) {
            self.add(Fault::Entry { tile, entry }, vec![(tile, served.clone())]);
        }
    }

    pub(super) fn add_unchecked(&self, records: u64) {
        self.lock().unchecked += records;
    }

    /// Counts findings that are not looked into.
    pub(super) fn add_more(&self, more: u64) {
        self.lock().more += more;
    }

    pub(super) fn is_empty(&self) -> bool {
        let found = self.lock();
        found.findings.is_empty() && found.unchecked == 0
    }

    /// All of them, in the order of the log.
    pub(super) fn take(&self) -> Found {
        let mut found = std::mem::take(&mut *self.lock());
        found.findings.sort_by_key(|finding| finding.fault.place());
        found
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Findings of one kind kept whole; more than anybody wants to read.
const MAX_ALIKE: usize = 64;
