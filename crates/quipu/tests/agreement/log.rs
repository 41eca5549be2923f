//! The log that all look at.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use quipu_ledger::{Entry, Ledger, OpenOptions};
use quipu_note::{SignerKey, VerifierKey};
use quipu_rocks::{Options, RocksStore};
use quipu_tlog::leaf_hash;
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

pub(crate) const NAME: &str = "sum.agreement.test";

/// Makes an empty data directory with the log's key.
pub(crate) fn found(data: &Path) {
    fs::create_dir_all(data).unwrap();
    let file = data.join("signer.key");
    fs::write(&file, format!("{}\n", signer().encode().as_str())).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
}

pub(crate) fn key() -> VerifierKey {
    signer().verifier().clone()
}

fn signer() -> SignerKey {
    SignerKey::from_seed(NAME.parse().unwrap(), &Zeroizing::new([3; 32]))
}

/// The module of record `n`; upper case is escaped in paths.
pub(crate) fn module(n: u64) -> (String, String) {
    let owner = if n.is_multiple_of(3) { "Upper" } else { "lower" };
    (format!("example.test/{owner}/m{n}"), "v1.2.3".to_owned())
}

/// The lines of record `n`.
pub(crate) fn lines(n: u64) -> String {
    let (path, version) = module(n);
    let hash = |kind: &str| leaf_hash(format!("{kind} {n}").as_bytes());
    format!("{path} {version} h1:{}\n{path} {version}/go.mod h1:{}\n", hash("zip"), hash("mod"))
}

/// The first and last records, those beside the edges of tiles, and some between.
pub(crate) fn sample(size: u64) -> Vec<u64> {
    let mut sample: Vec<u64> = [0, 1, 254, 255, 256, 257, 511, 512, 65_535, 65_536].into();
    sample.extend([size / 3, size / 2, size.saturating_sub(2), size - 1]);
    sample.retain(|n| *n < size);
    sample.sort_unstable();
    sample.dedup();
    sample
}

/// A go.sum of these records.
pub(crate) fn go_sum(dir: &Path, records: &[u64]) -> PathBuf {
    let file = dir.join("go.sum");
    fs::write(&file, records.iter().map(|n| lines(*n)).collect::<String>()).unwrap();
    file
}

/// The log opened in this process, while no server runs.
pub(crate) struct Log {
    runtime: Runtime,
    ledger: Ledger,
}

impl Log {
    pub(crate) fn open(data: &Path) -> Self {
        let runtime = Runtime::new().unwrap();
        let store = RocksStore::open(data.join("log"), &Options::default()).unwrap();
        let options = OpenOptions::new(Arc::new(store), data, vec![signer()], [7; 16]);
        Self { runtime, ledger: Ledger::open(options).unwrap() }
    }

    pub(crate) fn append(&self, range: std::ops::Range<u64>) {
        let entry = |n| {
            let text = lines(n);
            let key = text.find(" h1:").unwrap() + 1;
            Entry::new(Bytes::from(text), key).unwrap()
        };
        let answers = self.runtime.block_on(self.ledger.append_all(range.clone().map(entry).collect()));
        for (n, answer) in range.zip(answers) {
            assert_eq!(answer.unwrap().index, n);
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.runtime.block_on(self.ledger.shutdown());
    }
}
