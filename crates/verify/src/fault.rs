//! In words, what is wrong with bytes that were refused. The specifications only say "malformed", as Go does; a person who
//! is to mend a server needs more. Nothing here decides anything.

use quipu_note::{MAX_SIGNATURES, Signature};

/// Why a note that was refused as malformed is none.
pub(crate) fn of_note(message: &[u8]) -> String {
    if let Some(fault) = of_text(message) {
        return fault;
    }
    let text = String::from_utf8_lossy(message);
    let Some((_, lines)) = text.rsplit_once("\n\n") else {
        return "no blank line between text and signatures".to_owned();
    };
    if !lines.ends_with('\n') {
        return "the last line does not end".to_owned();
    }
    let bad = |line: &&str| line.parse::<Signature>().is_err();
    match lines.lines().take(MAX_SIGNATURES).find(bad) {
        Some(line) => format!("not a signature line: {line:?}"),
        None => format!("{} signatures, of which {MAX_SIGNATURES} are allowed", lines.lines().count()),
    }
}

/// Why a lookup answer that was refused as malformed has no record.
pub(crate) fn of_answer(message: &[u8]) -> String {
    if message.is_empty() {
        return "the answer is empty".to_owned();
    }
    let Some(blank) = message.windows(2).position(|pair| pair == b"\n\n") else {
        return of_text(message).unwrap_or_else(|| "no blank line after a record".to_owned());
    };
    let record = message.get(..=blank).unwrap_or(message);
    of_text(record).unwrap_or_else(|| {
        let line = String::from_utf8_lossy(record);
        let line = line.lines().next().unwrap_or_default().to_owned();
        match line.parse::<i64>() {
            Err(_) => format!("the first line is no record id: {line:?}"),
            Ok(_) => "no record follows the id".to_owned(),
        }
    })
}

/// What no text of a log may hold.
fn of_text(message: &[u8]) -> Option<String> {
    if let Err(error) = std::str::from_utf8(message) {
        return Some(format!("invalid UTF-8 at byte {}", error.valid_up_to()));
    }
    let at = message.iter().position(|byte| *byte < 0x20 && *byte != b'\n')?;
    Some(match message.get(at..at + 2) {
        Some(b"\r\n") => format!("lines end in CR LF (byte {at})"),
        _ => format!("control character at byte {at}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_its_words() {
        let line = format!("— a.test {}\n", "A".repeat(8));
        for (note, words) in [
            (b"text\n\n\xff\n".to_vec(), "invalid UTF-8 at byte 6"),
            (b"text\r\n\r\n".to_vec(), "lines end in CR LF (byte 4)"),
            (b"text\n\nx\ty\n".to_vec(), "control character at byte 7"),
            (b"text\n".to_vec(), "no blank line between text and signatures"),
            (b"text\n\nx".to_vec(), "the last line does not end"),
            (b"text\n\n- a b\n".to_vec(), "not a signature line: \"- a b\""),
            (
                format!("text\n\n{}", line.repeat(101)).into_bytes(),
                "101 signatures, of which 100 are allowed",
            ),
        ] {
            assert_eq!(of_note(&note), words);
            assert_eq!(quipu_note::open(&note, &[]), Err(quipu_note::OpenError::Malformed), "{words}");
        }
        for (answer, words) in [
            (&b""[..], "the answer is empty"),
            (b"7\na b c\n", "no blank line after a record"),
            (b"x\na b c\n\n", "the first line is no record id: \"x\""),
            (b"7\n\n", "no record follows the id"),
            (b"7\na\xff\n\n", "invalid UTF-8 at byte 3"),
        ] {
            assert_eq!(of_answer(answer), words);
            assert!(quipu_tlog::parse_record(answer).is_err(), "{words}");
        }
    }
}
