//! Committing a round: one synced write batch, or nothing.

use std::sync::PoisonError;

use quipu_ledger::{CommitError, Disk as _, ReadError, RealDisk, Round};
use rocksdb::{WriteBatch, WriteOptions};

use crate::row::{self, KeyHash, RUN};
use crate::store::{ROWS_AT_ONCE, RocksStore, corrupt, position, read_error};
use crate::tuning;

/// What the writer knows between commits.
pub(crate) struct Writer {
    /// Records committed.
    size: u64,
    /// The value of the last `record` row if the row is not full, else empty.
    tail: Vec<u8>,
    /// Why nothing may be written any more.
    stopped: Option<String>,
}

impl Writer {
    /// Whether a commit failed, so that nobody knows what the disk holds.
    pub(crate) fn has_stopped(&self) -> bool {
        self.stopped.is_some()
    }
}

impl RocksStore {
    /// What the writer starts from: the size and the unfinished run.
    pub(crate) fn load_writer(&self) -> Result<Writer, ReadError> {
        let size = self.size();
        let mut tail = Vec::new();
        if let Some(last) = position(size).checked_sub(1) {
            let short = || ReadError::Corrupt(format!("record {} is missing", size - 1));
            let run = self.get(tuning::RECORD, &row::run_key(size))?.ok_or_else(short)?;
            let end = row::slots(&run).nth(last).ok_or_else(short)?.map_err(corrupt)?.at.end;
            tail.extend_from_slice(&run[..end]);
        }
        Ok(Writer { size, tail, stopped: None })
    }

    pub(crate) fn commit_round(&self, expected: u64, round: &Round) -> Result<(), CommitError> {
        let Some(writer) = &self.writer else {
            return Err(CommitError::Unknown("the store is open read-only, nothing was written".into()));
        };
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reason) = &writer.stopped {
            return Err(CommitError::Unknown(format!("the store stopped at an earlier commit: {reason}")));
        }
        if writer.size != expected {
            return Err(CommitError::Conflict { stored: writer.size, expected });
        }
        self.check_room(round)?;
        // Whatever goes wrong from here on, a panic included, no later commit may build upon it.
        writer.stopped = Some("it did not come to an end".into());
        match self.write(&writer, round) {
            Ok(tail) => {
                *writer = Writer { size: round.head.size, tail, stopped: None };
                *self.head.write().unwrap_or_else(PoisonError::into_inner) = Some(round.head);
                Ok(())
            }
            Err(reason) => {
                writer.stopped = Some(reason.clone());
                Err(CommitError::Unknown(reason))
            }
        }
    }

    /// Refuses while nothing is written yet. An error that RocksDB reports later, out of space included, says nothing
    /// about what reached the log.
    fn check_room(&self, round: &Round) -> Result<(), CommitError> {
        let texts: usize = round.records.iter().map(|(_, entry)| entry.text().len()).sum();
        let need = self.options.reserve_bytes.saturating_add(2 * texts as u64);
        let free = RealDisk.free(self.db.path()).map_err(|error| {
            CommitError::Full(format!("free space of {}: {error}", self.db.path().display()))
        })?;
        if free < need {
            return Err(CommitError::Full(format!("{free} bytes are free, {need} are needed")));
        }
        Ok(())
    }

    /// Writes the round and returns the unfinished run after it; says why if that did not work.
    fn write(&self, writer: &Writer, round: &Round) -> Result<Vec<u8>, String> {
        let (from, count, to) = (writer.size, round.records.len(), round.head.size);
        if from.checked_add(count as u64) != Some(to) {
            return Err(format!("a round of {count} records from {from} with a head of {to}"));
        }
        let (batch, tail) = self.batch(writer, round).map_err(|error| error.to_string())?;
        let mut sync = WriteOptions::default();
        sync.set_sync(true);
        sync.set_memtable_insert_hint_per_batch(true);
        self.db.write_opt(batch, &sync).map_err(rocksdb::Error::into_string)?;
        Ok(tail)
    }

    /// All rows of a round, and the unfinished run after it.
    fn batch(&self, writer: &Writer, round: &Round) -> Result<(WriteBatch, Vec<u8>), ReadError> {
        let mut batch = WriteBatch::default();
        self.put_keys(&mut batch, writer.size, round)?;
        self.put_groups(&mut batch, writer.size, round)?;
        let tail = self.put_records(&mut batch, writer, round)?;
        for tile in &round.tiles {
            let hashes = row::check_tile(&tile.hashes).map_err(corrupt)?;
            batch.put_cf(self.family(tuning::TILE)?, row::tile_key(tile.level, tile.n), hashes);
        }
        for notes in &round.notes {
            let value = row::format_notes(notes).map_err(corrupt)?;
            batch.put_cf(self.family(tuning::NOTE)?, row::note_key(notes.size), value);
        }
        batch.put(row::HEAD_KEY, row::format_head(&round.head));
        Ok((batch, tail))
    }

    /// Extends the chains of the round's keys. In order of hash: neighbours in the memtable are found sooner.
    fn put_keys(&self, batch: &mut WriteBatch, size: u64, round: &Round) -> Result<(), ReadError> {
        let family = self.family(tuning::KEY)?;
        let mut keys: Vec<(KeyHash, u64)> =
            (size..).zip(&round.records).map(|(id, (_, entry))| ((self.hash)(entry.key()), id)).collect();
        keys.sort_unstable();
        let chains: Vec<&[(KeyHash, u64)]> = keys.chunk_by(|a, b| a.0 == b.0).collect();
        let mut value = Vec::new();
        for some in chains.chunks(ROWS_AT_ONCE) {
            let hashes = some.iter().map(|chain| &chain[0].0);
            let stored = self.db.batched_multi_get_cf_opt(family, hashes, true, &self.read);
            for (chain, stored) in some.iter().zip(stored) {
                value.clear();
                if let Some(stored) = stored.map_err(read_error)? {
                    // An index past the head was left by a writer that never finished.
                    let known = row::parse_chain(&stored).map_err(corrupt)?.filter(|id| *id < size);
                    known.for_each(|id| value.extend_from_slice(&id.to_be_bytes()));
                }
                chain.iter().for_each(|(_, id)| value.extend_from_slice(&id.to_be_bytes()));
                batch.put_cf(family, chain[0].0, &value);
            }
        }
        Ok(())
    }

    /// A row for each record below its group. In order, as the keys.
    fn put_groups(&self, batch: &mut WriteBatch, size: u64, round: &Round) -> Result<(), ReadError> {
        let family = self.family(tuning::GROUP)?;
        let mut groups: Vec<(KeyHash, u64)> =
            (size..).zip(&round.records).map(|(id, (_, entry))| ((self.hash)(entry.group()), id)).collect();
        groups.sort_unstable();
        groups.iter().for_each(|(group, id)| batch.put_cf(family, row::group_key(*group, *id), []));
        Ok(())
    }

    /// Continues the unfinished run with the round's records; returns the run that is unfinished then.
    fn put_records(
        &self,
        batch: &mut WriteBatch,
        writer: &Writer,
        round: &Round,
    ) -> Result<Vec<u8>, ReadError> {
        let family = self.family(tuning::RECORD)?;
        let mut run = writer.tail.clone();
        for (id, (time, entry)) in (writer.size..).zip(&round.records) {
            row::push_slot(&mut run, *time, entry);
            if (id + 1).is_multiple_of(RUN) {
                batch.put_cf(family, row::run_key(id), &run);
                run.clear();
            }
        }
        if !run.is_empty() && !round.records.is_empty() {
            batch.put_cf(family, row::run_key(round.head.size), &run);
        }
        Ok(run)
    }
}
