//! Notes: opening, signing, signing once more.

use quipu_note::{Note, OpenError, Signature, SignerKey, VerifierKey, open, sign};
use quipu_oracle::{Answer, Args, Comparison, Rng, mutate};

use crate::{any_signer, encode, lenient, text};

const TOKENS: &[&str] = &[
    "\n",
    "\n\n",
    "— ",
    "—",
    "- ",
    " ",
    "\t",
    "\r",
    "\0",
    "\u{7f}",
    "+",
    "=",
    "é",
    "\u{fffd}",
    "sum.example",
    "— b AAAAAAA=\n",
    "— b AAAAAAAA\n",
    "— b AAAAAA==\n",
];

/// A note's text, with empty lines in it now and then.
fn body(rng: &mut Rng) -> String {
    let mut body = String::new();
    for _ in 0..rng.between(1, 4) {
        let line = match rng.below(8) {
            0 => String::new(),
            1 => rng.pick(&["é\u{7f}", "— b AAAAAAAA", "—", "\u{fffd}", "a\u{2028}b", "\u{85}"]).to_owned(),
            _ => {
                let length = rng.below(8);
                rng.word(length, "abc 019+/=")
            }
        };
        body = body + &line + "\n";
    }
    if rng.one_in(20) {
        body += rng.pick(&["no end", "\t\n", "\r\n", "\0"]);
    }
    body
}

/// A good signature line.
fn good_line(signer: &SignerKey, body: &str) -> String {
    let blob = [&signer.id().as_u32().to_be_bytes(), signer.sign(body.as_bytes()).as_slice()].concat();
    format!("— {} {}\n", signer.name(), encode(&blob))
}

/// A signature line, of `signer` or of nobody.
fn line(rng: &mut Rng, signer: &SignerKey, body: &str) -> String {
    let other = body.replace('\n', "\n\n");
    let signed = if rng.one_in(10) { &other } else { body };
    let mut blob = signer.id().as_u32().to_be_bytes().to_vec();
    blob.extend(signer.sign(signed.as_bytes()));
    match rng.below(16) {
        0 => drop(blob.splice(..4, rng.bytes(4))),
        1 => {
            let length = rng.below(80);
            blob.resize(length, 0);
        }
        _ => {}
    }
    let encoded = if rng.one_in(3) { lenient(rng, &blob) } else { encode(&blob) };
    let name = if rng.one_in(16) {
        rng.pick(&["other", "", "a b", "a+b", "\u{a0}"])
    } else {
        signer.name().as_str()
    };
    let (dash, space) = if rng.one_in(24) {
        rng.pick(&[&("—  ", " "), &("- ", " "), &("—", " "), &("— ", "  "), &("— ", "")])
    } else {
        &("— ", " ")
    };
    format!("{dash}{name}{space}{encoded}\n")
}

/// A signed note, the keys of some of its signers, and now and then of others.
fn signed(rng: &mut Rng) -> (Vec<u8>, Vec<&'static SignerKey>) {
    let body = body(rng);
    let mut message = body.clone() + "\n";
    let mut known = Vec::new();
    // Now and then about as many good signatures as there may be.
    let many = rng.one_in(200);
    let lines = if many { rng.between(98, 103) } else { rng.below(5) };
    for _ in 0..lines {
        let signer = any_signer(rng);
        let line = if many { good_line(signer, &body) } else { line(rng, signer, &body) };
        for _ in 0..(if !many && rng.one_in(8) { 2 } else { 1 }) {
            message += &line;
        }
        if rng.below(3) > 0 {
            known.push(signer);
        }
    }
    if rng.one_in(6) {
        known.push(any_signer(rng));
    }
    if many || rng.below(20) > 0 {
        known.sort_by_key(|k| k.verifier().to_string());
        known.dedup_by_key(|k| k.verifier().to_string());
    }
    let mut message = message.into_bytes();
    if rng.one_in(4) {
        mutate(rng, &mut message, TOKENS);
    }
    if rng.one_in(40) {
        message = quipu_oracle::noise(rng, TOKENS);
    }
    (message, known)
}

fn vkeys(keys: &[&SignerKey]) -> Args {
    keys.iter().map(|key| key.verifier().to_string().into_bytes()).collect()
}

fn parse_verifiers(args: &[Vec<u8>]) -> Vec<VerifierKey> {
    args.iter().map(|key| std::str::from_utf8(key).unwrap().parse().unwrap()).collect()
}

fn parse_signers(args: &[Vec<u8>]) -> Vec<SignerKey> {
    args.iter().map(|key| std::str::from_utf8(key).unwrap().parse().unwrap()).collect()
}

fn lines(signatures: &[Signature]) -> Vec<u8> {
    let line = |s: &Signature| format!("{} {} {}\n", s.name(), s.id(), s.base64());
    signatures.iter().map(line).collect::<String>().into_bytes()
}

#[test]
fn opening() {
    let case = |rng: &mut Rng| {
        let (message, known) = signed(rng);
        let mut args = vec![message];
        args.extend(vkeys(&known));
        args
    };
    Comparison::of("note.open").run(case, |args| match open(&args[0], &parse_verifiers(&args[1..])) {
        Ok(note) => Answer::Ok(vec![note.text.into_bytes(), lines(&note.verified), lines(&note.unverified)]),
        Err(OpenError::Malformed) => Answer::kind("malformed"),
        Err(OpenError::InvalidSignature { .. }) => Answer::kind("invalid"),
        Err(OpenError::Unverified(_)) => Answer::kind("unverified"),
        Err(OpenError::AmbiguousVerifier { .. }) => Answer::kind("ambiguous"),
    });
}

fn some_signers(rng: &mut Rng) -> Args {
    (0..rng.below(3)).map(|_| any_signer(rng).encode().as_bytes().to_vec()).collect()
}

fn signed_or_not(note: &Note, signers: &[SignerKey]) -> Answer {
    let signers: Vec<&SignerKey> = signers.iter().collect();
    sign(note, &signers).map_or_else(Answer::rejected, Answer::text)
}

#[test]
fn signing() {
    let case = |rng: &mut Rng| {
        let mut body = body(rng).into_bytes();
        if rng.one_in(4) {
            body.pop();
        }
        let mut args = vec![body];
        args.extend(some_signers(rng));
        args
    };
    Comparison::of("note.sign")
        .run(case, |args| signed_or_not(&Note::new(text(args, 0).unwrap()), &parse_signers(&args[1..])));
}

/// The opened note signed once more, by signers that it has and by others.
#[test]
fn signing_again() {
    let case = |rng: &mut Rng| {
        let (message, known) = signed(rng);
        let mut args = vec![message, known.len().to_string().into_bytes()];
        args.extend(vkeys(&known));
        args.extend(some_signers(rng));
        args
    };
    Comparison::of("note.resign").one_in(4).run(case, |args| {
        let known: usize = text(args, 1).unwrap().parse().unwrap();
        let (known, signers) = args[2..].split_at(known);
        match open(&args[0], &parse_verifiers(known)) {
            Ok(note) => signed_or_not(&note, &parse_signers(signers)),
            Err(e) => Answer::rejected(e),
        }
    });
}
