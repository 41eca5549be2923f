//! Zips, good and hostile: what is accepted, and the h1 hashes.

use std::io::Cursor;

use flate2::{Decompress, FlushDecompress, Status};
use quipu_module::{ModuleVersion, check_zip, hash_files, hash_zip};
use quipu_oracle::{Answer, Args, Comparison, Rng};

use crate::paths::FILE;
use crate::zip_file::{Entry, Frame, damage, deflate};

const PATH: &str = "example.com/m";
const VERSION: &str = "v1.0.0";
const PREFIX: &str = "example.com/m@v1.0.0/";

/// A file name inside a module. Two of them collide now and then.
fn file_name(rng: &mut Rng) -> Vec<u8> {
    match rng.below(12) {
        0 => FILE.next(rng),
        1 => rng
            .pick(&[
                "GO.MOD",
                "sub/go.mod",
                "sub/Go.Mod",
                "A.go",
                "a.GO",
                "d/A",
                "D/a",
                "d",
                "d/",
                "d/e/",
                "d//e",
                "./a",
                "../a",
                "a/../b",
                "/a",
                "",
                "vendor/x/y.go",
                "a\\b",
                "con",
                "a:b",
                "a\n",
                ".",
                "..",
                "/",
                "k\u{e9}",
                "\u{212a}",
                "K",
                "k",
                "\u{17f}",
                "s",
                "\u{df}",
                "\u{1e9e}",
                "LICENSE",
                "license",
                "go.mod/",
                "go.mod/x",
                "aux.go",
                "x.",
                "d/./e",
            ])
            .into(),
        2 => "go.mod".into(),
        _ => format!(
            "{}{}",
            rng.pick(&["", "", "d/", "d/e/", "é/", "internal/x/"]),
            rng.pick(&["a.go", "b.go", "c_test.go", "LICENSE", "README", "é.txt", "z"])
        )
        .into_bytes(),
    }
}

fn content(rng: &mut Rng) -> Vec<u8> {
    let length = match rng.below(8) {
        0 => 0,
        1 => rng.between(200, 900),
        _ => rng.below(40),
    };
    if rng.one_in(2) { rng.bytes(length) } else { rng.letters(length, b"ab\n") }
}

fn honest_entry(rng: &mut Rng) -> Entry {
    let mut name = if rng.one_in(60) {
        rng.pick(&["", "example.com/m@v1.0.1/", "Example.com/m@v1.0.0/", "x"]).into()
    } else {
        PREFIX.as_bytes().to_vec()
    };
    name.extend(file_name(rng));
    let is_dir = name.ends_with(b"/");
    let content = if is_dir && !rng.one_in(16) { Vec::new() } else { content(rng) };
    let deflated = rng.one_in(2);
    let mut entry = Entry::new(name, &content, deflated);
    if rng.one_in(3) {
        entry.use_descriptor(rng.one_in(2), rng.one_in(2));
    }
    if rng.one_in(8) {
        entry.zip64 = [rng.one_in(2), rng.one_in(2), rng.one_in(2)];
    }
    if rng.one_in(8) {
        // Another extra field, of a known or unknown kind.
        let data = rng.bytes(5);
        entry.extra = [&[rng.below(3) as u8, rng.below(2) as u8, 5, 0], data.as_slice()].concat();
        entry.local_extra = entry.extra.clone();
    }
    entry
}

/// Makes one thing about an entry untrue or odd.
fn spoil(rng: &mut Rng, entry: &mut Entry) {
    const SIZES: [u64; 8] =
        [16 << 20, (16 << 20) + 1, 500 << 20, (500 << 20) + 1, 1 << 63, u64::MAX, 0, 0xffff_ffff];
    match rng.below(18) {
        0 => entry.crc ^= 1 << rng.below(32),
        1 => entry.crc = 0,
        2 => entry.size = entry.size.wrapping_add(rng.between(1, 3) as u64),
        3 => entry.size = entry.size.saturating_sub(rng.between(1, 3) as u64),
        4 => (entry.size, entry.zip64[0]) = (SIZES[rng.below(8)], rng.one_in(2)),
        5 => entry.stored_size = entry.stored_size.wrapping_add(rng.between(1, 30) as u64),
        6 => entry.stored_size = entry.stored_size.saturating_sub(rng.between(1, 3) as u64),
        7 => (entry.stored_size, entry.zip64[1]) = (SIZES[rng.below(8)], rng.one_in(2)),
        8 => entry.method = rng.pick(&[&0, &8, &1, &9, &12, &99, &0xffff]).to_owned(),
        9 => entry.flags ^= 1 << rng.below(16),
        10 => entry.local_name = Some(file_name(rng)),
        11 => entry.comment = rng.pick(&["note", "PK\x01\x02", "PK\x05\x06"]).into(),
        12 => entry.extra.extend(
            rng.pick(&["\u{1}\0", "\u{1}\0\u{4}\0", "\u{1}\0\u{ff}\0x", "\u{1}\0\u{8}\0abcdefgh", "\0"])
                .bytes(),
        ),
        13 => entry.shift = rng.between(1, 40) as i64 - 20,
        14 => entry.descriptor.truncate(rng.below(12)),
        15 => entry.stored.extend(rng.pick(&["x", "PK\x03\x04", "\0\0\0"]).bytes()),
        16 => spoil_deflated(rng, entry),
        _ => entry.zip64 = [true; 3],
    }
}

