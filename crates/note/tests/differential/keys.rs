//! Verifier and signer keys, and the signature check itself.

use quipu_note::{KeyError, KeyName, SignerKey, VerifierKey};
use quipu_oracle::{Answer, Comparison, Recipe, Rng};

use crate::{any_signer, encode, fields_or, lenient, text};

const TOKENS: &[&str] = &[
    "+",
    "++",
    "PRIVATE",
    "KEY",
    "PRIVATE+KEY+",
    " ",
    "\u{a0}",
    "\u{85}",
    "\n",
    "\r",
    "=",
    "\u{200b}",
    "é",
    "a",
    "00000000",
];

const VERIFIER: Recipe = Recipe { grammar: verifier_text, tokens: TOKENS };
const SIGNER: Recipe = Recipe { grammar: signer_text, tokens: TOKENS };

fn name(rng: &mut Rng) -> &'static str {
    if rng.one_in(8) {
        rng.pick(&[
            "",
            "a b",
            "a\u{3000}b",
            "a\tb",
            "\u{85}",
            "\u{2028}",
            "a\u{feff}",
            "a/b",
            "\u{1}",
            "\u{180e}",
        ])
    } else {
        crate::NAMES[rng.below(crate::NAMES.len())]
    }
}

/// The id that belongs to a name and a typed key, whether these are good or not.
fn id(name: &str, typed_key: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    let sum = Sha256::new().chain_update(name).chain_update("\n").chain_update(typed_key).finalize();
    sum.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

fn odd_id(rng: &mut Rng, id: String) -> String {
    match rng.below(16) {
        0 => id.to_uppercase(),
        1 => id.trim_start_matches('0').get(1..).unwrap_or_default().to_owned(),
        2 => format!("0{id}"),
        3 => format!("+{}", &id[1..]),
        4 => format!("{}_{}", &id[..3], &id[4..]),
        5 => format!("0x{}", &id[2..]),
        6 => rng.word(8, "0123456789abcdef"),
        _ => id,
    }
}

/// Type byte and key, mostly of the right type and length.
fn typed_key(rng: &mut Rng, key: &[u8]) -> Vec<u8> {
    let kind = if rng.one_in(12) { rng.below(8) as u8 } else { 1 };
    let mut typed = vec![kind];
    typed.extend(key);
    if rng.one_in(12) {
        let length = rng.below(40);
        typed.resize(length, 0);
    }
    typed
}

fn verifier_text(rng: &mut Rng) -> Vec<u8> {
    let name = name(rng);
    let key = if rng.one_in(4) { rng.bytes(32) } else { any_signer(rng).verifier().public_key().to_vec() };
    let typed = typed_key(rng, &key);
    let id = odd_id(rng, id(name, &typed));
    format!("{name}+{id}+{}", lenient(rng, &typed)).into_bytes()
}

fn signer_text(rng: &mut Rng) -> Vec<u8> {
    let name = name(rng);
    let seed = rng.bytes(32);
    let typed = typed_key(rng, &seed);
    let public = match (<[u8; 32]>::try_from(&typed[1.min(typed.len())..]), "a".parse::<KeyName>()) {
        (Ok(seed), Ok(any)) => {
            SignerKey::from_seed(any, &zeroize::Zeroizing::new(seed)).verifier().public_key().to_vec()
        }
        _ => Vec::new(),
    };
    let id = odd_id(rng, id(name, &[&[1], public.as_slice()].concat()));
    let prefix = if rng.one_in(16) {
        rng.pick(&["PRIVATE+", "KEY+", "private+key+", "", "PRIVATE+KEY"])
    } else {
        "PRIVATE+KEY+"
    };
    format!("{prefix}{name}+{id}+{}", lenient(rng, &typed)).into_bytes()
}

#[test]
fn verifier_keys() {
    Comparison::of("note.vkey").run(
        |rng| vec![VERIFIER.next(rng)],
        |args| {
            let Some(key) = text(args, 0) else { return Answer::err() };
            fields_or::<_, KeyError>(
                key.parse::<VerifierKey>().map(|k| [k.name().to_string(), k.id().to_string()]),
            )
        },
    );
}

#[test]
fn signer_keys() {
    Comparison::of("note.skey").run(
        |rng| {
            let length = rng.below(20);
            vec![SIGNER.next(rng), rng.bytes(length)]
        },
        |args| match text(args, 0).map(str::parse::<SignerKey>) {
            Some(Ok(key)) => Answer::ok([
                key.name().as_str().as_bytes(),
                key.id().to_string().as_bytes(),
                &key.sign(&args[1]),
            ]),
            _ => Answer::err(),
        },
    );
}

/// Our text of a key, against Go's of the same.
#[test]
fn formatting() {
    Comparison::of("note.newvkey").without_verdict().one_in(4).run(
        |rng| {
            let key = any_signer(rng);
            vec![key.name().as_str().as_bytes().to_vec(), key.verifier().public_key().to_vec()]
        },
        |args| {
            let (name, key) = (text(args, 0).unwrap(), [&[1], args[1].as_slice()].concat());
            let key: VerifierKey = format!("{name}+{}+{}", id(name, &key), encode(&key)).parse().unwrap();
            Answer::text(key)
        },
    );
}

/// Ed25519 beyond what honest signers make: keys and points of small order, encodings that are not canonical,
/// scalars that are not reduced.
#[test]
fn signature_checks() {
    let case = |rng: &mut Rng| {
        let message = rng.bytes(8);
        let honest = any_signer(rng);
        let mut key = honest.verifier().public_key().to_vec();
        let mut signature = honest.sign(&message).to_vec();
        if rng.below(3) > 0 {
            key = point(rng);
            signature = [point(rng), scalar(rng)].concat();
        }
        match rng.below(8) {
            0 => drop(signature.splice(..32, point(rng))),
            1 => drop(signature.splice(32.., scalar(rng))),
            2 => signature = plus_order(&signature),
            3 => signature.truncate(63),
            4 => signature.push(0),
            _ => {}
        }
        vec![key, message, signature]
    };
    Comparison::of("note.verify").by_first_result().one_in(2).run(case, |args| {
        let typed = [&[1], args[0].as_slice()].concat();
        let key: VerifierKey = format!("a+{}+{}", id("a", &typed), encode(&typed)).parse().unwrap();
        Answer::text(u8::from(key.verify(&args[1], &args[2])))
    });
}

/// 2^255 - 19, and the order of the group, both little-endian.
const PRIME: [u8; 32] = {
    let mut bytes = [0xff; 32];
    (bytes[0], bytes[31]) = (0xed, 0x7f);
    bytes
};
const ORDER: [u8; 32] = {
    let mut bytes = [0; 32];
    let low =
        [0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14];
    let mut i = 0;
    while i < low.len() {
        bytes[i] = low[i];
        i += 1;
    }
    bytes[31] = 0x10;
    bytes
};

/// The two y coordinates of points of order eight.
const ORDER_EIGHT: [[u8; 32]; 2] = [
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
];

/// An encoding of a point of small order, of a y from p on, or of anything, with either sign bit.
fn point(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = match rng.below(8) {
        0 => ORDER_EIGHT[0],
        1 => ORDER_EIGHT[1],
        2..=5 => small(rng.below(2) as u8),
        6 => PRIME.map(|_| 0xff),
        _ => rng.bytes(32).try_into().unwrap(),
    };
    if rng.one_in(3) {
        bytes = match rng.below(4) {
            // p - 1 is of order two; p and p + 1 are 0 and 1 written otherwise.
            0 => add(PRIME, 0),
            1 => add(PRIME, 1),
            2 => add(PRIME, -1),
            _ => add(PRIME, rng.below(19) as i8),
        };
    }
    bytes[31] = bytes[31] & 0x7f | if rng.one_in(3) { 0x80 } else { 0 };
    bytes.to_vec()
}

fn scalar(rng: &mut Rng) -> Vec<u8> {
    match rng.below(6) {
        0 => ORDER.to_vec(),
        1 => add(ORDER, -1).to_vec(),
        _ => small(0).to_vec(),
    }
}

fn small(n: u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[0] = n;
    bytes
}

/// Adds a small number to one whose lowest byte has room for it.
fn add(mut bytes: [u8; 32], n: i8) -> [u8; 32] {
    bytes[0] = bytes[0].wrapping_add_signed(n);
    bytes
}

/// The signature with the order of the group added to its scalar.
fn plus_order(signature: &[u8]) -> Vec<u8> {
    let mut bytes = signature.to_vec();
    let mut carry = 0;
    for (byte, more) in bytes.iter_mut().skip(32).zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(more) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    bytes
}
