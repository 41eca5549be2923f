//! Logs that are as they should be.

use std::fs;
use std::path::Path;

use quipu_tlog::{Hash, Tree, leaf_hash};
use quipu_verify::check::{AnyText, CheckError, Checker, Digester, Entry, GoSum, Options, check_log};

use crate::source::Source;

/// Record `i` of the log that the vectors are about.
fn vector_record(i: u64) -> String {
    use base64::Engine as _;
    use sha2::Digest as _;
    let hash =
        |kind| base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(format!("{kind}{i}")));
    let path = format!("filler.test/m{i}");
    format!("{path} v1.0.0 h1:{}\n{path} v1.0.0/go.mod h1:{}\n", hash('z'), hash('m'))
}

/// The roots were computed by the Go reference.
#[test]
fn the_trees_of_the_reference_are_good() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors/tlog.json");
    let vectors: serde_json::Value = serde_json::from_str(&fs::read_to_string(vectors).unwrap()).unwrap();
    let log = Source::new((0..70_000).map(vector_record));
    let trees = vectors["tree_hashes"].as_array().unwrap();
    assert!(trees.len() > 20);
    for tree in trees {
        let signed =
            Tree { size: tree["n"].as_u64().unwrap(), root: tree["hash"].as_str().unwrap().parse().unwrap() };
        // The tiles stored are wider than this tree has them.
        let report = log.check_against(&signed, GoSum);
        assert!(report.is_good(), "{report:?}");
        assert_eq!(report.tree, signed);
    }
}

#[test]
fn every_size_around_the_edges_of_tiles_is_good() {
    for size in [0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 65_793] {
        let log = Source::numbered(size);
        for threads in [0, 1, 3] {
            let mut told = Vec::new();
            let report =
                check_log(&log, &log.tree(), AnyText, Options { threads }, |done| told.push(done)).unwrap();
            assert!(report.is_good(), "{size}: {report:?}");
            assert_eq!(report.tree, log.tree());
            assert_eq!(told.last().copied().unwrap_or(0), size);
        }
    }
}

#[test]
fn a_source_with_fewer_records_than_signed_cannot_be_checked() {
    let log = Source::numbered(300);
    let signed = Tree { size: 301, root: Hash::EMPTY_TREE };
    let outcome = check_log(&log, &signed, AnyText, Options::default(), |_| {});
    let Err(CheckError::Count { range, got: 0 }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(range, 256..301);
}

#[test]
fn bundles_must_come_in_order() {
    let digester = Digester::new(AnyText);
    let texts: Vec<String> = (0..256).map(|i| format!("{i}\n")).collect();
    let entries = |count| texts[..count].iter().map(|text| Entry { text: text.as_bytes(), time: None });
    let hashes: Vec<u8> = texts.iter().flat_map(|text| *leaf_hash(text.as_bytes()).as_bytes()).collect();
    assert!(digester.digest(0, entries(0)).is_none());
    assert!(digester.digest(0, entries(256).chain(entries(1))).is_none());
    assert!(digester.digest(u64::MAX / 256 + 1, entries(1)).is_none());
    let (first, second) =
        (digester.digest(0, entries(256)).unwrap(), digester.digest(1, entries(3)).unwrap());
    let mut checker = Checker::new(259);
    assert!(checker.absorb(&second, Some(&hashes)).is_err());
    assert!(checker.absorb(&first, Some(&hashes)).unwrap().is_empty());
    assert!(checker.absorb(&first, Some(&hashes)).is_err());
    assert!(checker.absorb(&second, Some(&hashes)).unwrap().is_empty());
    assert!(checker.absorb(&digester.digest(2, entries(1)).unwrap(), Some(&hashes)).is_err());
    assert_eq!(checker.size(), 259);
}
