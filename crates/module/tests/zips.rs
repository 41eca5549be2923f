//! Zips that are damaged, lie about themselves, or sit at a limit.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "common/zip_writer.rs"]
mod zip_writer;

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use quipu_module::{ErrorKind, H1, MAX_ROOT_FILE, MAX_ZIP, ModuleVersion, check_zip, hash_files, hash_zip};
use zip_writer::{ZipEntry, deflated, entry, write_zip};

const ROOT: &str = "example.com/m@v1.0.0";

fn module() -> ModuleVersion {
    ModuleVersion::parse("example.com/m", "v1.0.0").unwrap()
}

fn named(path: &str) -> String {
    format!("{ROOT}/{path}")
}

fn check(zip: &[u8]) -> Result<H1, String> {
    check_zip(&module(), Cursor::new(zip)).map(|report| report.hash).map_err(|e| e.to_string())
}

fn small_zip() -> Vec<u8> {
    let text = "package m // a text that deflate makes shorter, shorter, shorter\n".repeat(4);
    write_zip(&[
        entry(&named("go.mod"), "module example.com/m\n"),
        deflated(&named("a.go"), &text),
        entry(&named("dir/"), ""),
        ZipEntry { descriptor: true, ..entry(&named("dir/b.go"), "package b\n") },
    ])
}

#[test]
fn a_truncated_zip_is_refused() {
    let zip = small_zip();
    check(&zip).unwrap();
    for length in 0..zip.len() {
        assert!(check(&zip[..length]).is_err(), "accepted {length} of {} bytes", zip.len());
    }
}

/// A flipped bit in a name gives another name, and so another hash; one in a time stamp nothing. No other
/// one gives another hash, and none in names or contents is overlooked.
#[test]
fn a_flipped_bit_is_noticed_where_it_matters() {
    let zip = small_zip();
    let hash = check(&zip).unwrap();
    let directory = zip.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    let places = |text: &[u8]| {
        zip.windows(text.len()).enumerate().filter(|(_, w)| *w == text).map(|(at, _)| at).collect()
    };
    let root: Vec<usize> = places(ROOT.as_bytes());
    let names = ["go.mod", "a.go", "dir/", "dir/b.go"].map(named);
    let is_name = |at: usize| {
        let mut in_directory = root.iter().filter(|&&start| start > directory).zip(&names);
        // The length of a name stands 18 bytes before it. The last name can grow into what follows.
        in_directory.any(|(&start, name)| at == start - 18 || (start..start + name.len()).contains(&at))
    };
    let is_content = |at: usize| {
        let contents: [&[u8]; 2] = [b"module example.com/m\n", b"package b\n"];
        contents.iter().any(|c| places(c).iter().any(|&start| (start..start + c.len()).contains(&at)))
    };
    let (mut same, mut other) = (0, 0);
    for bit in 0..zip.len() * 8 {
        let mut flipped = zip.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // Without the checks nothing may go wrong either.
        let _ = hash_zip(Cursor::new(&flipped));
        let Ok(new_hash) = check(&flipped) else { continue };
        assert!(!is_content(bit / 8), "content at {} was changed", bit / 8);
        assert!(!(is_name(bit / 8) && new_hash == hash), "name at {} was changed", bit / 8);
        assert!(is_name(bit / 8) || new_hash == hash, "bit {} of byte {}", bit % 8, bit / 8);
        *if new_hash == hash { &mut same } else { &mut other } += 1;
    }
    assert!(same > 100 && other > 10, "{same} accepted with the same hash, {other} with another");
}

#[test]
fn damaged_content_is_refused() {
    let file = |change: fn(&mut ZipEntry)| {
        let mut bad = deflated(&named("a"), "some content, some content");
        change(&mut bad);
        check(&write_zip(&[bad])).unwrap_err()
    };
    let context = format!("zip entry \"{ROOT}/a\"");
    assert_eq!(file(|e| e.crc = Some(1)), format!("{context}: zip: checksum error"));
    assert_eq!(file(|e| e.crc = Some(0)), format!("{context}: zip: checksum error"));
    assert_eq!(file(|e| e.size = Some(25)), format!("{context}: zip: not a valid zip file"));
    assert_eq!(file(|e| e.size = Some(27)), format!("{context}: unexpected EOF"));
    let stored = ZipEntry { size: Some(9), ..entry(&named("a"), "ten bytes.") };
    assert_eq!(check(&write_zip(&[stored])).unwrap_err(), format!("{context}: zip: not a valid zip file"));
}

