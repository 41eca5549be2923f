//! The bytes of every row: keys and values, formatted and parsed, without any storage.

use std::ops::Range;

use bytes::Bytes;
use quipu_ledger::{Entry, Head, Micros, Notes, Record};
use quipu_tlog::Hash;
use sha2::{Digest, Sha256};

/// Records in one `record` row.
///
/// Measured: with fewer, reading a full data tile takes longer; with more, finding one record does, as more bytes
/// are read and compared with their checksum. A single append rewrites at most 63 records, beside a hash tile.
pub(crate) const RUN: u64 = 64;

/// The version of the layout, the value of the `format` row.
pub(crate) const FORMAT: &[u8] = b"quipu rocks 2\n";

/// The layout before that, which had no `group` rows.
pub(crate) const FORMAT_WITHOUT_GROUPS: &[u8] = b"quipu rocks 1\n";

/// Keys of the single rows of the default family.
pub(crate) const FORMAT_KEY: &[u8] = b"format";
pub(crate) const HEAD_KEY: &[u8] = b"head";

/// The key of a `key` row: the first bytes of SHA-256 of the record's key.
pub(crate) type KeyHash = [u8; 8];

/// Hashes a record's key for the `key` family.
pub(crate) fn key_hash(key: &[u8]) -> KeyHash {
    let digest: [u8; 32] = Sha256::digest(key).into();
    let mut short = KeyHash::default();
    short.copy_from_slice(&digest[..8]);
    short
}

/// The key of the `group` row of a record: hash of its group, index. The rows of a group come in order of the index.
pub(crate) fn group_key(group: KeyHash, index: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&group);
    key[8..].copy_from_slice(&index.to_be_bytes());
    key
}

/// Parses the key of a `group` row.
pub(crate) fn parse_group_key(key: &[u8]) -> Result<(KeyHash, u64), Malformed> {
    match key.as_chunks::<8>() {
        ([group, index], []) => Ok((*group, u64::from_be_bytes(*index))),
        _ => Err(Malformed("group")),
    }
}

/// The key of the `record` row that holds record `index`.
pub(crate) fn run_key(index: u64) -> [u8; 8] {
    (index / RUN).to_be_bytes()
}

/// The key of the `note` row of a tree size.
pub(crate) fn note_key(size: u64) -> [u8; 8] {
    size.to_be_bytes()
}

/// The key of a `tile` row.
pub(crate) fn tile_key(level: u8, n: u64) -> [u8; 9] {
    let mut key = [level; 9];
    key[1..].copy_from_slice(&n.to_be_bytes());
    key
}

/// A row that no commit can have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0} row")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// One record inside a run, borrowed from the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot<'a> {
    pub(crate) time: Micros,
    pub(crate) key: &'a [u8],
    pub(crate) text: &'a [u8],
    /// Where the text lies in the row.
    pub(crate) at: Range<usize>,
}

/// Bytes before the text of a record: time, length of the key, length of the text.
const SLOT_HEAD: usize = 12;

/// Appends a record to the value of a `record` row.
pub(crate) fn push_slot(run: &mut Vec<u8>, time: Micros, entry: &Entry) {
    // `Entry` holds texts of at most 65,535 bytes, and a key is no longer than its text.
    let len = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
    run.extend_from_slice(&time.to_be_bytes());
    run.extend_from_slice(&len(entry.key()));
    run.extend_from_slice(&len(entry.text()));
    run.extend_from_slice(entry.text());
}

/// The records of a `record` row, in order. A row that does not end with a whole record yields an error last.
pub(crate) fn slots(run: &[u8]) -> impl Iterator<Item = Result<Slot<'_>, Malformed>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= run.len() {
            return None;
        }
        let slot = slot_at(run, at);
        at = slot.as_ref().map_or(run.len(), |slot| slot.at.end);
        Some(slot.ok_or(Malformed("record")))
    })
}

fn slot_at(run: &[u8], at: usize) -> Option<Slot<'_>> {
    let start = at.checked_add(SLOT_HEAD)?;
    let head = run.get(at..start)?;
    let (time, lens) = head.split_first_chunk()?;
    let (key_len, text_len) = lens.split_first_chunk()?;
    let key_len = usize::from(u16::from_be_bytes(*key_len));
    let text_len = usize::from(u16::from_be_bytes(text_len.try_into().ok()?));
    let at = start..start.checked_add(text_len)?;
    let text = run.get(at.clone())?;
    Some(Slot { time: Micros::from_be_bytes(*time), key: text.get(..key_len)?, text, at })
}

/// Appends the records with the given positions of a run to `out`; their texts share one copy of the row.
pub(crate) fn collect_slots(
    run: &[u8],
    positions: Range<usize>,
    out: &mut Vec<Record>,
) -> Result<(), Malformed> {
    let shared = Bytes::copy_from_slice(run);
    let want = positions.len();
    let before = out.len();
    for slot in slots(run).skip(positions.start).take(want) {
        let slot = slot?;
        out.push(Record { time: slot.time, text: shared.slice(slot.at) });
    }
    if out.len() - before == want { Ok(()) } else { Err(Malformed("record")) }
}

/// Parses the value of a `key` row: indices in ascending order.
pub(crate) fn parse_chain(value: &[u8]) -> Result<impl Iterator<Item = u64>, Malformed> {
    let (ids, rest) = value.as_chunks::<8>();
    if ids.is_empty() || !rest.is_empty() {
        return Err(Malformed("key"));
    }
    Ok(ids.iter().map(|id| u64::from_be_bytes(*id)))
}

