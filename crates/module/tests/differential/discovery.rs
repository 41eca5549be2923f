//! GOVCS, go-import pages and paths with a known repository, as the go command's own source reads them.

use quipu_module::{GoImports, Govcs, KnownRoot, ModulePath, Patterns, Vcs};
use quipu_oracle::{Answer, Comparison, Recipe, Rng};

use crate::{of_text, verdict};

const RULE_TOKENS: &[&str] = &[
    ":",
    ",",
    "|",
    " ",
    "\t",
    "\u{85}",
    "all",
    "off",
    "git",
    "hg",
    "svn",
    "mod",
    "public",
    "private",
    "./",
    "..",
    ".",
    "*",
    "[",
    "a.example",
    "b.example",
    "/",
    "?",
    "\\",
];

const RULES: Recipe = Recipe { grammar: rules, tokens: RULE_TOKENS };

fn rules(rng: &mut Rng) -> Vec<u8> {
    let mut value = String::new();
    for n in 0..rng.below(5) {
        let pattern = rng.pick(&[
            "public",
            "private",
            "*",
            "a.example",
            "*.example",
            "a.example/x",
            "b.example",
            "a.example/*",
            "?.example",
        ]);
        let list = rng.pick(&["git", "hg|svn", "all", "off", " git | fossil ", "bzr", "off|all", "cvs"]);
        value += if n > 0 { rng.pick(&[",", " , "]) } else { "" };
        value += &format!("{pattern}:{list}");
    }
    value.into_bytes()
}

#[test]
fn govcs() {
    Comparison::of("cmdgo.govcs").run(
        |rng| {
            let private = rng.pick(&["", "a.example", "*.example/x", "b.example,[", "*"]);
            let root = rng.pick(&["a.example/x", "a.example", "b.example/x/y", "c.d", "a.example/xy"]);
            let vcs = rng.pick(&["git", "hg", "svn", "bzr", "fossil", "mod"]);
            [RULES.next_text(rng), private.into(), root.into(), vcs.into()].into()
        },
        |args| {
            let texts: Vec<_> = args.iter().map(|arg| std::str::from_utf8(arg)).collect();
            let [Ok(value), Ok(private), Ok(root), Ok(vcs)] = *texts else { return Answer::err() };
            let vcs = Vcs::parse(vcs).unwrap();
            verdict(Govcs::parse(value).and_then(|govcs| govcs.check(vcs, root, &Patterns::new(private))))
        },
    );
}

const PAGE_TOKENS: &[&str] = &[
    "<",
    ">",
    "/",
    "\"",
    "'",
    "=",
    "&",
    ";",
    "&amp;",
    "&#x41;",
    "&#65;",
    "&#xd800;",
    "&#1114112;",
    "&bogus;",
    "&lt",
    "<!--",
    "-->",
    "--",
    "<![CDATA[",
    "]]>",
    "<!",
    "<?",
    "?>",
    "<?xml ",
    "encoding=\"utf-8\"",
    "encoding='latin1'",
    "version=\"1.1\"",
    "</head>",
    "<body>",
    "<head/>",
    "<meta ",
    "name",
    "name=go-import",
    "name=\"go-import\"",
    "content=",
    " ",
    "\r\n",
    "\r",
    "\n",
    "\t",
    "\0",
    "\u{c}",
    "x:",
    ":",
    "example.com/a git https://h/a",
    " sub",
    "<script>",
    "a<b",
    "]",
    "!",
    "-",
    "\u{a0}",
    "é",
    "\u{ffff}",
];

const PAGE: Recipe = Recipe { grammar: page, tokens: PAGE_TOKENS };

fn page(rng: &mut Rng) -> Vec<u8> {
    let mut page = String::new();
    page += rng.pick(&[
        "",
        "<!DOCTYPE html>\n",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
        "<!DOCTYPE a [<!-- > --><!ENTITY x '>'>]>",
    ]);
    page += rng.pick(&["<html><head>", "<head>", "", "<HTML>\r\n<HEAD>"]);
    for _ in 0..rng.between(1, 5) {
        page += &match rng.below(6) {
            0 => rng
                .pick(&[
                    "<title>a &amp; b</title>",
                    "<!-- <meta> -->",
                    "<link rel=x>",
                    "<![CDATA[</head>]]>",
                    "<br/>",
                    "text ]] > ",
                ])
                .to_owned(),
            1 => rng
                .pick(&["</head>", "<body>", "<BODY class=x>", "</HEAD >", "<head/>", "<meta charset=utf-8>"])
                .to_owned(),
            _ => tag(rng),
        };
    }
    page.into_bytes()
}

