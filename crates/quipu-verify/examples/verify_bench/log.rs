//! Logs in directories: records as `tools/vectors/refserver` makes them, in the layout of the checksum database.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use quipu_note::{Note, SignerKey, sign};
use quipu_tlog::{
    Frontier, Hash, Node, TILE_WIDTH, Tile, TileLevel, Tree, format_tree, join_records, leaf_hash,
};
use zeroize::Zeroizing;

/// A log of so many records below `dir`; made once and kept.
pub(crate) fn log_of(dir: &Path, records: u64) -> io::Result<PathBuf> {
    let log = dir.join(format!("tiles-{records}"));
    if !log.join("latest").exists() {
        eprintln!("making a log of {records} records");
        let mut made = Maker::new(&log);
        made.grow(records)?;
    }
    Ok(log)
}

/// The key of the benchmarks, which protects nothing.
pub(crate) fn signer() -> SignerKey {
    let seed = Zeroizing::new([0; 32]);
    #[expect(clippy::unwrap_used, reason = "a constant")]
    SignerKey::from_seed("bench.example".parse().unwrap(), &seed)
}

/// Record `n`: about 190 bytes.
pub(crate) fn text(n: u64) -> String {
    let path = format!("github.com/bench-{:03}/module-{n:07}", n % 1000);
    let version = format!("v1.{}.{}", n % 10, n % 7);
    let (zip, go_mod) = (leaf_hash(format!("zip {n}").as_bytes()), leaf_hash(format!("mod {n}").as_bytes()));
    format!("{path} {version} h1:{zip}\n{path} {version}/go.mod h1:{go_mod}\n")
}

/// Writes a log that grows.
pub(crate) struct Maker {
    dir: PathBuf,
    frontier: Frontier,
    /// The open tile of each level, and of data.
    open: Vec<Vec<u8>>,
    texts: Vec<String>,
}

impl Maker {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), frontier: Frontier::new(), open: vec![Vec::new(); 8], texts: Vec::new() }
    }

    /// Appends records until there are so many, and signs.
    pub(crate) fn grow(&mut self, size: u64) -> io::Result<()> {
        for n in self.frontier.size()..size {
            let text = text(n);
            let mut complete: Vec<(Node, Hash)> = Vec::new();
            self.frontier.push_with(leaf_hash(text.as_bytes()), |node, hash| {
                if node.level() % 8 == 0 {
                    complete.push((node, *hash));
                }
            });
            self.texts.push(text);
            for (node, hash) in complete {
                let level = node.level() / 8;
                let open = self.open.get_mut(usize::from(level)).ok_or(io::ErrorKind::InvalidData)?;
                open.extend_from_slice(hash.as_bytes());
                if open.len() == usize::from(TILE_WIDTH) * Hash::SIZE {
                    let body = std::mem::take(open);
                    self.put(TileLevel::Hashes(level), node.index(), &body)?;
                }
            }
            if self.texts.len() == usize::from(TILE_WIDTH) {
                let body = join_records(&std::mem::take(&mut self.texts));
                self.put(TileLevel::Data, n, &body)?;
            }
        }
        self.put_open()?;
        self.sign()
    }

    fn put_open(&self) -> io::Result<()> {
        let size = self.frontier.size();
        for (level, body) in (0_u8..).zip(&self.open) {
            if !body.is_empty() {
                self.put(TileLevel::Hashes(level), (size >> (8 * level)) - 1, body)?;
            }
        }
        if self.texts.is_empty() {
            Ok(())
        } else {
            self.put(TileLevel::Data, size - 1, &join_records(&self.texts))
        }
    }

    fn sign(&self) -> io::Result<()> {
        let tree = Tree { size: self.frontier.size(), root: self.frontier.root() };
        let note = sign(&Note::new(format_tree(&tree)), &[&signer()]).map_err(io::Error::other)?;
        fs::write(self.dir.join("latest"), note)
    }

    /// Writes the tile that ends with entry `last`.
    fn put(&self, level: TileLevel, last: u64, body: &[u8]) -> io::Result<()> {
        let width = u64::from(TILE_WIDTH);
        let tile =
            Tile::new(level, last / width, (last % width + 1) as u16).ok_or(io::ErrorKind::InvalidData)?;
        let path = self.dir.join(tile.sumdb_path());
        match fs::write(&path, body) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(path.parent().unwrap_or(&self.dir))?;
                fs::write(&path, body)
            }
            outcome => outcome,
        }
    }
}

/// Reads every file of a log once, so that all who read it later find it in memory.
pub(crate) fn warm(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() {
            warm(&entry.path())?
        } else {
            io::copy(&mut File::open(entry.path())?, &mut io::sink())?
        };
    }
    Ok(bytes)
}
