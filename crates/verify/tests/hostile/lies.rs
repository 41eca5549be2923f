//! Lookup answers and notes that are not what they should be.

use std::sync::Arc;

use bytes::Bytes;
use quipu_tlog::{Hash, Tree, format_tree};
use quipu_verify::{MemoryState, TransportError};

use crate::log::{Log, record, signed};
use crate::server::{Server, answer, client, filler, fresh_lookup, kind, module};

/// What a lookup of record 3 in a log of 300 comes to if this is the answer.
async fn lookup_answered(body: impl Into<Bytes>) -> &'static str {
    let body = body.into();
    let lie = move |path: &str, honest| if path.starts_with("/lookup/") { Ok(body.clone()) } else { honest };
    kind(fresh_lookup(Server::lying(Log::filler(300), lie), 3).await)
}

/// An answer that is right but for the note.
fn with_note(note: &str) -> String {
    answer(3, &Log::filler(4).records[3], note)
}

#[tokio::test]
async fn the_truth_is_accepted() {
    let log = Log::filler(300);
    let verified = fresh_lookup(Server::honest(log.clone()), 3).await.unwrap();
    assert_eq!(verified.id, 3);
    assert_eq!(verified.record.text(), log.records[3]);
    assert_eq!(verified.record.record().to_string(), log.records[3]);
    assert_eq!(verified.head.tree(), log.tree(300));
    assert_eq!(verified.body, answer(3, &log.records[3], &log.note(300)));
    assert_eq!(lookup_answered(with_note(&log.note(300))).await, "good");
}

#[tokio::test]
async fn ids_must_be_those_of_the_record() {
    let log = Log::filler(300);
    for (id, expected) in [
        ("3", "good"),
        ("4", "unproven"),
        ("0", "unproven"),
        ("299", "unproven"),
        ("300", "unproven"),
        ("9223372036854775807", "unproven"),
        ("9223372036854775808", "malformed"),
        ("03", "malformed"),
        ("+3", "malformed"),
        ("-3", "malformed"),
        ("-0", "malformed"),
        (" 3", "malformed"),
        ("3 ", "malformed"),
        ("3\r", "malformed"),
        ("", "malformed"),
        ("0x3", "malformed"),
    ] {
        let body = format!("{id}\n{}\n{}", log.records[3], log.note(300));
        assert_eq!(lookup_answered(body).await, expected, "{id:?}");
    }
}

#[tokio::test]
async fn records_must_be_as_they_are_in_the_log() {
    let log = Log::filler(300);
    let good = &log.records[3];
    let note = log.note(300);
    assert_eq!(lookup_answered(answer(3, &good.replace("h1:", "h1:A"), &note)).await, "unproven");
    assert_eq!(lookup_answered(answer(3, &record("filler.test/m3", 'y'), &note)).await, "unproven");
    assert_eq!(lookup_answered(answer(3, &format!("{good}{good}"), &note)).await, "unproven");
    assert_eq!(lookup_answered(answer(3, good.trim_end(), &note)).await, "malformed");
    assert_eq!(lookup_answered(answer(3, &good.replace('\n', "\r\n"), &note)).await, "malformed");
    assert_eq!(lookup_answered(answer(3, &good.replace(' ', "\t"), &note)).await, "malformed");
    let mut invalid = answer(3, good, &note).into_bytes();
    invalid[5] = 0xff;
    assert_eq!(lookup_answered(invalid).await, "malformed");
    assert_eq!(lookup_answered(format!("3\n{good}")).await, "malformed", "no blank line");
}

#[tokio::test]
async fn a_record_may_hold_more_lines_but_not_two_hashes() {
    let good = record("example.test/m", 'z');
    for (text, expected) in [
        (format!("{good}example.test/m v1.0.0 h2:whatever\nsomething else\n"), "good"),
        (format!("{good}{}", record("example.test/m", 'y')), "misbehaved"),
        (format!("{good}{}", record("example.test/other", 'y')), "good"),
    ] {
        let mut log = Log::filler(5);
        log.push(text.clone());
        let body = Bytes::from(answer(5, &text, &log.note(6)));
        let lie =
            move |path: &str, honest| if path.starts_with("/lookup/") { Ok(body.clone()) } else { honest };
        let server = Arc::new(Server::lying(log, lie));
        let client = client(&server, &Arc::new(MemoryState::new()));
        assert_eq!(kind(client.lookup(&module("example.test/m")).await), expected, "{text}");
    }
}

