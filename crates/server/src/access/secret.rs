//! The text of a token: what its holder keeps and the server never stores.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// What every token begins with, so that scanners for leaked secrets find it.
const PREFIX: &str = "quipu_";

/// Bytes of randomness, and of checksum behind them.
const RANDOM: usize = 32;
const CHECK: usize = 4;

/// The secret text of a token: `quipu_`, 256 random bits and a checksum of 32 bits, in lower-case hexadecimal.
///
/// The checksum tells a mistyped or cut token from an unknown one without asking anybody. It is no part of the secret:
/// it is the beginning of the SHA-256 of all that stands before it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The token with these random bytes.
    #[must_use]
    pub fn from_random(random: [u8; RANDOM]) -> Self {
        let text = format!("{PREFIX}{}", hex(&random));
        let check = checksum(&text);
        Self(text + &check)
    }

    /// Reads a token; `None` if the text has not the form of one. Inverse of [`Secret::expose`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let good = digits.len() == 2 * (RANDOM + CHECK) && digits.bytes().all(is_hex);
        let (body, check) = text.split_at_checked(PREFIX.len() + 2 * RANDOM)?;
        (good && checksum(body) == check).then(|| Self(text.to_owned()))
    }

    /// The text, to be shown once to whoever will hold it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored of it: SHA-256 of the text. It is as hard to guess as the token, so no slow hash is needed.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

fn checksum(text: &str) -> String {
    hex(Sha256::digest(text.as_bytes()).get(..CHECK).unwrap_or_default())
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_round_trip_and_nothing_like_them_is_one() {
        let secret = Secret::from_random([0xa7; 32]);
        let text = secret.expose().to_owned();
        assert_eq!(text.len(), 78);
        assert_eq!(Secret::parse(&text), Some(secret.clone()));
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        for at in 0..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(Secret::parse(std::str::from_utf8(&wrong).unwrap()), None, "{at}");
            assert_eq!(Secret::parse(&text[..at]), None, "{at}");
        }
        assert_eq!(Secret::parse(&text.to_uppercase()), None);
        assert_eq!(Secret::parse(&format!("{text} ")), None);
    }
}