/// Damages a deflated stream and makes the headers true again, so that the stream itself is judged.
fn spoil_deflated(rng: &mut Rng, entry: &mut Entry) {
    if entry.method != 8 || entry.stored.is_empty() {
        return;
    }
    flip_bits(rng, &mut entry.stored);
    entry.stored_size = entry.stored.len() as u64;
    // Without a CRC and a descriptor no checksum stands in the way.
    (entry.crc, entry.flags) = (0, 0);
    entry.descriptor.clear();
    if let Some(content) = inflate(&entry.stored, MOST_INFLATED) {
        entry.size = content.len() as u64;
    }
}

/// Flips bits near the start, where block types and code lengths stand.
fn flip_bits(rng: &mut Rng, stream: &mut [u8]) {
    for _ in 0..rng.between(1, 3) {
        let at = rng.below(stream.len().min(40));
        stream[at] ^= 1 << rng.below(8);
    }
}

/// More than any stream here becomes, unless it is meant to.
const MOST_INFLATED: usize = 1 << 16;

/// Inflates as the reader of zips does.
fn inflate(stream: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut content = Vec::with_capacity(most + 1);
    let mut inflater = Decompress::new(false);
    let status = inflater.decompress_vec(stream, &mut content, FlushDecompress::Finish).ok()?;
    (status == Status::StreamEnd && content.len() <= most).then_some(content)
}

/// Deflated streams alone, most of them damaged: what one library inflates the other has to inflate alike.
#[test]
fn inflating() {
    let case = |rng: &mut Rng| {
        let length = rng.below(600);
        let mut stream = match rng.below(4) {
            0 => deflate(&rng.letters(length, b"abcdefghijklmnopqrstuvwxyz \n")),
            1 => deflate(&rng.letters(length, b"ab")),
            2 => deflate(&b"package main // ".repeat(length / 16)),
            _ => {
                // A block with codes of its own, out of nothing.
                let mut stream = rng.bytes(60);
                stream[0] = stream[0] & 0xf8 | 5;
                stream
            }
        };
        if rng.below(5) > 0 {
            flip_bits(rng, &mut stream);
        }
        vec![stream, MOST_INFLATED.to_string().into_bytes()]
    };
    Comparison::of("flate.inflate").run(case, |args| match inflate(&args[0], MOST_INFLATED) {
        Some(content) => Answer::Ok(vec![content]),
        None => Answer::err(),
    });
}

fn frame(rng: &mut Rng) -> Frame {
    let mut frame = Frame::default();
    if rng.one_in(3) {
        return frame;
    }
    match rng.below(12) {
        0 => frame.before = rng.pick(&["#!/bin/sh\n", "x", "PK\x03\x04", "PK\x05\x06", "PK\x01\x02"]).into(),
        1 => (frame.before, frame.absolute) = (b"#!/bin/sh\n".to_vec(), true),
        2 => {
            frame.comment = rng
                .pick(&[
                    "comment",
                    "PK\x05\x06",
                    "PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                    "PK\x05\x06\0\0\0\0\u{1}\0\u{1}\0\u{1}\0\0\0\0\0\0\0\0\0",
                ])
                .into()
        }
        3 => frame.comment_length = Some(rng.below(30) as u16),
        4 => {
            frame.after = rng
                .pick(&["\0", "junk", "PK\x05\x06", "PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"])
                .into()
        }
        5 => frame.shifts[0] = [1, -1, 2, 65536, -3][rng.below(5)],
        6 => frame.shifts[1] = rng.between(1, 60) as i64 - 30,
        7 => frame.shifts[2] = rng.between(1, 60) as i64 - 30,
        8 => frame.zip64 = Some(rng.one_in(2)),
        9 => (frame.zip64, frame.shifts[rng.below(3)]) = (Some(true), rng.between(1, 60) as i64 - 30),
        10 => frame.between = rng.pick(&["x", "PK\x01\x02", "PK\x06\x07"]).into(),
        _ => (frame.before, frame.zip64) = (b"before".to_vec(), Some(true)),
    }
    frame
}

