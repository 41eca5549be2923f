//! GOPROXY and GOSUMDB, as the go command's own source reads them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quipu_module::{Fallback, ProxyList, ProxyTarget, SUM_GOLANG_ORG_KEY, SumDb};
use quipu_oracle::{Answer, Comparison, Recipe, Rng};
use sha2::{Digest as _, Sha256};

use crate::of_text;

const TOKENS: &[&str] = &[
    ",",
    "|",
    " ",
    "\t",
    "\u{a0}",
    "direct",
    "off",
    "noproxy",
    "https://",
    "http://",
    "file://",
    "file:",
    "ftp:",
    ":",
    ":/",
    "//",
    "///",
    "/",
    ".",
    "@",
    "?",
    "#",
    "%",
    "%41",
    "%80",
    "%2",
    "%zz",
    "%25",
    "[",
    "]",
    "[::1]",
    "[::1%25eth0]",
    ":80",
    ":x",
    "a.example",
    "user:pw@",
    "é",
    "\u{7f}",
    "\u{1}",
    "+",
    "\\",
    "<",
    "\"",
    "^",
    "{",
    "*",
    "[v1.x]",
    "127.0.0.1",
];

const LIST: Recipe = Recipe { grammar: list, tokens: TOKENS };
const URL: Recipe = Recipe { grammar: |rng| url(rng).into_bytes(), tokens: TOKENS };

fn list(rng: &mut Rng) -> Vec<u8> {
    let mut list = String::new();
    for _ in 0..rng.between(1, 3) {
        list += &match rng.below(8) {
            0 => "direct".into(),
            1 => rng.pick(&["off", "", " ", " direct ", "\toff", "DIRECT", "noproxy", "proxy"]).to_owned(),
            _ => url(rng),
        };
        list += rng.pick(&[",", "|", ",", "|", ",,", " , ", "|,", ""]);
    }
    list.into_bytes()
}

fn url(rng: &mut Rng) -> String {
    let scheme = match rng.below(8) {
        0 | 1 => "",
        2 => rng.pick(&[
            "ftp://",
            "file:",
            "HTTPS://",
            "File:///",
            "https:",
            "://",
            "h+t.t-p://",
            "1http://",
            "//",
            "file://h",
        ]),
        3 => "file://",
        4 => "http://",
        _ => "https://",
    };
    let user = if rng.one_in(8) {
        rng.pick(&["me@", "me:pw@", "@", "a@b@", "m%40e:p%3aw@", "m<e@", "é@", ":@", "a b@", "%zz@", "a/b@"])
    } else {
        ""
    };
    let host = match rng.below(6) {
        0 => rng.pick(&[
            "",
            "localhost",
            "[::1]",
            "[::1",
            "::1",
            "[fe80::1%25en0]",
            "[::1%25]",
            "[::1%25a%20b]",
            "[::1%25%41%25]",
            "[::1%25a%c3]",
            "[1.2.3.4]",
            "a b",
            "a_b.c",
            "é.example",
            "%C3%A9.x",
            "a%41",
            "a<b",
            "a^b",
            "A.B",
            "..",
            "[::1]x",
            "[::g]",
            "[v1.a]",
            "a[b]",
            "[::ffff:1.2.3.4]",
            "[]",
        ]),
        _ => rng.pick(&["a.example", "b.c", "127.0.0.1"]),
    };
    let port = if rng.one_in(4) {
        rng.pick(&[":80", ":", ":x", ":8o", ":-1", ":80:90", ":%38", ":999999"])
    } else {
        ""
    };
    let path = if rng.one_in(2) {
        rng.pick(&[
            "/", "/x", "/x/y", "/%2f", "/%zz", "/a b", "?", "/x?q=1", "#f", "/x#%zz", "/é", "//", "/x%",
            "/?q#f", "/a:b", "/<>", "?%zz", "#",
        ])
    } else {
        ""
    };
    let host = if scheme == "file://" && !rng.one_in(4) { "" } else { host };
    [scheme, user, host, port, path].concat()
}

