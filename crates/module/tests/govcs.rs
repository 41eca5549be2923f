//! GOVCS values, as `go help vcs` describes them. What is wanted was seen with go 1.26.

use proptest::prelude::*;
use quipu_module::{Govcs, Patterns, Vcs};

const GOPRIVATE: &str = "corp.example,*.priv.example";

/// The systems of which `root` may be had, in the order of [`Vcs::ALL`].
fn allowed(govcs: &Govcs, root: &str) -> String {
    let private = Patterns::new(GOPRIVATE);
    let may = Vcs::ALL.into_iter().filter(|vcs| govcs.check(*vcs, root, &private).is_ok());
    may.map(Vcs::as_str).collect::<Vec<_>>().join(" ")
}

#[test]
fn first_rule_that_matches_decides() {
    let cases = [
        ("", "a.example/x", "git hg mod"),
        ("", "corp.example", "bzr fossil git hg svn mod"),
        ("", "git.priv.example/x/y", "bzr fossil git hg svn mod"),
        ("", "priv.example/x", "git hg mod"),
        ("*:all", "a.example/x", "bzr fossil git hg svn mod"),
        ("*:off", "corp.example/x", "mod"),
        ("public:svn", "a.example/x", "svn mod"),
        ("public:svn", "corp.example/x", "bzr fossil git hg svn mod"),
        ("private:git", "corp.example/x", "git mod"),
        ("private:git", "a.example/x", "git hg mod"),
        ("a.example:git,evil.example:off,*:git|hg", "a.example/x", "git mod"),
        ("a.example:git,evil.example:off,*:git|hg", "evil.example/x", "mod"),
        ("a.example:git,evil.example:off,*:git|hg", "b.example", "git hg mod"),
        ("a.example/x:fossil", "a.example/x/y", "fossil mod"),
        ("a.example/x:fossil", "a.example/xy", "git hg mod"),
        (" a.example : hg | svn , public : git ", "a.example", "hg svn mod"),
        ("a.example:hg,public:git,private:all", "b.example", "git mod"),
        ("a.example:cvs|GIT", "a.example", "mod"),
        ("a.example:off|git", "a.example", "git mod"),
        ("[a-:all", "a.example", "git hg mod"),
        ("a.example:mod", "a.example", "mod"),
    ];
    for (value, root, want) in cases {
        let govcs = Govcs::parse(value).unwrap();
        assert_eq!(allowed(&govcs, root), want, "GOVCS={value} {root}");
        assert_eq!(Govcs::parse(&govcs.to_string()).unwrap(), govcs, "{value}");
    }
}

#[test]
fn refusals_say_whose_the_path_is() {
    let private = Patterns::new(GOPRIVATE);
    let refusal = |value, vcs, root| Govcs::parse(value).unwrap().check(vcs, root, &private).unwrap_err();
    assert_eq!(
        refusal("", Vcs::Svn, "example.com/s").to_string(),
        "GOVCS disallows using svn for public example.com/s; see 'go help vcs'"
    );
    assert_eq!(
        refusal("*:off", Vcs::Git, "corp.example/s").to_string(),
        "GOVCS disallows using git for private corp.example/s; see 'go help vcs'"
    );
}

#[test]
fn malformed_values_are_refused() {
    let cases = [
        (",", "empty entry in GOVCS"),
        ("a:git,", "empty entry in GOVCS"),
        ("git", r#"malformed entry in GOVCS (missing colon): "git""#),
        (":git", r#"empty pattern in GOVCS: ":git""#),
        ("a: ", r#"empty VCS list in GOVCS: "a:""#),
        ("./a:git", r#"relative pattern not allowed in GOVCS: "./a""#),
        ("..:git", r#"relative pattern not allowed in GOVCS: "..""#),
        ("a:git,b:hg,a:svn", r#"unreachable pattern in GOVCS: "a:svn" after "a:git""#),
        ("a:git||hg", r#"empty VCS name in GOVCS: "a:git||hg""#),
    ];
    for (value, want) in cases {
        assert_eq!(Govcs::parse(value).unwrap_err().to_string(), want, "{value}");
    }
}

#[test]
fn names_of_systems_parse() {
    for vcs in Vcs::ALL {
        assert_eq!(Vcs::parse(vcs.as_str()), Some(vcs));
    }
    assert_eq!([Vcs::parse("Git"), Vcs::parse("cvs"), Vcs::parse("")], [None; 3]);
}

proptest! {
    #[test]
    fn any_value_is_parsed_or_refused(value in "[a-c.:|,* \\[/]{0,30}", root in "[a-c./]{0,10}") {
        if let Ok(govcs) = Govcs::parse(&value) {
            prop_assert_eq!(Govcs::parse(&govcs.to_string()).unwrap(), govcs.clone());
            prop_assert!(govcs.check(Vcs::Mod, &root, &Patterns::default()).is_ok());
        }
    }
}
