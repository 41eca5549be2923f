//! `record`, `duplicate` and `changed`: all of it is signed.

use bytes::Bytes;
use proptest::prelude::*;
use quipu_note::VerifierKey;
use quipu_tlog::{HashReader, StoredTiles, Tile};
use quipu_verify::{Evidence, Finding, Kind, Leaf};

use crate::log::{Log, key, record};

/// The hashes of a log when it had `size` records.
pub(crate) fn reader(log: &Log, size: u64) -> impl HashReader<Error: std::fmt::Debug> {
    StoredTiles::new(size, |tile: Tile| log.tile(&tile).ok_or(()))
}

pub(crate) fn leaf(log: &Log, size: u64, index: u64) -> Leaf {
    let text = log.records[usize::try_from(index).unwrap()].clone();
    Leaf::prove(size, index, text.into(), &reader(log, size)).unwrap()
}

pub(crate) fn head(log: &Log, size: u64) -> Bytes {
    log.note(size).into()
}

/// A log in which record `at` is another.
fn with(size: u64, at: u64, text: &str) -> Log {
    let filler = Log::filler(size).records.into_iter();
    Log::new((0..).zip(filler).map(|(i, record)| if i == at { text.to_owned() } else { record }))
}

fn keys() -> Vec<VerifierKey> {
    vec![key()]
}

fn bad_record(size: u64, at: u64, text: &str) -> Result<Evidence, quipu_verify::NotProven> {
    let log = with(size, at, text);
    Evidence::prove_record(&keys(), head(&log, size), leaf(&log, size, at))
}

/// One piece of evidence of each kind.
fn samples() -> Vec<Evidence> {
    let record_evidence = bad_record(300, 7, "example.test/m v1.0.0 h1:x\n").unwrap();
    let twice = with(300, 260, &record("filler.test/m7", 'y'));
    let leaves = [leaf(&twice, 300, 7), leaf(&twice, 300, 260)];
    let duplicate = Evidence::prove_duplicate(&keys(), head(&twice, 300), leaves).unwrap();
    let (was, is) = (Log::filler(300), with(301, 7, &record("filler.test/m7", 'y')));
    let (was, is) = ((head(&was, 200), leaf(&was, 200, 7)), (head(&is, 301), leaf(&is, 301, 7)));
    let changed = Evidence::prove_changed(&keys(), was, is).unwrap();
    vec![record_evidence, duplicate, changed]
}

#[test]
fn each_kind_says_what_it_proves() {
    let found: Vec<Finding> = samples().iter().map(|evidence| evidence.check(&keys()).unwrap()).collect();
    assert_eq!(
        found.iter().map(Finding::kind).collect::<Vec<_>>(),
        [Kind::Record, Kind::Duplicate, Kind::Changed]
    );
    for ((evidence, finding), part) in samples().iter().zip(&found).zip([
        "breaks its rules: record 7 of the tree of 300 records with root ",
        "records 7 and 260 of the tree of 300 records with root ",
        "record 7 of the tree of 200 records with root ",
    ]) {
        assert!(finding.kind().is_signed());
        assert!(finding.sentence().contains(part), "{}", finding.sentence());
        assert!(finding.sentence().contains(&evidence.summary()));
        assert_eq!(evidence.kind(), finding.kind());
    }
    assert!(found[1].sentence().ends_with("are both for filler.test/m7 v1.0.0"), "{}", found[1].sentence());
}

#[test]
fn it_is_read_as_it_was_written() {
    for evidence in samples() {
        let text = evidence.to_string();
        assert!(text.starts_with(&format!(
            "quipu evidence v1: {}\nkey\n\t{}\n",
            evidence.kind().name(),
            key()
        )));
        assert_eq!(text.parse::<Evidence>().unwrap(), evidence);
    }
}

/// Any bit flipped anywhere after the keys: it is no longer evidence, or it proves nothing. (The unused bits at the end
/// of a signature's base64 are the note's business: the `go` command passes over them, and so the same is proven.)
#[test]
fn changed_evidence_proves_nothing() {
    for evidence in samples() {
        let text = evidence.to_string();
        for at in text.find("\nhead\n").unwrap()..text.len() {
            for bit in [1, 4, 32] {
                let mut changed = text.clone().into_bytes();
                changed[at] ^= bit;
                let Ok(changed) = String::from_utf8(changed) else { continue };
                let Ok(parsed) = changed.parse::<Evidence>() else { continue };
                let line_starts = text.as_bytes()[..at].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
                let unused =
                    text[line_starts..].starts_with("\t— ") && text.as_bytes()[at + 1..].starts_with(b"=\n");
                let proven = parsed.check(&keys()).ok();
                assert!(
                    proven.is_none() || unused && proven == evidence.check(&keys()).ok(),
                    "{at} ^ {bit}\n{changed}"
                );
            }
        }
    }
}

