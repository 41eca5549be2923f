//! `monitor` and those whom it tells: in order, at least once, whatever fails in between.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tempfile::tempdir;

use crate::log::Log;
use crate::run::{finish, program};
use crate::running::{Running, memory, of};
use crate::site::{Reply, Site, View};

/// The keys of events, in order.
fn keys(posts: &[String]) -> Vec<String> {
    let key = |post: &String| {
        let event: serde_json::Value = serde_json::from_str(post).unwrap();
        event["key"].as_str().unwrap().to_owned()
    };
    posts.iter().map(key).collect()
}

/// A receiver that does something of its own with the first requests, and takes all others.
fn receiver(first: Vec<Reply>) -> Site {
    let asked = AtomicUsize::new(0);
    Site::new(move |_| {
        let number = asked.fetch_add(1, Ordering::SeqCst);
        first.get(number).cloned().unwrap_or(Reply::Good(Vec::new()))
    })
}

fn refusal(status: u16) -> Reply {
    Reply::Status(status, String::new(), b"not now".to_vec())
}

#[test]
fn a_webhook_that_fails_twice_is_told_again_in_order() {
    let (state, view) = (tempdir().unwrap(), View::new(Log::filler(400), 300));
    let (site, hook) = (Site::viewing(&view), receiver(vec![refusal(500), refusal(302)]));
    let url = format!("{}/hook?token=s3cret", hook.url());
    let running = Running::started(state.path(), &site, &["--webhook", &url]);
    view.show(303);
    running.until("delivery", |_| hook.posts().len() == 5);
    let posts = hook.posts();
    assert_eq!(keys(&posts), ["record-300", "record-300", "record-300", "record-301", "record-302"]);
    assert_eq!(hook.requests()[0], "/hook?token=s3cret");
    running.until("its position", |_| memory(state.path()).unwrap()["position"] == 303);
    // On stdout it was said once, and the secret was said nowhere.
    let running = running.stop();
    assert_eq!(running.out().len(), 3);
    assert!(running.err().contains("500") && !running.err().contains("s3cret"), "{}", running.err());
}

#[test]
fn nothing_is_lost_when_it_is_killed_before_the_answer() {
    let (state, view) = (tempdir().unwrap(), View::new(Log::filler(400), 300));
    let (site, hook) = (Site::viewing(&view), receiver(vec![Reply::Good(Vec::new()), Reply::Stall]));
    let mut running = Running::started(state.path(), &site, &["--webhook", &hook.url()]);
    view.show(302);
    running.until("delivery", |_| hook.posts().len() == 2);
    running.signal("-KILL");
    assert_eq!(running.ends(), None);
    assert_eq!(memory(state.path()).unwrap()["position"], 301);
    let running = Running::started(state.path(), &site, &["--webhook", &hook.url()]);
    running.until("delivery", |_| memory(state.path()).unwrap()["position"] == 302);
    assert_eq!(keys(&hook.posts()), ["record-300", "record-301", "record-301"]);
    running.stop();
}

#[test]
fn nothing_is_lost_when_it_is_stopped_while_nobody_listens() {
    let (state, view) = (tempdir().unwrap(), View::new(Log::filler(400), 300));
    let (site, deaf) = (Site::viewing(&view), receiver(vec![refusal(503); 1000]));
    let running = Running::started(state.path(), &site, &["--webhook", &deaf.url()]);
    // An alert waits as well.
    view.show(302);
    running.until("a try", |_| !deaf.posts().is_empty());
    view.show(100);
    running.until("rollback", |running| running.err().contains("rollback"));
    running.until("a try of it", |_| keys(&deaf.posts()).contains(&"alert-0".to_owned()));
    let began = Instant::now();
    running.stop();
    assert!(began.elapsed() < Duration::from_secs(8));
    let kept = memory(state.path()).unwrap();
    assert_eq!((&kept["position"], &kept["undelivered"][0]["kind"]), (&300.into(), &"rollback".into()));
    let hook = receiver(Vec::new());
    let ran = finish(program(state.path()).args(of(&site)).args(["--once", "--webhook", &hook.url()]));
    ran.ends(4);
    assert_eq!(keys(&hook.posts()), ["alert-0", "record-300", "record-301"]);
}

