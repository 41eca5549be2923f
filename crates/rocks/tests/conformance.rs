//! The suite that every store must pass, on a directory that is closed and opened again.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use quipu_ledger::conformance::{self, Subject};
use quipu_rocks::{Options, RocksStore};
use tempfile::TempDir;

struct Place {
    dir: TempDir,
    options: Options,
}

impl Subject for Place {
    type Store = RocksStore;

    fn open(&self) -> Arc<RocksStore> {
        Arc::new(RocksStore::open(self.dir.path(), &self.options).unwrap())
    }
}

fn run(set: impl Fn(&mut Options)) {
    conformance::run(|| {
        let mut options = Options::default();
        options.reserve_bytes = 0;
        set(&mut options);
        Place { dir: tempfile::tempdir().unwrap(), options }
    });
}

#[test]
fn conforms() {
    run(|_| ());
}

/// Nearly every round is written out to tables, and hardly a block is in the cache when it is read.
#[test]
fn conforms_with_hardly_any_memory() {
    run(|options| (options.wal_bytes, options.cache_bytes) = (16 << 10, 64 << 10));
}
