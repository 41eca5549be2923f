//! Versions: semantic versions, their order, agreement with paths, pseudo-versions, lookups.

use std::cmp::Ordering;

use quipu_module::{
    ModuleVersion, Pseudo, Query, check_module_version, check_path_major, format_pseudo, is_pseudo,
    semver::{self, Semver},
};
use quipu_oracle::{Answer, Comparison, Recipe, Rng};

use crate::paths::{PATH, module_path};
use crate::{number, of_text, of_texts, text_or, verdict};

const TOKENS: &[&str] = &[
    "v",
    "v1",
    "v0.0.0",
    ".",
    "-",
    "+",
    "0",
    "1",
    "00",
    "01",
    "-0",
    "-0.",
    ".0.",
    "-pre",
    "rc.1",
    "+incompatible",
    "+meta",
    "incompatible",
    "-20200101000000-abcdefabcdef",
    "20200229235960",
    "é",
    " ",
    "\n",
    "!",
    "A",
    "/go.mod",
    "@",
];

pub(crate) const VERSION: Recipe = Recipe { grammar: version, tokens: TOKENS };
const PSEUDO: Recipe = Recipe { grammar: pseudo_version, tokens: TOKENS };

/// A version, often canonical, sometimes short, sometimes a pseudo-version.
pub(crate) fn version(rng: &mut Rng) -> Vec<u8> {
    if rng.one_in(4) {
        return pseudo_version(rng);
    }
    let mut text = format!("v{}", number(rng));
    for _ in 0..(if rng.one_in(5) { rng.below(4) } else { 2 }) {
        text = text + "." + &number(rng);
    }
    (text + &prerelease(rng) + &build(rng)).into_bytes()
}

fn prerelease(rng: &mut Rng) -> String {
    if rng.below(3) > 0 {
        return String::new();
    }
    let identifiers: Vec<String> = (0..rng.between(1, 3)).map(|_| identifier(rng)).collect();
    format!("-{}", identifiers.join("."))
}

fn identifier(rng: &mut Rng) -> String {
    match rng.below(4) {
        0 => number(rng),
        1 => rng.pick(&["pre", "rc", "alpha", "beta", "0", "-", "--", "0a", "00", "x-1", "", "a_b"]).into(),
        _ => {
            let length = rng.between(1, 4);
            rng.word(length, "abyzAZ019-")
        }
    }
}

fn build(rng: &mut Rng) -> String {
    match rng.below(8) {
        0 => "+incompatible".into(),
        1 => format!("+{}", identifier(rng)),
        2 => rng.pick(&["+incompatible.1", "+meta.00.x", "+a+b", "+", "+dirty"]).into(),
        _ => String::new(),
    }
}

fn pseudo_version(rng: &mut Rng) -> Vec<u8> {
    let stem = match rng.below(8) {
        0..=2 => format!("v{}.0.0", number(rng)),
        3..=5 => {
            format!("v{}.{}.{}-0.", number(rng), number(rng), number(rng)).trim_end_matches('.').to_owned()
        }
        6 => format!("v{}.{}.{}-{}.0", number(rng), number(rng), number(rng), identifier(rng)),
        _ => format!("v{}.{}.{}{}", number(rng), number(rng), number(rng), prerelease(rng)),
    };
    let between = if stem.contains('-') { "." } else { "-" };
    let between = if rng.one_in(20) { rng.pick(&["", ".", "-", "-0.", ".0."]) } else { between };
    let suffix = if rng.one_in(2) { String::new() } else { build(rng) };
    format!("{stem}{between}{}-{}{suffix}", stamp(rng), revision(rng)).into_bytes()
}

fn stamp(rng: &mut Rng) -> String {
    if rng.one_in(16) {
        let length = rng.between(10, 16);
        return rng.word(length, "0123456789");
    }
    let year = if rng.one_in(8) { rng.below(10_000) } else { rng.between(1900, 2100) };
    let (month, day) = (rng.between(0, 13), rng.between(0, 32));
    let (hour, minute, second) = (rng.below(25), rng.below(61), rng.below(62));
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
}

fn revision(rng: &mut Rng) -> String {
    match rng.below(8) {
        0 => rng.pick(&["", "0", "z", "A0z", "abc-def", "000000000001", "ab.c"]).into(),
        _ => rng.word(12, "0123456789abcdef"),
    }
}

