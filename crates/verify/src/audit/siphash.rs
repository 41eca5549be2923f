//! SipHash-1-3 with a key of one's own, which the standard library does not offer: keys of records are hashed with a
//! secret that outlives the process, so that nobody can prepare records whose keys collide.

/// The secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Secret(pub(super) [u64; 2]);

impl Secret {
    /// The hash of `message`.
    pub(super) fn hash(&self, message: &[u8]) -> u64 {
        let [k0, k1] = self.0;
        let mut state = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        let (words, rest) = message.as_chunks::<8>();
        words.iter().for_each(|word| absorb(&mut state, u64::from_le_bytes(*word)));
        // The last word: what remains, and the length modulo 256 in its highest byte.
        let length = (message.len() as u64) << 56;
        absorb(&mut state, rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)) | length);
        state[2] ^= 0xff;
        (0..3).for_each(|_| round(&mut state));
        state.iter().fold(0, |hash, part| hash ^ part)
    }
}

fn absorb(state: &mut [u64; 4], word: u64) {
    state[3] ^= word;
    round(state);
    state[0] ^= word;
}

fn round(state: &mut [u64; 4]) {
    let [v0, v1, v2, v3] = state;
    *v0 = v0.wrapping_add(*v1);
    *v2 = v2.wrapping_add(*v3);
    *v1 = v1.rotate_left(13) ^ *v0;
    *v3 = v3.rotate_left(16) ^ *v2;
    *v0 = v0.rotate_left(32);
    *v2 = v2.wrapping_add(*v1);
    *v0 = v0.wrapping_add(*v3);
    *v1 = v1.rotate_left(17) ^ *v2;
    *v3 = v3.rotate_left(21) ^ *v0;
    *v2 = v2.rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::Hasher as _;

    /// The standard library's own hasher is SipHash-1-3 with the key zero.
    #[test]
    fn agrees_with_the_standard_library() {
        let message: Vec<u8> = (0..=255).collect();
        for length in 0..=message.len() {
            let mut hasher = std::hash::DefaultHasher::new();
            hasher.write(&message[..length]);
            assert_eq!(Secret([0, 0]).hash(&message[..length]), hasher.finish(), "{length} bytes");
        }
    }

    /// With a key: the first vector in the tests of Rust's own library.
    #[test]
    fn agrees_with_the_reference_on_nothing() {
        let secret = Secret([0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908]);
        assert_eq!(secret.hash(&[]).to_le_bytes(), [0xdc, 0xc4, 0x0f, 0x05, 0x58, 0x01, 0xac, 0xab]);
    }
}
