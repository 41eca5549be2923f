//! Properties of every parser: it never panics, and parsing and formatting undo each other.

use std::cmp::Ordering;

use proptest::prelude::*;
use quipu_module::{
    GoMod, H1, ModulePath, ModuleVersion, Patterns, ProxyList, Pseudo, Query, Record, SumDb, SumKind,
    SumLine, Version, check_file_path, check_import_path, check_path_major, find_hash, format_pseudo,
    is_pseudo, parse_go_sum, quick_module_path, semver, split_path_version,
};

/// Text made of pieces that mean something to some parser, so that more than noise gets through.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("example.com/m"),
        Just("gopkg.in/yaml"),
        Just(".v2"),
        Just("/v2"),
        Just("/v1"),
        Just("-unstable"),
        Just("v1.2.3"),
        Just("v0.0.0"),
        Just("v2"),
        Just("-pre"),
        Just("-0."),
        Just(".0."),
        Just("20200102030405"),
        Just("-abcdef123456"),
        Just("+incompatible"),
        Just("+meta"),
        Just("/go.mod"),
        Just(" "),
        Just("@"),
        Just("!a"),
        Just("!"),
        Just("A"),
        Just("h1:"),
        Just("\n"),
        Just("h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
        Just("off"),
        Just("direct"),
        Just("https://"),
        Just("file:///"),
        Just(","),
        Just("|"),
        Just("*"),
        Just("?"),
        Just("[a-c]"),
        Just("["),
        Just("]"),
        Just("\\"),
        Just("^"),
        Just("module "),
        Just("go 1.24"),
        Just("retract "),
        Just("require "),
        Just("("),
        Just(")"),
        Just("\""),
        Just("`"),
        Just("// Deprecated: x"),
        Just("/"),
        Just("."),
        Just("é"),
        Just("~1"),
        Just("con"),
        Just("user:secret@host"),
        Just(":80"),
        Just("%41"),
        Just("#"),
        Just("\r"),
    ];
    prop::collection::vec(prop_oneof![8 => piece.prop_map(String::from), 1 => any::<String>()], 0..8)
        .prop_map(|pieces| pieces.concat())
}

fn module_path() -> impl Strategy<Value = String> {
    (
        "[a-z][a-z0-9-]{0,8}\\.[a-z]{2,3}",
        prop::collection::vec("[A-Za-z0-9_][A-Za-z0-9_-]{0,9}", 0..4),
        "(/v[2-9])?",
    )
        .prop_map(|(host, elements, major)| format!("{}{major}", [vec![host], elements].concat().join("/")))
        .prop_filter("a valid path", |path| ModulePath::parse(path).is_ok())
}

fn module_version() -> impl Strategy<Value = ModuleVersion> {
    (module_path(), "[01]?[0-9]\\.[0-9]{1,2}", "(-[a-zA-Z][a-zA-Z0-9-]{0,5}(\\.[1-9][0-9]{0,2})?)?")
        .prop_filter_map("numbers without leading zeros", |(path, numbers, prerelease)| {
            let path = ModulePath::parse(&path).ok()?;
            let (major, incompatible) = match path.path_major() {
                "" => ("2", "+incompatible"),
                major => (major.strip_prefix("/v")?, ""),
            };
            let version = Version::parse(&format!("v{major}.{numbers}{prerelease}{incompatible}")).ok()?;
            ModuleVersion::new(path, version).ok()
        })
}

fn h1() -> impl Strategy<Value = H1> {
    any::<[u8; 32]>().prop_map(H1::from_bytes)
}

