//! Files made with x/mod: the same bytes are written here, and what is bad is refused.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quipu_module::{ModuleVersion, SumLine};
use quipu_note::VerifierKey;
use quipu_verify::MemoryState;
use quipu_verify::proof::{GoSumProof, ProvenRecords, TlogProof};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::log::{Log, key};
use crate::server::{Server, client};

fn vectors() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors/proofs.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Cases of a list, which must be so many.
fn cases(list: &str, count: usize) -> Vec<Value> {
    let cases = vectors()[list].as_array().unwrap().clone();
    assert_eq!(cases.len(), count, "{list}: a case was added or lost");
    cases
}

fn text(case: &Value) -> &str {
    case["text"].as_str().unwrap()
}

fn keys() -> [VerifierKey; 1] {
    let key: VerifierKey = vectors()["vkey"].as_str().unwrap().parse().unwrap();
    assert_eq!(key, crate::log::key());
    [key]
}

/// The lines of a case, and what a client proves of its records.
async fn proven(case: &Value) -> (Vec<SumLine>, ProvenRecords) {
    let record = |i: u64| {
        let sum = |kind: char| STANDARD.encode(Sha256::digest(format!("{kind}{i}")));
        let module = format!("filler.test/m{i} v1.0.0");
        format!("{module} h1:{}\n{module}/go.mod h1:{}\n", sum('z'), sum('m'))
    };
    let log = Log::new((0..case["tree_size"].as_u64().unwrap()).map(record));
    let lines: Vec<SumLine> = case["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap().parse().unwrap())
        .collect();
    let modules: Vec<ModuleVersion> = lines.iter().map(|line| line.module.clone()).collect();
    let client = client(&Arc::new(Server::honest(log)), &Arc::new(MemoryState::new()));
    (lines, client.prove(&modules).await.unwrap())
}

#[tokio::test]
async fn proofs_of_a_go_sum() {
    for case in cases("go_sum", 8) {
        let (lines, proven) = proven(&case).await;
        let made = GoSumProof::new(&proven, &lines, &[key()]).unwrap();
        assert_eq!(made.to_string(), text(&case), "{}", case["name"]);
        let read: GoSumProof = text(&case).parse().unwrap();
        let checked = read.check(&keys()).unwrap();
        assert_eq!((checked.lines(), checked.tree().size), (&*lines, case["tree_size"].as_u64().unwrap()));
    }
}

#[tokio::test]
async fn proofs_of_single_records() {
    for case in cases("tlog_proof", 6) {
        let (lines, proven) = proven(&case).await;
        let made = TlogProof::new(&proven, &[key()]).unwrap();
        assert_eq!(made.to_string(), text(&case), "{}", case["name"]);
        let checked = text(&case).parse::<TlogProof>().unwrap().check(&keys(), &[]).unwrap();
        assert_eq!(checked.lines(), lines);
    }
}

#[test]
fn bad_files_prove_nothing() {
    for case in cases("go_sum_bad", 21) {
        let proven = text(&case).parse::<GoSumProof>().is_ok_and(|proof| proof.check(&keys()).is_ok());
        assert!(!proven, "{}", case["name"]);
    }
    for case in cases("tlog_proof_bad", 11) {
        let proven = text(&case).parse::<TlogProof>().is_ok_and(|proof| proof.check(&keys(), &[]).is_ok());
        assert!(!proven, "{}", case["name"]);
    }
}
