//! Module zips against `golang.org/x/mod/zip` and `golang.org/x/mod/sumdb/dirhash`.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;
#[path = "common/zip_writer.rs"]
mod zip_writer;

use std::io::Cursor;

use common::Vectors;
use quipu_module::{ModuleVersion, check_zip, hash_files, hash_zip};
use serde_json::Value;
use zip_writer::{deflated, entry, write_zip};

/// Of a `create` case only the resulting zip is read here. Selecting the files for it (`valid`, `omitted`,
/// `invalid`, `size_error`) waits for the part that packs modules.
const WAITING: &[&str] = &["check_files_ok", "create_error", "invalid", "omitted", "size_error", "valid"];
const READ: &[&str] = &["desc", "files", "h1", "module", "version", "zip_entries"];

#[test]
fn zips() {
    let mut vectors = Vectors::load("zip");
    vectors.cases("check_zip", 11).iter().for_each(check);
    let made = vectors.cases("create", 40).iter().filter(|case| created(case)).count();
    assert_eq!(made, 20, "number of create cases with a zip");
    vectors.finish(&[]);
}

fn check(case: &Value) {
    let module = ModuleVersion::parse("example.com/m", "v1.0.0").unwrap();
    let names = case["entries"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
    let entries: Vec<_> = names.map(|name| entry(name, "")).collect();
    let report = check_zip(&module, Cursor::new(write_zip(&entries)));
    let error = report.as_ref().err().map(ToString::to_string);
    assert_eq!(error.as_deref(), case["error"].as_str(), "{}", case["desc"]);
    if let Ok(report) = report {
        let files = entries.iter().map(|entry| (entry.name.clone(), &b""[..]));
        assert_eq!(report.hash, hash_files(files).unwrap());
    }
}

/// Checks the zip of a `create` case, if one was made.
fn created(case: &Value) -> bool {
    for key in case.as_object().unwrap().keys() {
        assert!(READ.contains(&key.as_str()) || WAITING.contains(&key.as_str()), "{key} is not read");
    }
    let Some(hash) = case["h1"].as_str() else { return false };
    let module =
        ModuleVersion::parse(case["module"].as_str().unwrap(), case["version"].as_str().unwrap()).unwrap();
    let content = |name: &str| {
        let path = name.strip_prefix(&format!("{module}/")).unwrap();
        let file = case["files"].as_array().unwrap().iter().find(|file| file["path"] == path).unwrap();
        file["content"].as_str().unwrap().to_owned()
    };
    let names = case["zip_entries"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
    let files: Vec<(&str, String)> = names.map(|name| (name, content(name))).collect();
    for write in [entry, deflated] {
        let zip = write_zip(&files.iter().map(|(name, content)| write(name, content)).collect::<Vec<_>>());
        let report = check_zip(&module, Cursor::new(&zip)).unwrap();
        assert_eq!(report.hash.to_string(), hash, "{}", case["desc"]);
        assert_eq!(report.files, files.len());
        assert_eq!(report.content_size, files.iter().map(|(_, content)| content.len() as u64).sum::<u64>());
        let go_mod = files.iter().find(|(name, _)| *name == format!("{module}/go.mod"));
        assert_eq!(report.go_mod.as_deref(), go_mod.map(|(_, content)| content.as_bytes()));
        assert_eq!(hash_zip(Cursor::new(&zip)).unwrap(), report.hash);
    }
    true
}
