//! Zips that `go` would take, and a proxy must not publish.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "common/zip_writer.rs"]
mod zip_writer;

use std::io::Cursor;

use proptest::prelude::*;
use quipu_module::{ModuleVersion, check_publish, check_zip};
use zip_writer::{ZipEntry, deflated, entry, write_zip};

const ROOT: &str = "example.com/m@v1.0.0";
const GO_MOD: &str = "module example.com/m\n";

fn named(path: &str) -> String {
    format!("{ROOT}/{path}")
}

fn module() -> ModuleVersion {
    "example.com/m@v1.0.0".parse().unwrap()
}

fn publish(zip: &[u8]) -> Result<(), String> {
    check_publish(&module(), Cursor::new(zip)).map(drop).map_err(|e| e.to_string())
}

fn with(more: Vec<ZipEntry>) -> Vec<ZipEntry> {
    let mut entries = vec![deflated(&named("go.mod"), GO_MOD), entry(&named("a.go"), "package m\n")];
    entries.extend(more);
    entries
}

fn good() -> Vec<u8> {
    write_zip(&with(vec![deflated(&named("d/é.go"), "package d\n")]))
}

/// The zip with `change` made to its first directory header.
fn in_directory(mut zip: Vec<u8>, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let at = zip.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    change(&mut zip[at..]);
    zip
}

/// Marks every name as UTF-8, in both kinds of header.
fn utf8(mut zip: Vec<u8>) -> Vec<u8> {
    for at in 0..zip.len() - 4 {
        match &zip[at..at + 4] {
            b"PK\x03\x04" => zip[at + 7] |= 8,
            b"PK\x01\x02" => zip[at + 9] |= 8,
            _ => {}
        }
    }
    zip
}

#[test]
fn a_plain_module_is_taken_with_the_hash_that_go_gives_it() {
    let zip = utf8(good());
    let report = check_publish(&module(), Cursor::new(&zip)).unwrap();
    assert_eq!(report, check_zip(&module(), Cursor::new(&zip)).unwrap());
}

/// Each is a zip that `go` takes (or would, if it looked only there), with the reason it is not published for.
#[test]
fn what_go_takes_and_a_proxy_must_not() {
    let deep = (0..64).map(|n| format!("d{n}/")).collect::<String>() + "a.go";
    let long = format!("{}/a.go", vec!["x".repeat(200); 6].join("/"));
    let inflated = {
        let mut entries = with(vec![]);
        let mut junk = deflated(&named("b.go"), "package b\n");
        // An empty stored block that ends the stream, then something that no reader of the stream sees.
        junk.content = Vec::new();
        junk.stored = Some(b"\x03\x00hidden".to_vec());
        entries.push(junk);
        write_zip(&entries)
    };
    let time_zip64 = ZipEntry { extra: vec![1, 0, 0, 0], ..entry(&named("b.go"), "") };
    let unicode_path = ZipEntry { extra: vec![0x75, 0x70, 1, 0, 1], ..entry(&named("b.go"), "") };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (good(), "not marked as UTF-8"),
        (write_zip(&with(vec![entry(&named("d/"), "")])), "entry for a directory"),
        (write_zip(&with(vec![entry(&named(".git/config"), "")])), "version control"),
        (write_zip(&with(vec![entry(&named("d/.Hg/x"), "")])), "version control"),
        (write_zip(&with(vec![entry(&named("sub/.git"), "gitdir: x")])), "version control"),
        (write_zip(&with(vec![entry(&named(&deep), "")])), "elements deep"),
        (write_zip(&with(vec![entry(&named(&long), "")])), "more than 1024 bytes"),
        (write_zip(&with(vec![time_zip64])), "extra field 0x0001"),
        (write_zip(&with(vec![unicode_path])), "extra field 0x7075"),
        (
            write_zip(&with(vec![ZipEntry { descriptor: true, ..entry(&named("b.go"), "b") }])),
            "before its content",
        ),
        (inflated, "follows the compressed content"),
        ([b"#!/bin/sh\n".as_slice(), &utf8(good())].concat(), "before the archive"),
        ([utf8(good()), b"more".to_vec()].concat(), "follows the end"),
        (write_zip(&[entry(&named("a.go"), "package m\n")]), "no go.mod"),
        (
            write_zip(&[entry(&named("go.mod"), "module example.com/other\n")]),
            "go.mod of \"example.com/other\"",
        ),
        (write_zip(&[entry(&named("go.mod"), "go 1.21\n")]), "no module line"),
        (
            in_directory(utf8(good()), |header| {
                header[5] = 3;
                header[40..42].copy_from_slice(&0o120_777u16.to_le_bytes());
            }),
            "not a regular file",
        ),
    ];
    for (zip, why) in cases {
        let error = publish(&zip).expect_err(why);
        assert!(error.contains(why), "{error:?} does not say {why:?}");
    }
}

