//! Tree, proofs, tiles and texts compared with `golang.org/x/mod/sumdb/tlog` itself, by many generated
//! inputs. `tools/vectors/README.md` says how to run this.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod log;
mod proofs;
mod texts;
mod tiles;

use std::fmt::Display;

use quipu_oracle::{Answer, Args};
use quipu_tlog::Hash;

/// Arguments that are numbers, as decimal text.
fn numbers<const N: usize>(values: [u64; N]) -> Args {
    values.map(|n| n.to_string().into_bytes()).to_vec()
}

/// An argument as text.
fn text(args: &Args, i: usize) -> &str {
    std::str::from_utf8(&args[i]).unwrap()
}

/// An argument as number.
fn number(args: &Args, i: usize) -> u64 {
    text(args, i).parse().unwrap()
}

/// An argument as hash.
fn hash(args: &Args, i: usize) -> Hash {
    Hash::from_bytes(args[i].as_slice().try_into().unwrap())
}

/// Hashes as one string of bytes, and back.
fn joined(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|h| *h.as_bytes()).collect()
}

fn hashes(bytes: &[u8]) -> Vec<Hash> {
    let (hashes, rest) = bytes.as_chunks();
    assert!(rest.is_empty());
    hashes.iter().map(|h| Hash::from_bytes(*h)).collect()
}

/// Accepted with one result, or rejected.
fn bytes_or<E: Display>(result: Result<impl Into<Vec<u8>>, E>) -> Answer {
    result.map_or_else(Answer::rejected, |bytes| Answer::Ok(vec![bytes.into()]))
}

/// Accepted without a result, or rejected.
fn verdict<T, E: Display>(result: Result<T, E>) -> Answer {
    result.map_or_else(Answer::rejected, |_| Answer::ok([]))
}
