//! A head that the public Go checksum database really signed.

use quipu_note::{OpenError, VerifierKey, open};

const KEY: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";

const HEAD: &str = "go.sum database tree\n69959272\nL6xGIG9BJ5WLe0paJgb2RVNCdNi6wVyMUVOfn9Oo/8s=\n\n\
— sum.golang.org Az3grvPr9qFNGfBH993UqYhBVEqwL36wMKDSKjE/3PtBZWUkfXu1W9Ou9SCCy+ElsdGVH6ak2rZo9lsDhZhlD8TK6AE=\n";

#[test]
fn its_head_opens() {
    let key: VerifierKey = KEY.parse().unwrap();
    let note = open(HEAD.as_bytes(), &[key]).unwrap();
    assert_eq!(note.text, "go.sum database tree\n69959272\nL6xGIG9BJ5WLe0paJgb2RVNCdNi6wVyMUVOfn9Oo/8s=\n");
    assert_eq!(note.verified.len(), 1);
}

#[test]
fn no_bit_of_it_can_be_changed() {
    let known = [KEY.parse::<VerifierKey>().unwrap()];
    let genuine = open(HEAD.as_bytes(), &known).unwrap();
    let mut opened = Vec::new();
    for at in 0..HEAD.len() {
        for bit in 0..8 {
            let mut changed = HEAD.as_bytes().to_vec();
            changed[at] ^= 1 << bit;
            if let Ok(note) = open(&changed, &known) {
                assert_eq!(note.text, genuine.text);
                assert_eq!(note.verified[0].bytes(), genuine.verified[0].bytes());
                opened.push((at, bit));
            }
        }
    }
    // Two bits of the last character of the base64, `E`, carry nothing and the reference does not look at them;
    // one flip stays within the alphabet there, giving `G`.
    assert_eq!(opened, [(HEAD.len() - "E=\n".len(), 1)]);
}

#[test]
fn the_signature_is_not_one_of_another_head() {
    // An older head of the same log.
    let other = HEAD.replace("69959272", "35225469").replace(
        "L6xGIG9BJ5WLe0paJgb2RVNCdNi6wVyMUVOfn9Oo/8s=",
        "vt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=",
    );
    let key: VerifierKey = KEY.parse().unwrap();
    let invalid = OpenError::InvalidSignature { name: key.name().clone(), id: key.id() };
    assert_eq!(open(other.as_bytes(), &[key]), Err(invalid));
}
