//! Signatures that implementations of Ed25519 judge differently: here they are judged as Go judges them.

use quipu_note::{KeyName, SignerKey, VerifierKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The order of the group, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The neutral element as RFC 8032 encodes it.
const NEUTRAL: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes
};

/// The same point with y = 1 + p, which is not reduced.
const NEUTRAL_UNREDUCED: [u8; 32] = {
    let mut bytes = [0xff; 32];
    bytes[0] = 0xee;
    bytes[31] = 0x7f;
    bytes
};

/// A verifier key of any 32 bytes.
fn key(public: [u8; 32]) -> VerifierKey {
    use base64::Engine as _;
    let typed = [&[1], public.as_slice()].concat();
    let id = hex::encode(&Sha256::digest([b"a\n", typed.as_slice()].concat())[..4]);
    let text = format!("a+{id}+{}", base64::engine::general_purpose::STANDARD.encode(typed));
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn a_scalar_that_is_not_reduced_is_refused() {
    let name: KeyName = "a".parse().unwrap();
    let signer = SignerKey::from_seed(name, &Zeroizing::new([7; 32]));
    let mut signature = signer.sign(b"message");
    assert!(signer.verifier().verify(b"message", &signature));
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert!(!signer.verifier().verify(b"message", &signature));
}

#[test]
fn keys_of_small_order_are_not_singled_out() {
    let negative_zero = [&NEUTRAL[..31], &[0x80]].concat().try_into().unwrap();
    let valid = [NEUTRAL, [0; 32]].concat();
    for public in [NEUTRAL, NEUTRAL_UNREDUCED, negative_zero] {
        assert!(key(public).verify(b"any message", &valid), "{public:02x?}");
    }
    // R is compared as it is encoded.
    assert!(!key(NEUTRAL).verify(b"any message", &[NEUTRAL_UNREDUCED, [0; 32]].concat()));
}

#[test]
fn a_key_that_is_no_point_verifies_nothing() {
    let mut no_point = [0; 32];
    no_point[0] = 2;
    assert!(!key(no_point).verify(b"any message", &[NEUTRAL, [0; 32]].concat()));
    assert_eq!(key(no_point).to_string().parse(), Ok(key(no_point)));
}

#[test]
fn signatures_of_other_lengths_are_refused() {
    let valid = [NEUTRAL, [0; 32]].concat();
    for wrong in [&valid[..0], &valid[..63], &[valid.as_slice(), &[0]].concat()] {
        assert!(!key(NEUTRAL).verify(b"any message", wrong));
    }
}