/// A copy from before the start of the output: Go and zlib refuse it, other libraries copy zeros.
#[test]
fn a_copy_from_nowhere_is_refused() {
    // One block of the fixed code: the letter a, three bytes from 25 before, the end.
    let stored = Some(vec![0x4b, 0x04, 0x4a, 0x00, 0x00]);
    let copied = ZipEntry { deflate: true, crc: Some(0), stored, ..entry(&named("a"), "a\0\0\0") };
    assert!(check(&write_zip(std::slice::from_ref(&copied))).unwrap_err().ends_with("flate: corrupt input"));
    // The same block without the copy is fine.
    let plain = ZipEntry { stored: Some(vec![0x4b, 0x04, 0x00]), ..entry(&named("a"), "a") };
    check(&write_zip(&[ZipEntry { deflate: true, ..plain }])).unwrap();
}

#[test]
fn an_unset_checksum_is_forgiven_without_a_descriptor() {
    let unset = ZipEntry { crc: Some(0), ..entry(&named("a"), "content") };
    let want = hash_files([(named("a"), &b"content"[..])]).unwrap();
    assert_eq!(check(&write_zip(&[unset])).unwrap(), want);
}

#[test]
fn a_directory_has_no_content() {
    let full = entry(&named("dir/"), "x");
    assert!(check(&write_zip(&[full])).unwrap_err().ends_with("zip: not a valid zip file"));
}

/// The last of several entries counts for all, as in Go; module zips may only repeat directories.
#[test]
fn the_last_entry_of_a_name_counts() {
    let zip = write_zip(&[entry("a", "first"), entry("b", "other"), entry("a", "last")]);
    let twice = [("a", &b"last"[..]), ("a", b"last"), ("b", b"other")];
    assert_eq!(hash_zip(Cursor::new(&zip)).unwrap(), hash_files(twice).unwrap());

    let directories = write_zip(&[entry(&named("d/"), ""), entry(&named("d/"), "")]);
    let twice = [(named("d/"), &b""[..]), (named("d/"), b"")];
    assert_eq!(check(&directories).unwrap(), hash_files(twice).unwrap());
}

#[test]
fn colliding_names_are_refused() {
    let refused = |names: &[&str]| {
        let entries: Vec<ZipEntry> = names.iter().map(|name| entry(&named(name), "")).collect();
        check(&write_zip(&entries)).unwrap_err()
    };
    let collision = |path: &str, a: &str, b: &str| {
        format!("{ROOT}/{path}: case-insensitive file name collision: \"{a}\" and \"{b}\"")
    };
    assert_eq!(refused(&["k", "\u{212a}"]), collision("\u{212a}", "k", "\u{212a}"));
    assert_eq!(refused(&["a/b/x", "a/B/y"]), collision("a/B/y", "a/b", "a/B"));
    assert_eq!(refused(&["a/b/x", "A/B/x"]), collision("A/B/x", "a/b/x", "A/B/x"));
    assert_eq!(refused(&["a", "a/b"]), format!("{ROOT}/a/b: entry \"a\" is both a file and a directory"));
    assert_eq!(refused(&["a/b", "a"]), format!("{ROOT}/a: entry \"a\" is both a file and a directory"));
    assert_eq!(refused(&["a/", "a"]), format!("{ROOT}/a: entry \"a\" is both a file and a directory"));
    // ß and ss are two names, as are the two i of Turkish.
    let entries = ["ß", "ss", "i", "\u{131}"].map(|name| entry(&named(name), ""));
    check(&write_zip(&entries)).unwrap();
}

