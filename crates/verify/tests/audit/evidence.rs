//! Findings become evidence that a third person accepts, and nothing else does.

use std::sync::Arc;

use proptest::prelude::*;
use quipu_tlog::{Tile, TileLevel, new_tiles};
use quipu_verify::audit::{Finding, Layout, Report};
use quipu_verify::check::Fault;
use quipu_verify::{Error, Kind, TransportError};

use crate::log::{Log, key, record};
use crate::server::{Server, faults, flip, fresh};

/// The kind of each finding's evidence, as a stranger finds it when checking the text.
fn kinds_of_evidence(report: &Report) -> Vec<Option<Kind>> {
    let kind = |finding: &Finding| {
        let text = finding.evidence.as_ref()?.to_string();
        Some(text.parse::<quipu_verify::Evidence>().unwrap().check(&[key()]).unwrap().kind())
    };
    report.findings.iter().map(kind).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whichever bit of whichever tile: what was served is shown beside what was signed, and nobody is convicted.
    #[test]
    fn a_flipped_bit_is_shown(size in 1..1200_u64, which: prop::sample::Index, byte: usize) {
        let log = Log::filler(size);
        let data = |n| Tile::widest(TileLevel::Data, n, size).unwrap();
        let tiles: Vec<Tile> = new_tiles(0, size).chain((0..size.div_ceil(256)).map(data)).collect();
        let tile = tiles[which.index(tiles.len())];
        let report = fresh(&Server::lying(&log, flip(tile.sumdb_path(), byte))).unwrap();
        let malformed = matches!(report.findings[0].fault, Fault::Body { .. });
        prop_assert_eq!(kinds_of_evidence(&report), [(!malformed).then_some(Kind::Tile)], "{:?}", faults(&report));
        prop_assert!(report.misbehaviour().is_none());
    }
}

#[test]
fn tiles_of_all_levels_are_shown_to_be_wrong() {
    let log = Log::filler(65_536 + 600);
    for path in ["tile/8/0/255", "tile/8/0/258.p/88", "tile/8/1/000", "tile/8/1/001.p/2", "tile/8/2/000.p/1"]
    {
        let report = fresh(&Server::lying(&log, flip(path.to_owned(), 5))).unwrap();
        assert_eq!(kinds_of_evidence(&report), [Some(Kind::Tile)], "{:?}", faults(&report));
        assert!(report.findings[0].evidence.as_ref().unwrap().summary().starts_with(&format!("by {path} ")));
    }
}

/// Of one tile there is one piece of evidence, however many entries are wrong.
#[test]
fn findings_about_one_tile_share_evidence() {
    let log = Log::filler(600);
    let tile = Tile::parse_sumdb("tile/8/0/001").unwrap();
    let report = fresh(&Server::lying(&log, |path, answer| match path == tile.sumdb_path() {
        true => Ok(answer?.iter().map(|byte| byte ^ 1).collect::<Vec<u8>>().into()),
        false => answer,
    }));
    let report = report.unwrap();
    assert_eq!((report.findings.len(), report.more), (64, 192));
    let pieces: Vec<_> = report.findings.iter().map(|finding| finding.evidence.clone().unwrap()).collect();
    assert!(pieces.iter().all(|piece| Arc::ptr_eq(piece, &pieces[0])));
}

#[test]
fn tiles_that_do_not_add_up_are_all_shown() {
    let (log, other) = (Log::filler(600), Log::new((0..600).map(|i| record(&format!("o.test/m{i}"), 'o'))));
    let report = fresh(&Server::lying(&log, |path, answer| match path {
        "latest" => Ok(other.note(600).into()),
        _ => answer,
    }));
    assert_eq!(kinds_of_evidence(&report.unwrap()), [Some(Kind::Tiles)]);
}

/// A log with every sort of fault at once, in which one sort does not hide another.
fn full_of_faults() -> Log {
    let good = |i: u64| record(&format!("filler.test/m{i}"), 'z');
    let mut records: Vec<String> = (0..900).map(good).collect();
    (300..400).for_each(|i| records[i] = format!("no record {i}\n"));
    records[899] = record("filler.test/m0", 'y');
    Log::new(records)
}

#[test]
fn many_faults_of_one_kind_hide_no_other() {
    let log = full_of_faults();
    let report = fresh(&Server::lying(&log, flip("tile/8/0/003.p/132".to_owned(), 0))).unwrap();
    let kinds = kinds_of_evidence(&report);
    let count = |kind| kinds.iter().filter(|found| **found == kind).count();
    assert_eq!(
        [Some(Kind::Record), None, Some(Kind::Tile), Some(Kind::Duplicate)].map(count),
        [8, 56, 1, 1],
        "{:?}",
        faults(&report)
    );
    assert_eq!((report.more, report.misbehaviour().unwrap().kind()), (36, Kind::Record));
}

#[test]
fn an_audit_that_breaks_off_still_convicts() {
    let log = full_of_faults();
    let down = || Err(TransportError::Unavailable("closed".to_owned()));
    // What is read before the last data tile, in order, is enough.
    let outcome = fresh(&Server::lying(&log, |path, answer| match path {
        "tile/8/data/003.p/132" => down(),
        _ => answer,
    }));
    assert!(
        matches!(&outcome, Err(Error::Misbehaved(evidence)) if evidence.kind() == Kind::Record),
        "{outcome:?}"
    );
    // Nothing is proven of what cannot be read any more; and nobody waits for each of the faults.
    let found = std::sync::atomic::AtomicBool::new(false);
    let server = Server::lying(&log, |path, answer| {
        let gone = found.load(std::sync::atomic::Ordering::SeqCst);
        found.fetch_or(path == "tile/8/data/003.p/132", std::sync::atomic::Ordering::SeqCst);
        if gone || path == "tile/8/data/003.p/132" { down() } else { answer }
    });
    assert!(matches!(fresh(&server), Err(Error::Unavailable(_))));
    assert!(server.requests().len() < 30);
}

#[test]
fn of_logs_in_the_other_layout_there_is_no_evidence() {
    let log = full_of_faults();
    let report = fresh(&Server::honest(&log).in_layout(Layout::TlogTiles)).unwrap();
    assert!(!report.findings.is_empty() && report.misbehaviour().is_none());
    assert!(kinds_of_evidence(&report).iter().all(Option::is_none));
}
