//! The cases of `notes.json` that concern the text of trees, which the Go reference made.

use crate::common::{cases, hash, number, text};
use quipu_tlog::{Hash, Tree, format_checkpoint, format_tree, parse_checkpoint, parse_tree};

const FILE: &str = include_str!("../../../../testdata/vectors/notes.json");

#[test]
fn tree_parse() {
    for case in cases(FILE, "tree_parse", 14) {
        let parsed = parse_tree(text(&case, "text"));
        assert_eq!(parsed.is_ok(), case["ok"].as_bool().unwrap(), "{case}");
        let Ok(tree) = parsed else { continue };
        assert_eq!(tree, Tree { size: number(&case, "n"), root: hash(&case, "hash") }, "{case}");
        let written = format_tree(&tree);
        assert_eq!(parse_tree(&written), Ok(tree));
        // What is written is what was read, unless that had more lines or was not canonical.
        let canonical = text(&case, "text").starts_with(&written);
        assert_eq!(canonical, !text(&case, "desc").contains("trailing bits"), "{case}");
    }
}

#[test]
fn checkpoint() {
    let tree = Tree { size: 2, root: Hash::EMPTY_TREE };
    let written = format_checkpoint("sum.example.test/log", &tree);
    assert_eq!(written, format!("sum.example.test/log\n2\n{}\n", Hash::EMPTY_TREE));
    let read = |text: &str| parse_checkpoint(text, "sum.example.test/log").ok();
    assert_eq!(read(&written), Some(tree));
    assert_eq!(read(&format!("{written}extension 1\nextension 2\n")), Some(tree));

    assert_eq!(parse_checkpoint(&written, "sum.example.test"), Err(quipu_tlog::MalformedTree));
    assert_eq!(parse_checkpoint(format!("\n2\n{}\n", tree.root), ""), Err(quipu_tlog::MalformedTree));
    let wrong = [
        written.trim_end().to_owned(),
        written.replace("\n2\n", "\n02\n"),
        written.replace("\n2\n", "\n-2\n"),
        written.replace("\n2\n", "\n9223372036854775808\n"),
        // Last character `U` with a bit set that carries nothing.
        written.replace("U=\n", "V=\n"),
        written.replace("=\n", "\n"),
        format!("{written}\n"),
        format!("{written}extension 1\n\nextension 2\n"),
        format!("{written}extension 1"),
    ];
    for text in wrong {
        assert_eq!(read(&text), None, "{text}");
    }
}
