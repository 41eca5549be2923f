//! Audits that follow each other: what is new is read and no more, whatever was interrupted goes on, and what one state has
//! seen no later head may contradict.

use std::fs;
use std::path::Path;

use std::sync::Arc;

use proptest::prelude::*;
use quipu_verify::audit::{AuditState, Options, audit};
use quipu_verify::check::GoSum;
use quipu_verify::{Error, MemoryState, State as _, TransportError};

use crate::good::assert_good;
use crate::log::{Log, key, record};
use crate::server::{Server, audit_in, faults, fresh};

#[test]
fn a_thousand_new_records_cost_their_data_tiles_and_few_others() {
    let (log, dir) = (Log::filler(71_100), tempfile::tempdir().unwrap());
    assert_good(&audit_in(dir.path(), &Server::honest(&log).at(70_100), 64).unwrap(), 0, 70_100);
    let server = Server::honest(&log);
    assert_good(&audit_in(dir.path(), &server, 64).unwrap(), 70_100, 71_100);
    let requests = server.requests();
    let count = |part: &str| requests.iter().filter(|path| path.contains(part)).count();
    assert_eq!(count("latest"), 1, "{requests:?}");
    // Records 70,100 to 71,099 lie in tiles 273 to 277.
    let mut data: Vec<_> = requests.iter().filter(|path| path.contains("/data/")).cloned().collect();
    data.sort_unstable();
    data.dedup();
    assert_eq!(
        data,
        ["tile/8/data/273", "tile/8/data/274", "tile/8/data/275", "tile/8/data/276", "tile/8/data/277.p/188"]
    );
    assert!(requests.len() <= 20, "{requests:?}");
    // Nothing new: the head and the tiles that its root is made of.
    assert_good(&audit_in(dir.path(), &server, 64).unwrap(), 71_100, 71_100);
    assert_eq!(server.requests().iter().filter(|path| path.contains("/data/")).count(), 0);
}

#[test]
fn a_duplicate_is_found_however_far_apart() {
    let mut log = Log::filler(1000);
    log.push(record("filler.test/m3", 'y'));
    log.push(record("filler.test/fresh", 'y'));
    let why = "record 1000: filler.test/m3 v1.0.0 is already in record 3";
    assert_eq!(faults(&fresh(&Server::honest(&log)).unwrap()), [why]);
    let dir = tempfile::tempdir().unwrap();
    assert_good(&audit_in(dir.path(), &Server::honest(&log).at(999), 1).unwrap(), 0, 999);
    // Found again each time, for what is wrong does not count as done.
    for known in [999, 999] {
        let report = audit_in(dir.path(), &Server::honest(&log), 1).unwrap();
        assert_eq!((faults(&report), report.known.max(999)), (vec![why.to_owned()], report.known.max(known)));
    }
}

#[test]
fn a_rollback_is_no_fork_but_told() {
    let (log, dir) = (Log::filler(700), tempfile::tempdir().unwrap());
    audit_in(dir.path(), &Server::honest(&log), 1).unwrap();
    let report = audit_in(dir.path(), &Server::honest(&log).at(300), 1).unwrap();
    let rollback = report.rollback.clone().unwrap();
    assert_eq!((rollback.seen.size(), report.head.size(), report.is_good()), (700, 300, false));
    // The tiles of the larger tree are gone with it.
    assert!(rollback.unproven.unwrap().contains("not found"));
    let with_old_tiles =
        Server::lying(&log, |path, answer| if path == "latest" { Ok(log.note(300).into()) } else { answer });
    let rollback = audit_in(dir.path(), &with_old_tiles, 1).unwrap().rollback.unwrap();
    assert_eq!(rollback.unproven, None);
    assert_good(&audit_in(dir.path(), &Server::honest(&log), 1).unwrap(), 700, 700);
}

#[test]
fn a_fork_is_proven_at_every_size() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::filler(600);
    audit_in(dir.path(), &Server::honest(&log).at(400), 1).unwrap();
    let mut other = Log::filler(100);
    (0..500).for_each(|i| other.push(record(&format!("other.test/m{i}"), 'o')));
    for size in [300, 400, 401, 512, 600] {
        // A smaller one shows only by tiles of the larger tree, which the other side of the fork does not have.
        let server = Server::lying(
            &log,
            |path, answer| {
                if path == "latest" { Ok(other.note(size).into()) } else { answer }
            },
        );
        let server = if size > 400 { Server::honest(&other).at(size) } else { server.at(400) };
        let error = audit_in(dir.path(), &server, 1).unwrap_err();
        assert!(matches!(error, Error::Misbehaved(_)), "{size}: {error}");
    }
    assert_good(&audit_in(dir.path(), &Server::honest(&log), 1).unwrap(), 400, 600);
}

