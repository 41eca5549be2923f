//! Lists of globs that protect something: what could not match is refused, all else is read as `go` reads it.

use proptest::prelude::*;
use quipu_module::Patterns;

#[test]
fn what_would_match_nothing_is_refused_and_named() {
    for (list, named) in [
        ("git.corp.example, corp.example", "\" corp.example\""),
        ("git.corp.example ,corp.example", "\"git.corp.example \""),
        (" corp.example", "\" corp.example\""),
        ("corp.example\n", "\"corp.example\\n\""),
        ("a.example b.example", "\"a.example b.example\""),
        ("corp.example,\u{a0}", "\"\\u{a0}\""),
        ("corp.example/[team", "\"corp.example/[team\""),
        ("a.example,corp.example/x\\", "\"corp.example/x\\\\\""),
        ("corp.example/[]", "\"corp.example/[]\""),
    ] {
        let error = Patterns::parse(list).unwrap_err().to_string();
        assert!(error.contains(named) && error.contains("would match nothing"), "{list:?}: {error}");
    }
}

#[test]
fn what_is_good_is_read_as_go_reads_it() {
    for list in ["", ",", "*", "corp.example", "*.corp.example,rsc.io/private/,", "a.example/[a-z]\\[x"] {
        assert_eq!(Patterns::parse(list).unwrap(), Patterns::new(list), "{list:?}");
    }
}

proptest! {
    /// Of a list that is taken every entry can match something: itself at least, if it has no wildcards.
    #[test]
    fn no_entry_is_lost(list in "[a-b .,/\\[\\t]{0,12}") {
        match Patterns::parse(&list) {
            Ok(patterns) => for entry in list.split(',').map(|entry| entry.strip_suffix('/').unwrap_or(entry)) {
                prop_assert!(entry.is_empty() || patterns.matches(entry), "{entry:?}");
            },
            Err(_) => prop_assert!(list.contains([' ', '\t', '['])),
        }
    }
}
