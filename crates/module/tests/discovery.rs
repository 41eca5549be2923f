//! Pages with go-import tags, and paths that need none. What is wanted was seen with go 1.26.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use proptest::prelude::*;
use quipu_module::{GoImports, KnownRoot, ModulePath, Vcs};

fn tags(page: &str) -> Vec<String> {
    let imports = GoImports::parse(page.as_bytes()).unwrap();
    let line =
        |tag: &quipu_module::GoImport| format!("{} {} {} {}", tag.prefix, tag.vcs, tag.url, tag.subdir);
    imports.tags.iter().map(|tag| line(tag).trim_end().to_owned()).collect()
}

#[test]
fn tags_are_found_however_they_are_written() {
    let plain = r#"<meta name="go-import" content="a.example/x git https://h.example/x">"#;
    for page in [
        plain,
        "<!DOCTYPE html><html><head><META content='a.example/x\n\tgit https://h.example/x' NAME=go-import />",
        "<?xml version='1.0' encoding='ASCII'?><head><x:meta y:name='go&#45;import' content=\"a.example/x git https:&#x2F;/h.example/x\">",
        "<!-- <body> --><![CDATA[</head>]]><br/><meta name=go-import content='a.example/x\u{a0}git\u{a0}https://h.example/x' async>",
    ] {
        assert_eq!(tags(page), ["a.example/x git https://h.example/x"], "{page}");
    }
    for hidden in [
        format!("<head></head>{plain}"),
        format!("<head/>{plain}"),
        format!("<BODY class=x>{plain}"),
        format!("<!-- {plain} -->"),
        "<meta name=Go-import content='a.example/x git https://h.example/x'>".to_owned(),
        "<meta name=go-import content='a.example/x git'>".to_owned(),
        "<meta name=go-import content='a.example/x git https://h.example/x sub more'>".to_owned(),
    ] {
        assert_eq!(tags(&hidden), [""; 0], "{hidden}");
    }
    assert_eq!(tags(&format!("{plain}<p a<b")).len(), 1, "tags before a fault count");
}

#[test]
fn unreadable_pages_are_errors() {
    let tag = "<meta name=go-import content='a.example/x git https://h.example/x'>";
    for page in [
        "<?xml version='1.1'?>",
        "<?xml version='1.0' encoding='latin1'?>",
        "<p a<b>",
        "<1>",
        "<!- ->",
        "<!-- a -- b -->",
        "a ]]> b",
        "<p a='<'>",
        "<p a='\u{1}'>",
        "</p x>",
    ] {
        assert!(GoImports::parse(format!("{page}{tag}").as_bytes()).is_err(), "{page}");
    }
    let bytes = [b"<p a='\xff'>", tag.as_bytes()].concat();
    assert_eq!(GoImports::parse(&bytes).unwrap_err().to_string(), "XML syntax error: invalid UTF-8");
}

#[test]
fn completeness_is_known() {
    for (page, complete) in
        [("<head>", false), ("<head></head>x", true), ("x<body", false), ("<body><p a<b", true)]
    {
        let parsed = GoImports::parse(page.as_bytes());
        assert_eq!(parsed.is_ok_and(|imports| imports.complete), complete, "{page}");
    }
}