/// The value of the `head` row.
pub(crate) fn format_head(head: &Head) -> Vec<u8> {
    let mut out = Vec::with_capacity(48);
    out.extend_from_slice(&head.size.to_be_bytes());
    out.extend_from_slice(&head.time.to_be_bytes());
    out.extend_from_slice(head.root.as_bytes());
    out
}

/// Parses the value of the `head` row.
pub(crate) fn parse_head(value: &[u8]) -> Result<Head, Malformed> {
    let parse = || {
        let (size, rest) = value.split_first_chunk()?;
        let (time, root) = rest.split_first_chunk()?;
        let root: [u8; 32] = root.try_into().ok()?;
        Some(Head {
            size: u64::from_be_bytes(*size),
            time: Micros::from_be_bytes(*time),
            root: Hash::from_bytes(root),
        })
    };
    parse().ok_or(Malformed("head"))
}

/// The value of a `note` row.
pub(crate) fn format_notes(notes: &Notes) -> Result<Vec<u8>, Malformed> {
    let len = u32::try_from(notes.sumdb.len()).map_err(|_| Malformed("note"))?;
    let mut out = Vec::with_capacity(4 + notes.sumdb.len() + notes.checkpoint.len());
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&notes.sumdb);
    out.extend_from_slice(&notes.checkpoint);
    Ok(out)
}

/// Parses the value of the `note` row of `size`.
pub(crate) fn parse_notes(size: u64, value: &[u8]) -> Result<Notes, Malformed> {
    let parse = || {
        let (len, rest) = value.split_first_chunk()?;
        let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
        let (sumdb, checkpoint) = rest.split_at_checked(len)?;
        Some(Notes {
            size,
            sumdb: Bytes::copy_from_slice(sumdb),
            checkpoint: Bytes::copy_from_slice(checkpoint),
        })
    };
    parse().ok_or(Malformed("note"))
}

/// Checks the value of a `tile` row: 1 to 256 hashes.
pub(crate) fn check_tile(value: &[u8]) -> Result<&[u8], Malformed> {
    let whole = value.len().is_multiple_of(Hash::SIZE) && (1..=256).contains(&(value.len() / Hash::SIZE));
    if whole { Ok(value) } else { Err(Malformed("tile")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows as they are described in `docs/FORMATS.md`.
    #[test]
    fn bytes_as_described() {
        assert_eq!(key_hash(b"abc"), [0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea]);
        assert_eq!((run_key(63), run_key(64)), ([0; 8], [0, 0, 0, 0, 0, 0, 0, 1]));
        assert_eq!(tile_key(2, 258), [2, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(group_key([7; 8], 258), [7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(parse_group_key(&group_key([7; 8], 258)), Ok(([7; 8], 258)));
        let mut run = Vec::new();
        push_slot(&mut run, 258, &Entry::new(Bytes::from_static(b"k v\n"), 2).unwrap());
        assert_eq!(run, b"\0\0\0\0\0\0\x01\x02\0\x02\0\x04k v\n");
        let head = Head { size: 1, time: 2, root: Hash::from_bytes([3; 32]) };
        let value = format_head(&head);
        assert_eq!(value[..16], [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(value[16..], [3; 32]);
        let notes =
            Notes { size: 1, sumdb: Bytes::from_static(b"s\n"), checkpoint: Bytes::from_static(b"c\n") };
        assert_eq!(format_notes(&notes), Ok(b"\0\0\0\x02s\nc\n".to_vec()));
    }

    #[test]
    fn a_tile_has_1_to_256_hashes() {
        for (len, good) in [(0, false), (31, false), (32, true), (33, false), (8192, true), (8224, false)] {
            assert_eq!(check_tile(&vec![1; len]).is_ok(), good, "{len} bytes");
        }
    }

    proptest! {
        #[test]
        fn records_come_back(
            texts in prop::collection::vec((any::<u64>(), prop::collection::vec(any::<u8>(), 1..300), 1_usize..300), 0..70),
        ) {
            let entries: Vec<(u64, Entry)> = texts
                .into_iter()
                .map(|(time, text, key)| (time, Entry::new(Bytes::from(text.clone()), key.min(text.len())).unwrap()))
                .collect();
            let mut run = Vec::new();
            entries.iter().for_each(|(time, entry)| push_slot(&mut run, *time, entry));
            let slots: Vec<Slot> = slots(&run).collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(slots.len(), entries.len());
            for (slot, (time, entry)) in slots.iter().zip(&entries) {
                prop_assert_eq!((slot.time, slot.key, slot.text), (*time, entry.key(), &entry.text()[..]));
            }
            let mut records = Vec::new();
            collect_slots(&run, 0..entries.len(), &mut records).unwrap();
            prop_assert!(records.iter().map(|record| &record.text).eq(entries.iter().map(|(_, entry)| entry.text())));
            prop_assert!(collect_slots(&run, 0..entries.len() + 1, &mut records).is_err());
            // A row that ends too early is noticed.
            if let Some(cut) = run.len().checked_sub(1) {
                prop_assert!(self::slots(&run[..cut]).any(|slot| slot.is_err()));
            }
        }

        #[test]
        fn no_row_panics(bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0_usize..80) {
            let _ = slots(&bytes).count();
            let _ = collect_slots(&bytes, at..at + 3, &mut Vec::new());
            let _ = parse_chain(&bytes).map(Iterator::count);
            let _ = parse_group_key(&bytes);
            let _ = parse_head(&bytes).map(|head| assert_eq!(format_head(&head), bytes));
            let _ = parse_notes(7, &bytes).map(|notes| assert_eq!(format_notes(&notes), Ok(bytes.clone())));
            let _ = check_tile(&bytes);
        }
    }
}
