//! The cases of `notes.json`, which the Go reference made.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use quipu_note::cosignature::{Cosigner, CosignerKey};
use quipu_note::{KeyError, KeyName, Note, OpenError, Signature, SignerKey, VerifierKey, open, sign};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

fn vectors() -> Map<String, Value> {
    let text = include_str!("../../../../testdata/vectors/notes.json");
    serde_json::from_str(text).unwrap()
}

fn cases(section: &str, count: usize) -> Vec<Value> {
    let cases = vectors()[section].as_array().unwrap().clone();
    assert_eq!(cases.len(), count, "{section}: a case was added or lost");
    cases
}

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap_or_else(|| panic!("{key} missing in {case}"))
}

fn seed(case: &Value) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(hex::decode(text(case, "seed_hex")).unwrap().try_into().unwrap())
}

#[test]
fn every_section_is_consumed() {
    // `tree_parse` belongs to the texts of trees: it is tested with those.
    let known =
        ["cosignature_v1", "description", "keys", "known", "open", "sign", "tree_parse", "vkey_parse"];
    let vectors = vectors();
    assert_eq!(vectors.keys().map(String::as_str).collect::<Vec<_>>(), known);
}

#[test]
fn keys() {
    for case in cases("keys", 4) {
        let vkey: VerifierKey = text(&case, "vkey").parse().unwrap();
        assert_eq!(vkey.to_string(), text(&case, "vkey"));
        assert_eq!(vkey.name().as_str(), text(&case, "name"));
        assert_eq!(vkey.id().to_string(), text(&case, "key_id_hex"));
        // The public database's private key is not ours to have.
        if case.get("seed_hex").is_none() {
            assert_eq!(vkey.name().as_str(), "sum.golang.org");
            continue;
        }
        assert_eq!(hex::encode(vkey.public_key()), text(&case, "public_key_hex"));
        let read: SignerKey = text(&case, "skey").parse().unwrap();
        let made = SignerKey::from_seed(text(&case, "name").parse().unwrap(), &seed(&case));
        for signer in [read, made] {
            assert_eq!(signer.encode().as_str(), text(&case, "skey"));
            assert_eq!(*signer.verifier(), vkey);
        }
    }
}

#[test]
fn vkey_parse() {
    for case in cases("vkey_parse", 12) {
        let want = match case["error"].as_str() {
            None => None,
            Some("malformed verifier id") => Some(KeyError::Malformed),
            Some("invalid verifier hash") => Some(KeyError::WrongId),
            Some("unknown verifier algorithm") => Some(KeyError::UnknownType),
            Some(other) => panic!("unknown error {other}"),
        };
        let got = text(&case, "vkey").parse::<VerifierKey>();
        assert_eq!(got.as_ref().err().copied(), want, "{case}");
        assert_eq!(got.is_ok(), case["ok"].as_bool().unwrap(), "{case}");
    }
}

#[test]
fn opening() {
    let known = [text(&Value::Object(vectors()), "known").parse::<VerifierKey>().unwrap()];
    for case in cases("open", 31) {
        let message = match case.get("note_base64") {
            Some(_) => decode_base64(text(&case, "note_base64")),
            None => text(&case, "note").as_bytes().to_vec(),
        };
        let got = open(&message, &known);
        assert_eq!(got.is_ok(), case["ok"].as_bool().unwrap(), "{case}");
        match got {
            Ok(note) => {
                assert_eq!(note.text, text(&case, "text"), "{case}");
                assert_eq!(note.verified.len() as u64, case["verified"].as_u64().unwrap(), "{case}");
                assert_eq!(note.unverified.len() as u64, case["unverified"].as_u64().unwrap(), "{case}");
            }
            Err(error) => assert_eq!(error.to_string(), text(&case, "error"), "{case}"),
        }
    }
}

fn decode_base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

#[test]
fn signing() {
    let keys = cases("keys", 4);
    let signer: SignerKey = text(&keys[0], "skey").parse().unwrap();
    let witness: SignerKey = text(&keys[2], "skey").parse().unwrap();
    let want = &vectors()["sign"];

    let signed = sign(&Note::new(text(want, "text")), &[&signer]).unwrap();
    assert_eq!(signed, text(want, "signed"));

    let note = open(signed.as_bytes(), &[signer.verifier().clone()]).unwrap();
    let resigned = sign(&note, &[&witness]).unwrap();
    assert_eq!(resigned, text(want, "resigned_by_witness"));

    // Who signs again replaces the old signature and moves to the end.
    let known = [signer.verifier().clone(), witness.verifier().clone()];
    let note = open(resigned.as_bytes(), &known).unwrap();
    let again = sign(&note, &[&signer]).unwrap();
    let lines: Vec<Signature> = note.verified.iter().rev().cloned().collect();
    assert_eq!(again, format!("{}\n{}\n{}\n", text(want, "text"), lines[0], lines[1]));
}

#[test]
fn cosignature_v1() {
    let vector = &vectors()["cosignature_v1"];
    let tree = text(&vectors()["sign"], "text").to_owned();
    let time = vector["timestamp"].as_u64().unwrap();
    let name: KeyName = text(vector, "cosigner_name").parse().unwrap();

    let cosigner = Cosigner::from_seed(name, &seed(vector));
    let key: CosignerKey = text(vector, "vkey").parse().unwrap();
    assert_eq!(*cosigner.verifier(), key);
    assert_eq!(key.to_string(), text(vector, "vkey"));
    assert_eq!(key.id().to_string(), text(vector, "key_id_hex"));
    assert_eq!(key.id().to_string(), text(&vector["key_id_by_type"], "04"));
    let as_signer = SignerKey::from_seed(key.name().clone(), &seed(vector));
    assert_eq!(as_signer.id().to_string(), text(&vector["key_id_by_type"], "01"));

    let signature = cosigner.sign(&tree, time).unwrap();
    assert_eq!(format!("{signature}\n"), text(vector, "signature_line"));
    assert_eq!(key.verify(&tree, &signature), Some(time));
    assert_eq!(key.verify(&format!("{tree}x"), &signature), None);
    assert_eq!(cosigner.sign(&tree, u64::MAX), None);

    // The bytes signed, as they are written in the vector.
    let plain: VerifierKey = as_signer.verifier().clone();
    assert!(plain.verify(text(vector, "signed_message").as_bytes(), &signature.bytes()[8..]));

    // In a note the line is one of an unknown key, which only the witness's key understands.
    let log: VerifierKey = text(&cases("keys", 4)[0], "vkey").parse().unwrap();
    let note = open(text(vector, "cosigned_note").as_bytes(), std::slice::from_ref(&log)).unwrap();
    assert_eq!(note.unverified, [signature]);
    assert_eq!(key.verify(&note.text, &note.unverified[0]), Some(time));
    assert_eq!(key.verify(&note.text, &note.verified[0]), None);

    let checkpoint = open(text(vector, "checkpoint_signed").as_bytes(), &[log]).unwrap();
    assert_eq!(checkpoint.text, text(vector, "checkpoint_text_with_origin"));
}

#[test]
fn two_known_keys_of_one_name_and_id_are_an_error() {
    let known = text(&Value::Object(vectors()), "known").parse::<VerifierKey>().unwrap();
    let signed = text(&vectors()["sign"], "signed").to_owned();
    let error = open(signed.as_bytes(), &[known.clone(), known.clone()]).unwrap_err();
    assert_eq!(error, OpenError::AmbiguousVerifier { name: known.name().clone(), id: known.id() });
}
