//! Module zips against `golang.org/x/mod/zip` and `golang.org/x/mod/sumdb/dirhash`.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;
#[path = "common/zip_writer.rs"]
mod zip_writer;

use std::{collections::BTreeSet, io::Cursor};

use common::Vectors;
use quipu_module::{
    Listed, ListedKind, ModuleVersion, Selection, Version, ZipWriter, check_zip, hash_files, hash_zip,
    list_zip, select_files,
};
use serde_json::Value;
use zip_writer::{deflated, entry, write_zip};

const READ: &[&str] = &[
    "check_files_ok",
    "create_error",
    "desc",
    "files",
    "h1",
    "invalid",
    "module",
    "omitted",
    "size_error",
    "valid",
    "version",
    "zip_entries",
];

#[test]
fn zips() {
    let mut vectors = Vectors::load("zip");
    vectors.cases("check_zip", 11).iter().for_each(check);
    let cases = vectors.cases("create", 40);
    cases.iter().for_each(select);
    let made = cases.iter().filter(|case| created(case)).count();
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

/// Selects the files of a `create` case, and packs them if they make a module.
fn select(case: &Value) {
    let desc = &case["desc"];
    let files: Vec<&Value> = case["files"].as_array().into_iter().flatten().collect();
    let listed: Vec<Listed<'_>> = files.iter().map(|file| listed(file)).collect();
    let go_mod = files.iter().find(|file| file["path"] == "go.mod").map(|file| text(&file["content"]));
    let selection = select_files(go_mod.map(str::as_bytes), &listed);

    assert_eq!(
        selection.kept,
        case["valid"].as_array().unwrap().iter().map(text).collect::<Vec<_>>(),
        "{desc}"
    );
    let told = |list: Vec<(&[u8], String)>| -> Vec<Value> {
        let name = |path| std::str::from_utf8(path).unwrap();
        list.into_iter().map(|(path, why)| serde_json::json!({"path": name(path), "error": why})).collect()
    };
    let omitted = selection.omitted.iter().map(|(path, why)| (*path, why.to_string())).collect();
    assert_eq!(told(omitted), *case["omitted"].as_array().unwrap(), "{desc}");
    assert_eq!(told(selection.invalid.clone()), *case["invalid"].as_array().unwrap(), "{desc}");
    let checked = selection.check().map_err(|e| e.to_string());
    assert_eq!(checked.is_ok(), case["check_files_ok"] == true, "{desc}");
    if selection.too_large {
        assert_eq!(checked.as_ref().unwrap_err(), text(&case["size_error"]), "{desc}");
    }
    // Contents of some files are only declared; then nothing was made of them.
    let Some(error) = case.get("create_error") else { return };
    let module = Version::parse(text(&case["version"]))
        .and_then(|version| ModuleVersion::new(text(&case["module"]).parse()?, version));
    match (module, checked) {
        (Err(e), _) => assert_eq!(format!("create zip: {e}"), text(error), "{desc}"),
        (_, Err(e)) => assert_eq!(format!("create zip: {e}"), text(error), "{desc}"),
        (Ok(module), Ok(())) => pack(&module, &selection, case),
    }
}

fn listed(file: &Value) -> Listed<'_> {
    let kind = match file.get("type").map(text) {
        None => ListedKind::File,
        Some("symlink") => ListedKind::Symlink,
        Some("other") => ListedKind::Other,
        Some(other) => panic!("unknown type {other}"),
    };
    let declared = file.get("declared_size").map(|size| size.as_u64().unwrap());
    let size = declared.unwrap_or(text(&file["content"]).len() as u64);
    Listed { path: text(&file["path"]).as_bytes(), kind, size }
}

fn pack(module: &ModuleVersion, selection: &Selection<'_>, case: &Value) {
    let mut writer = ZipWriter::new(module, Vec::new());
    for path in &selection.kept {
        let files = case["files"].as_array().unwrap();
        let file = files.iter().find(|file| file["path"] == *path).unwrap();
        writer.start_file(path).unwrap();
        writer.write(text(&file["content"]).as_bytes()).unwrap();
    }
    let zip = writer.finish().unwrap();
    let report = check_zip(module, Cursor::new(&zip)).unwrap();
    assert_eq!(report.hash.to_string(), text(&case["h1"]), "{}", case["desc"]);
    let names: Vec<Vec<u8>> = list_zip(Cursor::new(&zip)).unwrap().into_iter().map(|f| f.name).collect();
    let wanted = case["zip_entries"].as_array().unwrap().iter().map(|name| text(name).as_bytes().to_vec());
    // Our list is sorted.
    let wanted: BTreeSet<_> = wanted.collect();
    assert_eq!(names, wanted.into_iter().collect::<Vec<_>>(), "{}", case["desc"]);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Checks the zip of a `create` case, if one was made.
fn created(case: &Value) -> bool {
    for key in case.as_object().unwrap().keys() {
        assert!(READ.contains(&key.as_str()), "{key} is not read");
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
