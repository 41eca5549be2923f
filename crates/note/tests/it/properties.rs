//! Properties of keys and notes.

use proptest::prelude::*;
use quipu_note::cosignature::{Cosigner, CosignerKey};
use quipu_note::{KeyName, MAX_SIGNATURES, Note, OpenError, Signature, SignerKey, VerifierKey, open, sign};
use zeroize::Zeroizing;

fn signer() -> impl Strategy<Value = SignerKey> {
    ("[a-zé./\u{7f}]{1,20}", any::<[u8; 32]>()).prop_map(|(name, seed)| {
        let name: KeyName = name.parse().unwrap_or_else(|e| panic!("{name:?}: {e}"));
        SignerKey::from_seed(name, &Zeroizing::new(seed))
    })
}

fn text() -> impl Strategy<Value = String> {
    "([a-z\u{2014} \u{7f}]{0,10}\n){1,5}"
}

proptest! {
    #[test]
    fn keys_are_read_as_written(signer in signer()) {
        let encoded = signer.encode();
        let again: SignerKey = encoded.parse().unwrap();
        prop_assert_eq!(again.encode(), encoded);
        let vkey = signer.verifier().to_string();
        prop_assert_eq!(&vkey.parse::<VerifierKey>(), &Ok(signer.verifier().clone()));
        prop_assert_eq!(format!("{vkey}\n").parse(), Ok(signer.verifier().clone()));
        prop_assert_eq!(again.verifier(), signer.verifier());
    }

    #[test]
    fn a_key_with_one_character_changed(signer in signer(), at in 0..100_usize, to in "[ -~]") {
        let vkey = signer.verifier().to_string();
        let starts: Vec<usize> = vkey.char_indices().map(|(start, _)| start).collect();
        let start = starts[at % starts.len()];
        let end = start + vkey[start..].chars().next().unwrap().len_utf8();
        let changed = [&vkey[..start], &to, &vkey[end..]].concat();
        // Only the case of the id's digits does not matter.
        if let Ok(read) = changed.parse::<VerifierKey>() {
            prop_assert_eq!(&read, signer.verifier());
            prop_assert_eq!(changed.to_ascii_lowercase(), vkey.to_ascii_lowercase());
        }
    }

    #[test]
    fn notes_open_as_signed(text in text(), signers in proptest::collection::vec(signer(), 1..4), known in 0..8_usize) {
        let signed = sign(&Note::new(text.as_str()), &signers.iter().collect::<Vec<_>>()).unwrap();
        let is_known = |i: usize| known >> i & 1 == 1;
        let keys: Vec<VerifierKey> =
            signers.iter().enumerate().filter(|(i, _)| is_known(*i)).map(|(_, s)| s.verifier().clone()).collect();
        let note = match open(signed.as_bytes(), &keys) {
            Ok(note) => note,
            Err(OpenError::Unverified(note)) => *note,
            Err(error) => panic!("{signed:?}: {error}"),
        };
        prop_assert_eq!(note.verified.len(), keys.len());
        prop_assert_eq!(note.unverified.len(), signers.len() - keys.len());
        prop_assert_eq!(&note.text, &text);
        for signature in note.verified.iter().chain(&note.unverified) {
            prop_assert_eq!(&signature.to_string().parse::<Signature>(), &Ok(signature.clone()));
        }
        // Signing adds nothing to what is there already.
        let all: Vec<&SignerKey> = signers.iter().collect();
        prop_assert_eq!(sign(&note, &all).unwrap(), signed);
    }

    #[test]
    fn a_note_with_one_bit_changed(text in text(), signer in signer(), at in any::<usize>(), bit in 0..8) {
        let signed = sign(&Note::new(text.as_str()), &[&signer]).unwrap();
        let known = [signer.verifier().clone()];
        let mut changed = signed.clone().into_bytes();
        let at = at % changed.len();
        changed[at] ^= 1_u8 << bit;
        if let Ok(note) = open(&changed, &known) {
            // The last character of the base64 before the padding has two bits that carry nothing.
            prop_assert_eq!(at, signed.len() - "E=\n".len());
            prop_assert_eq!(note.verified[0].bytes(), signer.sign(text.as_bytes()));
        }
    }

    #[test]
    fn anything_can_be_opened_without_harm(
        message in "([a\n\t\u{2014} +=]|\n\n\u{2014} a AAAAAAA=\n|\u{2014} a [AE]{8,12}=?\n){0,12}",
        noise in proptest::collection::vec(any::<u8>(), 0..40),
        signer in signer(),
    ) {
        let known = [signer.verifier().clone()];
        prop_assert!(open(message.as_bytes(), &known).is_err());
        prop_assert!(open(&noise, &known).is_err());
        let _ = message.parse::<Signature>();
        let _ = message.parse::<VerifierKey>();
        let _ = message.parse::<SignerKey>();
    }

    #[test]
    fn cosignatures(text in text(), seed in any::<[u8; 32]>(), time in 0..=i64::MAX as u64, other in any::<u64>()) {
        let cosigner = Cosigner::from_seed("w".parse().unwrap(), &Zeroizing::new(seed));
        let key: CosignerKey = cosigner.verifier().to_string().parse().unwrap();
        let signature = cosigner.sign(&text, time).unwrap();
        prop_assert_eq!(signature.bytes().len(), 72);
        prop_assert_eq!(key.verify(&text, &signature), Some(time));
        let renamed: Signature = signature.to_string().replace("— w ", "— v ").parse().unwrap();
        prop_assert_eq!(key.verify(&text, &renamed), None);
        prop_assert_eq!(cosigner.sign(&text, other).is_some(), other <= i64::MAX as u64);
        // A key of one type is not one of the other.
        prop_assert!(key.to_string().parse::<VerifierKey>().is_err());
    }
}

