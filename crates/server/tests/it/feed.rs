//! The feed over real HTTP, read as programs that follow it do.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use quipu_ledger::{Entry, SystemClock};
use quipu_module::{format_rfc3339, parse_rfc3339};
use quipu_server::policy::{Action, LogDecisions, Offering, Rule, Rulebook, Versions};

use crate::server::{RECORDS, Server, entry, module};

/// The lines of a page: path and version, time.
async fn page(server: &Server, query: &str) -> Vec<(String, String)> {
    let answer = server.get(&format!("/index{query}")).await;
    assert_eq!(answer.status, 200, "{query}");
    assert!(answer.head.contains("content-type: text/plain; charset=utf-8"), "{}", answer.head);
    let body = String::from_utf8(answer.body).unwrap();
    assert!(body.is_empty() || body.ends_with('\n'));
    body.lines().map(parse).collect()
}

fn parse(line: &str) -> (String, String) {
    let line: BTreeMap<String, String> = serde_json::from_str(line).unwrap();
    assert_eq!(line.keys().collect::<Vec<_>>(), ["Path", "Timestamp", "Version"]);
    (format!("{}@{}", line["Path"], line["Version"]), line["Timestamp"].clone())
}

/// As consumers of the public index do it: from the last time seen, until nothing new comes.
async fn follow(server: &Server, more: &str) -> Vec<String> {
    let (mut seen, mut since) = (Vec::new(), "0001-01-01T00:00:00Z".to_owned());
    loop {
        let lines = page(server, &format!("?since={since}{more}")).await;
        let new: Vec<_> = lines.into_iter().filter(|(module, _)| !seen.contains(module)).collect();
        let Some((_, last)) = new.last() else { return seen };
        since.clone_from(last);
        seen.extend(new.into_iter().map(|(module, _)| module));
    }
}

#[tokio::test]
async fn paging_gives_every_entry_once_and_in_order() {
    let server = Server::start().await;
    let all: Vec<String> = (0..RECORDS).map(|i| module(i).to_string()).collect();
    for more in ["", "&limit=2", "&limit=7", "&limit=299", "&limit=300", "&limit=100000", "&include=all"] {
        assert_eq!(follow(&server, more).await, all, "{more}");
    }
    let times: Vec<i128> =
        page(&server, "").await.iter().map(|(_, time)| parse_rfc3339(time).unwrap()).collect();
    assert!(times.is_sorted_by(|one, next| one < next));
    server.ledger.append(entry(RECORDS)).await.unwrap();
    let (module, time) = page(&server, "").await.pop().unwrap();
    assert_eq!(module, "example.test/Mod300@v1.0.0");
    assert_eq!(page(&server, &format!("?since={time}")).await, [(module, time.clone())]);
    let just_after = format_rfc3339(parse_rfc3339(&time).unwrap() + 1).unwrap();
    assert_eq!(page(&server, &format!("?since={just_after}")).await, []);
}

#[tokio::test]
async fn what_is_refused_is_passed_over_however_much_it_is() {
    let deny = Rule::new(Action::Deny, "quiet.test/*", Versions::default(), "not ours").unwrap();
    let rulebook = Rulebook { rules: vec![deny], ..Rulebook::default() };
    let offering = Offering::new(rulebook, Arc::new(SystemClock::new()), Arc::new(LogDecisions));
    let server = Server::start_under(offering).await;
    let mut shown: Vec<String> = (0..RECORDS).map(|i| module(i).to_string()).collect();
    for part in 0..2 {
        let refused = (0..2500).map(|n| {
            let key = format!("quiet.test/m{n} v1.{part}.0 ");
            Entry::new(Bytes::from(format!("{key}h1:x=\n")), key.len()).unwrap()
        });
        assert!(server.ledger.append_all(refused.collect()).await.iter().all(Result::is_ok));
        // Read before and after there is more, and again: what was found to be refused is remembered.
        for more in ["&limit=7", "&limit=299", "", "&limit=7"] {
            assert_eq!(follow(&server, more).await, shown, "{part} {more}");
        }
        server.ledger.append(entry(RECORDS + part)).await.unwrap();
        shown.push(module(RECORDS + part).to_string());
        assert_eq!(follow(&server, "").await, shown, "{part}");
    }
    assert_eq!(follow(&server, "&include=all").await.len() as u64, RECORDS + 5002);
    assert_eq!(page(&server, "?module=quiet.test/m1").await, []);
}

