//! Texts: hashes, records, data tiles and trees.

use quipu_oracle::{Answer, Comparison, Recipe, Rng};
use quipu_tlog::{
    Hash, Tree, format_record, format_tree, is_record_text, join_records, parse_record, parse_tree,
    split_records,
};

use crate::{bytes_or, hash, number, text};

const TOKENS: &[&str] = &[
    "\n",
    "\n\n",
    "\r",
    "\t",
    "\0",
    "\u{7f}",
    "\u{1f}",
    " ",
    "0",
    "-",
    "+",
    "=",
    "==",
    "/go.mod",
    " h1:",
    "é",
    "\u{fffd}",
    "\u{2028}",
    "go.sum database tree\n",
    "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
];

const HASH: Recipe = Recipe { grammar: hash_text, tokens: TOKENS };
const TREE: Recipe = Recipe { grammar: tree_text, tokens: TOKENS };
const RECORD: Recipe = Recipe { grammar: record_text, tokens: TOKENS };
const MESSAGE: Recipe = Recipe { grammar: message, tokens: TOKENS };

/// Base64 of about 32 bytes: also of more or fewer, with line ends, odd last characters or without padding.
fn hash_text(rng: &mut Rng) -> Vec<u8> {
    let length = if rng.one_in(6) { rng.between(30, 34) } else { 32 };
    let text = Hash::from_bytes(rng.bytes(32).try_into().unwrap()).to_string();
    let mut text = text.into_bytes();
    text.truncate(43);
    match rng.below(8) {
        // Bits of the last character that stand for nothing.
        0 => text[42] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[rng.below(64)],
        1 => {
            let at = rng.below(44);
            let ends = rng.pick(&["\n", "\r", "\r\n", " ", "-", "_"]).bytes();
            drop(text.splice(at..at, ends));
        }
        _ => {}
    }
    text.resize(text.len() + length - 32, b'A');
    let padding = if rng.one_in(8) { rng.pick(&["", "==", "===", "=\n", "\n=", "=A"]) } else { "=" };
    text.extend(padding.bytes());
    text
}

fn decimal(rng: &mut Rng) -> String {
    let n = rng.number();
    match rng.below(16) {
        0 => format!("+{n}"),
        1 => format!("-{n}"),
        2 => format!("0{n}"),
        3 => rng
            .pick(&[
                "",
                "-",
                "+",
                "0",
                "-0",
                "00",
                "1_0",
                "0x1",
                "9223372036854775808",
                "-9223372036854775808",
                " 1",
                "１",
            ])
            .into(),
        _ => n.to_string(),
    }
}

fn tree_text(rng: &mut Rng) -> Vec<u8> {
    let first = if rng.one_in(12) {
        rng.pick(&[
            "go.sum database tree v2",
            "go.sum database tree ",
            "",
            "go.sum  database tree",
            "example.com/log",
            "go.sum database tree\r",
        ])
    } else {
        "go.sum database tree"
    };
    let mut text = format!("{first}\n{}\n", decimal(rng)).into_bytes();
    text.extend(hash_text(rng));
    let rest =
        if rng.one_in(3) { rng.pick(&["", "\n\n", "\nmore\n", "\nmore", "\n\n\n", "\r\n"]) } else { "\n" };
    text.extend(rest.bytes());
    text
}

/// Lines of go.sum, or lines of anything.
fn record_text(rng: &mut Rng) -> Vec<u8> {
    let mut text = String::new();
    for _ in 0..rng.below(4) {
        text += &match rng.below(4) {
            0 => {
                let length = rng.below(12);
                rng.word(length, "ab \u{7f}~!")
            }
            1 => rng
                .pick(&["é", "世界", "\u{10ffff}", "\u{fffd}", "\u{85}\u{2028}", "a\tb", "\u{1}", ""])
                .to_owned(),
            _ => format!(
                "example.com/m v1.{}.0{} h1:{}",
                rng.below(9),
                rng.pick(&["", "/go.mod"]),
                rng.word64()
            ),
        };
        text += "\n";
    }
    if rng.one_in(12) {
        text += rng.pick(&["no end", "\n", "\0\n", "\r\n"]);
    }
    text.into_bytes()
}