/// A signature line of a key that nobody knows.
fn stranger(i: usize) -> String {
    format!("— stranger{i} AAAAAAA=\n")
}

fn signed_with(strangers: impl Iterator<Item = usize>) -> (String, VerifierKey) {
    let signer =
        SignerKey::from_seed("a".parse().unwrap_or_else(|e| panic!("{e}")), &Zeroizing::new([1; 32]));
    let signed = sign(&Note::new("text\n"), &[&signer]).unwrap_or_else(|e| panic!("{e}"));
    (signed + &strangers.map(stranger).collect::<String>(), signer.verifier().clone())
}

#[test]
fn repeated_lines_count_but_are_kept_once() {
    let (signed, key) = signed_with([1, 2, 1].into_iter());
    let note = open(signed.as_bytes(), &[key]).unwrap();
    let names: Vec<&str> = note.unverified.iter().map(|s| s.name().as_str()).collect();
    assert_eq!(names, ["stranger1", "stranger2"]);

    let (signed, key) = signed_with([1].into_iter().cycle().take(MAX_SIGNATURES - 1));
    assert_eq!(open(signed.as_bytes(), std::slice::from_ref(&key)).unwrap().unverified.len(), 1);
    assert_eq!(open((signed + &stranger(1)).as_bytes(), &[key]), Err(OpenError::Malformed));
}

#[test]
fn names_are_free_of_every_white_space_of_unicode() {
    // Go's unicode.IsSpace over all code points.
    let spaces = (0x09..=0x0d).chain([0x20, 0x85, 0xa0, 0x1680]).chain(0x2000..=0x200a);
    let spaces: Vec<u32> = spaces.chain([0x2028, 0x2029, 0x202f, 0x205f, 0x3000]).collect();
    for c in (0..=0x0010_ffff).filter_map(char::from_u32) {
        let refused = format!("a{c}b").parse::<KeyName>().is_err();
        assert_eq!(refused, c == '+' || spaces.contains(&u32::from(c)), "{c:?}");
    }
    assert!("".parse::<KeyName>().is_err());
}

#[test]
fn secrets_are_not_printed() {
    let encoded = "PRIVATE+KEY+sum.example.test+bdd4f679+AUJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJC";
    let signer: SignerKey = encoded.parse().unwrap();
    assert_eq!(format!("{signer:?}"), "SignerKey(sum.example.test+bdd4f679)");
    assert_eq!(signer.encode().as_str(), encoded);
    let witness = Cosigner::from_seed("w".parse().unwrap(), &Zeroizing::new([0x77; 32]));
    assert_eq!(format!("{witness:?}"), format!("Cosigner(w+{})", witness.verifier().id()));
}

#[test]
fn signer_keys_that_are_refused() {
    use quipu_note::KeyError::{Malformed, UnknownType, WrongId};
    let good = "PRIVATE+KEY+sum.example.test+bdd4f679+AUJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJC";
    let cases = [
        (good.replace("PRIVATE", "PUBLIC"), Malformed),
        (good.replace("PRIVATE+KEY+", ""), Malformed),
        (good.replace("bdd4f679", "bdd4f678"), WrongId),
        (good.replace("bdd4f679", "+bdd4f67"), Malformed),
        (good.replace("sum.example", "sum example"), Malformed),
        (good.replace("sum.example", "sum.other"), WrongId),
        (good.replace("+AUJC", "+AkJC"), UnknownType),
        (good.replace("+AUJC", "+"), UnknownType),
        (good.trim_end_matches("QkJC").to_owned(), Malformed),
        (format!("{good}AAAA"), Malformed),
        (String::new(), Malformed),
    ];
    for (key, error) in cases {
        assert_eq!(key.parse::<SignerKey>().err(), Some(error), "{key}");
    }
}