#[tokio::test]
async fn a_full_page_may_be_kept_for_a_while_and_one_that_grows_may_not() {
    let server = Server::start().await;
    assert!(server.get("/index?limit=300").await.head.contains("cache-control: public, max-age=60"));
    assert!(server.get("/index?limit=301").await.head.contains("cache-control: no-cache"));
    assert!(server.get("/index?since=9999-01-01T00:00:00Z").await.head.contains("cache-control: no-cache"));
}

#[tokio::test]
async fn one_module_of_many() {
    let server = Server::start().await;
    for n in 0..5 {
        for path in ["example.test/Mod7", "example.test/Mod7/sub"] {
            let key = format!("{path} v1.{}.0 ", n + 1);
            let entry = Entry::new(Bytes::from(format!("{key}h1:x=\n")), key.len()).unwrap();
            server.ledger.append(entry).await.unwrap();
        }
    }
    let versions = |n: std::ops::Range<u32>| -> Vec<String> {
        n.map(|n| format!("example.test/Mod7@v1.{n}.0")).collect()
    };
    for more in ["&module=example.test/Mod7", "&module=example.test%2FMod7&limit=2"] {
        assert_eq!(follow(&server, more).await, versions(0..6), "{more}");
    }
    assert_eq!(follow(&server, "&module=example.test/mod7").await, [""; 0]);
    let feed = server.get("/feed/example.test/!mod7").await;
    assert!(feed.head.contains("content-type: application/atom+xml"));
    let feed = String::from_utf8(feed.body).unwrap();
    assert_eq!(feed.matches("<entry>").count(), 6);
    assert!(feed.find("v1.5.0").unwrap() < feed.find("v1.4.0").unwrap());
    assert!(!feed.contains("/sub"));
}

#[tokio::test]
async fn a_feed_has_the_newest_versions_that_can_be_had() {
    let denied = Versions::parse(&[">=v1.1.0"]).unwrap();
    let deny = Rule::new(Action::Deny, "quiet.test/m", denied, "too new").unwrap();
    let rulebook = Rulebook { rules: vec![deny], ..Rulebook::default() };
    let offering = Offering::new(rulebook, Arc::new(SystemClock::new()), Arc::new(LogDecisions));
    let server = Server::start_under(offering).await;
    let append = async |versions: Vec<String>| {
        let entry = |version: String| {
            let key = format!("quiet.test/m {version} ");
            Entry::new(Bytes::from(format!("{key}h1:x=\n")), key.len()).unwrap()
        };
        let appended = server.ledger.append_all(versions.into_iter().map(entry).collect()).await;
        assert!(appended.iter().all(Result::is_ok));
    };
    append((0..150).map(|n| format!("v1.1.{n}")).collect()).await;
    let refused = server.get("/feed/quiet.test/m").await;
    assert!(refused.status == 403 && String::from_utf8(refused.body).unwrap().contains("too new"));
    append((0..130).map(|n| format!("v1.0.{n}")).collect()).await;
    append((150..300).map(|n| format!("v1.1.{n}")).collect()).await;
    for _ in 0..2 {
        let feed = server.get("/feed/quiet.test/m").await;
        assert_eq!(feed.status, 200);
        let feed = String::from_utf8(feed.body).unwrap();
        assert_eq!(feed.matches("<entry>").count(), 100);
        assert!(feed.contains("v1.0.129") && feed.contains("v1.0.30<") && !feed.contains("v1.0.29<"));
        append(vec!["v1.1.300".to_owned()]).await;
    }
}