fn message(rng: &mut Rng) -> Vec<u8> {
    let mut message = decimal(rng).into_bytes();
    message.push(b'\n');
    message.extend(record_text(rng));
    message.push(b'\n');
    message.extend(
        rng.pick(&[
            "",
            "\n",
            "\n\n",
            "go.sum database tree\n",
            "\u{2014} sig\n",
            "x",
            "\0",
            "example.com/m v1.0.0 h1:x\n",
        ])
        .bytes(),
    );
    message
}

#[test]
fn hashes() {
    Comparison::of("tlog.hash").run(
        |rng| vec![HASH.next_text(rng)],
        |args| match text(args, 0).parse::<Hash>() {
            Ok(hash) => Answer::ok([hash.as_bytes(), hash.to_string().as_bytes()]),
            Err(e) => Answer::rejected(e),
        },
    );
}

#[test]
fn parsing_trees() {
    Comparison::of("tlog.tree-parse").run(
        |rng| vec![TREE.next(rng)],
        |args| match parse_tree(&args[0]) {
            Ok(tree) => Answer::ok([tree.size.to_string().as_bytes(), tree.root.as_bytes()]),
            Err(e) => Answer::rejected(e),
        },
    );
}

/// Texts about as long as the longest tree text.
#[test]
fn long_trees() {
    let head = format_tree(&Tree { size: 1, root: Hash::EMPTY_TREE });
    let padded = |length: usize| vec![(head.clone() + &"x".repeat(length - head.len())).into_bytes()];
    Comparison::of("tlog.tree-parse").over(
        (999_998..1_000_003).map(padded).collect(),
        |args| match parse_tree(&args[0]) {
            Ok(tree) => Answer::ok([b"1", tree.root.as_bytes()]),
            Err(e) => Answer::rejected(e),
        },
    );
}

#[test]
fn formatting_trees() {
    Comparison::of("tlog.tree-format").without_verdict().run(
        |rng| vec![rng.number().to_string().into_bytes(), rng.bytes(32)],
        |args| Answer::text(format_tree(&Tree { size: number(args, 0), root: hash(args, 1) })),
    );
}

#[test]
fn parsing_records() {
    Comparison::of("tlog.record-parse").run(
        |rng| vec![MESSAGE.next(rng)],
        |args| match parse_record(&args[0]) {
            Ok(r) => Answer::ok([r.id.to_string().as_bytes(), r.text.as_bytes(), r.rest]),
            Err(e) => Answer::rejected(e),
        },
    );
}

#[test]
fn formatting_records() {
    Comparison::of("tlog.record-format").run(
        |rng| vec![rng.number().to_string().into_bytes(), RECORD.next(rng)],
        |args| {
            let message = format_record(number(args, 0), &args[1]);
            assert_eq!(message.is_ok(), is_record_text(&args[1]));
            bytes_or(message)
        },
    );
}

/// The reference server ends a data tile with a blank line more than we write, and we read both.
#[test]
fn data_tiles() {
    let texts = |rng: &mut Rng| (0..rng.between(1, 4)).map(|_| RECORD.next(rng)).collect();
    Comparison::of("tlog.data-tile").run(texts, |args| {
        if !args.iter().all(|text| is_record_text(text)) {
            return Answer::err();
        }
        let mut body = join_records(args);
        let count = args.len() as u16;
        assert_eq!(split_records(&body, count).map(|r| r.len()), Ok(args.len()));
        body.push(b'\n');
        let texts = split_records(&body, count).unwrap();
        assert!(texts.iter().zip(args).all(|(text, arg)| text.as_bytes() == arg));
        Answer::Ok(vec![body])
    });
}
