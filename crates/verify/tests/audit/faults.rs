//! Whatever is changed in a log is named: the file, the entry, the record.

use bytes::Bytes;
use proptest::prelude::*;
use quipu_tlog::{Tile, TileLevel, new_tiles};
use quipu_verify::check::Fault;
use quipu_verify::{Error, TransportError};

use crate::log::{Log, record, signed};
use crate::server::{Answer, Server, faults, flip, for_each, fresh, kinds};

fn tile(path: &str) -> Tile {
    Tile::parse_sumdb(path).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_flipped_bit_is_named(size in 1..1200_u64, which: prop::sample::Index, byte: usize) {
        let log = Log::filler(size);
        let data = |n| Tile::widest(TileLevel::Data, n, size).unwrap();
        let tiles: Vec<Tile> = new_tiles(0, size).chain((0..size.div_ceil(256)).map(data)).collect();
        let tile = tiles[which.index(tiles.len())];
        let report = fresh(&Server::lying(&log, flip(tile.sumdb_path(), byte))).unwrap();
        let length = log.tile(&tile).unwrap().len();
        match tile.level() {
            TileLevel::Hashes(_) => {
                let entry = u16::try_from(byte % length / 32).unwrap();
                prop_assert_eq!(kinds(&report), vec![Fault::Entry { tile, entry }]);
            }
            TileLevel::Data => {
                // A flipped line feed makes two records one or leaves none of the form of records.
                let first = tile.first();
                let mut ends = Vec::new();
                for (i, text) in log.records[usize::try_from(first).unwrap()..].iter().take(tile.width().into()).enumerate() {
                    ends.push(ends.last().copied().unwrap_or(0) + text.len() + usize::from(i > 0));
                }
                let at = ends.iter().position(|end| byte % length < *end).unwrap() as u64 + first;
                prop_assert_eq!(report.findings.len(), 1, "{:?}", faults(&report));
                let named = match &report.findings[0].fault {
                    Fault::Record { record } => *record == at,
                    Fault::Body { tile: named, .. } => *named == tile,
                    _ => false,
                };
                prop_assert!(named, "{:?} at {at}", faults(&report));
            }
        }
        prop_assert!(!report.findings[0].served.is_empty());
    }
}

/// All levels of a log with three of them, full and partial tiles.
#[test]
fn a_flipped_bit_in_a_large_log_is_named() {
    let log = Log::filler(65_536 + 600);
    let changes = [
        ("tile/8/0/000", 0),
        ("tile/8/0/255", 8191),
        ("tile/8/0/256", 40),
        ("tile/8/0/258.p/88", 64),
        ("tile/8/1/000", 0),
        ("tile/8/1/000", 8000),
        ("tile/8/1/001.p/2", 33),
        ("tile/8/2/000.p/1", 31),
    ];
    for_each(changes, |(path, byte): (&str, usize)| {
        let report = fresh(&Server::lying(&log, flip(path.to_owned(), byte))).unwrap();
        let entry = u16::try_from(byte / 32).unwrap();
        assert_eq!(kinds(&report), [Fault::Entry { tile: tile(path), entry }], "{:?}", faults(&report));
        assert_eq!(report.unchecked, 0);
    });
}

#[test]
fn a_flipped_head_is_refused() {
    let log = Log::filler(5);
    for byte in 0..log.note(5).len() {
        let outcome = fresh(&Server::lying(&log, flip("latest".to_owned(), byte)));
        assert!(matches!(outcome, Err(Error::Malformed(_) | Error::Unproven(_))), "{byte}: {outcome:?}");
    }
}

/// Faults in many places are all told; none hides another.
#[test]
fn several_faults_are_all_named() {
    let log = Log::filler(1000);
    let changes = ["tile/8/0/000", "tile/8/data/002", "tile/8/0/003.p/232"];
    let report = fresh(&Server::lying(&log, |path, answer| {
        changes.iter().fold(answer, |answer, change| flip((*change).to_owned(), 70)(path, answer))
    }));
    let report = report.unwrap();
    let expected = [
        Fault::Entry { tile: tile("tile/8/0/000"), entry: 2 },
        Fault::Record { record: 512 },
        Fault::Entry { tile: tile("tile/8/0/003.p/232"), entry: 2 },
    ];
    assert_eq!((kinds(&report), report.unchecked), (expected.to_vec(), 0));
}

/// Of more faults than anybody wants to read the first are listed and the others counted.
#[test]
fn very_many_faults_are_counted() {
    let log = Log::new((0..500).map(|i| format!("no record of a module {i}\n")));
    let report = fresh(&Server::honest(&log)).unwrap();
    assert_eq!((report.findings.len() as u64 + report.more, report.is_good()), (500, false));
    assert!(report.findings.len() < 100);
}

