//! Versions and pseudo-versions against `golang.org/x/mod/semver` and `golang.org/x/mod/module`.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::Vectors;
use quipu_module::{
    ModuleVersion, Pseudo, Version, check_module_version, format_pseudo, is_pseudo,
    semver::{Semver, canonical_version, compare_total},
};
use serde_json::Value;

#[test]
fn versions() {
    let mut vectors = Vectors::load("versions");
    vectors.cases("semver", 27).iter().for_each(semver);
    sorting(&vectors.cases("sorted_ascending", 22));
    assert_eq!(vectors.text("sort_note"), "equal precedence is ordered by plain string comparison");
    vectors.cases("module_check", 16).iter().for_each(module_check);
    vectors.cases("pseudo_parse", 15).iter().for_each(pseudo_parse);
    vectors.cases("pseudo_build", 13).iter().for_each(pseudo_build);
    vectors.finish(&[]);
}

fn semver(case: &Value) {
    let text = case["v"].as_str().unwrap();
    let parsed = Semver::parse(text);
    assert_eq!(parsed.is_some(), case["valid"], "{text}");
    assert_eq!(parsed.map_or("", |v| v.major()), case["major"], "{text}");
    assert_eq!(parsed.map_or(String::new(), |v| v.major_minor()), case["major_minor"], "{text}");
    assert_eq!(parsed.map_or("", |v| v.prerelease()), case["prerelease"], "{text}");
    assert_eq!(parsed.map_or("", |v| v.build()), case["build"], "{text}");
    assert_eq!(parsed.map_or(String::new(), |v| v.canonical()), case["canonical"], "{text}");
    let canonical = canonical_version(text).unwrap_or_default();
    assert_eq!(canonical, case["module_canonical"], "{text}");
    assert_eq!(Version::parse(text).is_ok(), parsed.is_some() && canonical == text, "{text}");
    assert_eq!(is_pseudo(text), case["is_pseudo"], "{text}");
}

fn sorting(ascending: &[Value]) {
    let want: Vec<&str> = ascending.iter().map(|v| v.as_str().unwrap()).collect();
    for turn in 0..want.len() {
        let mut got = want.clone();
        got.rotate_left(turn);
        got.reverse();
        got.sort_by(|v, w| compare_total(v, w));
        assert_eq!(got, want);
    }
    let versions: Vec<Version> = want.iter().filter_map(|v| Version::parse(v).ok()).collect();
    assert_eq!(versions.len(), 20);
    assert!(versions.is_sorted());
}

fn module_check(case: &Value) {
    let (path, version) = (case["path"].as_str().unwrap(), case["version"].as_str().unwrap());
    let got = check_module_version(path, version).err().map(|e| e.to_string());
    assert_eq!(got.as_deref(), case["error"].as_str());
    let canonical = canonical_version(version).is_some_and(|v| v == version);
    assert_eq!(ModuleVersion::parse(path, version).is_ok(), canonical && got.is_none(), "{case}");
}

fn pseudo_parse(case: &Value) {
    let text = case["v"].as_str().unwrap();
    assert_eq!(is_pseudo(text), case["is_pseudo"], "{text}");
    let pseudo = Pseudo::parse(text);
    let base = pseudo.as_ref().map_err(ToString::to_string).and_then(|p| p.base().map_err(|e| e.to_string()));
    match case["base"].as_str() {
        Some(want) => assert_eq!(base.unwrap().unwrap_or_default(), want, "{text}"),
        None => assert_eq!(base.unwrap_err(), case["base_error"]),
    }
    let time = pseudo.as_ref().map_err(ToString::to_string).and_then(|p| p.time().map_err(|e| e.to_string()));
    match case["time"].as_str() {
        Some(want) => assert_eq!(time.unwrap(), parse_rfc3339(want), "{text}"),
        None => assert_eq!(time.unwrap_err(), case["time_error"]),
    }
    if let Ok(pseudo) = pseudo {
        assert_eq!(pseudo.revision(), case["rev"], "{text}");
    }
}

fn pseudo_build(case: &Value) {
    let field = |name: &str| case[name].as_str().unwrap();
    let time = parse_rfc3339(field("time"));
    let got = format_pseudo(field("major"), field("older"), time, field("rev")).unwrap();
    assert_eq!(got, field("pseudo"));
    assert_eq!(Pseudo::parse(&got).unwrap().time().unwrap(), time);
}

/// Seconds since 1970 of the two forms that the vectors use, by an algorithm of its own.
fn parse_rfc3339(text: &str) -> i64 {
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().unwrap();
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era_days = 365 * shifted_year + shifted_year.div_euclid(4) - shifted_year.div_euclid(100)
        + shifted_year.div_euclid(400);
    let days = era_days + (153 * shifted_month + 2) / 5 + day - 1 - 719_468;
    let offset = match &text[19..] {
        "Z" => 0,
        "-08:00" => -8 * 3600,
        other => panic!("unknown zone {other}"),
    };
    days * 86_400 + number(11, 13) * 3600 + number(14, 16) * 60 + number(17, 19) - offset
}