#[tokio::test]
async fn notes_must_be_signed_by_the_database() {
    let note = Log::filler(300).note(300);
    let (text, signature) = note.split_once("\n\n").unwrap();
    let unknown = "— other.test AAAAAQBCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJC";
    for (what, note, expected) in [
        ("extra signature", format!("{text}\n\n{unknown}\n{signature}"), "good"),
        ("unknown key only", format!("{text}\n\n{unknown}\n"), "unproven"),
        ("other text", note.replace("300", "299"), "unproven"),
        ("no signature", format!("{text}\n"), "malformed"),
        ("no signature line", format!("{text}\n\n"), "malformed"),
        ("CRLF", note.replace('\n', "\r\n"), "malformed"),
        ("tab", note.replace("— ", "—\t"), "malformed"),
        ("cut off", note[..note.len() - 1].to_owned(), "malformed"),
        ("own signature twice", format!("{note}{signature}"), "malformed"),
        ("other signature twice", format!("{note}{unknown}\n{unknown}\n"), "malformed"),
        ("wrong own signature", note.replace(&signature[40..60], &"A".repeat(20)), "unproven"),
    ] {
        assert_eq!(lookup_answered(with_note(&note)).await, expected, "{what}");
    }
}

#[tokio::test]
async fn signatures_are_limited_to_100() {
    let note = Log::filler(300).note(300);
    let extra =
        |count: usize| (0..count).map(|i| format!("— w{i}.test AAAAAQBCQkJCQkJC\n")).collect::<String>();
    assert_eq!(lookup_answered(with_note(&format!("{note}{}", extra(99)))).await, "good");
    assert_eq!(lookup_answered(with_note(&format!("{note}{}", extra(100)))).await, "malformed");
}

#[tokio::test]
async fn base64_must_be_canonical() {
    let log = Log::filler(300);
    let note = log.note(300);
    let root = log.tree(300).root.to_string();
    let sloppy = loosen(&root);
    assert_eq!(sloppy.parse::<Hash>().unwrap(), log.tree(300).root, "go would accept it");
    let sloppy_root = signed(&format_tree(&log.tree(300)).replace(&root, &sloppy));
    assert_eq!(lookup_answered(with_note(&sloppy_root)).await, "malformed");
    let signature = note.trim_end().rsplit_once(' ').unwrap().1;
    let sloppy_signature = note.replace(signature, &loosen(signature));
    assert_eq!(lookup_answered(with_note(&sloppy_signature)).await, "malformed");
}

/// Sets an unused bit in the last character of base64.
fn loosen(base64: &str) -> String {
    let digits = base64.trim_end_matches('=');
    let last = digits.bytes().last().unwrap();
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let value = alphabet.iter().position(|c| *c == last).unwrap();
    let loose = char::from(alphabet[value | 1]);
    assert!(digits.len() < base64.len() && value & 1 == 0);
    format!("{}{loose}{}", &digits[..digits.len() - 1], &base64[digits.len()..])
}

#[tokio::test]
async fn trees_of_absurd_size_are_not_believed() {
    let root = Log::filler(300).tree(300).root;
    for size in [1 << 40, 1 << 62, i64::MAX as u64 - 1, i64::MAX as u64] {
        let note = signed(&format_tree(&Tree { size, root }));
        assert_eq!(lookup_answered(with_note(&note)).await, "malformed", "{size}");
    }
    let beyond = signed(&format!("go.sum database tree\n9223372036854775808\n{root}\n"));
    assert_eq!(lookup_answered(with_note(&beyond)).await, "malformed");
    // Just below the limit the size is believed, and then the tiles are not there.
    let note = signed(&format_tree(&Tree { size: (1 << 40) - 1, root }));
    assert_eq!(lookup_answered(with_note(&note)).await, "unavailable");
}

