//! Every way a server can lie about one module: each ends in time, with the right exit code and a sentence that names
//! the fault. What the library refuses at every size is tested there; this is what a user gets to see of it.

use std::time::Duration;

use tempfile::tempdir;

use crate::log::{Log, key, record, signed};
use crate::run::run;
use crate::site::{Reply, Site, honest};

/// Records in the log. The one that is asked for is in its first tile.
const SIZE: u64 = 600;
const MODULE: &str = "filler.test/m7@v1.0.0";

/// What is done to the answers whose path begins with `at`, and how the program must end.
struct Case {
    what: &'static str,
    at: &'static str,
    lie: fn(&Log, Vec<u8>) -> Reply,
    code: i32,
    says: &'static str,
}

#[track_caller]
fn refused(cases: impl IntoIterator<Item = Case>) {
    for Case { what, at, lie, code, says } in cases {
        let log = Log::filler(SIZE);
        let site = Site::new(move |path| match honest(&log, SIZE, path) {
            Reply::Good(body) if path.starts_with(at) => lie(&log, body),
            truth => truth,
        });
        let (state, database) = (tempdir().unwrap(), format!("{} {}", key(), site.url()));
        let ran = run(state.path(), &["lookup", "--db", &database, "--timeout", "2", MODULE]);
        assert!(ran.took < Duration::from_secs(8), "{what}: {ran:#?}");
        assert_eq!(ran.code, code, "{what}: {ran:#?}");
        assert!(ran.err.contains(says), "{what}: want {says:?} in {ran:#?}");
        assert_eq!(ran.out, "", "{what}: nothing may look like an answer");
        assert!(!state.path().join("state/sum.example.test/lookup").exists(), "{what}: it was remembered");
    }
}

const fn answer(what: &'static str, lie: fn(&Log, Vec<u8>) -> Reply, code: i32, says: &'static str) -> Case {
    Case { what, at: "/lookup/", lie, code, says }
}

const fn tile(what: &'static str, lie: fn(&Log, Vec<u8>) -> Reply, code: i32, says: &'static str) -> Case {
    Case { what, at: "/tile/8/0/000", lie, code, says }
}

fn put(id: impl std::fmt::Display, record: &str, note: &str) -> Reply {
    Reply::Good(format!("{id}\n{record}\n{note}").into_bytes())
}

fn with_note(log: &Log, change: impl Fn(&str) -> String) -> Reply {
    put(7, &log.records[7], &change(&log.note(SIZE)))
}

#[test]
fn records_that_are_not_what_they_claim() {
    refused([
        answer(
            "the place of another record",
            |log, _| put(8, &log.records[7], &log.note(SIZE)),
            4,
            "another record 8",
        ),
        answer(
            "a place beyond the tree",
            |log, _| put(600, &log.records[7], &log.note(SIZE)),
            4,
            "cannot validate record 600 in tree of size 600",
        ),
        answer(
            "a place not in canonical decimal",
            |log, _| put("+7", &log.records[7], &log.note(SIZE)),
            1,
            "record id is not in canonical decimal",
        ),
        answer(
            "the record of another module (CVE-2026-42501)",
            |log, _| put(8, &log.records[8], &log.note(SIZE)),
            4,
            "checksum missing from record: filler.test/m7@v1.0.0",
        ),
        answer(
            "the lines outside the record (CVE-2026-56864)",
            |log, _| {
                let tree = quipu_tlog::format_tree(&log.tree(SIZE));
                put(8, &log.records[8], &signed(&format!("{tree}{}", log.records[7])))
            },
            4,
            "checksum missing from record: filler.test/m7@v1.0.0",
        ),
        answer("no record", |_, _| Reply::Good(Vec::new()), 1, "the answer is empty"),
        answer(
            "other hashes",
            |log, _| put(7, &record("filler.test/m7", 'y'), &log.note(SIZE)),
            4,
            "another record 7",
        ),
        answer("no signed tree", |log, _| put(7, &log.records[7], ""), 4, "no signed tree holds the record"),
        answer(
            "bad UTF-8",
            |_, body| Reply::Good([&body[..5], b"\xff", &body[5..]].concat()),
            1,
            "invalid UTF-8 at byte 5",
        ),
    ]);
}

