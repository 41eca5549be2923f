//! Properties of the texts: records, data tiles, bundles, trees, hashes.

use proptest::prelude::*;
use quipu_tlog::{
    EntriesError, Hash, RecordsError, Tree, format_checkpoint, format_record, format_tree, is_record_text,
    join_entries, join_records, parse_checkpoint, parse_record, parse_tree, split_entries, split_records,
};

/// Record texts, with the strange ones that the grammar allows: a lone LF, one that begins with LF.
fn record() -> impl Strategy<Value = String> {
    prop_oneof!["\n?([a-z\u{7f}é ]{1,8}\n){1,3}", Just("\n".to_owned()), Just("\na\n".to_owned())]
}

/// Text with as many separators and control characters as letters.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        Just(b'\n'),
        Just(b'a'),
        Just(b'1'),
        Just(b'-'),
        Just(b'='),
        Just(b'\r'),
        Just(0xc3),
        Just(0xa9),
        any::<u8>(),
    ];
    proptest::collection::vec(byte, 0..24)
}

proptest! {
    #[test]
    fn records(id in 0..=i64::MAX as u64, text in record(), rest in soup()) {
        prop_assert!(is_record_text(text.as_bytes()));
        let message = [format_record(id, text.as_bytes()).unwrap().as_bytes(), &rest].concat();
        let parsed = parse_record(&message).unwrap();
        prop_assert_eq!((parsed.id as u64, parsed.text, parsed.rest), (id, text.as_str(), rest.as_slice()));
        prop_assert!(parsed.canonical_id);
    }

    #[test]
    fn records_from_anything(message in soup()) {
        if let Ok(record) = parse_record(&message) {
            prop_assert!(is_record_text(record.text.as_bytes()));
            let head = message.len() - record.rest.len();
            let body = format!("{}\n", record.text);
            prop_assert!(message[..head].ends_with(body.as_bytes()));
        }
        let formatted = format_record(7, &message);
        prop_assert_eq!(formatted.is_ok(), is_record_text(&message));
    }

    #[test]
    fn data_tiles(texts in proptest::collection::vec(record(), 1..6)) {
        let count = texts.len() as u16;
        let body = join_records(&texts);
        prop_assert_eq!(&split_records(&body, count).unwrap(), &texts);
        prop_assert_eq!(split_records(&body, count - 1), Err(RecordsError::TooMany));
        prop_assert!(split_records(&body, count + 1).is_err());
        let terminated = [body.as_slice(), b"\n"].concat();
        prop_assert_eq!(&split_records(&terminated, count).unwrap(), &texts);
        prop_assert!(split_records(&terminated, count + 1).is_err());
        let garbage = [body.as_slice(), b"\n\n"].concat();
        prop_assert!(split_records(&garbage, count).is_err());
    }

    #[test]
    fn data_tiles_from_anything(body in soup(), count in 0..4_u16) {
        if let Ok(texts) = split_records(&body, count) {
            let joined = join_records(&texts);
            prop_assert_eq!(texts.len(), usize::from(count));
            prop_assert!(body == joined || body == [joined.as_slice(), b"\n"].concat());
        }
    }

    #[test]
    fn bundles(records in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..5)) {
        let count = records.len() as u16;
        let body = join_entries(&records).unwrap();
        prop_assert_eq!(split_entries(&body, count).unwrap(), records);
        prop_assert_eq!(split_entries(&body, count + 1), Err(EntriesError::TooFew { got: count }));
        if let Some(cut) = body.len().checked_sub(1) {
            prop_assert_eq!(split_entries(&body[..cut], count), Err(EntriesError::TooFew { got: count - 1 }));
            prop_assert_eq!(split_entries(&body, count - 1), Err(EntriesError::TooMany));
        }
    }

    #[test]
    fn trees(size in 0..=i64::MAX as u64, root in any::<[u8; 32]>(), changed in 0..80_usize, byte in any::<u8>()) {
        let tree = Tree { size, root: Hash::from_bytes(root) };
        prop_assert_eq!(parse_tree(format_tree(&tree)), Ok(tree));
        prop_assert_eq!(parse_checkpoint(format_checkpoint("a b", &tree), "a b"), Ok(tree));
        prop_assert_eq!(tree.root.to_string().parse(), Ok(tree.root));

        let mut text = format_tree(&tree).into_bytes();
        let at = changed % text.len();
        text[at] = byte;
        if let Ok(read) = parse_tree(&text) {
            // Whatever was accepted says the same as its canonical form, line by line.
            let canonical = format_tree(&read);
            let size = |text: &[u8]| text.split(|b| *b == b'\n').nth(1).unwrap().to_vec();
            prop_assert_eq!(size(&text), size(canonical.as_bytes()));
        }
        if let Ok(read) = parse_checkpoint(&text, "go.sum database tree") {
            prop_assert!(text.starts_with(format_tree(&read).as_bytes()));
        }
    }
}

#[test]
fn a_record_too_long_for_a_bundle() {
    let longest = vec![b'a'; 65_535];
    assert_eq!(split_entries(&join_entries([&longest]).unwrap(), 1), Ok(vec![longest.as_slice()]));
    assert_eq!(join_entries([vec![b'a'; 65_536]]), Err(EntriesError::TooLong(65_536)));
}

#[test]
fn malformed_records_in_a_data_tile_are_named() {
    assert_eq!(split_records(b"a\n\nb\r\n\nc\n", 3), Err(RecordsError::Malformed { at: 1 }));
    assert_eq!(split_records(b"a\n\nb", 2), Err(RecordsError::Malformed { at: 1 }));
    assert_eq!(split_records(b"a\n\n", 2), Err(RecordsError::TooFew { got: 1 }));
    assert_eq!(split_records(b"", 0), Ok(Vec::new()));
}

#[test]
fn hashes_that_go_accepts() {
    let canonical = Hash::EMPTY_TREE.to_string();
    assert_eq!(canonical, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    for accepted in
        [canonical.replace("U=", "V="), canonical.replace("Qp", "\r\nQp"), format!("{canonical}\n")]
    {
        assert_eq!(accepted.parse(), Ok(Hash::EMPTY_TREE), "{accepted:?}");
    }
    let refused = [
        String::new(),
        canonical.replace('=', ""),
        canonical.replace('=', "=="),
        canonical.replace('+', "-"),
        format!("{canonical} "),
        format!(" {canonical}"),
        format!("{canonical}AAAA"),
        canonical[4..].to_owned(),
    ];
    for text in refused {
        assert!(text.parse::<Hash>().is_err(), "{text:?}");
    }
}

#[test]
fn a_text_that_is_too_long_for_a_tree() {
    let tree = Tree { size: 2, root: Hash::EMPTY_TREE };
    let text = format_tree(&tree);
    let longest = format!("{text}{}\n", "a".repeat(1_000_000 - text.len() - 1));
    assert_eq!(parse_tree(&longest), Ok(tree));
    assert!(parse_tree(format!("{longest}\n")).is_err());
}