#[tokio::test]
async fn tree_texts_must_be_those_of_a_checksum_database() {
    let text = format_tree(&Log::filler(300).tree(300));
    for (what, text, expected) in [
        ("further lines", format!("{text}more\nand more\n"), "good"),
        ("other first line", text.replace("go.sum database tree", "sum.example.test"), "malformed"),
        ("leading zero", text.replace("300", "0300"), "malformed"),
        ("plus sign", text.replace("300", "+300"), "malformed"),
        ("empty tree with a root", text.replace("300", "0"), "malformed"),
        ("short root", text.replace("=\n", "\n"), "malformed"),
    ] {
        assert_eq!(lookup_answered(with_note(&signed(&text))).await, expected, "{what}");
    }
}

#[tokio::test]
async fn an_answer_without_a_note_needs_a_known_head() {
    let log = Log::filler(300);
    let bare = answer(3, &log.records[3], "");
    assert_eq!(lookup_answered(bare.clone()).await, "unproven");
    let lie = move |path: &str, honest| match path {
        "/lookup/filler.test/m3@v1.0.0" => Ok(bare.clone().into()),
        _ => honest,
    };
    let client = client(&Arc::new(Server::lying(log, lie)), &Arc::new(MemoryState::new()));
    client.latest().await.unwrap();
    assert_eq!(client.lookup(&filler(3)).await.unwrap().id, 3);
}

#[tokio::test]
async fn absence_and_faults_are_kept_apart() {
    let log = Log::filler(300);
    assert_eq!(kind(fresh_lookup(Server::honest(log.clone()), 300).await), "not found");
    let broken = |path: &'static str, error: TransportError| {
        let lie =
            move |asked: &str, honest| if asked.starts_with(path) { Err(error.clone()) } else { honest };
        fresh_lookup(Server::lying(log.clone(), lie), 3)
    };
    let unavailable = || TransportError::Unavailable("timed out after 10 s".to_owned());
    let not_found = || TransportError::NotFound("404".to_owned());
    assert_eq!(kind(broken("/lookup/", unavailable()).await), "unavailable");
    assert_eq!(kind(broken("/lookup/", not_found()).await), "not found");
    assert_eq!(kind(broken("/lookup/", TransportError::TooLarge(9)).await), "malformed");
    assert_eq!(kind(broken("/tile/", unavailable()).await), "unavailable");
    // A proof that is withheld is a fault of the database and not the absence of the module.
    assert_eq!(kind(broken("/tile/", not_found()).await), "unavailable");
    assert_eq!(kind(broken("/tile/", TransportError::TooLarge(9)).await), "malformed");
}

#[tokio::test]
async fn bodies_beyond_the_limits_are_refused_whatever_the_transport_does() {
    assert_eq!(lookup_answered(vec![b'a'; 3 << 20]).await, "malformed");
    let lie = |path: &str, honest| if path == "/latest" { Ok(vec![b'a'; 2 << 20].into()) } else { honest };
    let server = Arc::new(Server::lying(Log::filler(3), lie));
    let client = client(&server, &Arc::new(MemoryState::new()));
    assert_eq!(kind(client.latest().await), "malformed");
}

#[tokio::test]
async fn errors_name_what_and_why() {
    let error = fresh_lookup(Server::honest(Log::filler(3)), 4).await.unwrap_err();
    assert_eq!(error.to_string(), "/lookup/filler.test/m4@v1.0.0: 404");
    let log = Log::filler(300);
    let body = answer(4, &log.records[3], &log.note(300));
    let lie = move |path: &str, honest| {
        if path.starts_with("/lookup/") { Ok(body.clone().into()) } else { honest }
    };
    let error = fresh_lookup(Server::lying(log, lie), 3).await.unwrap_err();
    let wanted =
        "/lookup/filler.test/m3@v1.0.0: cannot authenticate record data: the log holds another record 4";
    assert_eq!(error.to_string(), wanted);
}
