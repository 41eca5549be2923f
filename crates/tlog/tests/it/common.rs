//! The log that the vectors were made from, with all hashes in memory.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quipu_tlog::{Frontier, Hash, HashReader, Node, Tile, TileLevel, Tree, leaf_hash};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// Records in the largest log of the vectors.
pub(crate) const RECORDS: u64 = 70_000;

/// The log of the vectors.
pub(crate) static LOG: LazyLock<Log> =
    LazyLock::new(|| Log::new((0..RECORDS).map(|i| leaf_hash(record(i).as_bytes()))));

/// All hashes of a log, and its root at every size.
pub(crate) struct Log {
    levels: Vec<Vec<Hash>>,
    roots: Vec<Hash>,
}

impl Log {
    pub(crate) fn new(leaves: impl IntoIterator<Item = Hash>) -> Self {
        let mut frontier = Frontier::new();
        let mut log = Self { levels: Vec::new(), roots: vec![frontier.root()] };
        for leaf in leaves {
            frontier.push_with(leaf, |node, hash| {
                let level = usize::from(node.level());
                if level == log.levels.len() {
                    log.levels.push(Vec::new());
                }
                assert_eq!(log.levels[level].len() as u64, node.index());
                log.levels[level].push(*hash);
            });
            log.roots.push(frontier.root());
        }
        log
    }

    pub(crate) fn tree(&self, size: u64) -> Tree {
        Tree { size, root: self.roots[usize::try_from(size).unwrap()] }
    }

    pub(crate) fn hash(&self, node: Node) -> Hash {
        self.levels[usize::from(node.level())][usize::try_from(node.index()).unwrap()]
    }

    pub(crate) fn leaf(&self, index: u64) -> Hash {
        self.hash(Node::leaf(index).unwrap())
    }

    /// What an honest server answers for a tile.
    pub(crate) fn body(&self, tile: &Tile) -> Vec<u8> {
        assert_ne!(tile.level(), TileLevel::Data);
        (0..tile.width()).flat_map(|i| *self.hash(tile.node(i).unwrap()).as_bytes()).collect()
    }

    pub(crate) fn bodies(&self, tiles: &[Tile]) -> Vec<Vec<u8>> {
        tiles.iter().map(|tile| self.body(tile)).collect()
    }
}

impl HashReader for Log {
    type Error = String;

    fn read_hashes(&self, nodes: &[Node]) -> Result<Vec<Hash>, String> {
        Ok(nodes.iter().map(|node| self.hash(*node)).collect())
    }
}

/// The text of record `i` in the log of the vectors.
pub(crate) fn record(i: u64) -> String {
    let sum = |kind: char| STANDARD.encode(Sha256::digest(format!("{kind}{i}")));
    let module = format!("filler.test/m{i} v1.0.0");
    format!("{module} h1:{}\n{module}/go.mod h1:{}\n", sum('z'), sum('m'))
}

/// A section of a file of vectors, which must have so many cases.
pub(crate) fn cases(file: &str, section: &str, count: usize) -> Vec<Value> {
    let file: Value = serde_json::from_str(file).unwrap();
    let cases = file[section].as_array().unwrap().clone();
    assert_eq!(cases.len(), count, "{section}: a case was added or lost");
    cases
}

/// The sections of a file of vectors must be these, so that none is forgotten.
pub(crate) fn sections_are(file: &str, known: &[&str]) {
    let file: serde_json::Map<String, Value> = serde_json::from_str(file).unwrap();
    assert_eq!(file.keys().map(String::as_str).collect::<Vec<_>>(), known);
}

pub(crate) fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap_or_else(|| panic!("{key} missing in {case}"))
}

pub(crate) fn number(case: &Value, key: &str) -> u64 {
    case[key].as_u64().unwrap_or_else(|| panic!("{key} missing in {case}"))
}

pub(crate) fn hash(case: &Value, key: &str) -> Hash {
    text(case, key).parse().unwrap()
}

pub(crate) fn hashes(case: &Value, key: &str) -> Vec<Hash> {
    case[key].as_array().unwrap().iter().map(|hash| hash.as_str().unwrap().parse().unwrap()).collect()
}

pub(crate) fn strings(case: &Value, key: &str) -> Vec<String> {
    let list = case[key].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|s| s.as_str().unwrap().to_owned()).collect()
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
