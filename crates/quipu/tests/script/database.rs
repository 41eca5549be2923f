//! An upstream checksum database: a small signed log of what [`Module`]s hash to.

use std::collections::BTreeMap;
use std::sync::Mutex;

use quipu_module::ModuleVersion;
use quipu_note::{KeyName, Note, SignerKey, sign};
use quipu_tlog::{
    Frontier, Hash, Tile, TileLevel, TilePath, Tree, format_record, format_tree, join_records, leaf_hash,
};
use zeroize::Zeroizing;

use crate::modules::Module;

/// The name of the database.
pub(crate) const NAME: &str = "sum.upstream.test";

/// Records that have nothing to do with any story, so that there is a full tile.
const OTHERS: u64 = 300;

/// A log that takes in a module it knows when it is first asked for it.
pub(crate) struct Database {
    key: SignerKey,
    /// What is true, by `path@version`.
    truth: BTreeMap<String, String>,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    records: Vec<String>,
    leaves: Vec<Hash>,
    by_module: BTreeMap<String, usize>,
    frontier: Frontier,
}

impl Database {
    /// A database that answers for these modules.
    pub(crate) fn new(modules: &[Module]) -> Self {
        Self::begun_with(modules, 'A')
    }

    /// The same name and key, another history.
    pub(crate) fn forked(modules: &[Module]) -> Self {
        Self::begun_with(modules, 'B')
    }

    fn begun_with(modules: &[Module], letter: char) -> Self {
        let name: KeyName = NAME.parse().unwrap();
        let truth = modules.iter().map(|module| (module.id.to_string(), module.record().to_string()));
        let mut log = Log::default();
        for n in 0..OTHERS {
            let hash = letter.to_string().repeat(42) + "A=";
            log.push(format!("other{n}.test v1.0.0 h1:{hash}\nother{n}.test v1.0.0/go.mod h1:{hash}\n"));
        }
        Self {
            key: SignerKey::from_seed(name, &Zeroizing::new([7; 32])),
            truth: truth.collect(),
            log: Mutex::new(log),
        }
    }

    /// The verifier key.
    pub(crate) fn key(&self) -> String {
        self.key.verifier().to_string()
    }

    /// The body for a path within the database, which starts with a slash; `None`: there is no such thing.
    pub(crate) fn answer(&self, path: &str) -> Option<Vec<u8>> {
        let mut log = self.log.lock().unwrap();
        match path {
            "/supported" => Some(Vec::new()),
            "/latest" => Some(self.signed(&log).into_bytes()),
            _ if path.starts_with("/lookup/") => self.lookup(&mut log, path.strip_prefix("/lookup/")?),
            _ => log.tile(TilePath::parse(path.strip_prefix('/')?).ok()?.tile()?),
        }
    }

    fn lookup(&self, log: &mut Log, escaped: &str) -> Option<Vec<u8>> {
        let module = ModuleVersion::parse_escaped(escaped).ok()?.to_string();
        let index = match log.by_module.get(&module) {
            Some(index) => *index,
            None => {
                let index = log.push(self.truth.get(&module)?.clone());
                log.by_module.insert(module, index);
                index
            }
        };
        let record = format_record(u64::try_from(index).ok()?, log.records[index].as_bytes()).ok()?;
        Some((record + &self.signed(log)).into_bytes())
    }

    fn signed(&self, log: &Log) -> String {
        let tree = Tree { size: log.frontier.size(), root: log.frontier.root() };
        sign(&Note::new(format_tree(&tree)), &[&self.key]).unwrap()
    }
}

impl Log {
    fn push(&mut self, record: String) -> usize {
        let leaf = leaf_hash(record.as_bytes());
        self.frontier.push(leaf);
        self.leaves.push(leaf);
        self.records.push(record);
        self.records.len() - 1
    }

    fn tile(&self, tile: Tile) -> Option<Vec<u8>> {
        let first = usize::try_from(tile.first()).ok()?;
        let width = usize::from(tile.width());
        match tile.level() {
            TileLevel::Data => Some(join_records(self.records.get(first..first + width)?)),
            TileLevel::Hashes(level) => {
                // A node of the tile covers 256^level leaves.
                let span = 1_usize.checked_shl(8 * u32::from(level))?;
                let leaves = self.leaves.get(first * span..(first + width) * span)?;
                Some(leaves.chunks(span).flat_map(|leaves| *root(leaves).as_bytes()).collect())
            }
        }
    }
}

fn root(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::new();
    leaves.iter().for_each(|leaf| frontier.push(*leaf));
    frontier.root()
}
