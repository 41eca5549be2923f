//! Files made with x/mod: all of these prove what they say, none of those anything.

use std::fs;
use std::path::Path;

use quipu_verify::Evidence;
use serde_json::Value;

use crate::log::key;

#[test]
fn evidence_from_elsewhere() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors/proofs.json");
    let vectors: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let cases = |list: &str, count: usize| {
        let cases = vectors[list].as_array().unwrap().clone();
        assert_eq!(cases.len(), count, "{list}: a case was added or lost");
        cases.into_iter().map(|case| {
            let part = |name: &str| case[name].as_str().unwrap_or_default().to_owned();
            (part("name"), part("kind"), part("text"))
        })
    };
    for (name, kind, text) in cases("evidence", 11) {
        let evidence: Evidence = text.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
        let finding = evidence.check(&[key()]).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(finding.kind().name(), kind, "{name}");
    }
    for (name, _, text) in cases("evidence_bad", 26) {
        let found = text.parse::<Evidence>().is_ok_and(|evidence| evidence.check(&[key()]).is_ok());
        assert!(!found, "{name}");
    }
}
