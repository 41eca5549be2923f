//! What is made of the texts that the real go command printed.

use serde_json::Value;

use super::*;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../../../testdata/vectors/client_transcripts.json")).unwrap()
}

/// What go printed in all runs of a scenario.
fn said(vectors: &Value, scenario: &str) -> String {
    let scenarios = vectors["scenarios"].as_array().unwrap();
    let found = scenarios.iter().find(|s| s["name"] == scenario).unwrap_or_else(|| panic!("no {scenario}"));
    found["runs"].as_array().unwrap().iter().map(|run| run["stderr"].as_str().unwrap()).collect()
}

fn ids(text: &str) -> Vec<&'static str> {
    mismatches(text).iter().chain(&messages::known(text)).map(|finding| finding.id).collect()
}

#[test]
fn what_go_said_is_explained() {
    let vectors = vectors();
    for (scenario, id) in [
        ("/supported answers 403", "not-supported"),
        ("/supported answers 404", "database-unreachable"),
        ("/lookup answers 404", "not-in-log"),
        ("/lookup answers 410", "not-in-log"),
        ("/lookup answers 403", "refused-by-server"),
        ("/lookup answers 500", "server-fault"),
        ("/lookup answers 429", "server-fault"),
        ("GOSUMDB is an unknown bare name", "gosumdb-malformed"),
        ("GOSUMDB has three fields", "gosumdb-malformed"),
        ("record text altered (hash line changed)", "other-record"),
        ("log holds a different hash (checksum mismatch)", "mismatch-database"),
        ("authentic record lacks the requested lines", "record-without-lines"),
        ("bad signature", "bad-signature"),
        ("note signed only by an unknown key", "unknown-signer"),
        ("checkpoint origin line instead of 'go.sum database tree'", "no-note"),
        ("missing blank line after record", "no-note"),
        ("record id wrong", "other-record"),
        ("record id beyond signed tree", "record-beyond-tree"),
        ("partial tile answers 500, full tile 404", "tile-missing"),
        ("tile on the right edge altered", "inconsistent-tile"),
        ("tile too long", "tile-length"),
        ("fork, newer tree is larger", "maybe-fork"),
        ("fork, other tree is smaller", "maybe-fork"),
        ("key changed between runs (same name)", "remembered-head"),
        ("golang.org/toolchain ignores GONOSUMDB", "database-off"),
    ] {
        assert_eq!(ids(&said(&vectors, scenario)), [id], "{scenario}");
    }
}

#[test]
fn fork_reports_prove_forks() {
    let vectors = vectors();
    let key: quipu_note::VerifierKey = vectors["vkey"].as_str().unwrap().parse().unwrap();
    for scenario in ["fork, same size", "fork, smaller tree, tiles of the first history still served"] {
        let text = said(&vectors, scenario);
        let evidence = ForkReport::find(&text).unwrap().prove(std::slice::from_ref(&key)).unwrap();
        assert!(evidence.check(std::slice::from_ref(&key)).is_ok(), "{scenario}");
        // As a CI log or a mail has it: other indent, no blanks at the ends of lines.
        let mailed: String =
            text.lines().map(|l| format!("{}\n", l.replace('\t', "    ").trim_end())).collect();
        let again = ForkReport::find(&format!("build 7\n{mailed}\nexit 1")).unwrap();
        assert_eq!(again.prove(std::slice::from_ref(&key)).unwrap(), evidence, "{scenario}");
    }
}

#[test]
fn a_changed_fork_report_proves_nothing() {
    let vectors = vectors();
    let key: quipu_note::VerifierKey = vectors["vkey"].as_str().unwrap().parse().unwrap();
    let text = said(&vectors, "fork, smaller tree, tiles of the first history still served");
    for (from, to) in
        [("\t201\n", "\t202\n"), ("Rj5G", "Rj6G"), ("95wW", "95wX"), ("proof of", ""), ("vdT2e", "vdT3e")]
    {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        assert!(ForkReport::find(&changed).unwrap().prove(std::slice::from_ref(&key)).is_err(), "{from}");
    }
    let cut = text.get(..text.len() / 2).unwrap();
    assert!(ForkReport::find(cut).unwrap().prove(&[key]).is_err());
}

#[test]
fn a_mismatch_with_go_sum_names_both_and_the_module() {
    let text = "verifying example.com/Hello@v1.0.0/go.mod: checksum mismatch\n\tdownloaded: \
                h1:A=\n\tgo.sum:     h1:B=\n\nSECURITY ERROR\n";
    let found = mismatches(text);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id, "mismatch-go-sum");
    assert!(
        found[0].what.contains("example.com/Hello@v1.0.0") && found[0].what.contains("h1:B="),
        "{found:?}"
    );
    assert_eq!(found[0].repair.as_deref(), Some("quipu-verify why example.com/Hello@v1.0.0"));
}

#[test]
fn of_several_modules_in_a_line_the_last_is_meant() {
    let line =
        "go: a.test/x@v1.0.0 requires b.test/y@v2.0.0+incompatible: verifying go.mod: checksum mismatch";
    assert_eq!(module_in(line).unwrap().to_string(), "b.test/y@v2.0.0+incompatible");
    assert_eq!(module_in("no module@all"), None);
}

#[test]
fn credentials_in_what_go_said_are_hidden() {
    let text = "go: x.test/m@v1.0.0: verifying go.mod: reading \
                https://me:s3cret@go.corp/sumdb/s/lookup/x.test/m@v1.0.0: 404 Not Found";
    let found = messages::known(text);
    assert_eq!(found[0].id, "not-in-log");
    assert!(!format!("{found:?}").contains("s3cret"));
}

#[test]
fn any_text_is_survived() {
    for text in [
        "",
        "checksum mismatch",
        "x: checksum mismatch\n: h1:\n: h1:",
        "go.sum database server misbehavior detected!",
        "@",
    ] {
        ids(text);
        if let Some(report) = ForkReport::find(text) {
            assert!(report.prove(&[]).is_err());
        }
    }
}
