//! Zips made here, read again, and the limits of what is made.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::{self, Cursor, Write};

use proptest::prelude::*;
use quipu_module::{
    ErrorKind, MAX_ROOT_FILE, MAX_ZIP, ModuleVersion, ZipWriter, check_zip, hash_files, list_zip,
};

fn module() -> ModuleVersion {
    "example.com/M@v1.0.0".parse().unwrap()
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        files in proptest::collection::btree_map("m[a-zé]{0,7}(/m[a-z]{0,2}){0,2}\\.go", ".{0,300}", 0..8),
        repeat in 1usize..200,
    ) {
        let mut writer = ZipWriter::new(&module(), Vec::new());
        for (path, content) in &files {
            writer.start_file(path).unwrap();
            let content = content.repeat(repeat);
            content.as_bytes().chunks(10_000).try_for_each(|chunk| writer.write(chunk)).unwrap();
        }
        let zip = writer.finish().unwrap();
        let report = check_zip(&module(), Cursor::new(&zip)).unwrap();
        let content = |content: &str| Cursor::new(content.repeat(repeat).into_bytes());
        let names = files.iter().map(|(path, text)| (format!("{}/{path}", module()), content(text)));
        prop_assert_eq!(report.hash, hash_files(names).unwrap());
        prop_assert_eq!(report.files, files.len());
        prop_assert_eq!(report.zip_size, zip.len() as u64);
    }
}

#[test]
fn the_same_files_give_the_same_bytes_however_they_come() {
    let content = b"package m // and so on\n".repeat(50_000);
    let zip = |chunk: usize| {
        let mut writer = ZipWriter::new(&module(), Vec::new());
        writer.start_file("m.go").unwrap();
        content.chunks(chunk).try_for_each(|chunk| writer.write(chunk)).unwrap();
        writer.finish().unwrap()
    };
    let whole = zip(content.len());
    assert!(whole.len() < content.len() / 20);
    for chunk in [997, 65_536, 65_537, 1 << 20] {
        assert!(zip(chunk) == whole, "chunks of {chunk}");
    }
}

#[test]
fn more_files_than_sixteen_bits_count() {
    for count in [65_534, 65_535, 70_000] {
        let mut writer = ZipWriter::new(&module(), Vec::new());
        (0..count).try_for_each(|n| writer.start_file(&format!("{n}.go"))).unwrap();
        let zip = writer.finish().unwrap();
        assert_eq!(list_zip(Cursor::new(&zip)).unwrap().len(), count);
        assert_eq!(check_zip(&module(), Cursor::new(&zip)).unwrap().files, count);
    }
}

#[test]
fn what_no_module_may_have_is_refused() {
    let mut writer = ZipWriter::new(&module(), Vec::new());
    assert_eq!(writer.write(b"x").unwrap_err().to_string(), "zip: no file was started");
    let error = writer.start_file("it's.txt").unwrap_err();
    assert_eq!(error.to_string(), "malformed file path \"it's.txt\": invalid char '\\''");
    assert!(writer.start_file("../up").is_err());
    assert!(writer.start_file(&"a/".repeat(32_768)).is_err());
    assert_eq!(
        writer.start_file(&format!("{}a", "a/".repeat(32_768))).unwrap_err().to_string(),
        "zip: name too long"
    );
}

#[test]
fn sizes_are_bounded() {
    let chunk = vec![0; 1 << 20];
    let write = |path: &str, chunks: u64| {
        let mut writer = ZipWriter::new(&module(), io::sink());
        writer.start_file(path)?;
        (0..chunks).try_for_each(|_| writer.write(&chunk))?;
        writer.write(b"").map(|()| writer)
    };
    for path in ["go.mod", "LICENSE"] {
        let most = MAX_ROOT_FILE >> 20;
        let mut writer = write(path, most).unwrap();
        let error = writer.write(b"x").unwrap_err();
        assert!(error.to_string().ends_with("file too large (max size is 16777216 bytes)"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Malformed);
    }
    let mut writer = write("zeros", MAX_ZIP >> 20).unwrap();
    let error = writer.write(b"x").unwrap_err();
    assert_eq!(error.to_string(), "module source tree too large (max size is 524288000 bytes)");
}

#[test]
fn a_writer_that_fails_is_not_the_zips_fault() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let write = |room| {
        let mut writer = ZipWriter::new(&module(), Full(room));
        writer.start_file("a.go")?;
        writer.write(b"package a")?;
        writer.finish().map(|full| room - full.0)
    };
    let size = write(4096).unwrap();
    assert_eq!(write(size).unwrap(), size);
    for room in 0..size {
        assert_eq!(write(room).err().unwrap().kind(), ErrorKind::Write, "{room}");
    }
}
