//! go.mod files, by both readers, and patterns of module paths.

use quipu_module::{GoMod, Patterns, quick_module_path};
use quipu_oracle::{Answer, Comparison, Recipe, Rng, mutate};

use crate::{of_text, of_texts};

const TOKENS: &[&str] = &[
    "module",
    "module ",
    "go ",
    "go 1.21",
    "require ",
    "retract ",
    "ignore ",
    "exclude ",
    "replace ",
    "toolchain ",
    "(",
    ")",
    "(\n",
    ")\n",
    "[",
    "]",
    ",",
    "=>",
    "{",
    "}",
    "//",
    "// ",
    "/*",
    "*/",
    "\n",
    "\r\n",
    "\r",
    "\t",
    " ",
    "\"",
    "`",
    "'",
    "\\",
    "\\n",
    "\"a\"",
    "`a`",
    "Deprecated: ",
    "// Deprecated: x\n",
    "v1.0.0",
    "example.com/m",
    "é",
    "\u{feff}",
    "\u{a0}",
    "\u{2028}",
    "\u{0}",
    "\u{7f}",
    "\u{fffd}",
];

const GO_MOD: Recipe = Recipe { grammar: go_mod, tokens: TOKENS };

/// A go.mod of a few statements, now and then odd ones.
fn go_mod(rng: &mut Rng) -> Vec<u8> {
    let mut text = String::new();
    if rng.one_in(8) {
        text += rng.pick(&["\u{feff}", "\n", "// top\n", "// top\n\n", "// Deprecated: all of it\n", "\r\n"]);
    }
    if rng.below(8) > 0 {
        text += &module(rng);
    }
    for _ in 0..rng.below(5) {
        text += &statement(rng);
    }
    if rng.one_in(4) {
        text = text.replace('\n', "\r\n");
    }
    if rng.one_in(12) {
        text.truncate(text.trim_end().len());
    }
    text.into_bytes()
}

fn module(rng: &mut Rng) -> String {
    let above = comment_above(rng);
    let path = string(rng, "example.com/m");
    match rng.below(8) {
        0 => format!("{above}module (\n{}\t{path}{}\n)\n", comment_above(rng), comment_behind(rng)),
        1 => format!("{above}module\t{path} {}\n", comment_behind(rng)),
        _ => format!("{above}module {path}{}\n", comment_behind(rng)),
    }
}

fn comment_above(rng: &mut Rng) -> String {
    let mut text = String::new();
    for _ in 0..(if rng.one_in(3) { rng.between(1, 5) } else { 0 }) {
        text += rng.pick(&[
            "// Deprecated: use another.\n",
            "// Deprecated:\n",
            "//Deprecated: tight\n",
            "// text\n",
            "//\n",
            "//  more \t\n",
            "\n",
            "// deprecated: no\n",
            "// see Deprecated: no\n",
            "\t// Deprecated:   in\n",
            "/ /\n",
            "// Deprecated: 2 // 3\n",
        ]);
    }
    text
}

fn comment_behind(rng: &mut Rng) -> &'static str {
    if rng.below(3) > 0 {
        return "";
    }
    rng.pick(&[
        " // Deprecated: behind",
        " // why",
        "//why",
        " //",
        " // indirect",
        " /* x */",
        " ///x",
        " // Deprecated: a\r",
    ])
}

/// A string as it may stand in a go.mod: bare, quoted either way, or wrongly.
fn string(rng: &mut Rng, text: &str) -> String {
    match rng.below(16) {
        0 => format!("\"{text}\""),
        1 => format!("`{text}`"),
        2 => rng
            .pick(&[
                "\"a\\tb\"",
                "\"\\x41\\u00e9\\U0001F600\\101\"",
                "`a\\`",
                "\"\\q\"",
                "\"\\400\"",
                "\"\\ud800\"",
                "\"a\n\"",
                "\"\\'\"",
            ])
            .into(),
        3 => rng
            .pick(&[
                "\"a",
                "`a",
                "a\"b",
                "a`b",
                "'a'",
                "\"a\"b",
                "`a`b",
                "\"\"",
                "``",
                "`a\nb`",
                "\"a\\\"b\"",
                "\"\\x80\"",
            ])
            .into(),
        _ => text.to_owned(),
    }
}

