//! The verdict on a log, and what is wrong with it.

use std::fmt;

use quipu_tlog::{Hash, Tile, Tree};

/// Something wrong with a log, down to the record or the entry of a tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A record breaks the rules of its kind.
    Rule {
        /// Index of the record.
        record: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A record is not later than the one before it.
    Time {
        /// Index of the record.
        record: u64,
        /// Its time.
        time: u64,
        /// The time of the record before it.
        before: u64,
    },
    /// Two records have the same key.
    Duplicate {
        /// Index of the first.
        first: u64,
        /// Index of the second.
        second: u64,
        /// The key.
        key: String,
    },
    /// A record is not the one that was signed: its hash is not that in its tile, and the tile is right.
    Record {
        /// Index of the record.
        record: u64,
    },
    /// An entry of a hash tile is not what was signed.
    Entry {
        /// The tile.
        tile: Tile,
        /// The first wrong entry.
        entry: u16,
    },
    /// A hash tile is not there, or has fewer entries than the tree.
    Short {
        /// The tile as it should be.
        tile: Tile,
        /// Bytes that there are.
        bytes: usize,
    },
    /// A tile cannot be what it should be: too long, or no records in the form that they have in a tile.
    Body {
        /// The tile.
        tile: Tile,
        /// What is wrong with it.
        why: String,
    },
    /// A hash tile does not hash to its entry in the tile above, which is right, and neither does what is below it.
    Parent {
        /// The tile.
        tile: Tile,
        /// The tile above it.
        above: Tile,
        /// The entry of that one.
        entry: u16,
    },
    /// Records and tiles contradict each other and neither leads to the signed root: which is wrong cannot be told.
    Contradiction {
        /// The tile; of level 0 if the other side is a record.
        tile: Tile,
        /// The first entry that differs.
        entry: u16,
    },
    /// The root over all records is not the signed one.
    Root {
        /// The tree of the records.
        computed: Tree,
        /// The signed root.
        signed: Hash,
    },
    /// There are more or fewer records than the signed tree has.
    Size {
        /// Records looked at.
        records: u64,
        /// Records in the signed tree.
        signed: u64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule { record, why } => write!(f, "record {record}: {why}"),
            Self::Time { record, time, before } => {
                write!(f, "record {record}: time {time} is not after {before}, that of the record before it")
            }
            Self::Duplicate { first, second, key } => {
                write!(f, "record {second}: {key} is already in record {first}")
            }
            Self::Record { record } => write!(f, "record {record}: not the record that was signed"),
            Self::Entry { tile, entry } => {
                write!(f, "{tile}: entry {entry} ({}) is not what was signed", Node(*tile, *entry))
            }
            Self::Short { tile, bytes } => {
                write!(f, "{tile}: {bytes} bytes, want {}", tile.hash_bytes())
            }
            Self::Body { tile, why } => write!(f, "{tile}: {why}"),
            Self::Parent { tile, above, entry } => write!(
                f,
                "{tile}: does not hash to entry {entry} of {above}, which is signed, and neither does what is below it"
            ),
            Self::Contradiction { tile, entry } => write!(
                f,
                "{tile}: entry {entry} ({}) contradicts what it is the hash of, and the signed root supports neither",
                Node(*tile, *entry)
            ),
            Self::Root { computed, signed } => write!(
                f,
                "the tree of these {} records has the root {}, signed is {signed}",
                computed.size, computed.root
            ),
            Self::Size { records, signed } => write!(f, "{records} records, the signed tree has {signed}"),
        }
    }
}

impl Fault {
    /// For sorting: the first record that it is about, things that are about the whole log first.
    pub(crate) fn place(&self) -> u64 {
        let first = |tile: &Tile, entry: u16| tile.node(entry).map_or(0, |node| node.first_leaf());
        match self {
            Self::Rule { record, .. } | Self::Time { record, .. } | Self::Record { record } => *record,
            Self::Duplicate { second, .. } => *second,
            Self::Entry { tile, entry } | Self::Contradiction { tile, entry } => first(tile, *entry),
            Self::Short { tile, .. } | Self::Body { tile, .. } | Self::Parent { tile, .. } => first(tile, 0),
            Self::Root { .. } | Self::Size { .. } => 0,
        }
    }
}

/// The verdict on a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The tree of the records that were looked at.
    pub tree: Tree,
    /// What is wrong, the first [`Report::MAX_FAULTS`] of each kind of finding; empty if the log is good.
    pub faults: Vec<Fault>,
    /// How many more faults there are that are not listed.
    pub more: u64,
}

impl Report {
    /// Faults kept while checking; beyond this they are counted only.
    pub const MAX_FAULTS: usize = 64;

    /// Whether the log is what was signed and keeps all the rules.
    pub fn is_good(&self) -> bool {
        self.faults.is_empty() && self.more == 0
    }

    pub(super) fn add(&mut self, fault: Fault) {
        if self.faults.len() < Self::MAX_FAULTS { self.faults.push(fault) } else { self.more += 1 }
    }
}

/// Faults found so far, not more than anybody wants to read.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    pub(super) listed: Vec<Fault>,
    pub(super) more: u64,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        if self.listed.len() < Report::MAX_FAULTS { self.listed.push(fault) } else { self.more += 1 }
    }
}

/// Shows what an entry of a tile is about: a record or a range of them.
struct Node(Tile, u16);

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.node(self.1) {
            Some(node) if node.level() == 0 => write!(f, "record {}", node.index()),
            Some(node) => write!(f, "records {} to {}", node.first_leaf(), node.end() - 1),
            None => f.write_str("no record"),
        }
    }
}
