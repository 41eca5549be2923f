//! `monitor` of a log that misbehaves, rests, or is not to be had.

use std::path::Path;

use tempfile::tempdir;

use crate::log::{Log, key, record};
use crate::run::{Ran, finish, program};
use crate::running::{Running, memory, of};
use crate::site::{Reply, Site, View};

fn once(state: &Path, site: &Site, more: &[&str]) -> Ran {
    finish(program(state).args(of(site)).arg("--once").args(more))
}

/// A log with the first `common` records of the filler log and others after them.
fn other(common: u64, size: u64) -> Log {
    let salt = |i| if i < common { 'z' } else { 'y' };
    Log::new((0..size).map(|i| record(&format!("filler.test/m{i}"), salt(i))))
}

/// The evidence in the file that stderr names.
fn evidence(err: &str) -> quipu_verify::Fork {
    let path = err.lines().find_map(|line| line.split_once("the evidence is in ")).unwrap().1;
    let evidence: quipu_verify::Evidence = std::fs::read_to_string(path).unwrap().parse().unwrap();
    *evidence.check(&[key()]).unwrap().fork().unwrap()
}

#[test]
fn a_rollback_is_told_once_and_lasts_until_it_ends() {
    let (state, view) = (tempdir().unwrap(), View::new(Log::filler(400), 300));
    let site = Site::viewing(&view);
    once(state.path(), &site, &[]).ends(0);
    view.show(200);
    once(state.path(), &site, &[]).ends(4).says("rollback: sum.example.test: serves a head of 200 records");
    let again = once(state.path(), &site, &[]).ends(4);
    assert_eq!(again.err, "");
    view.show(301);
    let back = once(state.path(), &site, &[]).ends(0).says("recovered: sum.example.test");
    assert_eq!(back.out.lines().count(), 1);
}

/// A head that other commands saw counts too.
#[test]
fn a_rollback_behind_what_a_lookup_saw_is_noticed() {
    let (state, view) = (tempdir().unwrap(), View::new(Log::filler(400), 300));
    let site = Site::viewing(&view);
    let database = format!("{} {}", key(), site.url());
    crate::run::run(state.path(), &["lookup", "--db", &database, "filler.test/m7@v1.0.0"]).ends(0);
    view.show(200);
    once(state.path(), &site, &[]).ends(4).says("rollback");
}

#[test]
fn a_log_that_shrinks_and_grows_again_as_it_was_is_forgiven() {
    let (state, view) = (tempdir().unwrap(), View::new(Log::filler(400), 300));
    let site = Site::viewing(&view);
    let running = Running::started(state.path(), &site, &["--json"]);
    view.show(100);
    running.until("rollback", |running| running.kinds() == ["rollback"]);
    view.show(250);
    view.show(302);
    running.until("growth", |running| running.out().len() == 4);
    let mut kinds = running.kinds();
    kinds.sort_unstable();
    assert_eq!(kinds, ["recovered", "rollback", "version", "version"]);
    running.stop();
}

#[test]
fn a_log_that_shrinks_and_grows_otherwise_is_convicted() {
    let (state, view) = (tempdir().unwrap(), View::new(Log::filler(400), 300));
    let site = Site::viewing(&view);
    let mut running = Running::started(state.path(), &site, &["--json"]);
    view.show(100);
    running.until("rollback", |running| running.kinds() == ["rollback"]);
    view.replace(other(100, 500), 500);
    assert_eq!(running.ends(), Some(3), "{}", running.err());
    let fork = evidence(&running.err());
    assert_eq!((fork.older.size, fork.newer.size), (300, 500));
    let events = running.events();
    assert_eq!(running.kinds(), ["rollback", "fork"]);
    let file = events[1]["evidence"].as_str().unwrap();
    assert!(std::fs::exists(file).unwrap() && running.err().contains(file));
    assert_eq!(memory(state.path()).unwrap()["undelivered"], serde_json::json!([]));
    // It stays convicted, without another word, and nothing of the other history is believed.
    assert_eq!(once(state.path(), &site, &[]).ends(3).out, "");
}

#[test]
fn a_fork_at_the_same_size_is_convicted() {
    let (state, view) = (tempdir().unwrap(), View::new(Log::filler(300), 300));
    let site = Site::viewing(&view);
    once(state.path(), &site, &[]).ends(0);
    view.replace(other(299, 300), 300);
    evidence(&once(state.path(), &site, &[]).ends(3).says("MISBEHAVIOUR PROVEN").err);
}