fn statement(rng: &mut Rng) -> String {
    let above = comment_above(rng);
    let (verb, line): (&str, fn(&mut Rng) -> String) = match rng.below(10) {
        0 | 1 => ("go", go_version),
        2..=4 => ("retract", retraction),
        5 | 6 => ("require", requirement),
        7 => ("ignore", |rng| string(rng, "./sub")),
        _ => (
            rng.pick(&[
                "exclude",
                "replace",
                "toolchain",
                "tool",
                "godebug",
                "unknown",
                "retract v1.0.0",
                "Module",
                "use",
            ]),
            anything,
        ),
    };
    if rng.one_in(3) {
        return format!("{above}{verb} {}{}\n", line(rng), comment_behind(rng));
    }
    if rng.one_in(12) {
        return above
            + verb
            + rng.pick(&[
                " ()\n",
                " ( )\n",
                " (\n)\n",
                "\n",
                " (",
                " (\n",
                " () x\n",
                " ( x\n",
                "(\n\n)\n",
                " ) \n",
                " (\n) x\n",
            ]);
    }
    let mut block = format!("{above}{verb} ({}\n", comment_behind(rng));
    for _ in 0..rng.below(4) {
        block += &format!("{}\t{}{}\n", comment_above(rng), line(rng), comment_behind(rng));
    }
    block + rng.pick(&[")\n", ")\n", ")\n", "// end\n)\n", "\n)\n", ") // behind\n"])
}

fn go_version(rng: &mut Rng) -> String {
    match rng.below(4) {
        0 => rng
            .pick(&[
                "1",
                "1.",
                "1.021",
                "01.2",
                "1.21.0rc1",
                "1.21rc",
                "v1.21",
                "v1.21.x",
                "1.21-x",
                "1.21.",
                "1.21.01",
                "1.21x",
                "go1.21",
                "1.21 1.22",
                "\"1.21\"",
                "`1.2`",
                "",
                "1.21.0.0",
                "1.2é",
                "0.1",
                "1.21rc01",
                "1.21RC1",
                "2.0beta3",
                "1..2",
                "1.21\u{7f}x",
            ])
            .into(),
        _ => format!("1.{}{}", rng.below(30), rng.pick(&["", "", ".0", ".3", "rc1", "beta2", ".10"])),
    }
}

fn a_version(rng: &mut Rng) -> String {
    let version = rng.pick(&[
        "v1.0.0",
        "v1.2.3",
        "v0.1.0-pre",
        "v2.0.0+incompatible",
        "v2.0.0",
        "v1",
        "v1.2",
        "1.0",
        "vx",
        "v3.0.0",
        "v1.0.0+meta",
    ]);
    string(rng, version)
}

fn retraction(rng: &mut Rng) -> String {
    let (low, high) = (a_version(rng), a_version(rng));
    match rng.below(8) {
        0 => rng
            .pick(&[
                "[v1.0.0]",
                "[v1.0.0,]",
                "[",
                "[]",
                "[,v1.0.0]",
                "(v1.0.0, v1.1.0)",
                "v1.0.0, v1.1.0",
                "[v1.0.0, v1.1.0",
                "v1.0.0 => x",
                "[v1.0.0 v1.1.0]",
                "",
                "[v1.0.0, v1.1.0] x",
            ])
            .into(),
        1..=3 => format!("[{low}, {high}]"),
        4 => format!("[ {low} ,{high} ]"),
        _ => low,
    }
}

fn requirement(rng: &mut Rng) -> String {
    let path = rng.pick(&[
        "example.com/a",
        "example.com/a/v2",
        "gopkg.in/a.v1",
        "gopkg.in/a",
        "a",
        "example.com/v1",
        "é",
        "example.com/a/v3",
    ]);
    let path = string(rng, path);
    match rng.below(10) {
        0 => path,
        1 => format!("{path} {} x", a_version(rng)),
        _ => format!("{path} {}", a_version(rng)),
    }
}

fn anything(rng: &mut Rng) -> String {
    let words: Vec<&str> = (0..rng.below(4)).map(|_| rng.pick(TOKENS)).collect();
    words.join(" ")
}

