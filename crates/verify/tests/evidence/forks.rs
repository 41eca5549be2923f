//! Evidence: reports of the real `go` command prove a fork, and nothing that was changed does.

use std::fs;
use std::path::Path;

use quipu_note::VerifierKey;
use quipu_verify::Evidence;
use serde_json::Value;

/// Fork reports as `go` printed them, in the form of this crate, and the key of the database.
fn reports() -> (VerifierKey, Vec<(String, Evidence)>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors/client_transcripts.json");
    let vectors: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let key = vectors["vkey"].as_str().unwrap();
    let runs = vectors["scenarios"].as_array().unwrap().iter().flat_map(|scenario| {
        let name = scenario["name"].as_str().unwrap();
        scenario["runs"].as_array().unwrap().iter().map(move |run| (name, run["stderr"].as_str().unwrap()))
    });
    let reports = runs
        .filter(|(_, stderr)| stderr.starts_with("SECURITY ERROR\n"))
        .map(|(name, stderr)| (name.to_owned(), from_go(key, stderr).parse().unwrap()));
    (key.parse().unwrap(), reports.collect())
}

/// Rewrites a report of the `go` command.
fn from_go(key: &str, report: &str) -> String {
    let section = |from: &str, to: &str| {
        let (_, rest) = report.split_once(from).unwrap();
        rest.split_once(to).map_or(rest, |(section, _)| section).trim_end().to_owned() + "\n"
    };
    format!(
        "quipu evidence v1: fork\nkey\n\t{key}\nolder\n{}newer\n{}proof\n{}",
        section("old database:\n", "new database:"),
        section("new database:\n", "proof of misbehavior:"),
        section("proof of misbehavior:\n", "\0"),
    )
}

#[test]
fn forks_reported_by_go_are_proven() {
    let (key, reports) = reports();
    let names: Vec<&str> = reports.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["fork, same size", "fork, smaller tree, tiles of the first history still served"]);
    for (name, evidence) in &reports {
        let found = evidence.check(std::slice::from_ref(&key)).unwrap();
        let fork = found.fork().unwrap();
        assert_eq!(fork.newer.size, 301, "{name}");
        assert!(fork.older.size == 301 || fork.older.size == 201, "{name}");
        assert_ne!(fork.older.root, fork.implied, "{name}");
        assert_eq!(evidence.keys(), [key.to_string()]);
    }
}

#[test]
fn evidence_is_written_as_it_is_read() {
    for (name, evidence) in reports().1 {
        let text = evidence.to_string();
        assert_eq!(text.parse::<Evidence>().unwrap(), evidence, "{name}");
        assert!(text.starts_with("quipu evidence v1: fork\nkey\n\tsum.example.test+"), "{name}");
    }
}

/// Any bit flipped anywhere: the text is no longer evidence, or it proves nothing. (Who is accused is no part of the
/// proof, so the key lines are left out.)
#[test]
fn changed_evidence_proves_nothing() {
    let (key, reports) = reports();
    for (name, evidence) in reports {
        let text = evidence.to_string();
        let start = text.find("\nolder\n").unwrap();
        for at in start..text.len() {
            for bit in [1, 4, 32] {
                let mut changed = text.clone().into_bytes();
                changed[at] ^= bit;
                let Ok(changed) = String::from_utf8(changed) else { continue };
                if let Ok(changed) = changed.parse::<Evidence>() {
                    let outcome = changed.check(std::slice::from_ref(&key));
                    assert!(outcome.is_err(), "{name}: byte {at} ^ {bit}\n{changed}");
                }
            }
        }
    }
}

/// Who is accused, and a signature repeated, change nothing about what is proven; all else proves nothing.
#[test]
fn lines_left_out_or_added_prove_nothing_else() {
    let (key, reports) = reports();
    let keys = [key];
    for (name, evidence) in reports {
        let text = evidence.to_string();
        let lines: Vec<&str> = text.lines().collect();
        let proven = evidence.check(&keys).unwrap();
        for at in 0..lines.len() {
            for replacement in [&[][..], &[lines[at], lines[at]], &[lines[at], "\tx"], &["x"]] {
                let changed = [&lines[..at], replacement, &lines[at + 1..]].concat().join("\n") + "\n";
                let changed = changed.parse::<Evidence>();
                if let Ok(fork) = changed.map_err(drop).and_then(|e| e.check(&keys).map_err(drop)) {
                    let harmless = at == 1 || at == 2 || lines[at].starts_with("\t— ");
                    assert!(harmless && fork == proven, "{name}: line {at}: {replacement:?}");
                }
            }
        }
    }
}

#[test]
fn notes_that_agree_are_no_evidence() {
    let (key, reports) = reports();
    let (_, evidence) = &reports[0];
    let newer = String::from_utf8(evidence.notes()[1].to_vec()).unwrap();
    let indented: String = newer.lines().map(|line| format!("\t{line}\n")).collect();
    let root = newer.lines().nth(2).unwrap();
    let text =
        format!("quipu evidence v1: fork\nkey\n\t{key}\nolder\n{indented}newer\n{indented}proof\n\t{root}\n");
    let agreeing: Evidence = text.parse().unwrap();
    let error = agreeing.check(&[key]).unwrap_err();
    assert!(error.to_string().contains("they agree"), "{error}");
}

#[test]
fn the_key_must_be_the_databases() {
    let other: VerifierKey =
        "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8".parse().unwrap();
    for (_, evidence) in reports().1 {
        assert!(evidence.check(std::slice::from_ref(&other)).is_err());
        assert!(evidence.check(&[]).is_err());
    }
}
