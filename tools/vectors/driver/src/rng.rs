//! A small seeded generator of pseudo-random numbers: same seed, same cases, on every machine.

/// `SplitMix64`: one 64-bit word of state, good enough to choose test cases with.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator for `name` under `seed`, so that each comparison has its own sequence.
    pub fn new(seed: u64, name: &str) -> Self {
        let mut rng = Self(seed);
        for byte in name.bytes() {
            rng.0 = rng.0.rotate_left(7) ^ u64::from(byte);
            rng.word64();
        }
        rng
    }

    /// The next 64 bits.
    pub fn word64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..end`; 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = end as u64;
        (self.word64() % end.max(1)) as usize
    }

    /// A number in `first..=last`.
    pub fn between(&mut self, first: usize, last: usize) -> usize {
        first + self.below(last - first + 1)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of the items.
    pub fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.below(items.len())]
    }

    /// `length` arbitrary bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.word64() as u8).collect()
    }

    /// `length` bytes of an alphabet.
    pub fn letters(&mut self, length: usize, alphabet: &[u8]) -> Vec<u8> {
        (0..length).map(|_| alphabet[self.below(alphabet.len())]).collect()
    }

    /// `length` characters of an ASCII alphabet, as text.
    pub fn word(&mut self, length: usize, alphabet: &str) -> String {
        self.letters(length, alphabet.as_bytes()).into_iter().map(char::from).collect()
    }

    /// A 63-bit number whose bit length is uniform, so that small ones and edges are common.
    pub fn number(&mut self) -> i64 {
        let bits = self.below(64) as u32;
        let top = 1_u64.checked_shl(bits).map_or(u64::MAX, |b| b - 1);
        let value = match self.below(4) {
            0 => top,
            1 => top.wrapping_add(1),
            _ => self.word64() & top,
        };
        (value & i64::MAX as u64) as i64
    }
}