/// A path and a version of which the majors agree more often than by chance.
fn path_and_version(rng: &mut Rng) -> Vec<Vec<u8>> {
    if rng.one_in(4) {
        return vec![PATH.next(rng), VERSION.next(rng)];
    }
    let major =
        rng.pick(&["", "/v2", "/v3", "/v10", ".v1", ".v2", ".v3-unstable", ".v0", "/v1", "-unstable"]);
    let host = if major.starts_with('.') {
        "gopkg.in/yaml"
    } else {
        rng.pick(&["example.com/a", "gopkg.in/a", "a.b"])
    };
    let number = if rng.one_in(4) { rng.pick(&["0", "1", "2", "3"]) } else { major_number(major) };
    let text = match rng.below(8) {
        0 => format!("v{number}"),
        1 => format!("v0.0.0-{}-abcdefabcdef", stamp(rng)),
        2 => format!("v{number}.1.2+incompatible"),
        _ => format!("v{number}.1.2{}{}", prerelease(rng), build(rng)),
    };
    vec![format!("{host}{major}").into_bytes(), text.into_bytes()]
}

fn major_number(path_major: &str) -> &str {
    let number = path_major.trim_start_matches(['/', '.', 'v']).trim_end_matches("-unstable");
    if number.is_empty() || number == "-unstable" { "1" } else { number }
}

fn lookup(rng: &mut Rng) -> Vec<u8> {
    let mut parts = path_and_version(rng);
    if rng.one_in(3) {
        parts[0] = module_path(rng).to_ascii_lowercase();
    }
    let joined = parts.join(&b"@"[..]);
    if rng.one_in(8) {
        return joined;
    }
    let escape = |b: u8| if b.is_ascii_uppercase() { vec![b'!', b.to_ascii_lowercase()] } else { vec![b] };
    joined.into_iter().flat_map(escape).collect()
}

#[test]
fn semantic_versions() {
    Comparison::of("semver.all").by_first_result().run(
        |rng| vec![VERSION.next_text(rng)],
        |args| {
            of_text(args, |v| match Semver::parse(v) {
                None => Answer::ok([b"0", b"", b"", b"", b"", b""]),
                Some(v) => Answer::ok([
                    b"1",
                    v.canonical().as_bytes(),
                    v.major().as_bytes(),
                    v.major_minor().as_bytes(),
                    v.prerelease().as_bytes(),
                    v.build().as_bytes(),
                ]),
            })
        },
    );
}

#[test]
fn order() {
    let pair = |rng: &mut Rng| {
        let first = VERSION.next_text(rng);
        let mut second = if rng.one_in(2) { first.clone() } else { VERSION.next_text(rng) };
        if rng.one_in(2) {
            quipu_oracle::mutate(rng, &mut second, TOKENS);
        }
        vec![first, String::from_utf8_lossy(&second).into_owned().into_bytes()]
    };
    Comparison::of("semver.compare")
        .without_verdict()
        .run(pair, |args| of_texts(args, |v, w| Answer::text(semver::compare(v, w) as i8)));
}

#[test]
fn sorting() {
    let list = |rng: &mut Rng| (0..rng.below(12)).map(|_| VERSION.next_text(rng)).collect();
    Comparison::of("semver.sort").without_verdict().one_in(4).run(list, |args| {
        let mut list: Vec<&str> = args.iter().map(|v| std::str::from_utf8(v).unwrap()).collect();
        list.sort_by(|v, w| semver::compare_total(v, w));
        Answer::Ok(list.iter().map(|v| v.as_bytes().to_vec()).collect())
    });
}

#[test]
fn canonical_versions() {
    Comparison::of("module.canonical-version").by_first_result().run(
        |rng| vec![VERSION.next_text(rng)],
        |args| of_text(args, |v| Answer::text(semver::canonical_version(v).unwrap_or_default())),
    );
}

#[test]
fn path_majors() {
    let pair = |rng: &mut Rng| {
        let mut pair = path_and_version(rng);
        let path = String::from_utf8_lossy(&pair[0]).into_owned();
        let major = quipu_module::split_path_version(&path).map_or("", |(_, major)| major);
        let odd = if rng.one_in(8) {
            rng.pick(&["v2", "/v", ".v", "/v0", "/v1", "x", "/v2-unstable", "/v2.0"])
        } else {
            major
        };
        pair[0] = odd.as_bytes().to_vec();
        pair.reverse();
        pair
    };
    Comparison::of("module.check-path-major")
        .run(pair, |args| of_texts(args, |version, major| verdict(check_path_major(version, major))));
}

