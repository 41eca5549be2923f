//! What the world knows of the log: acknowledged records and signed heads, and a copy of the log to hold them against.

use std::collections::{BTreeMap, HashMap};

use quipu_tlog::{Frontier, Hash, TILE_WIDTH, Tile, TileLevel, Tree, leaf_hash, parse_tree, split_records};

use super::support::Http;

/// What one client was told.
#[derive(Default)]
pub(crate) struct Seen {
    /// Index and text of acknowledged records.
    pub(crate) records: Vec<(u64, String)>,
    /// Trees of signed heads.
    pub(crate) heads: Vec<Tree>,
}

impl Seen {
    /// Takes in the answer to a lookup: index, record, signed head.
    pub(crate) fn lookup(&mut self, body: &[u8]) -> Option<()> {
        let text = str::from_utf8(body).ok()?;
        let (index, rest) = text.split_once('\n')?;
        let (record, note) = rest.split_once("\n\n")?;
        self.records.push((index.parse().ok()?, format!("{record}\n")));
        self.head(note)
    }

    /// Takes in a signed head. That it is signed is fsck's business.
    pub(crate) fn head(&mut self, note: &str) -> Option<()> {
        let (tree, _) = note.split_once("\n\n")?;
        self.heads.push(parse_tree(format!("{tree}\n")).ok()?);
        Some(())
    }
}

/// A copy of the log that only ever grows.
#[derive(Default)]
pub(crate) struct Mirror {
    frontier: Frontier,
    texts: Vec<String>,
    /// What was acknowledged and not compared yet.
    acknowledged: HashMap<u64, String>,
    /// Heads seen and not compared yet: roots by size.
    heads: BTreeMap<u64, Hash>,
    compared: u64,
}

impl Mirror {
    pub(crate) fn seen_any(&self) -> bool {
        self.compared > 0 || !self.acknowledged.is_empty()
    }

    /// Records compared so far.
    pub(crate) fn compared(&self) -> u64 {
        self.compared
    }

    /// The text of a record in the copy.
    pub(crate) fn text(&self, index: usize) -> Option<&str> {
        self.texts.get(index).map(String::as_str)
    }

    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Takes in what clients were told.
    ///
    /// # Errors
    /// They were told things that contradict each other.
    pub(crate) fn take(&mut self, seen: Seen) -> Result<(), String> {
        for (index, text) in seen.records {
            let known = self.acknowledged.insert(index, text.clone());
            let known = known.or_else(|| self.texts.get(usize::try_from(index).unwrap()).cloned());
            if known.is_some_and(|known| known != text) {
                return Err(format!("FORK: two records {index} were acknowledged"));
            }
        }
        for Tree { size, root } in seen.heads {
            if self.heads.insert(size, root).is_some_and(|known| known != root) {
                return Err(format!("FORK: two roots of {size} records were signed"));
            }
        }
        Ok(())
    }

    /// Reads what the server has beyond the copy, and compares all that was seen with it.
    ///
    /// # Errors
    /// What does not fit.
    pub(crate) fn follow(&mut self, url: &str) -> Result<(), String> {
        let mut http = Http::new(url);
        let mut get = |path: &str| match http.get(path) {
            Ok((200, body)) => Ok(body),
            other => Err(format!("{path}: {other:?}")),
        };
        let mut latest = Seen::default();
        latest.head(&String::from_utf8_lossy(&get("/latest")?)).ok_or("malformed /latest")?;
        let end = latest.heads.first().map_or(0, |tree| tree.size);
        if end < self.size() {
            return Err(format!("LOST: the log had {} records, now it has {end}", self.size()));
        }
        self.take(latest)?;
        self.compare_head()?;
        while self.size() < end {
            let width = u64::from(TILE_WIDTH);
            let n = self.size() / width;
            let count = u16::try_from(width.min(end - n * width)).unwrap();
            let tile = Tile::new(TileLevel::Data, n, count).ok_or("no such tile")?;
            let body = get(&format!("/{}", tile.sumdb_path()))?;
            let texts = split_records(&body, count).map_err(|error| error.to_string())?;
            for text in texts.into_iter().skip(usize::try_from(self.size() % width).unwrap()) {
                self.push(text)?;
            }
        }
        match self.acknowledged.keys().next() {
            Some(index) => Err(format!("LOST: record {index} was acknowledged, the log ends at {end}")),
            None => match self.heads.keys().next() {
                Some(size) => Err(format!("LOST: a head of {size} was signed, the log ends at {end}")),
                None => Ok(()),
            },
        }
    }

    fn push(&mut self, text: &str) -> Result<(), String> {
        let index = self.size();
        if let Some(told) = self.acknowledged.remove(&index) {
            self.compared += 1;
            if told != text {
                return Err(format!("LOST: record {index} was acknowledged as {told:?}, it is {text:?}"));
            }
        }
        self.frontier.push(leaf_hash(text.as_bytes()));
        self.texts.push(text.to_owned());
        self.compare_head()
    }

    fn compare_head(&mut self) -> Result<(), String> {
        let size = self.size();
        // What is below the copy's size was compared when it was that size, or is a repetition.
        self.acknowledged.retain(|index, _| *index >= size);
        let root = self.frontier.root();
        match self.heads.remove(&size) {
            Some(signed) if signed != root => {
                Err(format!("FORK: at {size} records {signed} was signed, the log has {root}"))
            }
            _ => Ok(()),
        }
    }
}
