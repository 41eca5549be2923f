//! The rules of Go modules compared with `golang.org/x/mod` itself, by many generated inputs.
//! `tools/vectors/README.md` says how to run this.

mod discovery;
mod gomod;
mod goproxy;
mod paths;
mod select;
mod versions;
mod zip_file;
mod zips;

use std::fmt::Display;

use quipu_oracle::{Answer, Args, Rng};

/// Answers by a function of one text. What is no UTF-8 never gets past the type `&str`.
fn of_text(args: &Args, answer: impl Fn(&str) -> Answer) -> Answer {
    match args.as_slice() {
        [text] => std::str::from_utf8(text).map_or_else(Answer::rejected, answer),
        _ => panic!("one argument expected"),
    }
}

/// Answers by a function of two texts.
fn of_texts(args: &Args, answer: impl Fn(&str, &str) -> Answer) -> Answer {
    match args.as_slice() {
        [a, b] => match (std::str::from_utf8(a), std::str::from_utf8(b)) {
            (Ok(a), Ok(b)) => answer(a, b),
            _ => Answer::err(),
        },
        _ => panic!("two arguments expected"),
    }
}

/// Accepted without a result, or rejected.
fn verdict<T, E: Display>(result: Result<T, E>) -> Answer {
    result.map_or_else(Answer::rejected, |_| Answer::ok([]))
}

/// Accepted with a text, or rejected.
fn text_or<E: Display>(result: Result<impl Display, E>) -> Answer {
    result.map_or_else(Answer::rejected, Answer::text)
}

/// Digits of a number, from the ones that are often treated specially.
fn number(rng: &mut Rng) -> String {
    match rng.below(8) {
        0 => "0".into(),
        1 => "1".into(),
        2 => "2".into(),
        3 => rng.pick(&["9", "10", "99", "100", "00", "01", "18446744073709551616"]).into(),
        4 => {
            let digits = rng.between(1, 22);
            rng.word(digits, "0123456789")
        }
        _ => rng.below(30).to_string(),
    }
}
