//! `lookup`, and what every command that asks a database does alike.

use std::time::Duration;

use tempfile::tempdir;

use crate::log::{Log, key, record, signed};
use crate::run::{Ran, run};
use crate::site::{Reply, Site, honest};

const MODULE: &str = "filler.test/m7@v1.0.0";

fn lookup(site: &Site) -> Ran {
    lookup_in(&tempdir().unwrap(), site, &[])
}

fn lookup_in(state: &tempfile::TempDir, site: &Site, more: &[&str]) -> Ran {
    let database = format!("{} {}", key(), site.url());
    run(state.path(), &[&["lookup", "--db", &database, "--timeout", "2", MODULE], more].concat())
}

/// A database that says something of its own at one path.
fn lying(at: &'static str, lie: impl Fn(Reply) -> Reply + Send + Sync + 'static) -> Site {
    let log = Log::filler(300);
    Site::new(move |path| {
        let truth = honest(&log, 300, path);
        if path.starts_with(at) { lie(truth) } else { truth }
    })
}

#[test]
fn a_proven_record_is_printed() {
    let site = Site::honest(Log::filler(300), 300);
    let ran = lookup(&site)
        .ends(0)
        .prints("proven: record 7 of sum.example.test, in the signed tree of 300 records");
    assert!(ran.out.starts_with(&record("filler.test/m7", 'z')), "{ran:#?}");
}

#[test]
fn what_was_proven_once_needs_nobody() {
    let (state, site) = (tempdir().unwrap(), Site::honest(Log::filler(300), 300));
    lookup_in(&state, &site, &[]).ends(0);
    let asked = site.requests().len();
    let json = lookup_in(&state, &site, &["--offline", "--json"]).ends(0).json();
    assert_eq!(
        (&json["verdict"], &json["id"], &json["tree"]["size"]),
        (&"good".into(), &7.into(), &300.into())
    );
    assert_eq!(site.requests().len(), asked);
    let database = format!("{} {}", key(), site.url());
    run(state.path(), &["lookup", "--db", &database, "--offline", "filler.test/m8@v1.0.0"])
        .ends(1)
        .says("/lookup/filler.test/m8@v1.0.0: not remembered");
}

#[test]
fn a_database_is_found_through_the_proxies() {
    let log = Log::filler(300);
    let proxy = Site::new(move |path| match path.strip_prefix("/a/sumdb/sum.example.test") {
        Some("/supported") => Reply::Good(Vec::new()),
        Some(path) => honest(&log, 300, path),
        None => Reply::Status(404, String::new(), Vec::new()),
    });
    let list = format!("{0}/none,{0}/a", proxy.url());
    run(tempdir().unwrap().path(), &["lookup", "--db", &key().to_string(), "--proxy", &list, MODULE]).ends(0);
    assert_eq!(
        proxy.requests()[..2],
        ["/none/sumdb/sum.example.test/supported", "/a/sumdb/sum.example.test/supported"]
    );
}

#[test]
fn an_unknown_module_is_no_fault() {
    let site = lying("/lookup", |_| Reply::Status(404, String::new(), b"not found: x\nmore".to_vec()));
    lookup(&site).ends(1).says("404 Not Found: not found: x");
}

#[test]
fn redirects_are_not_followed() {
    let site =
        lying("/lookup", |_| Reply::Status(302, "Location: http://127.0.0.1:9/\r\n".to_owned(), Vec::new()));
    lookup(&site).ends(1).says("redirects to http://127.0.0.1:9/, and redirects are not followed");
}

#[test]
fn nothing_compressed_is_read() {
    let site = lying("/lookup", |truth| match truth {
        Reply::Good(body) => Reply::Status(200, "Content-Encoding: gzip\r\n".to_owned(), body),
        other => other,
    });
    lookup(&site).ends(1).says("the answer is compressed");
}

