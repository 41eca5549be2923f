//! The cases of `records.json`, which the Go reference made.

use crate::common::{cases, sections_are, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quipu_tlog::{format_record, is_record_text, parse_record};

const FILE: &str = include_str!("../../../../testdata/vectors/records.json");

#[test]
fn every_section_is_consumed() {
    sections_are(FILE, &["description", "format_id_3", "parse"]);
}

#[test]
fn format() {
    for case in cases(FILE, "format_id_3", 9) {
        let record = STANDARD.decode(text(&case, "text_base64")).unwrap();
        let formatted = format_record(3, &record).ok();
        assert_eq!(formatted.as_deref(), case["formatted"].as_str(), "{case}");
        assert_eq!(formatted.is_some(), case["ok"].as_bool().unwrap(), "{case}");
        assert_eq!(is_record_text(&record), formatted.is_some());
    }
}

#[test]
fn parse() {
    for case in cases(FILE, "parse", 14) {
        let body = match case.get("body_base64") {
            Some(_) => STANDARD.decode(text(&case, "body_base64")).unwrap(),
            None => text(&case, "body").as_bytes().to_vec(),
        };
        let parsed = parse_record(&body);
        assert_eq!(parsed.is_ok(), case["ok"].as_bool().unwrap(), "{case}");
        let Ok(record) = parsed else { continue };
        assert_eq!(Some(record.id), case["id"].as_i64(), "{case}");
        assert_eq!(record.text, text(&case, "text"), "{case}");
        assert_eq!(record.rest, text(&case, "rest").as_bytes(), "{case}");
        assert_eq!(record.canonical_id, body.starts_with(b"7\n"), "{case}");
        if record.canonical_id {
            let again = format_record(record.id.try_into().unwrap(), record.text.as_bytes()).unwrap();
            assert_eq!([again.as_bytes(), record.rest].concat(), body);
        }
    }
}
