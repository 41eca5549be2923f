//! `prove`, `verify-proof` and `evidence`: files for others, and what the program says of files of others.

use std::fs;
use std::path::Path;

use quipu_verify::proof::{GoSumProof, TlogProof};
use tempfile::{TempDir, tempdir};

use crate::log::{Log, key, record};
use crate::run::{Ran, finish, program, run};
use crate::site::{Reply, Site, honest};

/// A directory with a go.sum of all lines of some records, less the zip's of the first.
fn go_sum(ids: &[u64]) -> TempDir {
    let dir = tempdir().unwrap();
    let records: String = ids.iter().map(|id| record(&format!("filler.test/m{id}"), 'z')).collect();
    let (_, without_first) = records.split_once('\n').unwrap();
    fs::write(dir.path().join("go.sum"), without_first).unwrap();
    dir
}

fn path(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).display().to_string()
}

fn prove(dir: &TempDir, site: &Site, more: &[&str]) -> Ran {
    let database = format!("{} {}", key(), site.url());
    let (sum, proof) = (path(dir, "go.sum"), path(dir, "proof"));
    run(dir.path(), &[&["prove", "--db", &database, &sum, "-o", &proof], more].concat())
}

fn verify(dir: &TempDir, more: &[&str]) -> Ran {
    let (key, proof) = (key().to_string(), path(dir, "proof"));
    run(dir.path(), &[&["verify-proof", "--db", &key, &proof], more].concat())
}

#[test]
fn a_go_sum_is_proven_to_others() {
    let (dir, site) = (go_sum(&[3, 7, 299]), Site::honest(Log::filler(300), 300));
    prove(&dir, &site, &[])
        .ends(0)
        .prints("5 lines in 3 records of sum.example.test, proven in the signed tree of 300 records");
    let text = fs::read_to_string(path(&dir, "proof")).unwrap();
    assert!(text.parse::<GoSumProof>().unwrap().check(&[key()]).is_ok());
    assert!(!dir.path().join("proof.unfinished").exists());

    let asked = site.requests().len();
    let sum = path(&dir, "go.sum");
    verify(&dir, &["--go-sum", &sum])
        .ends(0)
        .prints("proven: 5 lines are in the signed tree of 300 records of sum.example.test")
        .prints("all 5 lines of go.sum are proven");
    let json = verify(&dir, &["--go-sum", &sum, "--json"]).ends(0).json();
    assert_eq!((&json["verdict"], &json["proofs"][0]["tree"]["size"]), (&"good".into(), &300.into()));
    assert_eq!(json["proofs"][0]["lines"].as_array().unwrap().len(), 5);
    assert_eq!(site.requests().len(), asked, "somebody was asked");
}

#[test]
fn a_go_sum_that_the_proof_does_not_cover_is_a_difference() {
    let (dir, site) = (go_sum(&[3, 7]), Site::honest(Log::filler(300), 300));
    prove(&dir, &site, &[]).ends(0);
    let sum = path(&dir, "go.sum");
    fs::write(&sum, record("filler.test/m7", 'y') + &record("filler.test/m8", 'z')).unwrap();
    verify(&dir, &["--go-sum", &sum])
        .ends(4)
        .says("filler.test/m7 v1.0.0 h1:")
        .says("but proven is h1:")
        .says("filler.test/m8 v1.0.0 h1:")
        .says("is not proven");
    assert_eq!(
        verify(&dir, &["--go-sum", &sum, "--json"]).ends(4).json()["differences"].as_array().unwrap().len(),
        4
    );
    // What is private need not be proven.
    fs::write(&sum, record("private.test/m", 'y')).unwrap();
    let arguments = ["verify-proof", "--db", &key().to_string(), &path(&dir, "proof"), "--go-sum", &sum];
    finish(program(dir.path()).args(arguments).env("GOPRIVATE", "private.test"))
        .ends(0)
        .says("2 lines of private");
    finish(program(dir.path()).args(arguments).arg("--all").env("GOPRIVATE", "private.test")).ends(4);
}