/// One name of 65,000 bytes has 32,000 directories above it: time and memory must not grow with its square.
#[test]
fn deep_names_cost_no_more_than_their_length() {
    let deep = format!("{}x", "d/".repeat(32_000));
    let entries: Vec<ZipEntry> = (0..3).map(|i| entry(&named(&format!("{deep}{i}")), "")).collect();
    check(&write_zip(&entries)).unwrap();
    let many: Vec<ZipEntry> = (0..34).map(|i| entry(&named(&format!("{i}/{deep}")), "")).collect();
    let error = check(&write_zip(&many)).unwrap_err();
    assert!(error.ends_with("too many files and directories"), "{}", &error[error.len() - 60..]);
}

#[test]
fn declared_sizes_have_limits() {
    let lying = |path: &str, size: u64| ZipEntry { size: Some(size as u32), ..entry(&named(path), "") };
    let error = |entries: &[ZipEntry]| check(&write_zip(entries)).unwrap_err();
    let at_limit = error(&[lying("a", MAX_ZIP / 2), lying("b", MAX_ZIP / 2)]);
    assert!(at_limit.ends_with("unexpected EOF"), "{at_limit}");
    let total = "total uncompressed size of module contents too large (max size is 524288000 bytes)";
    assert_eq!(error(&[lying("a", MAX_ZIP / 2), lying("b", MAX_ZIP / 2 + 1)]), total);
    assert_eq!(error(&[lying("a", u64::from(u32::MAX))]), total);
    for name in ["go.mod", "LICENSE"] {
        assert!(error(&[lying(name, MAX_ROOT_FILE)]).ends_with("unexpected EOF"));
        let too_large = format!("{ROOT}/{name}: {name} file too large (max size is 16777216 bytes)");
        assert_eq!(error(&[lying(name, MAX_ROOT_FILE + 1)]), too_large);
    }
    assert!(error(&[lying("sub/LICENSE", MAX_ROOT_FILE + 1)]).ends_with("unexpected EOF"));
}

#[test]
fn zip64_sizes_are_read() {
    let extra = [&[1, 0, 8, 0][..], &7u64.to_le_bytes()].concat();
    let huge = ZipEntry { size: Some(u32::MAX), extra, ..entry(&named("a"), "content") };
    assert_eq!(check(&write_zip(&[huge])).unwrap(), hash_files([(named("a"), &b"content"[..])]).unwrap());
}

#[test]
fn bytes_before_a_zip_are_allowed() {
    let zip = small_zip();
    let shifted = [&[0; 100][..], &zip].concat();
    assert_eq!(check(&shifted), check(&zip));
}

/// Answers reads with zeros or an error, and says that it is `size` bytes long.
struct Fake {
    size: u64,
    fails: bool,
}

impl Read for Fake {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.fails {
            return Err(io::Error::other("disk on fire"));
        }
        buffer.fill(0);
        Ok(buffer.len())
    }
}

impl Seek for Fake {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Ok(self.size)
    }
}

#[test]
fn a_zip_has_a_largest_size() {
    let check = |size| check_zip(&module(), Fake { size, fails: false }).unwrap_err().to_string();
    assert_eq!(
        check(MAX_ZIP + 1),
        "module zip file is too large (524288001 bytes; limit is 524288000 bytes)"
    );
    assert_eq!(check(MAX_ZIP), "zip: not a valid zip file");
}

#[test]
fn a_failing_reader_is_no_verdict_on_the_zip() {
    let error = check_zip(&module(), Fake { size: 100, fails: true }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Read);
    assert_eq!(error.to_string(), "read failed: disk on fire");
    assert_eq!(check_zip(&module(), Cursor::new(b"")).unwrap_err().kind(), ErrorKind::Malformed);
}

#[test]
fn an_empty_zip_is_a_module() {
    let report = check_zip(&module(), Cursor::new(write_zip(&[]))).unwrap();
    assert_eq!(report.hash.to_string(), "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    assert_eq!((report.files, report.content_size, report.go_mod), (0, 0, None));
}
