//! A small store on the simulated disk: one file of frames, each a round with a checksum, synced at every commit.
//!
//! Opening reads the frames up to the first that is not whole (a torn tail), and writes them anew, so that nothing it
//! shows rests on pages that a failed sync left behind.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use quipu_ledger::{
    CommitError, Disk as _, DiskFile, Entry, Head, MemoryStore, Most, Notes, ReadError, Record, Round, Store,
    TileState,
};
use quipu_tlog::Hash;

use crate::disk::SimDisk;

pub(crate) const LOG: &str = "/data/log";
const FRESH: &str = "/data/log.new";
const MOST: usize = 1 << 30;

/// Ways in which a store may be wrong, for mutation checks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faulty {
    /// Commits are not synced.
    pub(crate) no_sync: bool,
    /// Opening trusts the page cache.
    pub(crate) trusts_cache: bool,
    /// A failed sync is reported as a lack of room, so that the writer goes on.
    pub(crate) denies_unknown: bool,
}

pub(crate) struct SimStore {
    disk: SimDisk,
    faulty: Faulty,
    /// All that is in the file; a [`MemoryStore`] is the index.
    memory: MemoryStore,
    tail: Mutex<Tail>,
}

struct Tail {
    /// None once a write failed: whatever is in the file then is for the next opening to find out.
    file: Option<Box<dyn DiskFile>>,
    end: u64,
    /// Reads that fail from now on.
    bad_reads: u32,
}

impl SimStore {
    pub(crate) fn open(disk: &SimDisk, faulty: Faulty) -> io::Result<Self> {
        let path = Path::new(LOG);
        let file = match disk.open(path)? {
            Some(file) => file,
            None => disk.create(path)?,
        };
        let (file, memory, end) = Self::load(disk, file, faulty)?;
        let tail = Mutex::new(Tail { file: Some(file), end, bad_reads: 0 });
        Ok(Self { disk: disk.clone(), faulty, memory, tail })
    }

    fn load(
        disk: &SimDisk,
        mut file: Box<dyn DiskFile>,
        faulty: Faulty,
    ) -> io::Result<(Box<dyn DiskFile>, MemoryStore, u64)> {
        let bytes = file.read(MOST)?;
        let memory = MemoryStore::new();
        let mut end = 0;
        while let Some((expected, round, next)) = frame_at(&bytes, end) {
            memory
                .commit(expected, &round)
                .map_err(|error| io::Error::other(format!("frame at {end}: {error}")))?;
            end = next;
        }
        if !faulty.trusts_cache {
            file = disk.create(Path::new(FRESH))?;
            file.write_at(0, &bytes[..end])?;
            file.sync()?;
            disk.rename(Path::new(FRESH), Path::new(LOG))?;
            disk.sync_dir(Path::new("/data"))?;
        }
        Ok((file, memory, end as u64))
    }

    /// The next reads fail.
    pub(crate) fn fail_reads(&self, count: u32) {
        self.tail().bad_reads = count;
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap()
    }

    fn read(&self) -> Result<(), ReadError> {
        let mut tail = self.tail();
        if tail.bad_reads > 0 {
            tail.bad_reads -= 1;
            return Err(ReadError::Io("simulated".to_owned()));
        }
        Ok(())
    }
}

impl Store for SimStore {
    fn head(&self) -> Result<Option<Head>, ReadError> {
        self.memory.head()
    }

    fn commit(&self, expected: u64, round: &Round) -> Result<(), CommitError> {
        let stored = self.memory.head().ok().flatten().map_or(0, |head| head.size);
        if stored != expected {
            return Err(CommitError::Conflict { stored, expected });
        }
        let mut tail = self.tail();
        let unknown = |error: io::Error| CommitError::Unknown(error.to_string());
        let mut file =
            tail.file.take().ok_or_else(|| CommitError::Unknown("an earlier write failed".to_owned()))?;
        let frame = frame(expected, round);
        match file.write_at(tail.end, &frame) {
            // What was written, if anything, is not a whole frame, and the next one goes over it.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                tail.file = Some(file);
                return Err(CommitError::Full(error.to_string()));
            }
            other => other.map_err(unknown)?,
        }
        if !self.faulty.no_sync
            && let Err(error) = file.sync()
        {
            if self.faulty.denies_unknown && !self.disk.is_down() {
                tail.file = Some(file);
                return Err(CommitError::Full("a lie".to_owned()));
            }
            return Err(unknown(error));
        }
        tail.file = Some(file);
        tail.end += frame.len() as u64;
        self.memory.commit(expected, round)
    }

    fn find(&self, key: &[u8]) -> Result<Option<(u64, Record)>, ReadError> {
        self.read()?;
        self.memory.find(key)
    }

    fn records(&self, range: Range<u64>) -> Result<Vec<Record>, ReadError> {
        self.read()?;
        self.memory.records(range)
    }

    fn group(&self, group: &[u8], range: Range<u64>, most: Most) -> Result<Vec<(u64, Record)>, ReadError> {
        self.read()?;
        self.memory.group(group, range, most)
    }

    fn tile(&self, level: u8, n: u64) -> Result<Option<Bytes>, ReadError> {
        self.read()?;
        self.memory.tile(level, n)
    }

    fn notes(&self, size: u64) -> Result<Option<Notes>, ReadError> {
        self.read()?;
        self.memory.notes(size)
    }
}