#[test]
fn who_keeps_going_writes_one_file_for_one_fork() {
    let (state, view) = (tempdir().unwrap(), View::new(Log::filler(400), 300));
    let site = Site::viewing(&view);
    let running = Running::started(state.path(), &site, &["--json", "--keep-going"]);
    for size in 400..403 {
        view.replace(other(200, size), size);
        running.until("fork", |running| running.kinds() == ["fork"]);
        let asked = site.requests().len();
        running.until("another round", |_| site.requests().len() > asked + 1);
    }
    view.replace(Log::filler(302), 302);
    running.until("the end of it", |running| running.out().len() == 4);
    let evidence = std::fs::read_dir(state.path().join("state/sum.example.test/evidence")).unwrap();
    assert_eq!(evidence.count(), 1);
    running.stop();
}

#[test]
fn a_split_view_is_convicted_in_every_direction() {
    for (here, there, common) in [(300, 300, 299), (300, 310, 299), (310, 300, 100), (300, 900, 5)] {
        let (site, mirror) =
            (Site::honest(Log::filler(here), here), Site::honest(other(common, there), there));
        for (first, second) in [(&site, &mirror), (&mirror, &site)] {
            let state = tempdir().unwrap();
            let ran = once(state.path(), first, &["--also", &second.url()]).ends(3).says("fork: ");
            let fork = evidence(&ran.err);
            assert_eq!((fork.older.size, fork.newer.size), (here.min(there), here.max(there)));
        }
    }
}

#[test]
fn a_log_that_rests_too_long_is_told_once() {
    let (state, view) = (tempdir().unwrap(), View::new(Log::filler(400), 300));
    let site = Site::viewing(&view);
    let running = Running::started(state.path(), &site, &["--json", "--max-age", "2"]);
    running.until("stall", |running| running.kinds() == ["stall"]);
    assert!(running.err().contains("the log has not grown for 3 s and has 300 records"), "{}", running.err());
    view.show(301);
    running.until("recovery", |running| running.out().len() == 3);
    running.stop();
    std::thread::sleep(std::time::Duration::from_secs(4));
    once(state.path(), &site, &["--max-age", "2"]).ends(4).says("stall: all: ");
}

#[test]
fn who_does_not_answer_is_told_when_it_lasts() {
    let (state, view) = (tempdir().unwrap(), View::new(Log::filler(400), 300));
    let open = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (shown, is_open) = (view.clone(), open.clone());
    let site = Site::new(move |path| match is_open.load(std::sync::atomic::Ordering::Relaxed) {
        true => shown.answer(path),
        false => Reply::Status(503, String::new(), b"resting".to_vec()),
    });
    once(state.path(), &site, &[]).ends(1).says("503 Service Unavailable: resting");
    let running = Running::started(state.path(), &site, &["--json"]);
    running.until("silence", |running| running.kinds() == ["unreachable"]);
    open.store(true, std::sync::atomic::Ordering::Relaxed);
    running.until("recovery", |running| running.kinds() == ["unreachable", "recovered"]);
    running.stop();
}

/// A database that says something of its own at one path.
fn lying(at: &'static str, lie: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> Site {
    let view = View::new(Log::filler(300), 300);
    Site::new(move |path| match view.answer(path) {
        Reply::Good(body) if path.starts_with(at) => Reply::Good(lie(body)),
        other => other,
    })
}

#[test]
fn what_is_not_proven_is_not_reported() {
    let flip = |mut body: Vec<u8>| {
        body[40] ^= 1;
        body
    };
    for (site, code, kind) in [
        (lying("/latest", |_| b"hello\n".to_vec()), 1, "malformed: sum.example.test: /latest"),
        (lying("/latest", flip), 4, "unproven: sum.example.test: /latest"),
        (lying("/tile/8/data", flip), 4, "unproven: records: tile/8/data/000"),
        (lying("/tile/8/data", |body| body[..9].to_vec()), 1, "malformed: records: tile/8/data/000"),
        (lying("/tile/8/0", flip), 4, "unproven: records: "),
    ] {
        let ran = once(tempdir().unwrap().path(), &site, &["--from-start"]).ends(code).says(kind);
        assert_eq!(ran.out, "");
    }
}

#[test]
fn a_record_that_breaks_the_rules_is_told_whatever_is_matched() {
    let mut log = Log::filler(5);
    let strange = "Not a record at all\n";
    log.push(strange.to_owned());
    log.push(record("filler.test/m6", 'z'));
    let (state, site) = (tempdir().unwrap(), Site::honest(log, 7));
    let ran = once(state.path(), &site, &["--from-start", "--json", "--match", "other.test"]).ends(4);
    let event = ran.json();
    assert_eq!(
        [&event["kind"], &event["id"], &event["record"]],
        [&"bad_record".into(), &5.into(), &serde_json::Value::from(strange)]
    );
    once(state.path(), &site, &["--json"]).ends(0);
}