#[test]
fn a_single_round_gives_up_and_the_next_goes_on() {
    let (state, site) = (tempdir().unwrap(), Site::honest(Log::filler(5), 5));
    let hook = receiver(vec![refusal(500), refusal(500), refusal(500)]);
    let once = || {
        let more = ["--once", "--from-start", "--webhook", &hook.url()];
        finish(program(state.path()).args(of(&site)).args(more))
    };
    once().ends(1).says("500");
    assert_eq!(keys(&hook.posts()), ["record-0"; 3]);
    once().ends(0);
    assert_eq!(keys(&hook.posts())[3..], ["record-0", "record-1", "record-2", "record-3", "record-4"]);
}

/// A program that writes what it is given to a file, and more.
fn script(dir: &Path, more: &str) -> (PathBuf, PathBuf) {
    let (script, told) = (dir.join("tell"), dir.join("told"));
    std::fs::write(&script, format!("#!/bin/sh\ncat >> {}\n{more}\n", told.display())).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    (script, told)
}

#[test]
fn a_command_is_run_for_each_event_until_it_succeeds() {
    let (state, site) = (tempdir().unwrap(), Site::honest(Log::filler(3), 3));
    let twice = format!("echo x >> {0}/count; test $(wc -l < {0}/count) -gt 2", state.path().display());
    let (script, told) = script(state.path(), &twice);
    let command = format!("{} --and  more", script.display());
    let ran =
        finish(program(state.path()).args(of(&site)).args(["--once", "--from-start", "--exec", &command]));
    assert_eq!(ran.ends(0).says("ended with exit status: 1").out.lines().count(), 3);
    let told: Vec<String> = std::fs::read_to_string(told).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(keys(&told), ["record-0", "record-0", "record-0", "record-1", "record-2"]);
}

#[test]
fn a_command_that_does_not_end_is_killed_and_one_that_is_not_there_is_told() {
    let (state, site) = (tempdir().unwrap(), Site::honest(Log::filler(1), 1));
    let (script, _) = script(state.path(), "exec sleep 1000");
    for (command, why) in [
        (script.to_str().unwrap(), "did not end in 2 s and was killed"),
        ("/nowhere/at/all", "cannot run /nowhere/at/all"),
        ("false", "false ended with exit status: 1"),
    ] {
        let more = ["--once", "--from-start", "--exec", command];
        finish(program(state.path()).args(of(&site)).args(more)).ends(1).says(why);
    }
}

/// A webhook that does not listen keeps nobody from being warned on stdout, and the log from being watched.
#[test]
fn a_fork_is_noticed_while_a_webhook_is_deaf() {
    let (state, view) = (tempdir().unwrap(), View::new(Log::filler(400), 300));
    let (site, deaf) = (Site::viewing(&view), receiver(vec![refusal(503); 1000]));
    let mut running = Running::started(state.path(), &site, &["--json", "--webhook", &deaf.url()]);
    view.show(302);
    running.until("a try", |_| !deaf.posts().is_empty());
    view.replace(Log::new((0..400).map(|i| crate::log::record(&format!("other.test/m{i}"), 'y'))), 400);
    assert_eq!(running.ends(), Some(3));
    assert!(running.kinds().contains(&"fork".to_owned()), "{:?}", running.kinds());
    assert_eq!(memory(state.path()).unwrap()["undelivered"][0]["kind"], "fork");
}

/// The end comes while a command runs: it is let finish, and its event is not told again.
#[test]
fn what_is_being_told_may_finish() {
    let (state, site) = (tempdir().unwrap(), Site::honest(Log::filler(2), 2));
    let (script, told) = script(state.path(), "sleep 1");
    let more = ["--from-start", "--exec", script.to_str().unwrap()];
    let running = Running::start(state.path(), &site, &more);
    running.until("a command", |_| std::fs::read_to_string(&told).is_ok_and(|told| !told.is_empty()));
    running.stop();
    assert_eq!(memory(state.path()).unwrap()["position"], 1);
    let count = Arc::new(std::fs::read_to_string(told).unwrap().lines().count());
    assert_eq!(*count, 1);
}
