//! Deterministic simulation of the log on a disk that fails.
//!
//! Each seed is one life of a log: clients, restarts, power cuts, faults at any operation, volumes put back to an earlier
//! day, a clock that jumps. After every step everything is checked against the durable bytes, see `oracle`.
//!
//! `QUIPU_SIM_SEEDS=10000 cargo test -p quipu-ledger --test sim` runs so many seeds (500 unless said otherwise);
//! `QUIPU_SIM_SEED=17` runs that one and prints what happened.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod disk;
mod matrix;
mod mutant;
mod oracle;
mod rng;
mod starts;
mod store;
mod world;

use mutant::Mutant;
use world::{Outcome, run};

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().unwrap())
}

fn report(seed: u64, outcome: &Outcome) -> String {
    let verdict = outcome.verdict.as_ref().err().map_or("good", String::as_str);
    format!("seed {seed}: {}\n{verdict}\nagain with QUIPU_SIM_SEED={seed}", outcome.trace.join("\n"))
}

#[test]
fn no_seed_breaks_a_promise() {
    if let Some(seed) = number("QUIPU_SIM_SEED") {
        let outcome = run(seed, Mutant::None);
        println!("{}", report(seed, &outcome));
        assert!(outcome.verdict.is_ok(), "seed {seed}");
        return;
    }
    let seeds = number("QUIPU_SIM_SEEDS").unwrap_or(500);
    let mut records = 0;
    for seed in 0..seeds {
        let outcome = run(seed, Mutant::None);
        assert!(outcome.verdict.is_ok(), "{}", report(seed, &outcome));
        records += outcome.records;
    }
    println!("{seeds} seeds, {records} records");
}

#[test]
fn one_seed_is_one_course_of_events() {
    for seed in 0..20 {
        assert_eq!(run(seed, Mutant::None).trace, run(seed, Mutant::None).trace, "seed {seed}");
    }
    assert_ne!(run(1, Mutant::None).trace, run(2, Mutant::None).trace);
}

#[test]
fn the_oracle_notices_every_mutant() {
    for mutant in Mutant::ALL {
        let noticed = (0..400).find_map(|seed| run(seed, mutant).verdict.err().map(|why| (seed, why)));
        let (seed, why) = noticed.unwrap_or_else(|| panic!("{mutant:?} goes unnoticed"));
        println!("{mutant:?} is noticed by seed {seed}: {why}");
    }
}

#[test]
fn the_simulated_store_conforms() {
    struct Place(disk::SimDisk);
    impl quipu_ledger::conformance::Subject for Place {
        type Store = store::SimStore;
        fn open(&self) -> std::sync::Arc<store::SimStore> {
            std::sync::Arc::new(store::SimStore::open(&self.0, store::Faulty::default()).unwrap())
        }
    }
    quipu_ledger::conformance::run(|| Place(disk::SimDisk::new(0)));
}
