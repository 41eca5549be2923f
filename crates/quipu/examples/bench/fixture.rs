//! The data that is measured: records as `tools/vectors/refserver` makes them, a log of them, modules, files for nginx.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quipu_ledger::{Entry, Ledger, OpenOptions};
use quipu_module::H1;
use quipu_note::SignerKey;
use quipu_rocks::{Options, RocksStore};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

use crate::zip::zip;

/// Records handed to the log at a time; made while no clock runs.
const PIECE: u64 = 100_000;

/// Record `n`: about 190 bytes, as refserver's.
pub(crate) fn entry(n: u64) -> Entry {
    let (path, version) = module(n);
    let key = format!("{path} {version} ");
    let text = format!("{key}{}\n{path} {version}/go.mod {}\n", h1("zip", n), h1("mod", n));
    Entry::new(Bytes::from(text), key.len()).unwrap()
}

/// The path of a lookup of record `n`.
pub(crate) fn lookup(n: u64) -> String {
    let (path, version) = module(n);
    format!("/lookup/{path}@{version}")
}

fn module(n: u64) -> (String, String) {
    (format!("github.com/bench-{:03}/module-{n:07}", n % 1000), format!("v1.{}.{}", n % 10, n % 7))
}

fn h1(kind: &str, n: u64) -> H1 {
    H1::from_bytes(Sha256::digest(format!("{kind} {n}")).into())
}

/// A data directory whose log holds the first `records` records; made once and kept.
pub(crate) fn log_of(dir: &Path, records: u64) -> PathBuf {
    let data = dir.join(format!("log-{records}"));
    let complete = data.join("complete");
    if !complete.exists() {
        eprintln!("making a log of {records} records");
        found(&data);
        Log::open(&data).append(0..records);
        fs::write(complete, "").unwrap();
    }
    data
}

/// Makes an empty data directory with the key of the benchmarks, which protects nothing.
pub(crate) fn found(data: &Path) {
    remove(data);
    fs::create_dir_all(data).unwrap();
    let file = data.join("signer.key");
    fs::write(&file, format!("{}\n", signer().encode().as_str())).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
}

/// Removes a data directory and its guard.
pub(crate) fn remove(data: &Path) {
    let _ = fs::remove_dir_all(data);
    let _ = fs::remove_file(data.with_extension("guard"));
}

fn signer() -> SignerKey {
    SignerKey::from_seed("bench.example".parse().unwrap(), &Zeroizing::new([0; 32]))
}

/// A log opened in this process.
pub(crate) struct Log {
    pub(crate) runtime: Runtime,
    pub(crate) ledger: Ledger,
}

impl Log {
    pub(crate) fn open(data: &Path) -> Self {
        let runtime = Runtime::new().unwrap();
        let store = RocksStore::open(data.join("log"), &Options::default()).unwrap();
        let options = OpenOptions::new(Arc::new(store), data, vec![signer()], [7; 16]);
        Self { runtime, ledger: Ledger::open(options).unwrap() }
    }

    /// Appends these records in bulk; how long the log took for them.
    pub(crate) fn append(&self, range: std::ops::Range<u64>) -> Duration {
        let mut took = Duration::ZERO;
        for first in range.clone().step_by(PIECE as usize) {
            let entries: Vec<Entry> = (first..range.end.min(first + PIECE)).map(entry).collect();
            let begun = Instant::now();
            let answers = self.runtime.block_on(self.ledger.append_all(entries));
            took += begun.elapsed();
            for (n, answer) in (first..).zip(answers) {
                assert_eq!(answer.unwrap().index, n);
            }
        }
        took
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.runtime.block_on(self.ledger.shutdown());
    }
}

/// Modules with a zip of about this many bytes, as a GOPROXY tree.
pub(crate) fn write_module(root: &Path, name: &str, zip_bytes: usize) {
    let dir = root.join(format!("bench.example/{name}/@v"));
    fs::create_dir_all(&dir).unwrap();
    let go_mod = format!("module bench.example/{name}\n\ngo 1.24\n");
    let mut content = Vec::with_capacity(zip_bytes);
    for n in 0_u64.. {
        if content.len() >= zip_bytes {
            break;
        }
        content.extend_from_slice(&Sha256::digest(n.to_be_bytes()));
    }
    let file = |file: &str| format!("bench.example/{name}@v1.0.0/{file}");
    let zip = zip(&[(file("go.mod"), go_mod.as_bytes()), (file("data.bin"), &content)]);
    fs::write(dir.join("v1.0.0.info"), r#"{"Version":"v1.0.0","Time":"2024-01-02T03:04:05Z"}"#).unwrap();
    fs::write(dir.join("v1.0.0.mod"), go_mod).unwrap();
    fs::write(dir.join("v1.0.0.zip"), zip).unwrap();
}
