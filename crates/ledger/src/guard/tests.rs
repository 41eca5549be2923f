//! Tests of the guard file: what survives, what is torn, what is damage.

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::durable::RealDisk;
use crate::identity::sample;

fn head(size: u64) -> Head {
    let root = checksum([size.to_string().as_bytes()]);
    Head { size, root, time: 1_000_000 + size }
}

struct Case {
    _dir: TempDir,
    path: PathBuf,
}

impl Case {
    /// A guard that was founded and then advanced to sizes 1 to `heads`.
    fn new(heads: u64) -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("log.guard");
        let mut guard = GuardFile::write_anew(&RealDisk, &path, None, &sample(), head(0)).unwrap();
        for size in 1..=heads {
            guard.advance(head(size)).unwrap();
            assert_eq!(guard.head(), &head(size));
        }
        Self { _dir: dir, path }
    }

    fn read(&self) -> Result<Guarded, String> {
        match Guarded::read(&RealDisk, &self.path) {
            Ok(Some(guarded)) => Ok(guarded),
            Ok(None) => panic!("no guard file"),
            Err(SealError::Damaged(why)) => Err(why),
            Err(error) => panic!("{error}"),
        }
    }

    fn change(&self, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(&self.path).unwrap();
        edit(&mut bytes);
        std::fs::write(&self.path, bytes).unwrap();
    }
}

#[test]
fn the_newest_head_is_read_back_for_any_number_of_heads() {
    for heads in 0..50 {
        let case = Case::new(heads);
        let guarded = case.read().unwrap();
        assert_eq!(guarded.head, head(heads));
        assert_eq!(guarded.identity, sample());
        assert!(guarded.original);
        assert_eq!(std::fs::metadata(&case.path).unwrap().len(), LEN as u64);
    }
}

#[test]
fn no_file_is_no_guard() {
    let dir = TempDir::new().unwrap();
    assert!(matches!(Guarded::read(&RealDisk, &dir.path().join("none")), Ok(None)));
}

#[test]
fn a_torn_newest_head_leaves_the_one_before() {
    for heads in 1..33 {
        let case = Case::new(heads);
        let block = block_of(heads) * BLOCK;
        case.change(|bytes| bytes[block + 10..block + 20].fill(0));
        assert_eq!(case.read().unwrap().head, head(heads - 1));
    }
}

#[test]
fn two_torn_heads_are_damage() {
    for heads in 2..33 {
        let case = Case::new(heads);
        for seq in [heads, heads - 1] {
            let block = block_of(seq) * BLOCK;
            case.change(|bytes| bytes[block + 10] ^= 1);
        }
        assert!(case.read().is_err(), "{heads} heads");
    }
}

#[test]
fn every_flipped_bit_is_noticed_or_harmless() {
    let case = Case::new(20);
    let mut bytes = std::fs::read(&case.path).unwrap();
    let lines = (0..16).flat_map(|block| block * BLOCK..block * BLOCK + 300);
    for at in lines {
        let bit = 1 << (at % 8);
        bytes[at] ^= bit;
        match parse(&bytes, 0) {
            // The newest head cannot be told from a torn one.
            Ok(guarded) => assert!(guarded.head == head(20) || guarded.head == head(19)),
            Err(why) => assert!(!why.is_empty()),
        }
        bytes[at] ^= bit;
    }
    assert_eq!(parse(&bytes, 0).unwrap().head, head(20));
}

#[test]
fn cut_files_and_swapped_blocks_are_damage() {
    let case = Case::new(20);
    case.change(|bytes| bytes.truncate(LEN - 1));
    assert!(case.read().is_err());
    case.change(|bytes| bytes.resize(LEN + 1, b' '));
    assert!(case.read().unwrap_err().contains("too long"));
    let case = Case::new(20);
    case.change(|bytes| {
        let (a, b) = bytes.split_at_mut(4 * BLOCK);
        a[3 * BLOCK..].swap_with_slice(&mut b[..BLOCK]);
    });
    assert!(case.read().unwrap_err().contains("out of place"));
    let case = Case::new(20);
    case.change(|bytes| bytes[block_of(15) * BLOCK..][..BLOCK].fill(b' '));
    assert!(case.read().unwrap_err().contains("do not chain"));
}

#[test]
fn a_head_of_another_founding_is_no_head() {
    let case = Case::new(3);
    let other = Identity { instance: crate::identity::Instance::from_bytes([7; 16]), ..sample() };
    let path = case.path.with_extension("other");
    GuardFile::write_anew(&RealDisk, &path, None, &other, head(9)).unwrap();
    let theirs = std::fs::read(&path).unwrap();
    let block = block_of(0) * BLOCK;
    case.change(|bytes| bytes[block..block + BLOCK].copy_from_slice(&theirs[block..block + BLOCK]));
    assert!(case.read().is_err());
}

#[test]
fn a_copy_is_not_the_original_and_writing_anew_makes_it_one() {
    let case = Case::new(4);
    let copy = case.path.with_extension("copy");
    std::fs::copy(&case.path, &copy).unwrap();
    let guarded = Guarded::read(&RealDisk, &copy).unwrap().unwrap();
    assert!(!guarded.original);
    assert_eq!(guarded.head, head(4));
    GuardFile::write_anew(&RealDisk, &copy, Some(&guarded), &guarded.identity, guarded.head).unwrap();
    let again = Guarded::read(&RealDisk, &copy).unwrap().unwrap();
    assert!(again.original);
    assert_eq!(again.seq, guarded.seq + 1);
    assert_eq!(again.head, head(4));
}

#[test]
fn an_identity_over_a_block_is_refused() {
    let dir = TempDir::new().unwrap();
    let identity = Identity { name: "n".repeat(5000), ..sample() };
    let path = dir.path().join("log.guard");
    assert!(GuardFile::write_anew(&RealDisk, &path, None, &identity, head(0)).is_err());
}