/// A head that a lookup has seen counts for audits, and the reverse.
#[test]
fn heads_are_shared_with_other_work() {
    let (dir, log) = (tempfile::tempdir().unwrap(), Log::filler(600));
    let forked = Log::new((0..600).map(|i| record(&format!("forked.test/m{i}"), 'f')));
    let heads = Arc::new(MemoryState::new());
    let audit = |name: &str, server: &Server<'_>| {
        let mut state = AuditState::open(dir.path().join(name)).unwrap().with_heads(heads.clone());
        audit(server, (&[key()], &GoSum), &mut state, &Options::default(), &|_| {})
    };
    assert_good(&audit("a", &Server::honest(&log).at(500)).unwrap(), 0, 500);
    assert_eq!(heads.latest().unwrap().unwrap(), log.note(500));
    for size in [400, 500, 600] {
        let error = audit("b", &Server::honest(&forked).at(size));
        assert!(!error.is_ok_and(|report| report.is_good()), "{size}");
    }
    assert!(matches!(audit("b", &Server::honest(&forked)), Err(Error::Misbehaved(_))));
    assert!(audit("b", &Server::honest(&log).at(499)).unwrap().rollback.is_some());
    assert_good(&audit("b", &Server::honest(&log)).unwrap(), 0, 600);
    assert_eq!(heads.latest().unwrap().unwrap(), log.note(600));
}

/// A copy of the state, as a process that was killed leaves it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn an_audit_goes_on_wherever_it_was_interrupted() {
    let mut log = Log::filler(1500);
    log.push(record("filler.test/m7", 'y'));
    log.push(record("filler.test/m8", 'y'));
    let total = {
        let server = Server::honest(&log);
        fresh(&server).unwrap();
        server.requests().len()
    };
    for stop in 1..total {
        let dir = tempfile::tempdir().unwrap();
        let (working, killed) = (dir.path().join("working"), dir.path().join("killed"));
        let count = std::sync::atomic::AtomicUsize::new(0);
        // At this request the process is killed: what is on the disk then is all that remains. And the source fails.
        let server = Server::lying(&log, |_, answer| {
            if count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < stop {
                return answer;
            }
            if !killed.exists() {
                copy(&working, &killed);
            }
            Err(TransportError::Unavailable("gone".to_owned()))
        });
        let first = audit_in(&working, &server.at(1400), 2);
        if first.is_ok() {
            break;
        }
        for dir in [&working, &killed] {
            let honest = audit_in(dir, &Server::honest(&log).at(1450), 2).unwrap();
            assert_good(&honest, honest.known, 1450);
            let report = audit_in(dir, &Server::honest(&log), 2).unwrap();
            assert_eq!(
                faults(&report),
                [
                    "record 1500: filler.test/m7 v1.0.0 is already in record 7",
                    "record 1501: filler.test/m8 v1.0.0 is already in record 8"
                ],
                "{stop}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the steps in which a log grows: the outcome of audits in between is that of one over all of it.
    #[test]
    fn steps_find_what_one_audit_finds(
        steps in prop::collection::vec((1..300_u64, prop::option::weighted(0.3, 0..1000_u64)), 1..7),
        tiles in 1..4_u64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, mut good, mut made) = (Log::default(), true, 0_u64);
        for (count, repeated) in steps {
            for _ in 0..count {
                log.push(record(&format!("step.test/m{made}"), 'z'));
                made += 1;
            }
            if let Some(repeated) = repeated.filter(|repeated| *repeated < made) {
                log.push(record(&format!("step.test/m{repeated}"), 'y'));
                good = false;
            }
            let server = Server::honest(&log);
            let (step, whole) = (audit_in(dir.path(), &server, tiles).unwrap(), fresh(&server).unwrap());
            prop_assert_eq!(faults(&step), faults(&whole));
            prop_assert_eq!((step.is_good(), whole.is_good()), (good, good));
        }
    }
}