#[test]
fn proxy_lists() {
    Comparison::of("cmdgo.proxies").run(
        |rng| vec![LIST.next_text(rng)],
        |args| {
            of_text(args, |list| match ProxyList::parse(list) {
                Err(e) => Answer::rejected(e),
                Ok(list) => {
                    let spec = |target: &ProxyTarget| match target {
                        ProxyTarget::Url(url) => url.as_str().to_owned(),
                        word => word.to_string(),
                    };
                    let separator = |f| if f == Fallback::OnAnyError { "|" } else { "," };
                    let entries =
                        list.entries().iter().map(|e| separator(e.fallback).to_owned() + &spec(&e.target));
                    Answer::Ok(entries.map(String::into_bytes).collect())
                }
            })
        },
    );
}

/// A key whose id is right: what the key itself has to be is not for this parser to say.
fn key(rng: &mut Rng) -> String {
    let host = rng.pick(&[
        "sum.example",
        "sum.example",
        "sum.example/db",
        "sum.example/a/b",
        "sum.example/",
        "sum.example:80",
        "sum.example:x",
        "a@b",
        "a?b",
        "a#b",
        "a%41",
        "a/%41",
        "[::1]",
        "[::1",
        "/a",
        "é.example",
        "a/é",
        "a//b",
        "a<b",
        "a^b",
        "a/../b",
        "localhost",
        "a/b?",
        "a/b#c",
        "A.B",
        "a:b@c",
        "a\\b",
        "a/\\",
        "a/[b]",
        "a[b]",
        ":80",
        "a/:b",
        "a;b",
        "a/b:c",
        "..",
        "a\u{200b}",
        "a\u{7f}",
        "sum.example/a;b",
        "a/<",
        "a/\"",
        "a/{",
        "a/|",
        "a/^",
        "a/`",
        "\u{1}",
    ]);
    let mut name = host.to_owned();
    if rng.one_in(8) {
        let at = name.char_indices().map(|(at, _)| at).nth(rng.below(6)).unwrap_or(0);
        name.insert_str(at, rng.pick(TOKENS));
        // Names with escapes or `@` in the path, which Go takes now and then, are refused here.
        name.retain(|c| !c.is_whitespace() && !"+%@".contains(c));
    }
    let typed = [&[1], [7; 32].as_slice()].concat();
    let id = Sha256::new().chain_update(&name).chain_update("\n").chain_update(&typed).finalize();
    let id: String = id.iter().take(4).map(|b| format!("{b:02x}")).collect();
    format!("{name}+{id}+{}", STANDARD.encode(typed))
}

fn value(rng: &mut Rng) -> String {
    let key = match rng.below(8) {
        0 => rng
            .pick(&[
                "sum.golang.org",
                "sum.golang.google.cn",
                "off",
                "direct",
                " ",
                "sum.golang.org ",
                "sum.example",
                SUM_GOLANG_ORG_KEY,
            ])
            .to_owned(),
        _ => key(rng),
    };
    match rng.below(4) {
        0 => key,
        1 => format!("{key}{}", rng.pick(&[" ", "\t", "\n", "", " a b", "\u{a0}"])),
        _ => format!("{key} {}", url_without_space(rng)),
    }
}

fn url_without_space(rng: &mut Rng) -> String {
    let url = URL.next_text(rng);
    String::from_utf8_lossy(&url).replace(|c: char| c.is_whitespace() && c != '\n', "")
}

#[test]
fn databases() {
    Comparison::of("cmdgo.database").run(
        |rng| vec![value(rng).into_bytes()],
        |args| {
            of_text(args, |value| match SumDb::parse(value) {
                Err(e) => Answer::rejected(e),
                Ok(SumDb::Off) => Answer::err(),
                // Go writes a URL as it would write any of its kind, we as it was given: only whether there is one counts.
                Ok(SumDb::Database(db)) => {
                    let has_url = if db.url().is_some() { "1" } else { "0" };
                    Answer::ok([db.name().as_bytes(), db.key().as_bytes(), has_url.as_bytes()])
                }
            })
        },
    );
}
