//! Differential tests against Go's reference implementation.
//!
//! The Go program `tools/vectors/oracle` answers questions about `golang.org/x/mod` over
//! standard input and output. A test gives [`Comparison::run`] a generator of arguments and its
//! own answer for them; the driver asks Go the same and fails on the first differences, printing
//! the operation, the arguments and both answers.
//!
//! | variable | meaning |
//! |---|---|
//! | `QUIPU_ORACLE` | path of the built oracle; unset: the comparison is skipped, loudly |
//! | `QUIPU_ORACLE_CMDGO` | the same for the oracle made of the go command's source, for the `cmdgo.` operations |
//! | `QUIPU_SEED` | 64-bit seed of the generators, default 1; `random` takes a fresh one |
//! | `QUIPU_DIFF_CASES` | cases of each comparison, default 100,000 |
//!
//! ```no_run
//! use quipu_oracle::{Answer, Comparison, Rng};
//!
//! Comparison::of("module.check-path").run(
//!     |rng: &mut Rng| vec![rng.bytes(8)],
//!     |args| if args[0].is_empty() { Answer::err() } else { Answer::ok([]) },
//! );
//! ```

mod child;
mod compare;
mod generate;
mod rng;

pub use compare::{Answer, Args, Comparison};
pub use generate::{Recipe, mutate, noise};
pub use rng::Rng;