#[test]
fn a_proof_that_was_changed_proves_nothing() {
    let (dir, site) = (go_sum(&[3, 7]), Site::honest(Log::filler(300), 300));
    prove(&dir, &site, &[]).ends(0);
    let good = fs::read_to_string(path(&dir, "proof")).unwrap();
    for (changed, why) in [
        (good.replace("\t3 go.mod", "\t4 go.mod"), "not shown to be in the tree"),
        (good.replace("\n\t300\n", "\n\t301\n"), "invalid signature"),
        (good.replace("quipu proof v1", "quipu proof v2"), "malformed proof"),
        (format!("{good}\n"), "malformed proof"),
        ("\u{feff}".to_owned() + &good, "malformed proof"),
        (String::new(), "malformed proof"),
    ] {
        assert_ne!(changed, good);
        fs::write(path(&dir, "proof"), changed).unwrap();
        verify(&dir, &[]).ends(1).says(why);
        let json = verify(&dir, &["--json"]).ends(1).json();
        assert!(json["verdict"] == "failed" && json["error"].as_str().unwrap().contains(why), "{json}");
    }
    fs::write(path(&dir, "proof"), good).unwrap();
    run(dir.path(), &["verify-proof", "--db", "sum.golang.org", &path(&dir, "proof")])
        .ends(1)
        .says("no verifiable signatures");
    run(dir.path(), &["verify-proof", "--db", "off", &path(&dir, "proof")]).ends(2);
}

#[test]
fn nothing_is_written_that_the_log_contradicts() {
    let (dir, site) = (go_sum(&[3, 7]), Site::honest(Log::filler(300), 300));
    let sum = path(&dir, "go.sum");
    fs::write(&sum, record("filler.test/m7", 'y')).unwrap();
    prove(&dir, &site, &[]).ends(4).says("go.sum:1: filler.test/m7 v1.0.0 h1:").says("but the log holds h1:");
    assert_eq!(prove(&dir, &site, &["--json"]).ends(4).json()["verdict"], "differs");
    fs::write(&sum, record("filler.test/m300", 'z')).unwrap();
    prove(&dir, &site, &[]).ends(1).says("/lookup/filler.test/m300@v1.0.0");
    fs::write(&sum, "no go.sum\n").unwrap();
    prove(&dir, &site, &[]).ends(1).says("go.sum");
    assert!(!Path::new(&path(&dir, "proof")).exists());
    fs::write(&sum, "").unwrap();
    prove(&dir, &site, &[]).ends(2).says("no lines to prove");
    run(dir.path(), &["prove", "-o", "x"]).ends(2);
}

#[test]
fn private_names_are_not_told() {
    let (dir, site) = (go_sum(&[3, 7]), Site::honest(Log::filler(300), 300));
    let sum = path(&dir, "go.sum");
    let text = fs::read_to_string(&sum).unwrap() + &record("private.test/m", 'z');
    fs::write(&sum, text).unwrap();
    let database = format!("{} {}", key(), site.url());
    let arguments = ["prove", "--db", &database, &sum, "-o", &path(&dir, "proof")];
    finish(program(dir.path()).args(arguments).env("GOPRIVATE", "*.test/m"))
        .ends(0)
        .says("2 lines are of private modules and left out");
    assert!(!site.requests().iter().any(|path| path.contains("private")), "{:?}", site.requests());
}

