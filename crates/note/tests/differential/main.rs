//! Keys and signed notes compared with `golang.org/x/mod/sumdb/note` itself, by many generated inputs.
//! `tools/vectors/README.md` says how to run this.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod keys;
mod notes;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quipu_note::SignerKey;
use quipu_oracle::{Answer, Args, Rng};
use zeroize::Zeroizing;

/// Names for keys, good ones.
const NAMES: [&str; 6] = ["sum.example", "b", "example.com/db", "世界", "a.b/c", "\u{200b}"];

/// A fixed set of signers: of each name three keys.
static SIGNERS: LazyLock<Vec<SignerKey>> = LazyLock::new(|| {
    let signer =
        |seed: u8, name: &str| SignerKey::from_seed(name.parse().unwrap(), &Zeroizing::new([seed; 32]));
    (0..3).flat_map(|seed| NAMES.map(|name| signer(seed, name))).collect()
});

fn any_signer(rng: &mut Rng) -> &'static SignerKey {
    &SIGNERS[rng.below(SIGNERS.len())]
}

fn text(args: &Args, i: usize) -> Option<&str> {
    std::str::from_utf8(&args[i]).ok()
}

fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Base64 as Go takes it: now and then with line ends, or with the last character's spare bits set.
fn lenient(rng: &mut Rng, bytes: &[u8]) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = encode(bytes);
    match rng.below(12) {
        0 => text.insert_str(rng.below(text.len() + 1), rng.pick(&["\r", "\n", "\r\n", " ", "=", "-"])),
        1 if !bytes.is_empty() => {
            let at = text.trim_end_matches('=').len();
            text.replace_range(at - 1..at, &rng.word(1, ALPHABET));
        }
        2 => text = text.trim_end_matches('=').to_owned(),
        _ => {}
    }
    text
}

/// Accepted with these texts, or rejected.
fn fields_or<const N: usize, E: std::fmt::Display>(result: Result<[String; N], E>) -> Answer {
    result.map_or_else(Answer::rejected, |fields| Answer::Ok(fields.map(String::into_bytes).to_vec()))
}