/// A line left out, twice, or from elsewhere.
#[test]
fn other_lines_prove_nothing() {
    for evidence in samples() {
        let text = evidence.to_string();
        let lines: Vec<&str> = text.lines().collect();
        for at in 3..lines.len() {
            for replacement in [&[][..], &[lines[at], lines[at]], &[lines[at], "\tx"], &["x"], &["proof"]] {
                if replacement == [lines[at]] {
                    continue;
                }
                let changed = [&lines[..at], replacement, &lines[at + 1..]].concat().join("\n") + "\n";
                let proven = changed.parse::<Evidence>().is_ok_and(|e| e.check(&keys()).is_ok());
                // A signature line that is there twice is passed over.
                let repeated = replacement.len() == 2 && replacement[0] == replacement[1];
                assert!(
                    !proven || repeated && lines[at].starts_with("\t— "),
                    "{at} {replacement:?}\n{changed}"
                );
            }
        }
    }
}

#[test]
fn the_key_must_be_the_databases() {
    let other = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8".parse().unwrap();
    for evidence in samples() {
        assert!(evidence.check(&[]).is_err());
        assert!(evidence.check(std::slice::from_ref(&other)).is_err());
    }
}

#[test]
fn nothing_true_is_accused() {
    let (log, keys) = (Log::filler(300), keys());
    let good = |size, index| (head(&log, size), leaf(&log, size, index));
    let fails = |outcome: Result<Evidence, quipu_verify::NotProven>, why: &str| {
        let text = outcome.unwrap_err().to_string();
        assert!(text.contains(why), "{text}");
    };
    fails(Evidence::prove_record(&keys, head(&log, 300), leaf(&log, 300, 7)), "as it should be");
    fails(Evidence::prove_record(&keys, head(&log, 299), leaf(&log, 300, 7)), "not shown to be record 7");
    let pair = |i, j| [leaf(&log, 300, i), leaf(&log, 300, j)];
    fails(Evidence::prove_duplicate(&keys, head(&log, 300), pair(7, 8)), "different module versions");
    fails(Evidence::prove_duplicate(&keys, head(&log, 300), pair(7, 7)), "lower index first");
    fails(Evidence::prove_duplicate(&keys, head(&log, 300), pair(8, 7)), "lower index first");
    fails(Evidence::prove_changed(&keys, good(200, 7), good(300, 7)), "are the same");
    fails(Evidence::prove_changed(&keys, good(200, 7), good(300, 8)), "different places");
    fails(Evidence::prove_changed(&keys, good(300, 7), good(200, 7)), "smaller tree first");
    let moved = Leaf { index: 8, ..leaf(&log, 300, 7) };
    fails(Evidence::prove_changed(&keys, good(200, 8), (head(&log, 300), moved)), "not shown to be record 8");
}

/// Whatever stands in a record, also what no text can hold, is written and read again.
#[test]
fn records_that_are_no_text() {
    for text in
        ["", "\n", "x", "a\n\nb\n", "a\tb\n", "a\r\n", "\u{0}", "e\u{301}\u{2028}\n", "\tx\n", "proof\n"]
    {
        let evidence = bad_record(5, 2, text).unwrap();
        let Finding::Record { tree, index, .. } = evidence.check(&keys()).unwrap() else {
            panic!("{text:?}")
        };
        assert_eq!((tree.size, index), (5, 2));
        assert_eq!(evidence.to_string().parse::<Evidence>().unwrap(), evidence, "{text:?}");
    }
    let mut long = "x".repeat(4 << 20);
    long.push('\n');
    let error = bad_record(5, 2, &long).unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
}

proptest! {
    /// No text makes the reader fail in another way than by saying that it is no evidence.
    #[test]
    fn anything_may_be_read(lines in prop::collection::vec(prop::sample::select(vec![
        "quipu evidence v1: record", "quipu evidence v1: tile", "quipu evidence v1: changed", "key", "head", "index",
        "\t7", "\t-1", "text", "bytes", "\tAAAA", "proof", "tile", "\ttile/8/0/000", "\ttile/8/data/000.p/1", "node",
        "\t0 7", "\t63 1", "served", "signed", "note", "\t", "", "lookup", "\tlookup/x.test/m@v1.0.0",
        "\tAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    ]), 0..24)) {
        let text = lines.join("\n") + "\n";
        if let Ok(evidence) = text.parse::<Evidence>() {
            prop_assert_eq!(evidence.to_string(), text);
            prop_assert!(evidence.check(&keys()).is_err());
            prop_assert!(!evidence.summary().contains('\n'));
        }
    }
}
