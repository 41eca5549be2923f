//! Every bit of a manifest, flipped: opening ends, and an error says where the damage is. (Alone in its process: what
//! other tests read would count as progress.)
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Model, options};
use quipu_rocks::{OpenError, RocksStore};

/// A small store, closed, and its manifest.
fn small(dir: &Path) -> PathBuf {
    let store = RocksStore::open(dir, &options()).unwrap();
    Model::new().append(&store, 3);
    drop(store);
    let current = fs::read_to_string(dir.join("CURRENT")).unwrap();
    dir.join(current.trim_end())
}

#[test]
fn every_opening_ends() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = small(dir.path());
    let name = manifest.file_name().unwrap().to_str().unwrap();
    let whole = fs::read(&manifest).unwrap();
    let mut options = options();
    options.patience = Duration::from_secs(5);
    let (mut opened, mut refused, mut named, mut older) = (0, BTreeMap::new(), 0, 0);
    for bit in 0..whole.len() * 8 {
        let mut bad = whole.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        fs::write(&manifest, &bad).unwrap();
        match RocksStore::open_read_only(dir.path(), &options) {
            Ok(_) => opened += 1,
            Err(error @ OpenError::Still(..)) => panic!("bit {bit}: {error}"),
            Err(error) => {
                let text = error.to_string();
                older += usize::from(matches!(error, OpenError::Format(_)));
                named += usize::from(text.contains(name) && text.contains("belongs to no manifest"));
                *refused.entry(text).or_insert(0) += 1;
            }
        }
    }
    println!("{} bits: {opened} open, {named} would never have ended, {refused:#?}", whole.len() * 8);
    assert!(named > 5, "the bits that make RocksDB turn in a circle were not met");
    // Cut off where the last family was made, it is the manifest of an older store. One length says how far it goes.
    assert!(older <= 16, "{older} times a damaged store was taken for an older one");
}
