//! `h1:` hashes against `golang.org/x/mod/sumdb/dirhash`.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::Vectors;
use quipu_module::{H1, hash_files, hash_go_mod};
use serde_json::Value;

#[test]
fn dirhash() {
    let mut vectors = Vectors::load("dirhash");
    vectors.cases("cases", 6).iter().for_each(case);
    let error = hash_files([("a\nb", &b""[..])]).unwrap_err();
    assert_eq!(error.to_string(), vectors.text("newline_in_name"));
    vectors.finish(&[]);
}

fn case(case: &Value) {
    let files = case["files"].as_object().unwrap();
    let contents =
        || files.iter().map(|(name, content)| (name.as_str(), content.as_str().unwrap().as_bytes()));
    let hash = hash_files(contents()).unwrap();
    assert_eq!(hash.to_string(), case["h1"], "{}", case["desc"]);
    assert_eq!(hash_files(contents().collect::<Vec<_>>().into_iter().rev()).unwrap(), hash, "order matters");
    assert_eq!(hash.to_string().parse::<H1>().unwrap(), hash);
    if let Some(content) = files.get("go.mod") {
        assert_eq!(hash_go_mod(content.as_str().unwrap().as_bytes()), hash);
    }
    if files.get("go.mod").is_some_and(|content| content == "") {
        assert_eq!(hash, H1::EMPTY_GO_MOD);
    }
}
