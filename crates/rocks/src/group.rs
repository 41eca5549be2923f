//! Groups of records: their rows, read and, for a store of the layout before, made.

use std::ops::Range;

use bytes::Bytes;
use quipu_ledger::{Most, ReadError, Record, group_of};
use rocksdb::{DBPinnableSlice, DBRawIterator, ReadOptions, WriteBatch, WriteOptions};

use crate::row::{self, FORMAT, FORMAT_KEY, RUN};
use crate::store::{ROWS_AT_ONCE, RocksStore, corrupt, missing, position, read_error};
use crate::tuning;

impl RocksStore {
    pub(crate) fn records_of_group(
        &self,
        group: &[u8],
        range: Range<u64>,
        most: Most,
    ) -> Result<Vec<(u64, Record)>, ReadError> {
        let range = range.start..range.end.min(self.size());
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let hash = (self.hash)(group);
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(row::group_key(hash, range.start));
        options.set_iterate_upper_bound(row::group_key(hash, range.end));
        let mut rows = self.db.raw_iterator_cf_opt(self.family(tuning::GROUP)?, options);
        let mut found = Vec::new();
        let count = match most {
            Most::First(count) => {
                rows.seek_to_first();
                count
            }
            Most::Last(count) => {
                rows.seek_to_last();
                count
            }
        };
        // Groups of one hash share their rows, so some of a piece may not count.
        while found.len() < count && rows.valid() {
            let piece = indices(&mut rows, most, (count - found.len()).min(ROWS_AT_ONCE))?;
            self.collect_members(group, &piece, &mut found)?;
        }
        rows.status().map_err(read_error)?;
        if matches!(most, Most::Last(_)) {
            found.reverse();
        }
        Ok(found)
    }

    /// The records of these indices that are of the group, in the order of the indices.
    fn collect_members(
        &self,
        group: &[u8],
        indices: &[u64],
        out: &mut Vec<(u64, Record)>,
    ) -> Result<(), ReadError> {
        // Neighbours are often in one run, which is read once then.
        let mut runs: Vec<[u8; 8]> = indices.iter().map(|index| row::run_key(*index)).collect();
        runs.dedup();
        let family = self.family(tuning::RECORD)?;
        let rows = self.db.batched_multi_get_cf_opt(family, runs.iter(), false, &self.read_large);
        let mut rest = indices;
        for (run, row) in runs.iter().zip(rows) {
            let of_run = rest.partition_point(|index| row::run_key(*index) == *run);
            let (here, later) = rest.split_at(of_run);
            rest = later;
            let row = row.map_err(read_error)?;
            for index in here {
                let row: &DBPinnableSlice<'_> = row.as_ref().ok_or_else(|| missing(*index))?;
                let slot = row::slots(row).nth(position(*index)).ok_or_else(|| missing(*index))?;
                let slot = slot.map_err(corrupt)?;
                if group_of(slot.key) == group {
                    out.push((*index, Record { time: slot.time, text: Bytes::copy_from_slice(slot.text) }));
                }
            }
        }
        Ok(())
    }

    /// Makes the `group` rows of a store whose layout had none, and marks it as having them. Whatever interrupts this,
    /// the next opening begins again.
    pub(crate) fn add_groups(&self) -> Result<(), ReadError> {
        let family = self.family(tuning::GROUP)?;
        for first in (0..self.size()).step_by(RECORDS_AT_ONCE) {
            let end = self.size().min(first.saturating_add(RECORDS_AT_ONCE as u64));
            let mut keys = Vec::new();
            for run in first / RUN..end.div_ceil(RUN) {
                let start = run * RUN;
                let value = self.get(tuning::RECORD, &row::run_key(start))?.ok_or_else(|| missing(start))?;
                for (index, slot) in (start..end).zip(row::slots(&value)) {
                    let group = group_of(slot.map_err(corrupt)?.key);
                    keys.push(row::group_key((self.hash)(group), index));
                }
            }
            keys.sort_unstable();
            let mut batch = WriteBatch::default();
            keys.iter().for_each(|key| batch.put_cf(family, key, []));
            self.db.write(batch).map_err(read_error)?;
        }
        // One log for all: what is synced last brings everything before it to the disk.
        let mut sync = WriteOptions::default();
        sync.set_sync(true);
        self.db.put_opt(FORMAT_KEY, FORMAT, &sync).map_err(read_error)
    }
}

/// Records whose rows are made at once; a multiple of [`RUN`].
const RECORDS_AT_ONCE: usize = 1024 * 64;

/// The indices of the next rows, in the direction of `most`.
fn indices(rows: &mut DBRawIterator<'_>, most: Most, count: usize) -> Result<Vec<u64>, ReadError> {
    let mut indices = Vec::with_capacity(count);
    while indices.len() < count
        && let Some(key) = rows.key()
    {
        indices.push(row::parse_group_key(key).map_err(corrupt)?.1);
        match most {
            Most::First(_) => rows.next(),
            Most::Last(_) => rows.prev(),
        }
    }
    Ok(indices)
}
