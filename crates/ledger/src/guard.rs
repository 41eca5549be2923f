//! The guard file: the largest head that may have been signed, remembered apart from the store.
//!
//! Sixteen blocks of [`BLOCK`] bytes. The first holds the log's identity in a few lines: name, verifier keys, founding, and
//! the number of the file itself, which a copy does not have. The others are a ring of heads, each one line of text filled
//! up with spaces:
//!
//! ```text
//! head <seq> <size> <root> <time> <previous check> <check>
//! ```
//!
//! `check` is the SHA-256 of the instance and of the line before it. Head `seq` lies in block `1 + seq mod 15`, so a head
//! never overwrites the one before it, and a torn write leaves that one as the newest. Advancing overwrites bytes that
//! the file already has: no new room, no new length, one `fdatasync`.
//!
//! What reading accepts: a run of heads that chain, ending in the newest; blank blocks; and any content in the block that
//! the next head would go to (a torn write). Anything else is damage, and is refused.

use std::io;
use std::path::Path;

use quipu_tlog::Hash;

use crate::durable::{BLOCK, Disk, DiskFile, replace};
use crate::identity::{Card, Identity, checksum};
use crate::seal::SealError;
use crate::store::Head;

/// Heads in the ring.
const RING: u64 = 15;
/// Length of a guard file in bytes.
const LEN: usize = BLOCK * 16;

/// What a guard file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarded {
    /// Whose heads are guarded.
    pub identity: Identity,
    /// The newest head: no larger one was ever signed, nor another of its size.
    pub head: Head,
    /// Whether this is the file that was written, and not a copy of it.
    pub original: bool,
    seq: u64,
}

impl Guarded {
    /// Reads a guard file without changing or locking it; `None` if there is none.
    ///
    /// # Errors
    /// [`SealError::Damaged`] or [`SealError::Guard`].
    pub fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Self>, SealError> {
        let failed = |error: io::Error| SealError::Guard(error.to_string());
        let Some(mut file) = disk.open(path).map_err(failed)? else { return Ok(None) };
        let bytes = file.read(LEN).map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => SealError::Damaged("it is too long".to_owned()),
            _ => failed(error),
        })?;
        let number = file.number().map_err(failed)?;
        parse(&bytes, number).map(Some).map_err(SealError::Damaged)
    }
}

/// A guard file open for advancing.
pub(crate) struct GuardFile {
    file: Box<dyn DiskFile>,
    instance: String,
    newest: Slot,
}

impl GuardFile {
    /// Writes the file anew with one head in it, the successor of `before` if there was a guard already.
    pub(crate) fn write_anew(
        disk: &dyn Disk,
        path: &Path,
        before: Option<&Guarded>,
        identity: &Identity,
        head: Head,
    ) -> io::Result<Self> {
        let instance = identity.instance.to_string();
        let seq = before.map_or(0, |guarded| guarded.seq.saturating_add(1));
        let newest = Slot::new(&instance, seq, head, Hash::EMPTY_TREE);
        let mut fits = true;
        let file = replace(disk, path, |number| {
            let card = Card { identity: identity.clone(), number }.format();
            fits = card.is_some();
            let mut bytes = vec![b' '; LEN];
            put(&mut bytes, 0, &card.unwrap_or_default());
            put(&mut bytes, newest.block(), &newest.line);
            bytes
        })?;
        if !fits {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "name and keys do not fit a guard"));
        }
        Ok(Self { file, instance, newest })
    }

    /// The newest head.
    pub(crate) fn head(&self) -> &Head {
        &self.newest.head
    }

    /// Remembers a head, durably. After an error nobody knows which head is remembered: the file must not be used again.
    pub(crate) fn advance(&mut self, head: Head) -> io::Result<()> {
        let seq = self.newest.seq.checked_add(1).ok_or(io::ErrorKind::FileTooLarge)?;
        let slot = Slot::new(&self.instance, seq, head, self.newest.check);
        let mut bytes = vec![b' '; BLOCK];
        put(&mut bytes, 0, &slot.line);
        let offset = slot.block().saturating_mul(BLOCK) as u64;
        self.file.write_at(offset, &bytes)?;
        self.file.sync()?;
        self.newest = slot;
        Ok(())
    }
}