fn zip(rng: &mut Rng) -> Vec<u8> {
    let count = if rng.one_in(20) { rng.between(8, 20) } else { rng.below(5) };
    let mut entries: Vec<Entry> = (0..count).map(|_| honest_entry(rng)).collect();
    if rng.below(3) > 0 {
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries.dedup_by(|a, b| a.name == b.name);
    }
    if rng.one_in(3)
        && let Some(at) = entries.len().checked_sub(1)
    {
        spoil(rng, &mut entries[at]);
    }
    let mut zip = frame(rng).write(&entries);
    if rng.one_in(4) {
        for _ in 0..rng.between(1, 2) {
            damage(rng, &mut zip);
        }
    }
    if rng.one_in(40) {
        zip.truncate(rng.below(zip.len() + 1));
    }
    zip
}

#[test]
fn judging() {
    let case = |rng: &mut Rng| vec![PATH.into(), VERSION.into(), zip(rng)];
    Comparison::of("zip.judge").run(case, judge);
}

fn judge(args: &Args) -> Answer {
    let module = ModuleVersion::parse(&String::from_utf8_lossy(&args[0]), &String::from_utf8_lossy(&args[1]));
    let report = match module.and_then(|module| check_zip(&module, Cursor::new(&args[2]))) {
        Ok(report) => report,
        Err(e) => return Answer::rejected(e),
    };
    assert_eq!(report.zip_size, args[2].len() as u64);
    let go_mod = report.go_mod.map_or_else(Vec::new, |content| [b"+", content.as_slice()].concat());
    Answer::Ok(vec![
        report.hash.to_string().into_bytes(),
        go_mod,
        report.files.to_string().into_bytes(),
        report.content_size.to_string().into_bytes(),
    ])
}

#[test]
fn hashing() {
    Comparison::of("zip.hash").run(
        |rng| vec![zip(rng)],
        |args| hash_zip(Cursor::new(&args[0])).map_or_else(Answer::rejected, Answer::text),
    );
}

/// Files at the limits of size and number, too large to make a hundred thousand of.
#[test]
fn limits() {
    let zip = |entries: &[Entry]| vec![PATH.into(), VERSION.into(), Frame::default().write(entries)];
    let named = |name: &str, size: usize| Entry::new(format!("{PREFIX}{name}"), &vec![b'a'; size], true);
    let mut cases = Vec::new();
    for name in ["go.mod", "LICENSE", "license", "sub/LICENSE"] {
        for size in [(16 << 20) - 1, 16 << 20, (16 << 20) + 1] {
            cases.push(zip(&[named(name, size)]));
        }
    }
    for count in [65_534, 65_535, 65_536, 65_537, 70_000] {
        let empty: Vec<Entry> = (0..count).map(|i| Entry::new(format!("{PREFIX}{i}"), b"", false)).collect();
        cases.push(zip(&empty));
    }
    Comparison::of("zip.judge").over(cases, judge);
}

#[test]
fn file_lists() {
    let case = |rng: &mut Rng| {
        let mut names: Vec<Vec<u8>> = (0..rng.below(8)).map(|_| FILE.next(rng)).collect();
        names.sort();
        names.dedup();
        if rng.one_in(2) {
            names.reverse();
        }
        let mut args = Vec::new();
        for mut name in names {
            if rng.one_in(20) {
                name.push(b'\n');
            }
            args.extend([name, content(rng)]);
        }
        args
    };
    Comparison::of("dirhash.files").run(case, |args| {
        let files = args.chunks(2).map(|pair| (pair[0].clone(), pair[1].as_slice()));
        hash_files(files).map_or_else(Answer::rejected, Answer::text)
    });
}

/// The name of an entry is judged after the module's own prefix, whatever the module is.
#[test]
fn prefixes() {
    let case = |rng: &mut Rng| {
        let path =
            rng.pick(&["example.com/m", "example.com/M", "example.com/m/v2", "gopkg.in/m.v1", "a.b/c+d"]);
        let version =
            rng.pick(&["v1.0.0", "v2.0.0", "v2.0.0+incompatible", "v1.0.0-rc.1", "v1.0", "v1.0.0+meta"]);
        let name = match rng.below(4) {
            0 => PREFIX.to_owned(),
            1 => format!("{path}@{version}"),
            2 => format!("{path}@{version}/"),
            _ => format!("{path}@{version}/go.mod"),
        };
        vec![path.into(), version.into(), Frame::default().write(&[Entry::new(name, b"", false)])]
    };
    Comparison::of("zip.judge").one_in(10).run(case, judge);
}
