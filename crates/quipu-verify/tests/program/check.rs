//! `check`: go.sum files and module caches against honest databases and others.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::log::{Log, key, record};
use crate::modules::{Module, log_of};
use crate::run::{Ran, finish, program, skipped};
use crate::site::{Reply, Site, honest};

/// A directory with a go.sum, and the state below it.
struct Place(TempDir);

impl Place {
    fn new(go_sum: &str) -> Self {
        let dir = tempdir().unwrap();
        fs::write(dir.path().join("go.sum"), go_sum).unwrap();
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn check(&self, site: &Site, more: &[&str]) -> Ran {
        self.check_with(site, more, &[])
    }

    fn check_with(&self, site: &Site, more: &[&str], env: &[(&str, &str)]) -> Ran {
        let database = format!("{} {}", key(), site.url());
        let mut command = program(self.path());
        command.current_dir(self.path()).args(["check", "--db", &database, "--timeout", "2"]).args(more);
        finish(command.envs(env.iter().copied()))
    }
}

/// The go.sum lines of some of the filler modules.
fn lines(ids: impl IntoIterator<Item = u64>) -> String {
    ids.into_iter().map(|i| record(&format!("filler.test/m{i}"), 'z')).collect()
}

fn refusing(at: &'static str, reply: Reply) -> Site {
    let log = Log::filler(300);
    Site::new(move |path| if path.starts_with(at) { reply.clone() } else { honest(&log, 300, path) })
}

fn failing(at: &'static str) -> Site {
    refusing(at, Reply::Status(500, String::new(), b"boom".to_vec()))
}

#[test]
fn a_go_sum_agrees_and_then_needs_nobody() {
    let (place, site) = (Place::new(&lines((0..300).step_by(7))), Site::honest(Log::filler(300), 300));
    place
        .check(&site, &[])
        .ends(0)
        .prints("checked 86 hashes of go.sum")
        .prints("300 records")
        .prints("86 agree");
    let asked = site.requests().len();
    place.check(&site, &["--offline"]).ends(0).prints("86 agree");
    assert_eq!(site.requests().len(), asked);
    // Online, once all is known, only the head is asked for.
    place.check(&site, &[]).ends(0);
    assert_eq!(site.requests()[asked..], ["/latest"]);
}

#[test]
fn offline_without_memory_nothing_is_known() {
    let (place, site) = (Place::new(&lines([1])), Site::honest(Log::filler(300), 300));
    place.check(&site, &["--offline"]).ends(1).prints("not remembered").prints("2 not checked");
}

#[test]
fn another_hash_is_shown_with_file_line_and_record() {
    let wrong = record("filler.test/m8", 'y');
    let place = Place::new(&format!("{}\n{wrong}", lines([7])));
    let site = Site::honest(Log::filler(300), 300);
    let ran =
        place.check(&site, &[]).ends(4).prints("go.sum:4: filler.test/m8 v1.0.0: the log holds another hash");
    let hash = |text: &str| text.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    ran.prints(&format!("\n    {}  in go.sum\n", hash(&wrong)))
        .prints(&format!("\n    {}  record 8 of sum.example.test, proven\n", hash(&lines([8]))))
        .prints(": 2 agree, 2 differ");
    let json = place.check(&site, &["--json"]).ends(4).json();
    assert_eq!((&json["verdict"], &json["agree"]), (&json!("differs"), &json!(2)));
    let want = json!({
        "rule": "hash-differs", "file": "go.sum", "line": 4, "from": "in go.sum",
        "module": "filler.test/m8", "version": "v1.0.0",
        "expected": hash(&wrong), "logged": hash(&lines([8])), "id": 8,
        "why": format!("the log holds {} in record 8", hash(&lines([8]))),
    });
    assert_eq!(json["findings"][0], want);
    assert_eq!(json["findings"][1]["version"], "v1.0.0/go.mod");
}

#[test]
fn names_of_files_do_nothing_to_a_terminal() {
    let (place, site) = (Place::new(&lines([7])), Site::honest(Log::filler(300), 300));
    fs::write(place.path().join("a\u{1b}[2J\n.sum"), record("filler.test/m8", 'y')).unwrap();
    let ran = place
        .check(&site, &["a\u{1b}[2J\n.sum"])
        .ends(4)
        .prints("a\u{fffd}[2J\u{fffd}.sum:1: filler.test/m8");
    assert!(!ran.out.contains('\u{1b}'), "{ran:#?}");
}

#[test]
fn what_the_log_does_not_have_is_a_difference() {
    let place = Place::new(&(lines([7]) + &record("replaced.test/m", 'z')));
    place
        .check(&Site::honest(Log::filler(300), 300), &[])
        .ends(4)
        .prints("go.sum:3: replaced.test/m v1.0.0: not in the log: ")
        .prints("2 agree, 2 not in the log");
}

#[test]
fn what_cannot_be_asked_is_no_difference() {
    let place = Place::new(&lines([7, 8]));
    let site = failing("/lookup/filler.test/m8");
    let ran = place.check(&site, &[]).ends(1).prints("go.sum:3: filler.test/m8 v1.0.0: could not be checked");
    ran.prints("500 Internal Server Error: boom").prints("2 agree, 2 not checked");
    fs::write(place.path().join("go.sum"), lines([8]) + &record("filler.test/m7", 'y')).unwrap();
    place.check(&site, &[]).ends(4).prints("2 differ, 2 not checked");
    place.check(&failing("/latest"), &[]).ends(1).says("boom");
}

#[test]
fn a_dead_database_is_not_asked_for_ever() {
    let (place, site) = (Place::new(&lines(0..300)), failing("/lookup"));
    place.check(&site, &[]).ends(1).prints("too many lookups in a row had failed").prints("600 not checked");
    let asked = site.requests().iter().filter(|path| path.starts_with("/lookup")).count();
    assert!((32..64).contains(&asked), "{asked}");
}

#[test]
fn an_answer_that_is_no_record_of_the_tree_is_a_difference() {
    let place = Place::new(&lines([7]));
    let lie = format!("7\n{}\n{}", record("filler.test/m7", 'y'), Log::filler(300).note(300));
    place
        .check(&refusing("/lookup", Reply::Good(lie.into())), &[])
        .ends(4)
        .prints("not what the signed tree holds")
        .prints("2 not proven");
}

#[test]
fn lines_that_are_none_are_found() {
    let text =
        format!("<<<<<<< HEAD\n{}filler.test/m8 v1.0.0 h1:AA=\nfiller.test/M v1 h1:AA=\n\u{0}\n", lines([7]));
    let ran = Place::new(&text).check(&Site::honest(Log::filler(300), 300), &[]).ends(4);
    ran.prints("go.sum:1: this is no go.sum line: wrong number of fields 2")
        .prints("go.sum:4: this is no go.sum line: malformed h1 hash")
        .prints("go.sum:5: ")
        .prints("go.sum:6: ")
        .prints("checked 6 hashes of go.sum")
        .prints("2 agree, 4 malformed");
}

#[test]
fn private_names_are_not_told_unless_demanded() {
    let place = Place::new(&(lines([7]) + &record("git.corp.test/secret", 'z')));
    for (name, value) in [("GONOSUMDB", "*.corp.test"), ("GOPRIVATE", "git.corp.test/secret")] {
        let site = Site::honest(Log::filler(300), 300);
        place.check_with(&site, &[], &[(name, value)]).ends(0).prints("2 agree, 2 skipped");
        assert!(!site.requests().iter().any(|path| path.contains("secret")), "{:?}", site.requests());
        place.check_with(&site, &["--all"], &[(name, value)]).ends(4).prints("2 not in the log");
    }
}

#[test]
fn an_older_head_is_told_and_a_fork_is_proven() {
    let place = Place::new(&lines([7]));
    place.check(&Site::honest(Log::filler(300), 300), &[]).ends(0);
    let ran = place.check(&Site::honest(Log::filler(300), 200), &[]).ends(0);
    ran.says("gives a head of 200 records, although it has signed one of 300").prints("300 records");
    let other = Log::new((0..400).map(|i| record(&format!("other.test/m{i}"), 'y')));
    let fork = Site::honest(other, 400);
    place.check(&fork, &[]).ends(3).says("MISBEHAVIOUR PROVEN");
    let json = place.check(&fork, &["--json"]).ends(3).json();
    assert!(Path::new(json["evidence"].as_str().unwrap()).exists(), "{json}");
}

#[test]
fn growth_is_followed_from_the_head_on() {
    let place = Place::new(&lines([7, 299]));
    place.check(&Site::honest(Log::filler(300), 300), &[]).ends(0);
    let grown = Site::honest(Log::filler(70_000), 70_000);
    place.check(&grown, &[]).ends(0).prints("70000 records").prints("4 agree");
    assert!(!grown.requests().iter().any(|path| path.starts_with("/lookup")), "{:?}", grown.requests());
}

#[test]
fn files_are_found_or_named() {
    let (place, site) = (Place::new(&lines([7])), Site::honest(Log::filler(300), 300));
    fs::write(place.path().join("go.work.sum"), lines([9])).unwrap();
    place.check(&site, &[]).ends(0).prints("checked 4 hashes of go.sum, go.work.sum");
    place.check(&site, &["go.work.sum"]).ends(0).prints("checked 2 hashes of go.work.sum");
    place.check(&site, &["."]).ends(0).prints("checked 2 hashes of ./go.sum");
    place.check(&site, &["nothing"]).ends(1).says("nothing: there is no such file");
    for name in ["go.sum", "go.work.sum"] {
        fs::remove_file(place.path().join(name)).unwrap();
    }
    place.check(&site, &[]).ends(1).says("there is no go.sum here");
    place.check(&site, &["."]).ends(1).says("there is no module here");
    place.check(&site, &["--json", "--sarif", "-"]).ends(2).says("both want stdout");
}

#[test]
fn a_module_cache_is_hashed_and_compared() {
    let [a, b] = ["a.test/Upper", "b.test/m"].map(|path| Module::new(path, "package m\n"));
    let (place, site) = (Place::new(""), Site::honest(log_of(&[&a, &b]), 300));
    let cache = place.path().join("mod");
    a.put(&cache);
    b.put(&cache);
    fs::create_dir_all(cache.join("cache/download/sumdb/x/@v")).unwrap();
    fs::write(cache.join("cache/download/sumdb/x/@v/v1.zip"), "no module").unwrap();
    place.check(&site, &["mod"]).ends(0).prints("checked 6 hashes of mod/cache/download").prints("6 agree");
    place.check(&site, &["mod/cache/download"]).ends(0).prints("6 agree");

    let other = Module::new("a.test/Upper", "package m // changed\n");
    a.put_file(&cache, "zip", &other.zip);
    let zip = "mod/cache/download/a.test/!upper/@v/v1.0.0.zip";
    let ran = place.check(&site, &["mod"]).ends(4);
    ran.prints(&format!("{zip}: a.test/Upper v1.0.0: the log holds another hash"))
        .prints(&format!("    {}  hashed now\n    {}  record 100 of", other.hash(), a.hash()))
        .prints("5 agree, 1 differ");

    a.put_file(&cache, "ziphash", other.hash().to_string().as_bytes());
    place.check(&site, &["mod"]).ends(4).prints("recorded by go").prints("4 agree, 2 differ");

    a.put_file(&cache, "zip", &a.zip[..a.zip.len() / 2]);
    a.put_file(&cache, "ziphash", b"h1:");
    b.put_file(&cache, "mod", b"module other.test/m\n");
    let ran = place.check(&site, &["mod"]).ends(4).prints("damaged: zip: not a valid zip file");
    ran.prints("damaged: malformed h1 hash").prints("b.test/m v1.0.0/go.mod: the log holds another hash");
}

#[test]
fn sarif_has_what_code_scanning_reads() {
    let wrong = format!("{}{}bad line\n", lines([7]), record("filler.test/m8", 'y'));
    let (place, site) = (Place::new(&wrong), Site::honest(Log::filler(300), 300));
    place.check(&site, &["--sarif", "out.sarif"]).ends(4).prints("2 differ");
    let read =
        || -> Value { serde_json::from_slice(&fs::read(place.path().join("out.sarif")).unwrap()).unwrap() };
    let log = read();
    assert_eq!((&log["version"], log["runs"].as_array().unwrap().len()), (&json!("2.1.0"), 1));
    let run = &log["runs"][0];
    let driver = &run["tool"]["driver"];
    let rules: Vec<&str> =
        driver["rules"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap()).collect();
    assert_eq!(driver["name"], "quipu-verify");
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(result["ruleId"], rules[index]);
        assert_eq!(result["level"], "error");
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
    }
    let place_of = |result: &Value| result["locations"][0]["physicalLocation"].clone();
    assert_eq!(
        place_of(&results[0]),
        json!({
            "artifactLocation": { "uri": "go.sum", "uriBaseId": "%SRCROOT%" },
            "region": { "startLine": 3 },
        })
    );
    let fingerprints = |log: &Value| -> Vec<Value> {
        let results = log["runs"][0]["results"].as_array().unwrap();
        results.iter().map(|result| result["partialFingerprints"]["quipuFinding/v1"].clone()).collect()
    };
    let before = fingerprints(&log);
    assert!(before[0] != before[1] && before[1] != before[2], "{before:?}");
    // They do not depend on the line.
    fs::write(place.path().join("go.sum"), lines([3]) + &wrong).unwrap();
    place.check(&site, &["--sarif", "out.sarif"]).ends(4);
    assert_eq!(fingerprints(&read()), before);
    // Nothing wrong is a log without results, also on stdout.
    fs::write(place.path().join("go.sum"), lines([3])).unwrap();
    let log = place.check(&site, &["--sarif", "-"]).ends(0).json();
    assert_eq!(log["runs"][0]["results"], json!([]));
}