#[test]
fn one_tag_is_chosen() {
    let choose = |contents: &[&str], path: &str| {
        let page: String =
            contents.iter().map(|content| format!("<meta name=go-import content='{content}'>")).collect();
        let imports = GoImports::parse(page.as_bytes()).unwrap();
        imports
            .choose(path)
            .map(|tag| tag.map(|tag| format!("{} {}", tag.prefix, tag.vcs)))
            .map_err(|e| e.to_string())
    };
    let (git, proxy) = ("a.example/x git https://h/x", "a.example/x mod https://h/p");
    assert_eq!(choose(&[git], "a.example/x/y"), Ok(Some("a.example/x git".into())));
    assert_eq!(choose(&[git], "a.example/xy"), Ok(None));
    assert_eq!(choose(&[git], "a.example"), Ok(None));
    assert_eq!(choose(&[git, proxy], "a.example/x"), Ok(Some("a.example/x mod".into())));
    assert_eq!(choose(&[git, "a.example mod https://h/p"], "a.example/x"), Ok(Some("a.example mod".into())));
    let several = Err(r#"multiple meta tags match import path "a.example/x""#.to_owned());
    assert_eq!(choose(&[git, git], "a.example/x"), several);
    assert_eq!(choose(&[proxy, proxy], "a.example/x"), several);
    assert_eq!(choose(&[git, "a.example hg https://h"], "a.example/x"), several);
}

fn known(path: &str) -> Result<Option<(String, Vcs, String)>, String> {
    let known = KnownRoot::of(&ModulePath::parse(path).unwrap()).map_err(|e| e.to_string())?;
    Ok(known.map(|known| (known.root, known.vcs, known.repository)))
}

#[test]
fn some_paths_name_their_repository() {
    let cases = [
        ("github.com/o/r/sub/v2", "github.com/o/r", Vcs::Git, "github.com/o/r"),
        ("bitbucket.org/o/r", "bitbucket.org/o/r", Vcs::Git, "bitbucket.org/o/r"),
        ("git.apache.org/x.git/y", "git.apache.org/x.git", Vcs::Git, "git.apache.org/x.git"),
        (
            "chiselapp.com/user/u/repository/r",
            "chiselapp.com/user/u/repository/r",
            Vcs::Fossil,
            "chiselapp.com/user/u/repository/r",
        ),
        ("a.example/x.git", "a.example/x.git", Vcs::Git, "a.example/x"),
        ("a.example/~u/x.hg/sub/v2", "a.example/~u/x.hg", Vcs::Hg, "a.example/~u/x"),
        ("a.example/x.git/y.svn/z", "a.example/x.git/y.svn", Vcs::Svn, "a.example/x.git/y"),
    ];
    for (path, root, vcs, repository) in cases {
        assert_eq!(known(path), Ok(Some((root.into(), vcs, repository.into()))), "{path}");
    }
    for path in [
        "a.example",
        "a.example/x",
        "github.com.evil.example/o/r",
        "a.example/x.mod",
        "a.example/x.GIT",
        "a.example/~.git",
    ] {
        assert_eq!(known(path), Ok(None), "{path}");
    }
    let invalid = |path, text: &str| assert_eq!(known(path), Err(text.to_owned()));
    invalid("github.com/o", r#"invalid github.com import path "github.com/o""#);
    invalid("github.com/o/r/~x", r#"invalid github.com import path "github.com/o/r/~x""#);
    invalid("github.com/o/r.git", "invalid version control suffix in github.com/ path");
}

proptest! {
    #[test]
    fn any_page_is_read_to_its_end(page in "(<|>|!|-|\\[|\\]|&|;|#|x|/|\"|'|=| |meta|head|\\?|CDATA|é|\u{0}){0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for page in [page.as_bytes(), bytes.as_slice()] {
            if let Ok(imports) = GoImports::parse(page) {
                prop_assert!(imports.tags.len() <= page.len());
            }
        }
    }

    #[test]
    fn what_is_written_as_a_tag_is_read(prefix in "[!-~&&[^'&<]]{1,20}", vcs in "[a-z]{1,6}", url in "[!-~&&[^'&<]]{1,20}") {
        let page = format!("<head><meta name=\"go-import\" content='{prefix} {vcs} {url}'></head>");
        prop_assert_eq!(tags(&page), [format!("{prefix} {vcs} {url}")]);
    }

    #[test]
    fn roots_lead_their_paths(path in "[a-z]{1,3}\\.[a-z]{2}(/~?[a-z.]{1,4}(\\.git|\\.hg)?){0,4}") {
        if let Ok(path) = ModulePath::parse(&path)
            && let Ok(Some(known)) = KnownRoot::of(&path)
        {
            let rest = path.as_str().strip_prefix(&known.root);
            prop_assert!(rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')), "{path}");
            prop_assert!(known.root.starts_with(&known.repository));
        }
    }
}

/// A megabyte of what is slowest to read takes no longer than any other.
#[test]
#[expect(clippy::disallowed_methods, reason = "time is what is tested")]
fn hostile_pages_take_linear_time() {
    for part in [
        "<!--",
        "<!a<!-",
        "&",
        "&a",
        "<a b",
        "]]",
        "<![CDATA[",
        "<?x",
        "<!a'",
        "<meta name=go-import content='a b c'>",
    ] {
        let started = std::time::Instant::now();
        let _ = GoImports::parse(part.repeat((1 << 20) / part.len()).as_bytes());
        assert!(started.elapsed().as_secs() < 5, "{part}");
    }
}