/// One head in the ring.
#[derive(Clone)]
struct Slot {
    seq: u64,
    head: Head,
    previous: Hash,
    check: Hash,
    line: String,
}

impl Slot {
    fn new(instance: &str, seq: u64, head: Head, previous: Hash) -> Self {
        let Head { size, root, time } = head;
        let body = format!("head {seq} {size} {root} {time} {previous}");
        let check = checksum([instance.as_bytes(), b"\n", body.as_bytes()]);
        Self { seq, head, previous, check, line: format!("{body} {check}\n") }
    }

    fn parse(instance: &str, block: &[u8]) -> Option<Self> {
        let text = str::from_utf8(block).ok()?.trim_end_matches(' ');
        let mut words = text.strip_suffix('\n')?.strip_prefix("head ")?.split(' ');
        let seq = words.next()?.parse().ok()?;
        let size = words.next()?.parse().ok()?;
        let root = words.next()?.parse().ok()?;
        let time = words.next()?.parse().ok()?;
        let previous = words.next()?.parse().ok()?;
        let slot = Self::new(instance, seq, Head { size, root, time }, previous);
        (slot.line == text).then_some(slot)
    }

    fn block(&self) -> usize {
        block_of(self.seq)
    }
}

fn block_of(seq: u64) -> usize {
    1 + usize::try_from(seq % RING).unwrap_or(0)
}

fn put(bytes: &mut [u8], block: usize, text: &str) {
    let start = block.saturating_mul(BLOCK);
    if let Some(place) = bytes.get_mut(start..start.saturating_add(text.len())) {
        place.copy_from_slice(text.as_bytes());
    }
}

fn parse(bytes: &[u8], number: u64) -> Result<Guarded, String> {
    if bytes.len() != LEN {
        return Err(format!("it has {} bytes instead of {LEN}", bytes.len()));
    }
    let mut blocks = bytes.chunks_exact(BLOCK);
    let first = blocks.next().and_then(|block| str::from_utf8(block).ok()).unwrap_or_default();
    let card = Card::parse(first.trim_end_matches(' ')).ok_or("its first block is not intact")?;
    let instance = card.identity.instance.to_string();
    let ring: Vec<Found> = blocks.map(|block| Found::read(&instance, block)).collect();
    let newest = newest(&ring)?;
    let original = card.number == number;
    Ok(Guarded { identity: card.identity, head: newest.head, original, seq: newest.seq })
}

/// What a block of the ring holds.
enum Found {
    Blank,
    Head(Slot),
    Other,
}

impl Found {
    fn read(instance: &str, block: &[u8]) -> Self {
        if block.iter().all(|&byte| byte == b' ') {
            return Self::Blank;
        }
        Slot::parse(instance, block).map_or(Self::Other, Self::Head)
    }

    fn head(&self) -> Option<&Slot> {
        if let Self::Head(slot) = self { Some(slot) } else { None }
    }
}

/// The newest head of the ring, after checking all that the module's head says.
fn newest(ring: &[Found]) -> Result<&Slot, String> {
    let mut run: Vec<&Slot> = ring.iter().filter_map(Found::head).collect();
    run.sort_by_key(|slot| slot.seq);
    let newest = *run.last().ok_or("it holds no head")?;
    for pair in run.windows(2) {
        if let [older, newer] = pair
            && (older.seq.checked_add(1) != Some(newer.seq) || older.check != newer.previous)
        {
            return Err(format!("heads {} and {} do not chain", older.seq, newer.seq));
        }
    }
    let torn = block_of(newest.seq.saturating_add(1));
    for (block, found) in (1..).zip(ring) {
        match found {
            Found::Head(slot) if slot.block() != block => {
                return Err(format!("block {block} is out of place"));
            }
            Found::Other if block != torn => return Err(format!("block {block} is not intact")),
            _ => {}
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests;
