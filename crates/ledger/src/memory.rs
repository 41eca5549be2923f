//! A store in memory: for tests, for embedding without persistence, and as the reference of the conformance suite.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;

use crate::store::{CommitError, Head, Most, Notes, ReadError, Record, Round, Store};

/// A [`Store`] that forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryStore {
    content: RwLock<Content>,
}

#[derive(Debug, Default)]
struct Content {
    head: Option<Head>,
    records: Vec<Record>,
    keys: BTreeMap<Bytes, u64>,
    groups: BTreeMap<Bytes, Vec<u64>>,
    tiles: BTreeMap<(u8, u64), Bytes>,
    notes: BTreeMap<u64, Notes>,
}

impl MemoryStore {
    /// A store that never saw a commit.
    pub fn new() -> Self {
        Self::default()
    }

    // A commit changes nothing before it can no longer fail, so the content is whole even if a thread panicked.
    fn content(&self) -> RwLockReadGuard<'_, Content> {
        self.content.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    fn record(&self, index: u64) -> Option<Record> {
        self.records.get(usize::try_from(index).ok()?).cloned()
    }
}

impl Store for MemoryStore {
    fn head(&self) -> Result<Option<Head>, ReadError> {
        Ok(self.content().head)
    }

    fn commit(&self, expected: u64, round: &Round) -> Result<(), CommitError> {
        let mut content = self.content.write().unwrap_or_else(PoisonError::into_inner);
        let stored = content.records.len() as u64;
        if stored != expected {
            return Err(CommitError::Conflict { stored, expected });
        }
        for ((time, entry), index) in round.records.iter().zip(expected..) {
            content.records.push(Record { time: *time, text: entry.text().clone() });
            content.keys.insert(entry.text().slice(..entry.key().len()), index);
            content.groups.entry(entry.text().slice(..entry.group().len())).or_default().push(index);
        }
        for tile in &round.tiles {
            content.tiles.insert((tile.level, tile.n), tile.hashes.clone());
        }
        for notes in &round.notes {
            content.notes.insert(notes.size, notes.clone());
        }
        content.head = Some(round.head);
        Ok(())
    }

    fn find(&self, key: &[u8]) -> Result<Option<(u64, Record)>, ReadError> {
        let content = self.content();
        let Some(&index) = content.keys.get(key) else { return Ok(None) };
        Ok(content.record(index).map(|record| (index, record)))
    }

    fn records(&self, range: Range<u64>) -> Result<Vec<Record>, ReadError> {
        let content = self.content();
        let missing = |index| ReadError::Corrupt(format!("record {index} is not there"));
        range.map(|index| content.record(index).ok_or_else(|| missing(index))).collect()
    }

    fn group(&self, group: &[u8], range: Range<u64>, most: Most) -> Result<Vec<(u64, Record)>, ReadError> {
        let content = self.content();
        let all = content.groups.get(group).map(Vec::as_slice).unwrap_or_default();
        let from = all.partition_point(|index| *index < range.start);
        let to = all.partition_point(|index| *index < range.end).max(from);
        let within = &all[from..to];
        let wanted = match most {
            Most::First(count) => &within[..count.min(within.len())],
            Most::Last(count) => &within[within.len().saturating_sub(count)..],
        };
        Ok(wanted.iter().filter_map(|index| Some((*index, content.record(*index)?))).collect())
    }

    fn tile(&self, level: u8, n: u64) -> Result<Option<Bytes>, ReadError> {
        Ok(self.content().tiles.get(&(level, n)).cloned())
    }

    fn notes(&self, size: u64) -> Result<Option<Notes>, ReadError> {
        Ok(self.content().notes.get(&size).cloned())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn conforms() {
        crate::conformance::run(crate::conformance::Kept::<super::MemoryStore>::default);
    }
}