fn parse(content: &[u8]) -> Answer {
    let go_mod = match GoMod::parse_lax(content) {
        Ok(go_mod) => go_mod,
        Err(e) => return Answer::rejected(e),
    };
    let plus = |text: Option<String>| text.map_or_else(String::new, |text| format!("+{text}"));
    let mut fields = vec![plus(go_mod.module), plus(go_mod.go), go_mod.deprecated.unwrap_or_default()];
    for r in go_mod.retract {
        fields.extend([r.low, r.high, r.rationale]);
    }
    Answer::Ok(fields.into_iter().map(String::into_bytes).collect())
}

#[test]
fn lax_reading() {
    Comparison::of("modfile.lax").lossy().run(|rng| vec![GO_MOD.next(rng)], |args| parse(&args[0]));
}

#[test]
fn quick_reading() {
    let case = |rng: &mut Rng| {
        let mut content = GO_MOD.next(rng);
        if rng.one_in(2) {
            let path = string(rng, "example.com/q");
            let line = rng.pick(&[
                "module ",
                "module\t",
                " module ",
                "module",
                "module\u{a0}",
                "module\u{c}",
                "modules ",
                "\tmodule \t",
                "module\u{2003}",
            ]);
            content = format!("{line}{path}{}\n", comment_behind(rng)).into_bytes();
        }
        vec![content]
    };
    Comparison::of("modfile.module")
        .lossy()
        .by_first_result()
        .run(case, |args| Answer::text(quick_module_path(&args[0])));
}

/// The language version, where one is found.
#[test]
fn language_versions() {
    let case = |rng: &mut Rng| loop {
        let mut version = go_version(rng).into_bytes();
        if rng.one_in(2) {
            mutate(rng, &mut version, &["rc", ".", "1", "0", "beta"]);
        }
        let file = [b"go ", version.as_slice(), b"\n"].concat();
        if let Ok(Some(version)) = GoMod::parse_lax(&file).map(|m| m.go) {
            return vec![version.into_bytes()];
        }
    };
    Comparison::of("go.lang").without_verdict().one_in(4).run(case, |args| {
        of_text(args, |version| {
            let go_mod = GoMod { go: Some(version.to_owned()), ..GoMod::default() };
            Answer::text(go_mod.language().map_or_else(String::new, |language| format!("go{language}")))
        })
    });
}

fn glob(rng: &mut Rng) -> String {
    let mut glob = String::new();
    for _ in 0..rng.between(1, 6) {
        glob += rng.pick(&[
            "*",
            "?",
            "a",
            "b",
            "a.b",
            "/",
            "example.com",
            "[a-c]",
            "[^a]",
            "[!a]",
            "[a",
            "[]",
            "[]a]",
            "[-a]",
            "[a-]",
            "\\*",
            "\\a",
            "\\",
            "**",
            "*.b",
            "[\\]]",
            "[^]",
            "[b-a]",
            "[a/b]",
            "é",
            "[à-ü]",
            "-",
            "/*",
            "a*/",
            "[*]",
        ]);
    }
    glob
}

fn target(rng: &mut Rng) -> String {
    let mut target = String::new();
    for _ in 0..rng.between(1, 6) {
        target += rng.pick(&[
            "a",
            "b",
            "c",
            "a.b",
            "/",
            "/",
            "example.com",
            "*",
            "?",
            "[",
            "]",
            "\\",
            "é",
            "-",
            "x",
            "//",
            "ab",
        ]);
    }
    target
}

#[test]
fn patterns() {
    let case = |rng: &mut Rng| {
        let mut globs: Vec<String> = (0..rng.between(1, 3)).map(|_| glob(rng)).collect();
        let target = target(rng);
        if rng.one_in(2) {
            // Part of the target, one character of it replaced by what matches it.
            let end = rng.below(target.len() + 1);
            let mut glob: String = target.get(..end).unwrap_or(&target).to_owned();
            if let Some(c) = glob.chars().nth(rng.below(8)) {
                glob = glob.replacen(c, rng.pick(&["*", "?", "[^\\]x]", "\\", "[a-z]"]), 1);
            }
            globs.push(glob);
        }
        if rng.one_in(8) {
            globs.push(String::new());
        }
        vec![globs.join(",").into_bytes(), target.into_bytes()]
    };
    Comparison::of("module.match-prefix").by_first_result().run(case, |args| {
        of_texts(args, |globs, target| Answer::text(u8::from(Patterns::new(globs).matches(target))))
    });
}
