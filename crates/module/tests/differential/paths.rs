//! Paths: checks, escaping, splitting off the major version.

use quipu_module::{ModulePath, check_file_path, check_import_path, split_path_version};
use quipu_oracle::{Answer, Comparison, Recipe, Rng};

use crate::{number, of_text, text_or, verdict};

const TOKENS: &[&str] = &[
    "/",
    "//",
    ".",
    "..",
    "-",
    "~",
    "~1",
    "_",
    "+",
    "!",
    "!a",
    "@",
    " ",
    "v",
    "/v",
    "/v1",
    "/v2",
    ".v1",
    ".v2",
    "v0",
    "-unstable",
    "gopkg.in/",
    "com",
    "COM1",
    "lpt9",
    "nul",
    "NUL.",
    "aux",
    "prn.x",
    "A",
    "é",
    "世",
    "\u{301}",
    "\u{130}",
    "\u{2160}",
    "\u{661}",
    "\u{212A}",
    "\u{FF21}",
    "\u{10400}",
    "\u{1E921}",
    "\u{2EBF0}",
    "\u{0}",
    "\n",
    "\\",
    ":",
    "*",
    "'",
    "\"",
    "`",
    "<",
    ";",
    "golang.org",
    "example.com/",
];

pub(crate) const PATH: Recipe = Recipe { grammar: module_path, tokens: TOKENS };
const ESCAPED: Recipe = Recipe { grammar: escaped_path, tokens: TOKENS };
pub(crate) const FILE: Recipe = Recipe { grammar: file_path, tokens: TOKENS };

/// A module path, most of the time a good one.
pub(crate) fn module_path(rng: &mut Rng) -> Vec<u8> {
    let mut path = host(rng);
    for _ in 0..rng.below(4) {
        path = path + "/" + &element(rng);
    }
    path += &major_suffix(rng);
    path.into_bytes()
}

fn host(rng: &mut Rng) -> String {
    match rng.below(8) {
        0 | 1 => "gopkg.in".into(),
        2 => rng
            .pick(&["localhost", "A.com", "-a.b", "a_b.c", "a..b", ".a.b", "a.b.", "a~1.b", "con.x", ""])
            .into(),
        3 => {
            let (a, b) = (rng.between(1, 6), rng.between(1, 4));
            format!("{}.{}", rng.word(a, "abz019-"), rng.word(b, "az0.-"))
        }
        _ => rng.pick(&["example.com", "golang.org", "a.b", "x-y.z0"]).into(),
    }
}

/// One path element. Ordinary names are the rule, names with a catch the exception.
fn element(rng: &mut Rng) -> String {
    if rng.one_in(6) {
        let catches = [
            "con",
            "NUL.txt",
            "aux.",
            "a~1",
            "a~12.b",
            "a.b~1",
            "..",
            ".",
            "...",
            ".x",
            "é",
            "a b",
            "a+b",
            "COM1",
            "com0",
            "COM10",
            "LPT9.x.y",
            "lpt\u{b9}",
            "x.",
            "~1",
            "a~",
            "~",
            "-x",
            "v1",
            "v2",
            "v02",
            "v2.0",
            "yaml.v2",
            "yaml.v1",
            "m.v0",
            "m.v2-unstable",
            "m.v-unstable",
            "m.v",
            "prn",
            "conin$",
            "a~1~2",
            "a~1x",
        ];
        return rng.pick(&catches).into();
    }
    let length = rng.between(1, 8);
    rng.word(length, "abcdefgvxyzABZ0129-_.~")
}

fn major_suffix(rng: &mut Rng) -> String {
    match rng.below(8) {
        0 => format!("/v{}", number(rng)),
        1 | 2 => format!(".v{}", number(rng)),
        3 => format!(".v{}-unstable", number(rng)),
        4 => rng
            .pick(&[
                "/v1",
                "/v2",
                "/v2.0",
                "/v",
                ".v",
                "/v2/",
                "/V2",
                "/v1.",
                "/v.1",
                "-unstable",
                "/v2-unstable",
            ])
            .into(),
        _ => String::new(),
    }
}

/// The escaped form of a path, now and then with an escape that there is not.
fn escaped_path(rng: &mut Rng) -> Vec<u8> {
    let mut escaped = Vec::new();
    for byte in module_path(rng) {
        match byte {
            b'A'..=b'Z' if !rng.one_in(16) => escaped.extend([b'!', byte.to_ascii_lowercase()]),
            _ if rng.one_in(100) => escaped.extend([b'!', byte]),
            _ => escaped.push(byte),
        }
    }
    escaped
}

/// A file path, in which more characters are good than in a module path.
fn file_path(rng: &mut Rng) -> Vec<u8> {
    let mut elements = Vec::new();
    for _ in 0..rng.between(1, 4) {
        elements.push(match rng.below(4) {
            0 => {
                let length = rng.between(1, 6);
                rng.word(length, "az09!#$%&()+,-.=@[]^_{}~ ")
            }
            1 => (0..rng.between(1, 3)).map(|_| rng.pick(&["é", "世", "ß", "א", "ªb", "ʰ", "𐐀"])).collect(),
            _ => element(rng),
        });
    }
    elements.join("/").into_bytes()
}

fn any_path(rng: &mut Rng) -> Vec<u8> {
    if rng.one_in(3) { FILE.next(rng) } else { PATH.next(rng) }
}

#[test]
fn module_paths() {
    Comparison::of("module.check-path")
        .run(|rng| vec![PATH.next(rng)], |args| of_text(args, |path| verdict(ModulePath::parse(path))));
}

#[test]
fn import_paths() {
    Comparison::of("module.check-import-path")
        .run(|rng| vec![any_path(rng)], |args| verdict(check_import_path(&args[0])));
}

#[test]
fn file_paths() {
    Comparison::of("module.check-file-path")
        .run(|rng| vec![any_path(rng)], |args| verdict(check_file_path(&args[0])));
}

#[test]
fn escaping() {
    Comparison::of("module.escape-path").run(
        |rng| vec![PATH.next(rng)],
        |args| of_text(args, |path| text_or(ModulePath::parse(path).map(|p| p.escaped()))),
    );
}

#[test]
fn unescaping() {
    Comparison::of("module.unescape-path")
        .run(|rng| vec![ESCAPED.next(rng)], |args| of_text(args, |path| text_or(ModulePath::unescape(path))));
}

#[test]
fn splitting() {
    Comparison::of("module.split-path").without_verdict().run(
        |rng| vec![PATH.next_text(rng)],
        |args| {
            of_text(args, |path| match split_path_version(path) {
                Some((prefix, major)) => Answer::ok([prefix.as_bytes(), major.as_bytes(), b"1"]),
                None => Answer::ok([path.as_bytes(), b"", b"0"]),
            })
        },
    );
}