/// What parses is written back byte for byte.
macro_rules! check_canonical {
    ($type:ty, $text:expr) => {
        if let Ok(parsed) = $text.parse::<$type>() {
            prop_assert_eq!(parsed.to_string(), $text.as_str());
        }
    };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn parsers_survive_anything(text in prop_oneof![pieces(), any::<String>()], other in pieces()) {
        check_canonical!(ModulePath, text);
        check_canonical!(Version, text);
        check_canonical!(ModuleVersion, text);
        check_canonical!(H1, text);
        check_canonical!(SumLine, text);
        check_canonical!(Record, text);
        if let Ok(path) = ModulePath::unescape(&text) {
            prop_assert_eq!(path.escaped(), text.clone());
        }
        if let Ok(query) = Query::unescape(&text) {
            prop_assert_eq!(query.escaped(), text.clone());
            prop_assert_eq!(Query::parse(query.as_str()).unwrap(), query);
        }
        if let Ok(module) = ModuleVersion::parse_escaped(&text) {
            prop_assert_eq!(module.escaped(), text.clone());
        }
        if let Ok(list) = ProxyList::parse(&text) {
            prop_assert!(!list.entries().is_empty());
            ProxyList::parse(&list.to_string()).unwrap();
        }
        let _ = (SumDb::parse(&text), split_path_version(&text), check_path_major(&text, &other));
        let _ = Patterns::new(&text).matches(&other);
        let _ = (quick_module_path(text.as_bytes()), GoMod::parse_lax(text.as_bytes()), parse_go_sum(text.as_bytes()));
    }

    #[test]
    fn byte_parsers_survive_anything(bytes in any::<Vec<u8>>()) {
        let _ = (check_file_path(&bytes), check_import_path(&bytes), parse_go_sum(&bytes));
        let _ = (quick_module_path(&bytes), GoMod::parse_lax(&bytes));
    }

    #[test]
    fn module_versions_round_trip(module in module_version()) {
        prop_assert_eq!(module.to_string().parse::<ModuleVersion>().unwrap(), module.clone());
        prop_assert_eq!(ModuleVersion::parse_escaped(&module.escaped()).unwrap(), module.clone());
        prop_assert_eq!(Version::unescape(&module.version().escaped()).unwrap(), module.version().clone());
        prop_assert!(!module.escaped().bytes().any(|b| b.is_ascii_uppercase()));
        prop_assert_eq!(format!("{}{}", module.path().prefix(), module.path().path_major()), module.path().as_str());
    }

    #[test]
    fn records_round_trip(module in module_version(), zip in h1(), go_mod in h1(), junk in "[ -~]{0,40}") {
        let record = Record { module: module.clone(), zip, go_mod };
        let text = record.to_string();
        prop_assert_eq!(text.parse::<Record>().unwrap(), record.clone());
        prop_assert_eq!(Record::find(&text, &module).unwrap(), record.clone());
        // Lines that mean nothing to us change nothing, unless the junk is itself such a line.
        let more = format!("{module} h2:x\n{junk}\n{text}{junk}\n");
        prop_assert_eq!(Record::find(&more, &module).unwrap(), record.clone());
        for kind in [SumKind::Zip, SumKind::GoMod] {
            let line = record.line(kind);
            prop_assert_eq!(line.to_string().parse::<SumLine>().unwrap(), line.clone());
            let without = text.replace(&format!("{line}\n"), "");
            prop_assert!(find_hash(&without, &module, kind).is_err(), "found in {}", without);
        }
        let lines: Vec<SumLine> = parse_go_sum(text.as_bytes()).unwrap().iter().map(|e| e.to_line().unwrap()).collect();
        prop_assert_eq!(lines, [record.line(SumKind::Zip), record.line(SumKind::GoMod)]);
    }

    #[test]
    fn order_is_total(a in "v[0-9]\\.[0-9]\\.(0|1|10|9)(-[a-z0-9.]{1,4})?", b in pieces(), c in "v1\\.[0-9]\\.[0-9]+(-[a-z0-9.]{1,4})?") {
        let order = semver::compare_total;
        for (x, y) in [(&a, &b), (&a, &c), (&b, &c)] {
            prop_assert_eq!(order(x, y), order(y, x).reverse());
            prop_assert_eq!(order(x, y) == Ordering::Equal, x == y);
        }
        let mut sorted = [a.as_str(), b.as_str(), c.as_str()];
        sorted.sort_by(|x, y| order(x, y));
        prop_assert!(order(sorted[0], sorted[2]).is_le());
    }

    #[test]
    fn pseudo_versions_round_trip(
        older in prop_oneof![Just(String::new()), "v[0-9]\\.[0-9]\\.[1-9]?[0-9]{1,22}(-[a-z][a-z0-9]{0,4})?(\\+incompatible)?"],
        time in 0i64..253_402_300_799,
        revision in "[0-9a-f]{12}",
    ) {
        prop_assume!(older.is_empty() || semver::Semver::parse(&older).is_some());
        let text = format_pseudo("v3", &older, time, &revision).unwrap();
        prop_assert!(is_pseudo(&text));
        let pseudo = Pseudo::parse(&text).unwrap();
        prop_assert_eq!(pseudo.time().unwrap(), time);
        prop_assert_eq!(pseudo.revision(), revision);
        prop_assert_eq!(pseudo.base().unwrap().unwrap_or_default(), older.clone());
        prop_assert!(older.is_empty() || semver::compare(&older, &text).is_lt());
    }

    #[test]
    fn an_h1_has_one_spelling(hash in h1(), at in 0usize..47, byte in any::<u8>()) {
        let text = hash.to_string();
        prop_assert_eq!(text.parse::<H1>().unwrap(), hash);
        let mut changed = text.clone().into_bytes();
        changed[at] = byte;
        if let Ok(other) = String::from_utf8(changed).unwrap_or_default().parse::<H1>() {
            prop_assert_eq!(other == hash, other.to_string() == text);
        }
    }
}