#[test]
fn go_takes_what_the_strict_rules_are_about() {
    for more in [".git/config", "d/"] {
        let zip = write_zip(&with(vec![entry(&named(more), "")]));
        check_zip(&module(), Cursor::new(&zip)).unwrap();
        publish(&zip).unwrap_err();
    }
}

#[test]
fn headers_that_differ_are_two_readings_of_one_file() {
    let zip = utf8(good());
    let local = zip.windows(ROOT.len()).position(|w| w == ROOT.as_bytes()).unwrap();
    // In the local header only: Go never reads that name.
    let mut other_name = zip.clone();
    other_name[local + ROOT.len() + 1] = b'h';
    check_zip(&module(), Cursor::new(&other_name)).unwrap();
    assert!(publish(&other_name).unwrap_err().contains("differ"));
}

#[test]
fn too_many_entries() {
    let many = |count: usize| {
        let mut entries = vec![entry(&named("go.mod"), GO_MOD)];
        entries.extend((1..count).map(|n| entry(&named(&format!("{n}.go")), "")));
        write_zip(&entries)
    };
    publish(&many(65_534)).unwrap();
    assert!(publish(&many(65_535)).unwrap_err().contains("65534 entries"));
}

#[test]
fn incompatible_versions_have_no_go_mod() {
    let module: ModuleVersion = "example.com/m@v2.0.0+incompatible".parse().unwrap();
    let zip = write_zip(&[entry("example.com/m@v2.0.0+incompatible/a.go", "")]);
    check_zip(&module, Cursor::new(&zip)).unwrap();
    assert!(check_publish(&module, Cursor::new(&zip)).unwrap_err().to_string().contains("+incompatible"));
}

/// Every byte of a published zip means something: no flipped bit of what describes an entry passes, but in time stamps,
/// the versions and attributes of the program that wrote it, and the padding of the last byte of a compressed content.
#[test]
fn no_bit_is_free_to_mean_two_things() {
    let zip = utf8(good());
    let hash = check_publish(&module(), Cursor::new(&zip)).unwrap().hash;
    let (mut same, mut other) = (0, 0);
    for bit in 0..zip.len() * 8 {
        let mut flipped = zip.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        match check_publish(&module(), Cursor::new(&flipped)) {
            Ok(report) if report.hash == hash => same += 1,
            Ok(_) => other += 1,
            Err(_) => {}
        }
    }
    assert_eq!(other, 0, "a name stands twice and a content has a checksum: one bit cannot change both");
    // Three entries: version and time of both headers, attributes. Two of them end with up to 7 bits of padding.
    let free = 3 * 8 * ((2 + 4) + (2 + 2 + 4 + 2 + 4)) + 2 * 7;
    assert!(same <= free, "{same} of {free}");
}

proptest! {
    #[test]
    fn what_is_published_is_a_good_module(at in 0usize..600, byte: u8, cut in 0usize..600) {
        let mut zip = utf8(good());
        let at = at % zip.len();
        zip[at] = byte;
        if cut < 8 {
            zip.truncate(zip.len() - cut);
        }
        if let Ok(report) = check_publish(&module(), Cursor::new(&zip)) {
            prop_assert_eq!(report, check_zip(&module(), Cursor::new(&zip)).unwrap());
        }
    }
}
