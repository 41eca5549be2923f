//! What checked evidence proves, in words.

use std::fmt;

use quipu_tlog::{Hash, Tree};

/// What kind of thing is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Two signed trees, of which the newer does not begin with the older.
    Fork,
    /// A record in a signed tree that the rules forbid.
    Record,
    /// Two records for one module version in one signed tree.
    Duplicate,
    /// Two records at one place under two signed trees.
    Changed,
    /// A tile, as it was served, that is not the signed tree's.
    Tile,
    /// All tiles that make up a signed tree, as they were served; they do not.
    Tiles,
    /// A record, as it was served in answer to a lookup, that is not the signed tree's.
    Answer,
    /// A signature in the name of the database, but not by its key.
    Signature,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Fork,
        Self::Record,
        Self::Duplicate,
        Self::Changed,
        Self::Tile,
        Self::Tiles,
        Self::Answer,
        Self::Signature,
    ];

    /// The kind as the first line of a file names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::Record => "record",
            Self::Duplicate => "duplicate",
            Self::Changed => "changed",
            Self::Tile => "tile",
            Self::Tiles => "tiles",
            Self::Answer => "answer",
            Self::Signature => "signature",
        }
    }

    pub(super) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether the database's own signatures prove all of it: then the database misbehaved, whoever had the evidence in
    /// hands before. Of the other kinds the reader must believe somebody else that the bytes were served.
    pub const fn is_signed(self) -> bool {
        self.unsigned().is_none()
    }

    /// What is wrong, without the particulars.
    pub const fn headline(self) -> &'static str {
        match self {
            Self::Fork => "the database signed two trees that cannot both be true",
            Self::Record => "the database signed a tree with a record that breaks its rules",
            Self::Duplicate => "the database signed a tree with two records for one module version",
            Self::Changed => "the database signed two trees with different records at one place",
            Self::Tile => "a tile contradicts the signed tree",
            Self::Tiles => "tiles do not add up to the signed tree",
            Self::Answer => "the answer to a lookup contradicts the signed tree",
            Self::Signature => "a signature in the name of the database is not by its key",
        }
    }

    /// What a reader must take on trust, if not all is signed.
    pub const fn unsigned(self) -> Option<&'static str> {
        match self {
            Self::Fork | Self::Record | Self::Duplicate | Self::Changed => None,
            Self::Tile | Self::Tiles => {
                Some("tiles are not signed, so this does not prove who made these bytes")
            }
            Self::Answer => Some("answers are not signed, so this does not prove who made these bytes"),
            Self::Signature => Some("anybody can write such a line, so this does not prove who did"),
        }
    }
}

/// What checked evidence proves. Its text are the particulars, in one line; [`Finding::sentence`] is all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// See [`Kind::Fork`].
    Fork(Fork),
    /// See [`Kind::Record`].
    Record {
        /// The signed tree.
        tree: Tree,
        /// The place of the record.
        index: u64,
        /// The rule that it breaks.
        why: String,
    },
    /// See [`Kind::Duplicate`].
    Duplicate {
        /// The signed tree.
        tree: Tree,
        /// The places of both records; the first is the lower.
        indexes: [u64; 2],
        /// Path and version, with a space between.
        key: String,
    },
    /// See [`Kind::Changed`].
    Changed {
        /// The two signed trees; the first is not larger.
        trees: [Tree; 2],
        /// The place that they share.
        index: u64,
    },
    /// See [`Kind::Tile`] and [`Kind::Answer`].
    Served {
        /// The kind.
        kind: Kind,
        /// The signed tree.
        tree: Tree,
        /// What was served: a path.
        path: String,
        /// Which hash it gets wrong.
        what: String,
        /// The hash that the signed tree has.
        signed: Hash,
        /// The hash that follows from what was served.
        served: Hash,
    },
    /// See [`Kind::Tiles`].
    Tiles {
        /// The signed tree.
        tree: Tree,
        /// The paths of the tiles.
        paths: Vec<String>,
    },
    /// See [`Kind::Signature`].
    Signature {
        /// Name and id of the key, with a plus between.
        key: String,
    },
}

impl Finding {
    /// The kind of it.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Fork(_) => Kind::Fork,
            Self::Record { .. } => Kind::Record,
            Self::Duplicate { .. } => Kind::Duplicate,
            Self::Changed { .. } => Kind::Changed,
            Self::Served { kind, .. } => *kind,
            Self::Tiles { .. } => Kind::Tiles,
            Self::Signature { .. } => Kind::Signature,
        }
    }

    /// The two trees, if it is a fork.
    pub const fn fork(&self) -> Option<&Fork> {
        match self {
            Self::Fork(fork) => Some(fork),
            _ => None,
        }
    }

    /// What is proven and what is not, in one line.
    pub fn sentence(&self) -> String {
        let caveat = self.kind().unsigned().map(|why| format!(" ({why})")).unwrap_or_default();
        crate::error::one_line(&format!("{}: {self}", self.kind().headline())) + &caveat
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fork(fork) => fork.fmt(f),
            Self::Record { tree, index, why } => write!(f, "record {index} of {}: {why}", Of(tree)),
            Self::Duplicate { tree, indexes: [first, second], key } => {
                write!(f, "records {first} and {second} of {} are both for {key}", Of(tree))
            }
            Self::Changed { trees: [older, newer], index } => {
                write!(f, "record {index} of {} is not record {index} of {}", Of(older), Of(newer))
            }
            Self::Served { tree, path, what, signed, served, .. } => {
                write!(f, "by {path} {what} is {served}, in {} it is {signed}", Of(tree))
            }
            Self::Tiles { tree, paths } => write!(f, "{} are not those of {}", paths.join(" "), Of(tree)),
            Self::Signature { key } => write!(f, "the signature of {key}"),
        }
    }
}

/// A fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork {
    /// The older tree, as signed.
    pub older: Tree,
    /// The newer tree, as signed; at least as large.
    pub newer: Tree,
    /// The root that the newer tree has at the size of the older, which is not the older's.
    pub implied: Hash,
}

impl fmt::Display for Fork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { older, newer, implied } = self;
        write!(
            f,
            "{} records with root {} and {} records with root {}, of which the first {} have root {implied}",
            older.size, older.root, newer.size, newer.root, older.size
        )
    }
}

/// A tree in words.
struct Of<'a>(&'a Tree);

impl fmt::Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the tree of {} records with root {}", self.0.size, self.0.root)
    }
}