#[test]
fn a_record_is_proven_in_the_form_of_c2sp() {
    let (dir, site) = (go_sum(&[3, 7]), Site::honest(Log::filler(300), 300));
    let (database, proof) = (format!("{} {}", key(), site.url()), path(&dir, "proof"));
    run(dir.path(), &["prove", "--db", &database, "--c2sp", "filler.test/m7@v1.0.0", "-o", &proof]).ends(0);
    let text = fs::read_to_string(&proof).unwrap();
    assert!(
        text.starts_with("c2sp.org/tlog-proof@v1\nextra ") && text.parse::<TlogProof>().is_ok(),
        "{text}"
    );
    verify(&dir, &[]).ends(0).prints("proven: 2 lines are in the signed tree of 300 records");
    verify(&dir, &["--go-sum", &path(&dir, "go.sum")]).ends(4).says("filler.test/m3 v1.0.0/go.mod h1:");
    // Of another writer, without the record: it comes from the go.sum.
    let bare: String = text.split_inclusive('\n').filter(|line| !line.starts_with("extra ")).collect();
    fs::write(&proof, bare).unwrap();
    verify(&dir, &[]).ends(1).says("name a go.sum");
    fs::write(path(&dir, "go.sum"), record("filler.test/m7", 'z')).unwrap();
    verify(&dir, &["--go-sum", &path(&dir, "go.sum")]).ends(0);
}

/// Evidence files that the program wrote itself: of a fork, and of a tile.
fn evidence(dir: &TempDir) -> [String; 2] {
    let file = |ran: &Ran| {
        let (_, path) = ran.err.lines().find_map(|line| line.split_once(" is in ")).unwrap();
        path.to_owned()
    };
    let lookup = |site: &Site, module: &str| {
        run(dir.path(), &["lookup", "--db", &format!("{} {}", key(), site.url()), module])
    };
    let log = Log::filler(300);
    let tiles = Site::new(move |path| match honest(&log, 300, path) {
        Reply::Good(mut body) if path.starts_with("/tile/8/0/000") => {
            body[0] ^= 1;
            Reply::Good(body)
        }
        truth => truth,
    });
    let tile = file(&lookup(&tiles, "filler.test/m7@v1.0.0").ends(4));
    lookup(&Site::honest(Log::filler(300), 300), "filler.test/m7@v1.0.0").ends(0);
    let other = Log::new((0..400).map(|i| record(&format!("other.test/m{i}"), 'y')));
    let fork = file(&lookup(&Site::honest(other, 400), "other.test/m1@v1.0.0").ends(3));
    [fork, tile]
}

#[test]
fn evidence_is_checked_by_others() {
    let dir = tempdir().unwrap();
    let [fork, tile] = &evidence(&dir);
    let check =
        |files: &[&str]| run(dir.path(), &[&["evidence", "--db", &key().to_string()], files].concat());
    check(&[fork]).ends(3).prints(
        "MISBEHAVIOUR PROVEN: sum.example.test: the database signed two trees that cannot both be true: 300",
    );
    check(&[tile])
        .ends(4)
        .prints("shown: sum.example.test: a tile contradicts the signed tree: by tile/8/0/000 ")
        .prints("does not prove who made these bytes");
    check(&[tile, fork]).ends(3);
    let json = check(&[fork, tile, "--json"]).ends(3).json();
    assert_eq!((&json["files"][0]["kind"], &json["files"][1]["kind"]), (&"fork".into(), &"tile".into()));

    let bad = path(&dir, "bad");
    let text = fs::read_to_string(fork).unwrap();
    for (changed, why) in [
        (text.replace("\t300\n", "\t299\n"), "it proves nothing: older note: invalid signature"),
        (text.replace("v1: fork", "v1: spoon"), "malformed evidence"),
        (text.replace('\n', "\r\n"), "malformed evidence"),
    ] {
        fs::write(&bad, changed).unwrap();
        check(&[&bad]).ends(1).says(why);
    }
    check(&[&bad, tile]).ends(1);
    check(&[&bad, fork]).ends(3);
    run(dir.path(), &["evidence", "--db", "sum.golang.org", fork]).ends(1).says("the owner of another key");
    check(&[&path(&dir, "none")]).ends(1).says("cannot read");
    check(&[]).ends(2);
}