#[test]
fn heads_that_cannot_be_believed() {
    refused([
        answer(
            "a tree of nearly 2^63 records",
            |log, _| {
                let text = format!("go.sum database tree\n{}\n{}\n", i64::MAX, log.tree(SIZE).root);
                put(7, &log.records[7], &signed(&text))
            },
            1,
            "tree of 9223372036854775807 records: no log is believed to have",
        ),
        answer(
            "101 signatures",
            |log, _| {
                with_note(log, |note| {
                    let strangers: String =
                        (0..100).map(|n| format!("— s{n}.test {}\n", "A".repeat(24))).collect();
                    format!("{note}{strangers}")
                })
            },
            1,
            "101 signatures, of which 100 are allowed",
        ),
        answer("CRLF", |log, _| with_note(log, |note| note.replace('\n', "\r\n")), 1, "lines end in CR LF"),
        answer(
            "a control character",
            |log, _| with_note(log, |note| note.replace("— ", "—\u{7}")),
            1,
            "control character at byte",
        ),
        answer(
            "a root in another spelling",
            |log, _| {
                let root = log.tree(SIZE).root.to_string();
                let loose = format!("{}{}=", &root[..42], next_spelling(&root));
                put(7, &log.records[7], &signed(&format!("go.sum database tree\n{SIZE}\n{loose}\n")))
            },
            1,
            "not canonical base64",
        ),
        answer(
            "an altered text",
            |log, _| with_note(log, |note| note.replace("600", "601")),
            4,
            "invalid signature",
        ),
        answer(
            "the key of a stranger alone",
            |log, _| with_note(log, |note| note.replace("— sum.example.test", "— sum.other.test")),
            4,
            "no verifiable signatures",
        ),
        answer(
            "its own signature twice",
            |log, _| {
                with_note(log, |note| {
                    let signature = note.lines().last().unwrap();
                    format!("{note}{signature}\n")
                })
            },
            1,
            "signature line is there twice",
        ),
    ]);
}

/// The last digit before the padding, with other bits where none count.
fn next_spelling(root: &str) -> char {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = DIGITS.find(&root[42..43]).unwrap();
    char::from(DIGITS.as_bytes()[digit ^ 1])
}

#[test]
fn tiles_that_do_not_belong_to_the_tree() {
    refused([
        tile(
            "one bit (CVE-2026-56865)",
            |_, mut body| {
                body[200 * 32] ^= 1;
                Reply::Good(body)
            },
            4,
            "tile/8/0/000",
        ),
        tile(
            "a short one",
            |_, mut body| {
                body.truncate(255 * 32);
                Reply::Good(body)
            },
            1,
            "8160 bytes",
        ),
        tile(
            "a long one",
            |_, body| Reply::Good([body, vec![0]].concat()),
            1,
            "body of more than 8192 bytes",
        ),
        tile("an empty one", |_, _| Reply::Good(Vec::new()), 1, "tile/8/0/000"),
        tile("none", |_, _| Reply::Status(404, String::new(), Vec::new()), 1, "reading tile/8/0/000"),
        tile(
            "one behind a redirect",
            |_, _| Reply::Status(301, "Location: /else\r\n".to_owned(), Vec::new()),
            1,
            "redirects are not followed",
        ),
        tile(
            "a gzip bomb",
            |_, body| Reply::Status(200, "Content-Encoding: gzip\r\n".to_owned(), body),
            1,
            "compressed",
        ),
        tile("success by another name", |_, body| Reply::Status(206, String::new(), body), 1, "206"),
        tile("silence", |_, _| Reply::Stall, 1, "no whole answer in 2 s"),
        tile("drops", |_, body| Reply::Trickle(body), 1, "no whole answer in 2 s"),
        tile("a flood", |_, _| Reply::Endless, 1, "body of more than 8192 bytes"),
    ]);
}
