//! What a record of a checksum database must look like.

use quipu_verify::check::{Fault, GoSum, Rules as _};

use crate::source::Source;

const H: &str = "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

#[test]
fn two_lines_for_one_version() {
    let text = format!("example.test/M v1.2.3-pre {H}\nexample.test/M v1.2.3-pre/go.mod {H}\n");
    assert_eq!(GoSum.key(text.as_bytes()).unwrap(), b"example.test/M v1.2.3-pre ");
}

#[test]
fn anything_else_is_refused() {
    let (zip, go_mod) = (format!("a.test/m v1.0.0 {H}\n"), format!("a.test/m v1.0.0/go.mod {H}\n"));
    let both = format!("{zip}{go_mod}");
    assert!(GoSum.key(both.as_bytes()).is_ok());
    for wrong in [
        String::new(),
        "\n".to_owned(),
        zip.clone(),
        go_mod.clone(),
        format!("{go_mod}{zip}"),
        format!("{zip}{zip}"),
        format!("{go_mod}{go_mod}"),
        format!("{both}\n"),
        format!("{both}{zip}"),
        format!("\n{both}"),
        both.trim_end().to_owned(),
        both.replace('\n', "\r\n"),
        both.replace(' ', "  "),
        both.replace("v1.0.0", "v1.0"),
        both.replace("v1.0.0", "v2.0.0"),
        both.replace("v1.0.0", "1.0.0"),
        both.replace("v1.0.0", "v1.0.0+meta"),
        both.replace("a.test", "a"),
        both.replace("a.test/m", "a.test/m/"),
        both.replace("a.test/m", "a.test/\u{e9}"),
        both.replace("h1:", "h2:"),
        both.replace("AAA=", "AAB="),
        both.replace("AAA=", "AAA"),
        both.replace("AAA=", "AA"),
        both.replacen("a.test", "b.test", 1),
        both.replacen("v1.0.0", "v1.0.1", 1),
        both.replace("/go.mod", "/go.sum"),
    ] {
        assert!(GoSum.key(wrong.as_bytes()).is_err(), "{wrong:?}");
    }
    assert!(GoSum.key(b"\xff\n\xff\n").is_err());
}

#[test]
fn a_log_with_a_bad_record_is_not_good_although_it_was_signed() {
    let good = |i| format!("a.test/m{i} v1.0.0 {H}\na.test/m{i} v1.0.0/go.mod {H}\n");
    let log = Source::new((0..300).map(|i| if i == 270 { "junk\n".to_owned() } else { good(i) }));
    let report = log.check_against(&log.tree(), GoSum);
    assert_eq!(report.faults, [Fault::Rule { record: 270, why: "want two lines".to_owned() }]);
    let twice = Source::new((0..300).map(|i| good(i % 299)));
    let report = twice.check_against(&twice.tree(), GoSum);
    let duplicate = Fault::Duplicate { first: 0, second: 299, key: "a.test/m0 v1.0.0".to_owned() };
    assert_eq!(report.faults, [duplicate]);
}
