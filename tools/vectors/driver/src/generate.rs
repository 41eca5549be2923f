//! Ways to arrive at inputs near the border between what is accepted and what is not.

use crate::Rng;

/// How the cases of one text argument are made.
///
/// Half of the cases follow the grammar (and stray from it now and then, as the grammar function
/// likes), a quarter are mutations of what it makes, and a quarter are noise.
#[derive(Clone, Copy)]
pub struct Recipe {
    /// Makes an input that is valid or nearly so.
    pub grammar: fn(&mut Rng) -> Vec<u8>,
    /// Pieces that mutations and noise put in, besides arbitrary bytes: what has a meaning.
    pub tokens: &'static [&'static str],
}

impl Recipe {
    /// The next input.
    pub fn next(&self, rng: &mut Rng) -> Vec<u8> {
        match rng.below(4) {
            0 | 1 => (self.grammar)(rng),
            2 => {
                let mut input = (self.grammar)(rng);
                for _ in 0..rng.between(1, 2) {
                    mutate(rng, &mut input, self.tokens);
                }
                input
            }
            _ => noise(rng, self.tokens),
        }
    }

    /// The next input that is UTF-8.
    pub fn next_text(&self, rng: &mut Rng) -> Vec<u8> {
        loop {
            let input = self.next(rng);
            if std::str::from_utf8(&input).is_ok() {
                return input;
            }
        }
    }
}

/// Changes `input` in one place: a byte or piece is changed, put in, left out, doubled or moved.
pub fn mutate(rng: &mut Rng, input: &mut Vec<u8>, tokens: &[&str]) {
    let at = rng.below(input.len() + 1);
    let end = (at + rng.between(1, 4)).min(input.len());
    match rng.below(8) {
        0 if at < input.len() => input[at] ^= 1 << rng.below(8),
        1 if at < input.len() => input[at] = rng.word64() as u8,
        2 => drop(input.drain(at..end)),
        3 => {
            let piece = input[at..end].to_vec();
            drop(input.splice(at..at, piece));
        }
        4 => {
            let piece: Vec<u8> = input.drain(at..end).collect();
            let to = rng.below(input.len() + 1);
            drop(input.splice(to..to, piece));
        }
        5 => input.truncate(at),
        6 => input.insert(at, b' ' + rng.below(95) as u8),
        _ => drop(input.splice(at..at, piece(rng, tokens))),
    }
}

/// Up to two dozen pieces in a row: tokens, printable ASCII, characters of all planes, or bytes.
pub fn noise(rng: &mut Rng, tokens: &[&str]) -> Vec<u8> {
    let most = if rng.one_in(4) { 24 } else { 6 };
    let pieces = rng.below(most);
    (0..pieces).flat_map(|_| piece(rng, tokens)).collect()
}

fn piece(rng: &mut Rng, tokens: &[&str]) -> Vec<u8> {
    match rng.below(16) {
        0 => rng.bytes(1),
        1 | 2 => vec![b' ' + rng.below(95) as u8],
        3 => {
            let plane = [0x80, 0x300, 0x3000, 0x1_0000, 0x11_0000];
            let top = plane[rng.below(plane.len())];
            let c = char::from_u32(rng.below(top) as u32).unwrap_or('\u{fffd}');
            c.to_string().into_bytes()
        }
        _ if tokens.is_empty() => vec![b' ' + rng.below(95) as u8],
        _ => rng.pick(tokens).as_bytes().to_vec(),
    }
}