/// A hash tile and its records that fit each other, but not what is above them.
#[test]
fn forged_records_with_forged_hashes_do_not_fit_the_tile_above() {
    let log = Log::filler(600);
    let mut forged = log.records.clone();
    forged[300] = record("forged.test/m", 'f');
    let forged = Log::new(forged);
    let report = fresh(&Server::lying(&log, |path, answer| match path {
        "tile/8/0/001" | "tile/8/data/001" => Ok(forged.tile(&tile(path)).unwrap().into()),
        _ => answer,
    }));
    let report = report.unwrap();
    assert_eq!(
        faults(&report),
        [
            "tile/8/0/001: does not hash to entry 1 of tile/8/1/000.p/2, which is signed, and neither does what is below it"
        ]
    );
    assert_eq!(report.unchecked, 256);
}

#[test]
fn a_signed_root_of_nothing_that_is_served_is_told() {
    let (log, other) = (Log::filler(600), Log::new((0..600).map(|i| record(&format!("o.test/m{i}"), 'o'))));
    let report =
        fresh(&Server::lying(
            &log,
            |path, answer| {
                if path == "latest" { Ok(other.note(600).into()) } else { answer }
            },
        ));
    let report = report.unwrap();
    assert!(matches!(kinds(&report)[..], [Fault::Root { .. }]), "{:?}", faults(&report));
    assert_eq!(report.unchecked, 600);
}

#[test]
fn records_that_break_the_rules_are_named() {
    let good = |i: u64| record(&format!("filler.test/m{i}"), 'z');
    let mut records: Vec<String> = (0..300).map(good).collect();
    records[17] = records[17].replace("v1.0.0", "v1.0");
    records[256] = records[256].replace("/go.mod h1:", "/go.mod h2:");
    records[299] = "just a line\n".to_owned();
    let report = fresh(&Server::honest(&Log::new(records))).unwrap();
    let places: Vec<u64> = report
        .findings
        .iter()
        .map(|finding| match finding.fault {
            Fault::Rule { record, .. } => record,
            _ => panic!("{finding:?}"),
        })
        .collect();
    assert_eq!(places, [17, 256, 299]);
}

fn replaced<'a>(log: &'a Log, file: &'static str, body: impl Fn(Bytes) -> Answer + Sync + 'a) -> Server<'a> {
    Server::lying(log, move |path, answer| if path == file { body(answer?) } else { answer })
}

#[test]
fn tiles_of_wrong_length_are_named() {
    let log = Log::filler(600);
    let last = |bytes: &Bytes| bytes.slice(..bytes.len() - 32);
    for file in ["tile/8/0/000", "tile/8/0/002.p/88", "tile/8/1/000.p/2"] {
        let short = fresh(&replaced(&log, file, |body| Ok(last(&body)))).unwrap();
        assert_eq!(kinds(&short), [Fault::Short { tile: tile(file), bytes: tile(file).hash_bytes() - 32 }]);
        let long =
            fresh(&replaced(&log, file, |body| Ok([body, Bytes::from_static(&[0; 32])].concat().into())));
        assert!(faults(&long.unwrap())[0].starts_with(&format!("{file}: body of more than")));
    }
}

#[test]
fn data_tiles_with_other_than_their_records_are_named() {
    let log = Log::filler(600);
    let extra = record("extra.test/m", 'e');
    for file in ["tile/8/data/000", "tile/8/data/002.p/88"] {
        let more = replaced(&log, file, |body| Ok([&body[..], b"\n", extra.as_bytes()].concat().into()));
        assert_eq!(
            faults(&fresh(&more).unwrap()),
            [format!("{file}: a data tile goes on after its last record")]
        );
        let none = fresh(&replaced(&log, file, |_| Ok(Bytes::new()))).unwrap();
        assert_eq!(faults(&none), [format!("{file}: a data tile ends after 0 records")]);
        assert!(none.unchecked > 0 && !none.is_good());
        let huge = fresh(&replaced(&log, file, |_| Err(TransportError::TooLarge(16 << 20)))).unwrap();
        assert_eq!(faults(&huge), [format!("{file}: body of more than 16777216 bytes")]);
    }
}

#[test]
fn where_no_data_tiles_are_served_that_is_said_at_once() {
    let log = Log::filler(70_000);
    let server = Server::lying(&log, |path, answer| {
        if path.contains("/data/") {
            Err(TransportError::Unavailable("403 Forbidden".to_owned()))
        } else {
            answer
        }
    });
    let error = fresh(&server).unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("hash tiles are served, but the records are not"), "{error}");
    assert!(server.requests().len() < 10);
}

#[test]
fn an_unbelievable_size_is_refused_before_anything_is_read() {
    let log = Log::filler(5);
    for size in [1_u64 << 40, (1 << 63) - 1] {
        let note = signed(
            &log.note(5)
                .replace("\n5\n", &format!("\n{size}\n"))
                .split("\n\n")
                .next()
                .map(|text| format!("{text}\n"))
                .unwrap(),
        );
        let server = Server::lying(&log, move |_, _| Ok(note.clone().into()));
        let outcome = fresh(&server);
        assert!(matches!(outcome, Err(Error::Malformed(_))), "{outcome:?}");
        assert_eq!(server.requests(), ["latest"]);
    }
}