/// A round as bytes: length, checksum, content.
fn frame(expected: u64, round: &Round) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u64(expected);
    body.put_u64(round.head.size);
    body.put_slice(round.head.root.as_bytes());
    body.put_u64(round.head.time);
    body.put_u32(round.records.len() as u32);
    for (time, entry) in &round.records {
        body.put_u64(*time);
        body.put_u32(entry.key().len() as u32);
        put(&mut body, entry.text());
    }
    body.put_u32(round.tiles.len() as u32);
    for tile in &round.tiles {
        body.put_u8(tile.level);
        body.put_u64(tile.n);
        put(&mut body, &tile.hashes);
    }
    body.put_u32(round.notes.len() as u32);
    for notes in &round.notes {
        body.put_u64(notes.size);
        put(&mut body, &notes.sumdb);
        put(&mut body, &notes.checkpoint);
    }
    let mut frame = BytesMut::with_capacity(body.len() + 12);
    frame.put_u32(body.len() as u32);
    frame.put_u64(checksum(&body));
    frame.put_slice(&body);
    frame.freeze()
}

/// The whole frame at an offset, and where the next one begins.
pub(crate) fn frame_at(bytes: &[u8], at: usize) -> Option<(u64, Round, usize)> {
    let mut rest = bytes.get(at..)?;
    let len = rest.try_get_u32().ok()? as usize;
    let check = rest.try_get_u64().ok()?;
    let mut body = rest.get(..len)?;
    (checksum(body) == check).then_some(())?;
    let (expected, round) = round_from(&mut body)?;
    Some((expected, round, at + 12 + len))
}

fn round_from(body: &mut &[u8]) -> Option<(u64, Round)> {
    let expected = body.try_get_u64().ok()?;
    let size = body.try_get_u64().ok()?;
    let root = Hash::from_bytes(take(body, 32)?.as_ref().try_into().ok()?);
    let head = Head { size, root, time: body.try_get_u64().ok()? };
    let mut records = Vec::new();
    for _ in 0..body.try_get_u32().ok()? {
        let time = body.try_get_u64().ok()?;
        let key = body.try_get_u32().ok()? as usize;
        records.push((time, Entry::new(get(body)?, key)?));
    }
    let mut tiles = Vec::new();
    for _ in 0..body.try_get_u32().ok()? {
        let level = body.try_get_u8().ok()?;
        let n = body.try_get_u64().ok()?;
        tiles.push(TileState { level, n, hashes: get(body)? });
    }
    let mut notes = Vec::new();
    for _ in 0..body.try_get_u32().ok()? {
        let size = body.try_get_u64().ok()?;
        notes.push(Notes { size, sumdb: get(body)?, checkpoint: get(body)? });
    }
    body.is_empty().then_some((expected, Round { records, tiles, head, notes }))
}

fn put(body: &mut BytesMut, bytes: &[u8]) {
    body.put_u32(bytes.len() as u32);
    body.put_slice(bytes);
}

fn get(body: &mut &[u8]) -> Option<Bytes> {
    let len = body.try_get_u32().ok()? as usize;
    take(body, len)
}

fn take(body: &mut &[u8], len: usize) -> Option<Bytes> {
    let (own, rest) = body.split_at_checked(len)?;
    *body = rest;
    Some(Bytes::copy_from_slice(own))
}

/// Quick, and good enough to tell a torn frame from a whole one.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(bytes.len() as u64, |sum, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        (sum.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}
