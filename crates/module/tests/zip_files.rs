//! The files of a zip, one by one, agree with the hash of it all.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "common/zip_writer.rs"]
mod zip_writer;

use std::io::Cursor;

use quipu_module::{ErrorKind, hash_files, hash_zip, list_zip, read_zip_file, read_zip_files};
use zip_writer::{ZipEntry, deflated, entry, write_zip};

#[test]
fn files_are_listed_by_name_and_read_alone() {
    let text = "a text that deflate makes shorter, shorter, shorter\n".repeat(5000);
    let zip = write_zip(&[entry("m/z", "last"), deflated("m/a", &text), entry("m/empty", "")]);
    let files = list_zip(Cursor::new(&zip)).unwrap();
    let names: Vec<_> =
        files.iter().map(|f| (String::from_utf8_lossy(&f.name).into_owned(), f.size)).collect();
    assert_eq!(names, [("m/a".into(), text.len() as u64), ("m/empty".into(), 0), ("m/z".into(), 4)]);
    let read = |name: &str, limit| read_zip_file(Cursor::new(&zip), name.as_bytes(), limit).unwrap();
    assert_eq!(read("m/a", u64::MAX).unwrap(), text.as_bytes());
    assert_eq!(read("m/a", text.len() as u64 - 1), None);
    assert_eq!((read("m/empty", 0), read("m/none", 9)), (Some(Vec::new()), None));
    let few = read_zip_files(Cursor::new(&zip), |name, size| name != b"m/a" && size < 9).unwrap();
    let few: Vec<_> = few.iter().map(|(name, content)| (&name[..], &content[..])).collect();
    assert_eq!(few, [(&b"m/empty"[..], &b""[..]), (b"m/z", b"last")]);
    // What is read alone is what is hashed together.
    let contents = names.iter().map(|(name, _)| (name.clone(), Cursor::new(read(name, u64::MAX).unwrap())));
    assert_eq!(hash_files(contents).unwrap(), hash_zip(Cursor::new(&zip)).unwrap());
}

#[test]
fn of_two_files_of_one_name_the_last_counts() {
    let zip = write_zip(&[entry("m/a", "first"), entry("m/b", ""), entry("m/a", "second")]);
    let names: Vec<_> = list_zip(Cursor::new(&zip)).unwrap().into_iter().map(|f| (f.name, f.size)).collect();
    assert_eq!(names, [(b"m/a".to_vec(), 6), (b"m/b".to_vec(), 0)]);
    assert_eq!(read_zip_file(Cursor::new(&zip), b"m/a", 100).unwrap().unwrap(), b"second");
    assert_eq!(read_zip_files(Cursor::new(&zip), |_, _| true).unwrap()[&b"m/a"[..]], b"second");
}

#[test]
fn damage_is_refused() {
    let lying = ZipEntry { crc: Some(1), ..entry("m/a", "content") };
    for zip in [write_zip(&[lying]), b"PK".to_vec(), Vec::new()] {
        assert_eq!(list_zip(Cursor::new(&zip)).unwrap_err().kind(), ErrorKind::Malformed);
        assert!(read_zip_file(Cursor::new(&zip), b"m/a", 100).is_err());
        assert!(read_zip_files(Cursor::new(&zip), |_, _| true).is_err());
    }
}
