//! Reading go.mod files against `golang.org/x/mod/modfile`.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::Vectors;
use quipu_module::{GoMod, ModulePath, hash_go_mod, quick_module_path, synthesize_go_mod};
use serde_json::{Value, json};

#[test]
fn go_mod() {
    let mut vectors = Vectors::load("gomod");
    vectors.cases("cases", 22).iter().for_each(case);
    vectors.cases("synthesised", 3).iter().for_each(synthesised);
    vectors.finish(&[]);
}

fn case(case: &Value) {
    let content = case["go_mod"].as_str().unwrap();
    assert_eq!(hash_go_mod(content.as_bytes()).to_string(), case["h1"], "{content}");
    assert_eq!(quick_module_path(content.as_bytes()), case["quick_module_path"], "{content}");
    let parsed = GoMod::parse_lax(content.as_bytes());
    let error = parsed.as_ref().err().map(ToString::to_string);
    assert_eq!(error.as_deref(), case["lax_parse_error"].as_str(), "{content}");
    let Ok(parsed) = parsed else { return };
    assert_eq!(parsed.module.as_deref(), case["module"].as_str(), "{content}");
    assert_eq!(parsed.go.as_deref(), case["go"].as_str(), "{content}");
    assert_eq!(parsed.deprecated.unwrap_or_default(), case["deprecated"].as_str().unwrap_or(""), "{content}");
    let retract: Vec<Value> = parsed
        .retract
        .iter()
        .map(|r| json!({"low": r.low, "high": r.high, "rationale": r.rationale}))
        .collect();
    assert_eq!(retract, *case["retract"].as_array().unwrap_or(&Vec::new()), "{content}");
}

fn synthesised(case: &Value) {
    let path = ModulePath::parse(case["path"].as_str().unwrap()).unwrap();
    let content = synthesize_go_mod(&path);
    assert_eq!(content, case["go_mod"]);
    assert_eq!(hash_go_mod(content.as_bytes()).to_string(), case["h1"]);
}