/// The real database, through what the go command here uses as its proxy.
#[test]
fn the_real_log_holds_a_real_go_sum() {
    if std::env::var_os("QUIPU_LIVE").is_none_or(|value| value != "1") {
        skipped("asks the real upstream; set QUIPU_LIVE=1");
        return;
    }
    let output = std::process::Command::new("go").args(["env", "GOPROXY"]).output().unwrap();
    let proxy = String::from_utf8(output.stdout).unwrap();
    if let Err(why) = asked_by_go(&proxy) {
        skipped(&format!("the real upstream cannot be reached: {why}"));
        return;
    }
    let place = Place::new(REAL);
    let run = |more: &[&str]| {
        let mut command = program(place.path());
        command.current_dir(place.path()).args(["check", "--db", "sum.golang.org", "--proxy", proxy.trim()]);
        finish(command.args(more))
    };
    run(&[]).ends(0).prints("6 agree");
    run(&["--offline"]).ends(0).prints("6 agree");
    let wrong = REAL.replace("h1:g61", "h1:g62");
    fs::write(place.path().join("go.sum"), wrong).unwrap();
    run(&["--offline"]).ends(4).prints("go.sum:5: golang.org/x/text v0.3.0: the log holds another hash");
}

/// Whether the go command gets an answer from this proxy.
fn asked_by_go(proxy: &str) -> Result<(), String> {
    let cache = tempfile::tempdir().unwrap();
    let output = std::process::Command::new("go")
        .args(["list", "-modcacherw", "-m", "-versions", "github.com/google/uuid"])
        .current_dir(cache.path())
        .env("GOMODCACHE", cache.path())
        .env("GOPROXY", proxy.trim())
        .output()
        .unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

const REAL: &str = "\
github.com/BurntSushi/toml v1.5.0 h1:W5quZX/G/csjUnuI8SUYlsHs9M38FC7znL0lIO+DvMg=
github.com/BurntSushi/toml v1.5.0/go.mod h1:ukJfTF/6rtPPRCnwkur4qwRxa8vTRFBF0uk2lLoLwho=
github.com/google/uuid v1.6.0 h1:NIvaJDMOsjHA8n1jAhLSgzrAzy1Hgr+hNrb57e+94F0=
github.com/google/uuid v1.6.0/go.mod h1:TIyPZe4MgqvfeYDBFedMoGGpEw/LqOeaOT+nhxU+yHo=
golang.org/x/text v0.3.0 h1:g61tztE5qeGQ89tm6NTjjM9VPIm088od1l6aSorWRWg=
golang.org/x/text v0.3.0/go.mod h1:NqM8EUOU14njkJ3fqMW+pc6Ldnwhi/IjpwHt7yyuwOQ=
";
