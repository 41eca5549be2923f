//! Paths, escaping and patterns against `golang.org/x/mod/module`.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::Vectors;
use quipu_module::{Error, ModulePath, Patterns, Query, check_file_path, split_path_version};
use serde_json::Value;

#[test]
fn names() {
    let mut vectors = Vectors::load("names");
    vectors.cases("module_paths", 52).iter().for_each(module_path);
    vectors.cases("file_paths", 60).iter().for_each(file_path);
    vectors.cases("escape_version", 20).iter().for_each(escape_version);
    vectors.cases("unescape_path", 10).iter().for_each(unescape_path);
    vectors.cases("unescape_version", 8).iter().for_each(unescape_version);
    vectors.cases("prefix_patterns", 15).iter().for_each(prefix_pattern);
    vectors.finish(&[]);
}

fn module_path(case: &Value) {
    let text = case["path"].as_str().unwrap();
    let split = split_path_version(text);
    assert_eq!(split.is_some(), case["split"]["ok"], "{text}");
    let (prefix, major) = split.unwrap_or((text, ""));
    assert_eq!(prefix, case["split"]["prefix"], "{text}");
    assert_eq!(major, case["split"]["major"], "{text}");

    let path = ModulePath::parse(text);
    assert_same_error(&path, &case["check"]);
    let Ok(path) = path else { return };
    assert_eq!(path.escaped(), case["escaped"], "{text}");
    assert_eq!(ModulePath::unescape(&path.escaped()).unwrap(), path);
    assert_eq!((path.prefix(), path.path_major()), (prefix, major));
}

fn file_path(case: &Value) {
    let Some(path) = case["path"].as_str() else {
        assert_eq!(case["path_base64"], "/w==");
        check_file_path(b"\xff").unwrap_err();
        return;
    };
    let checked = check_file_path(path);
    assert_eq!(checked.is_ok(), case["ok"], "{path}");
    assert_same_error(&checked, &case["error"]);
}

fn escape_version(case: &Value) {
    let text = case["version"].as_str().unwrap();
    let query = Query::parse(text);
    assert_eq!(query.is_ok(), case["ok"], "{text}");
    if let Ok(query) = query {
        assert_eq!(query.escaped(), case["escaped"]);
        assert_eq!(Query::unescape(&query.escaped()).unwrap(), query);
    }
}

fn unescape_path(case: &Value) {
    let path = ModulePath::unescape(case["escaped"].as_str().unwrap());
    assert_eq!(path.is_ok(), case["ok"], "{case}");
    assert_same_error(&path, &case["error"]);
    if let Ok(path) = path {
        assert_eq!(path.as_str(), case["path"]);
    }
}

fn unescape_version(case: &Value) {
    let query = Query::unescape(case["escaped"].as_str().unwrap());
    assert_eq!(query.is_ok(), case["ok"], "{case}");
    if let Ok(query) = query {
        assert_eq!(query.as_str(), case["version"]);
    }
}

fn prefix_pattern(case: &Value) {
    let (globs, target) = (case["globs"].as_str().unwrap(), case["target"].as_str().unwrap());
    let patterns = Patterns::new(globs);
    assert_eq!(patterns.matches(target), case["match"], "{case}");
    assert_eq!(patterns.to_string(), globs);
}

/// The error texts are Go's, too: they are what users see and search for.
fn assert_same_error<T>(result: &Result<T, Error>, want: &Value) {
    let got = result.as_ref().err().map(ToString::to_string);
    assert_eq!(got.as_deref(), want.as_str());
}
