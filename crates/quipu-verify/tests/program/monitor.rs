//! `monitor` of a log that behaves: new versions, patterns, positions, figures.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use tempfile::tempdir;

use crate::log::{Log, record};
use crate::run::{Ran, program, run};
use crate::running::{Running, memory, of};
use crate::site::{Site, View};

/// One round.
fn once(state: &Path, site: &Site, more: &[&str]) -> Ran {
    crate::run::finish(program(state).args(of(site)).arg("--once").args(more))
}

/// The line of a record of the filler log.
fn line(id: u64) -> String {
    let record = record(&format!("filler.test/m{id}"), 'z');
    let hashes: Vec<_> = record.lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect();
    format!("{id} filler.test/m{id} v1.0.0 {}", hashes.join(" "))
}

fn lines(ids: std::ops::Range<u64>) -> Vec<String> {
    ids.map(line).collect()
}

#[test]
fn new_versions_are_printed_as_they_come() {
    let (state, view) = (tempdir().unwrap(), View::new(Log::filler(900), 300));
    let site = Site::viewing(&view);
    let running = Running::started(state.path(), &site, &[]);
    for (from, to) in [(300, 301), (301, 512), (512, 513), (513, 900)] {
        view.show(to);
        running.until("new version", |running| running.out().len() as u64 == to - 300);
        assert_eq!(running.out()[from as usize - 300..], lines(from..to));
    }
    let running = running.stop();
    assert_eq!(running.err(), "");
    assert_eq!(memory(state.path()).unwrap()["position"], 900);
    // What was not seen is seen after the pause, and nothing twice.
    let running = Running::started(state.path(), &site, &[]);
    view.replace(Log::filler(905), 905);
    running.until("new version", |running| running.out().len() == 5);
    assert_eq!(running.stop().out(), lines(900..905));
}

#[test]
fn one_round_after_the_other_sees_the_same() {
    let (state, view) = (tempdir().unwrap(), View::new(Log::filler(900), 300));
    let site = Site::viewing(&view);
    assert_eq!(once(state.path(), &site, &[]).ends(0).out, "");
    view.show(777);
    assert_eq!(once(state.path(), &site, &[]).ends(0).out.lines().collect::<Vec<_>>(), lines(300..777));
    assert_eq!(once(state.path(), &site, &[]).ends(0).out, "");
    // The place to begin at is for the first run.
    let ran = once(state.path(), &site, &["--from-start"]).ends(0).says("going on with record 777");
    assert_eq!(ran.out, "");
}

#[test]
fn a_monitor_may_begin_anywhere() {
    let site = Site::honest(Log::filler(600), 600);
    let begin = |more: &[&str]| once(tempdir().unwrap().path(), &site, more).ends(0).out.lines().count();
    assert_eq!([begin(&["--from-start"]), begin(&["--from", "599"]), begin(&["--from", "600"])], [600, 1, 0]);
    assert_eq!(begin(&["--from", "100000"]), 0);
}

#[test]
fn only_matching_modules_are_reported() {
    let paths = ["corp.test/a", "corp.test/a/b", "other.test/a", "git.corp.test/x", "corp.tests/a"];
    let site = Site::honest(Log::new(paths.iter().map(|path| record(path, 'z'))), 5);
    let more = ["--from-start", "--json", "--match", "corp.test,*.corp.test"];
    let ran = once(tempdir().unwrap().path(), &site, &more).ends(0);
    let events: Vec<serde_json::Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let modules: Vec<_> = events.iter().map(|event| event["module"].as_str().unwrap()).collect();
    assert_eq!(modules, ["corp.test/a", "corp.test/a/b", "git.corp.test/x"]);
    let record = record("corp.test/a", 'z');
    assert_eq!(
        events[0],
        serde_json::json!({
            "kind": "version", "key": "record-0", "database": "sum.example.test", "id": 0,
            "module": "corp.test/a", "version": "v1.0.0",
            "zip": record.lines().next().unwrap().rsplit(' ').next().unwrap(),
            "go_mod": record.lines().nth(1).unwrap().rsplit(' ').next().unwrap(),
        })
    );
}

/// Far behind, each tile is fetched once, and nothing but heads and high tiles is kept on disk.
#[test]
fn a_long_way_is_read_once_and_not_kept() {
    let (state, site) = (tempdir().unwrap(), Site::honest(Log::filler(70_001), 70_001));
    let ran = once(state.path(), &site, &["--from-start"]).ends(0);
    assert_eq!(ran.out.lines().count(), 70_001);
    let requests = site.requests();
    let data: Vec<_> = requests.iter().filter(|path| path.starts_with("/tile/8/data/")).collect();
    assert_eq!(data.len(), 274);
    assert!(requests.len() < 600, "{}", requests.len());
    let kept = state.path().join("state/sum.example.test/tile/8");
    assert!(!kept.join("0").exists() && !kept.join("data").exists());
}