#[test]
fn no_answer_is_waited_for_longer_than_allowed() {
    for lie in [Reply::Stall, Reply::Trickle(vec![b'1'; 1000])] {
        let site = lying("/tile", move |_| lie.clone());
        let ran = lookup(&site).ends(1).says("no whole answer in 2 s");
        assert!(ran.took < Duration::from_secs(6), "{ran:#?}");
    }
}

#[test]
fn an_endless_answer_ends() {
    for at in ["/lookup", "/tile"] {
        lookup(&lying(at, |_| Reply::Endless)).ends(1).says("body of more than");
    }
}

#[test]
fn a_lie_is_a_difference() {
    let site = lying("/lookup", |truth| match truth {
        Reply::Good(body) => Reply::Good(String::from_utf8(body).unwrap().replacen("h1:", "h1:A", 1).into()),
        other => other,
    });
    let state = tempdir().unwrap();
    let ran = lookup_in(&state, &site, &[]).ends(4).says("the log holds another record 7");
    let path = ran.err.lines().find_map(|line| line.split_once("what was served is in ")).unwrap().1;
    let evidence: quipu_verify::Evidence = std::fs::read_to_string(path).unwrap().parse().unwrap();
    assert_eq!(evidence.check(&[key()]).unwrap().kind(), quipu_verify::Kind::Answer);
}

#[test]
fn a_fork_is_proven_in_a_file() {
    let state = tempdir().unwrap();
    lookup_in(&state, &Site::honest(Log::filler(300), 300), &[]).ends(0);
    let other = Log::new((0..400).map(|i| record(&format!("other.test/m{i}"), 'y')));
    let database = format!("{} {}", key(), Site::honest(other, 400).url());
    let ran = run(state.path(), &["lookup", "--db", &database, "other.test/m1@v1.0.0"])
        .ends(3)
        .says("MISBEHAVIOUR PROVEN");
    let path = ran.err.lines().find_map(|line| line.split_once("the evidence is in ")).unwrap().1;
    let evidence: quipu_verify::Evidence = std::fs::read_to_string(path).unwrap().parse().unwrap();
    evidence.check(&[key()]).unwrap();
}

#[test]
fn a_head_beyond_all_belief_is_refused() {
    let huge = format!("go.sum database tree\n{}\n{}\n", i64::MAX, quipu_tlog::Hash::EMPTY_TREE);
    let note = signed(&huge);
    let site = lying("/lookup", move |_| {
        Reply::Good(format!("7\n{}\n{note}", record("filler.test/m7", 'z')).into_bytes())
    });
    lookup(&site).ends(1).says("no log is believed to have");
}

#[test]
fn wrong_usage_has_its_own_code() {
    let state = tempdir().unwrap();
    for (database, why) in [
        ("off", "name the database to check with --db"),
        ("sum.example.test", "malformed verifier id"),
        ("sum.example.test+00000000+AAAA", "the key of sum.example.test"),
        ("sum.golang.org ftp://x", "is no http or https URL"),
        ("sum.golang.org /nowhere/at/all", "is no directory"),
    ] {
        run(state.path(), &["lookup", "--db", database, MODULE]).ends(2).says(why);
    }
    run(state.path(), &["lookup", "golang.org/x/text"]).ends(2).says("want MODULE@VERSION");
    run(state.path(), &["lookup", "golang.org/x/text@latest"]).ends(2);
    run(state.path(), &[]).ends(2);
}

#[test]
fn pages_and_completions_are_made_from_the_arguments() {
    let dir = tempdir().unwrap();
    let pages = dir.path().join("man");
    run(dir.path(), &["man", pages.to_str().unwrap()]).ends(0);
    let page = std::fs::read_to_string(pages.join("quipu-verify-lookup.1")).unwrap();
    assert!(page.contains("Longest time that one answer may take"), "{page}");
    run(dir.path(), &["completions", "bash"]).ends(0).prints("quipu-verify");
}