fn tag(rng: &mut Rng) -> String {
    let name = rng.pick(&[
        "name=\"go-import\"",
        "NAME='go-import'",
        "name=go-import",
        "name = \"go-import\"",
        "name=go-source",
        "x:name=\"go&#45;import\"",
    ]);
    let quote = rng.pick(&["\"", "'"]);
    let prefix = rng.pick(&["example.com/a", "example.com", "example.com/a/b"]);
    let vcs = rng.pick(&["git", "mod", "hg", "mod", "cvs"]);
    let subdir = rng.pick(&["", "", " sub", " /sub", " a b", " &lt;"]);
    let space = rng.pick(&[" ", "\n", "  ", "\r\n", "\u{a0}"]);
    let content = format!("content={quote}{prefix}{space}{vcs} https://h.example/{prefix}{subdir}{quote}");
    let (first, second) = if rng.one_in(2) { (name.to_owned(), content) } else { (content, name.to_owned()) };
    let end = rng.pick(&[">", "/>", " />", ">\n", " disabled>"]);
    format!("<{} {first} {second}{end}", rng.pick(&["meta", "META", "Meta", "x:meta"]))
}

/// ASCII only: of other characters in names we take all, and Go those of XML's tables.
#[test]
fn go_imports() {
    Comparison::of("cmdgo.imports").run(
        |rng| {
            let mut page = PAGE.next_text(rng);
            page.retain(u8::is_ascii);
            vec![page]
        },
        |args| {
            let [page] = args.as_slice() else { panic!("one argument expected") };
            GoImports::parse(page).map_or_else(Answer::rejected, |imports| {
                let fields =
                    imports.tags.into_iter().flat_map(|tag| [tag.prefix, tag.vcs, tag.url, tag.subdir]);
                Answer::Ok(fields.map(String::into_bytes).collect())
            })
        },
    );
}

/// Only valid module paths, as others never get that far; with `~` within an element Go may see a root that is not
/// the beginning of the path, and refuses it later.
fn path(rng: &mut Rng) -> String {
    let host = rng.pick(&[
        "github.com",
        "bitbucket.org",
        "hub.jazz.net/git",
        "hub.jazz.net",
        "git.apache.org",
        "git.openstack.org",
        "chiselapp.com",
        "chiselapp.com/user/joe/repository",
        "example.com",
        "a.b.example.com",
        "github.com.evil.example",
    ]);
    let mut path = host.to_owned();
    for _ in 0..rng.below(5) {
        path += "/";
        path += rng.pick(&["~", "", "", "", "", "", "", ""]);
        path += rng.pick(&["a", "Abc", "a_b", "a-b.c", "user", "repository", "x1", "z9", "v2"]);
        path +=
            rng.pick(&["", "", "", ".git", ".hg", ".svn", ".bzr", ".fossil", ".mod", ".GIT", ".git.hg", "~"]);
    }
    path
}

#[test]
fn known_roots() {
    Comparison::of("cmdgo.root").run(
        |rng| loop {
            let path = path(rng);
            if ModulePath::parse(&path).is_ok()
                && !path.split('/').any(|e| e.trim_start_matches('~').contains('~'))
            {
                return vec![path.into_bytes()];
            }
        },
        |args| {
            of_text(args, |path| match KnownRoot::of(&ModulePath::parse(path).unwrap()) {
                Err(error) => Answer::rejected(error),
                Ok(None) => Answer::text("unknown"),
                Ok(Some(known)) => Answer::ok([
                    known.root.as_bytes(),
                    known.vcs.as_str().as_bytes(),
                    known.repository.as_bytes(),
                ]),
            })
        },
    );
}
