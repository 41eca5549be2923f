//! Uniqueness over the whole log in eight bytes a record.
//!
//! Keys are collected as 64-bit hashes and sorted at the end; equal ones are suspects. In a log of 70 million records two
//! different keys have the same hash with a chance of about one in 7,500, and a second look at the records settles it.

use std::collections::{HashMap, HashSet};

use super::bundle::Digester;
use super::report::Fault;
use super::rules::Rules;

/// The hashes of all keys seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    hashes: Vec<u64>,
}

impl Keys {
    /// Room for `expected` keys. Pages that are never written cost nothing; a lying number costs no more than 512 MiB
    /// of address space.
    pub(super) fn with_capacity(expected: u64) -> Self {
        let capacity = usize::try_from(expected.min(64 << 20)).unwrap_or(0);
        Self { hashes: Vec::with_capacity(capacity) }
    }

    pub(super) fn extend(&mut self, hashes: &[u64]) {
        self.hashes.extend_from_slice(hashes);
    }

    /// The hashes that occur more than once.
    pub(super) fn into_suspects(mut self) -> Suspects {
        self.hashes.sort_unstable();
        let repeated = self.hashes.windows(2).filter_map(|pair| match pair {
            [a, b] if a == b => Some(*a),
            _ => None,
        });
        Suspects { hashes: repeated.collect() }
    }
}

/// Keys that may occur more than once. To be sure, all records have to be looked at again with a [`Recheck`].
#[derive(Clone, Debug, Default)]
pub struct Suspects {
    hashes: HashSet<u64>,
}

impl Suspects {
    /// Whether there is nothing to look at again.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

/// The second look at records whose keys may occur more than once.
#[derive(Debug)]
pub struct Recheck<'a, R> {
    digester: &'a Digester<R>,
    suspects: Suspects,
    /// The first record with each suspected key.
    first: HashMap<Vec<u8>, u64>,
}

impl<'a, R: Rules> Recheck<'a, R> {
    /// Looks for suspects of the check that used `digester`.
    pub fn new(digester: &'a Digester<R>, suspects: Suspects) -> Self {
        Self { digester, suspects, first: HashMap::new() }
    }

    /// Looks at a record; all must pass, in order. A fault if one before it had the same key.
    pub fn record(&mut self, record: u64, text: &[u8]) -> Option<Fault> {
        let hash = self.digester.key_hash(text).ok()?;
        if !self.suspects.hashes.contains(&hash) {
            return None;
        }
        let key = self.digester.rules().key(text).ok()?;
        match self.first.get(key) {
            Some(first) => {
                let key = String::from_utf8_lossy(key).trim_end().to_owned();
                Some(Fault::Duplicate { first: *first, second: record, key })
            }
            None => {
                self.first.insert(key.to_vec(), record);
                None
            }
        }
    }
}