#[test]
fn mirrors_may_lag() {
    let (state, view) = (tempdir().unwrap(), View::new(Log::filler(900), 300));
    let site = Site::viewing(&view);
    let behind = View::new(Log::filler(290), 290);
    let (behind_site, ahead) = (Site::viewing(&behind), Site::honest(Log::filler(400), 400));
    let also = ["--also", &behind_site.url(), "--also", &ahead.url(), "--json", "--metrics", "0"];
    let running = Running::started(state.path(), &site, &also);
    running.until("address", |running| running.err().contains("/metrics"));
    let metrics = get(&running, "/metrics");
    for line in [
        "quipu_monitor_head_size 400".to_owned(),
        format!("quipu_monitor_place_lag_records{{from=\"{}\"}} 110", behind_site.url()),
        format!("quipu_monitor_place_size{{from=\"{}\"}} 400", ahead.url()),
        "quipu_monitor_place_lag_records{from=\"sum.example.test\"} 100".to_owned(),
        "quipu_monitor_events_total{kind=\"fork\"} 0".to_owned(),
        "quipu_monitor_backlog_records 0".to_owned(),
    ] {
        assert!(metrics.contains(&format!("\n{line}\n")), "{line} in {metrics}");
    }
    assert!(get(&running, "/healthz").starts_with("HTTP/1.1 200"));
    assert!(get(&running, "/other").starts_with("HTTP/1.1 404"));
    view.show(900);
    behind.replace(Log::filler(800), 800);
    running.until("all new records", |running| running.out().len() == 500);
    assert_eq!(running.stop().kinds(), vec!["version"; 500]);
}

/// Asks the monitor's own server.
pub(crate) fn get(running: &Running, path: &str) -> String {
    let err = running.err();
    let address = err.split("http://").nth(1).unwrap().split('/').next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn connections_to_the_figures_are_bounded() {
    let (state, site) = (tempdir().unwrap(), Site::honest(Log::filler(3), 3));
    let running = Running::started(state.path(), &site, &["--metrics", "0"]);
    running.until("address", |running| running.err().contains("/metrics"));
    let err = running.err();
    let address = err.split("http://").nth(1).unwrap().split('/').next().unwrap();
    let idle: Vec<_> = (0..16).map(|_| TcpStream::connect(address).unwrap()).collect();
    std::thread::sleep(std::time::Duration::from_millis(300));
    let mut refused = TcpStream::connect(address).unwrap();
    let mut answer = Vec::new();
    let _ = refused.read_to_end(&mut answer);
    assert!(answer.is_empty());
    drop(idle);
    running.until("an answer", |running| get_if_any(running).contains("quipu_monitor_head_size 3"));
    running.stop();
}

fn get_if_any(running: &Running) -> String {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| get(running, "/metrics"))).unwrap_or_default()
}

#[test]
fn two_monitors_do_not_share_a_state() {
    let (state, site) = (tempdir().unwrap(), Site::honest(Log::filler(3), 3));
    let _running = Running::started(state.path(), &site, &[]);
    once(state.path(), &site, &[]).ends(1).says("another monitor of this database runs");
}

#[test]
fn a_damaged_memory_is_not_passed_over() {
    let (state, site) = (tempdir().unwrap(), Site::honest(Log::filler(3), 3));
    once(state.path(), &site, &[]).ends(0);
    std::fs::write(state.path().join("state/sum.example.test/monitor.json"), "{").unwrap();
    once(state.path(), &site, &[]).ends(1).says("is damaged (remove it to begin anew");
}

#[test]
fn wrong_usage_is_told() {
    let state = tempdir().unwrap();
    for (more, why) in [
        (["--match", "a["], "malformed glob a["),
        (["--match", ","], "want at least one glob"),
        (["--webhook", "ftp://x"], "--webhook: "),
        (["--also", "nowhere"], "is no http or https URL"),
        (["--exec", " "], "want a command"),
        (["--offline", "--once"], "sees nothing"),
    ] {
        let arguments = [&["monitor", "--db", "sum.golang.org https://127.0.0.1:9"][..], &more].concat();
        run(state.path(), &arguments).ends(2).says(why);
    }
    run(state.path(), &["monitor", "--from", "3", "--from-start"]).ends(2);
    run(state.path(), &["monitor", "--once", "--metrics", "1"]).ends(2);
    run(state.path(), &["monitor", "--every", "0"]).ends(2);
}

/// The log grows by thousands of records a second, and with each the monitor has more behind it.
#[test]
fn memory_stays_flat_while_a_log_grows() {
    let (state, view) = (tempdir().unwrap(), View::new(Log::filler(20_000), 20_000));
    let site = Site::viewing(&view);
    let more = ["--from-start", "--match", "nobody.test"];
    let running = Running::started(state.path(), &site, &more);
    let mut grown = 20_000;
    let mut grow_for = |seconds: u64| {
        let end = grown + seconds * GROWTH;
        while grown < end {
            let records = (grown..grown + GROWTH / 10).map(|i| record(&format!("filler.test/m{i}"), 'z'));
            view.grow(records);
            grown += GROWTH / 10;
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        running.until("all records", |_| memory(state.path()).unwrap()["position"] == end);
        running.memory_in_use()
    };
    let before = grow_for(3);
    let after = grow_for(GROW_SECONDS);
    assert!(after < before + 6 * 1024, "{before} KiB, and {after} KiB after {GROW_SECONDS} s");
    running.stop();
}

const GROWTH: u64 = 4000;
const GROW_SECONDS: u64 = 10;