#[test]
fn agreement() {
    Comparison::of("module.check").run(path_and_version, |args| {
        of_texts(args, |path, version| verdict(check_module_version(path, version)))
    });
}

#[test]
fn pseudo_versions() {
    Comparison::of("module.pseudo")
        .by_first_result()
        .run(|rng| vec![PSEUDO.next_text(rng)], |args| of_text(args, pseudo));
}

fn pseudo(text: &str) -> Answer {
    let Ok(parts) = Pseudo::parse(text) else {
        assert!(!is_pseudo(text));
        return Answer::ok([b"0", b"", b"", b""]);
    };
    let base = parts.base().map_or_else(|_| String::new(), |base| format!("+{}", base.unwrap_or_default()));
    let time = parts.time().map_or_else(|_| String::new(), |time| format!("+{time}"));
    let revision = format!("+{}", parts.revision());
    Answer::ok([b"1", base.as_bytes(), time.as_bytes(), revision.as_bytes()])
}

#[test]
fn making_pseudo_versions() {
    let parts = |rng: &mut Rng| {
        let major = if rng.one_in(4) { String::new() } else { format!("v{}", rng.below(30)) };
        let older = if rng.one_in(3) { Vec::new() } else { good_version(rng) };
        // From the year 1 to the end of 9999.
        let time = -62_135_596_800 + (rng.word64() % 315_537_897_600) as i64;
        let revision = rng.word(12, "0123456789abcdef");
        vec![major.into_bytes(), older, time.to_string().into_bytes(), revision.into_bytes()]
    };
    Comparison::of("module.pseudo-new").without_verdict().run(parts, |args| {
        let arg = |i: usize| std::str::from_utf8(&args[i]).unwrap();
        text_or(format_pseudo(arg(0), arg(1), arg(2).parse().unwrap(), arg(3)))
    });
}

fn good_version(rng: &mut Rng) -> Vec<u8> {
    loop {
        let version = version(rng);
        if std::str::from_utf8(&version).is_ok_and(|v| Semver::parse(v).is_some()) {
            return version;
        }
    }
}

#[test]
fn escaping() {
    Comparison::of("module.escape-version").run(
        |rng| vec![VERSION.next(rng)],
        |args| of_text(args, |v| text_or(Query::parse(v).map(|q| q.escaped()))),
    );
}

#[test]
fn unescaping() {
    Comparison::of("module.unescape-version")
        .run(|rng| vec![VERSION.next(rng)], |args| of_text(args, |v| text_or(Query::unescape(v))));
}

#[test]
fn lookups() {
    const LOOKUP: Recipe = Recipe { grammar: lookup, tokens: TOKENS };
    Comparison::of("module.lookup").run(
        |rng| vec![LOOKUP.next(rng)],
        |args| {
            of_text(args, |text| match ModuleVersion::parse_escaped(text) {
                Ok(m) => Answer::ok([m.path().as_str().as_bytes(), m.version().as_str().as_bytes()]),
                Err(e) => Answer::rejected(e),
            })
        },
    );
}

/// The order of module versions: path, then version.
#[test]
fn module_order() {
    let list = |rng: &mut Rng| {
        let mut list = Vec::new();
        for _ in 0..rng.below(12) {
            let path = rng.pick(&["a.b", "a.b/c", "a.b/C", "a.c", "gopkg.in/x.v1", "a.b/c-d"]);
            list.extend([path.as_bytes().to_vec(), canonical_of_major(rng)]);
        }
        list
    };
    Comparison::of("module.sort").without_verdict().one_in(4).run(list, |args| {
        let text = |arg: &[u8]| String::from_utf8_lossy(arg).into_owned();
        let parse = |pair: &[Vec<u8>]| ModuleVersion::parse(&text(&pair[0]), &text(&pair[1])).unwrap();
        let mut list: Vec<ModuleVersion> = args.chunks(2).map(parse).collect();
        list.sort();
        assert!(list.is_sorted_by(|a, b| a.cmp(b) != Ordering::Greater));
        let fields = list.iter().flat_map(|m| [m.path().to_string(), m.version().to_string()]);
        Answer::Ok(fields.map(String::into_bytes).collect())
    });
}

/// A canonical version that suits both a path without suffix and one with `.v1`.
fn canonical_of_major(rng: &mut Rng) -> Vec<u8> {
    let pre = rng.pick(&["", "", "-rc.1", "-rc.2", "-rc", "-0", "-alpha.beta", "-1.x", "-2"]);
    format!("v1.{}.{}{pre}", rng.below(12), rng.below(12)).into_bytes()
}
