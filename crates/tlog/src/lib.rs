//! Transparent log: Merkle tree, proofs, tiles, record and tree text.
//!
//! The tree is the one of [RFC 6962] with SHA-256. Its hashes are served in *tiles*: files of up to 256
//! consecutive hashes of every eighth level, so that a reader can compute any proof it needs from a few
//! immutable files. The paths are those of the Go checksum database (`tile/8/<L>/<N>`, as in
//! [golang.org/x/mod/sumdb/tlog]) and of [C2SP tlog-tiles] (`tile/<L>/<N>`); the bytes are the same.
//!
//! This crate computes and checks; it reads no file, opens no connection and looks at no clock. Sizes and
//! indexes are `u64` and may be hostile: nothing here panics, whatever the numbers and bytes are.
//!
//! | to do | use |
//! |---|---|
//! | hash a record or two subtrees | [`leaf_hash`], [`node_hash`] |
//! | grow a tree | [`Frontier`], [`new_tiles`] |
//! | make and check a proof | [`prove_inclusion`], [`check_inclusion`], [`prove_consistency`], [`check_consistency`] |
//! | prove many records, or a whole subtree | [`prove_records`], [`check_records`], [`prove_subtree`], [`check_subtree`] |
//! | read hashes from one's own tiles | [`StoredTiles`] |
//! | read hashes from somebody else's tiles | [`TilePlan`] |
//! | understand a requested path | [`TilePath`], [`Tile::parse_sumdb`], [`Tile::parse_c2sp`] |
//! | write and read bodies | [`format_record`], [`join_records`], [`join_entries`], [`format_tree`], [`format_checkpoint`] and their inverses |
//!
//! # Example
//!
//! A log of two records, and a reader who holds only a signed tree and asks for the second record:
//!
//! ```
//! use quipu_tlog::{Frontier, HashReader, Node, TilePlan, Tree, leaf_hash};
//!
//! let records = ["a v1 h1:x\n", "b v1 h1:y\n"];
//! let mut frontier = Frontier::new();
//! for text in records {
//!     frontier.push(leaf_hash(text.as_bytes()));
//! }
//! let tree = Tree { size: frontier.size(), root: frontier.root() };
//!
//! let leaf = Node::leaf(1).ok_or("index out of range")?;
//! let plan = TilePlan::new(&tree, &[leaf])?;
//! assert_eq!(plan.tiles()[0].sumdb_path(), "tile/8/0/000.p/2");
//!
//! // ... the reader fetches the tile from a server that it does not trust ...
//! let body: Vec<u8> = records.iter().flat_map(|t| *leaf_hash(t.as_bytes()).as_bytes()).collect();
//!
//! let hashes = plan.authenticate(&[body])?;
//! assert_eq!(hashes.read_hashes(&[leaf])?, [leaf_hash(b"b v1 h1:y\n")]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [RFC 6962]: https://www.rfc-editor.org/rfc/rfc6962#section-2.1
//! [golang.org/x/mod/sumdb/tlog]: https://pkg.go.dev/golang.org/x/mod/sumdb/tlog
//! [C2SP tlog-tiles]: https://c2sp.org/tlog-tiles

mod entries;
mod frontier;
mod hash;
mod multi;
mod node;
mod path;
mod plan;
mod proof;
mod reader;
mod record;
mod stored;
mod tile;
mod tree;

pub use entries::{EntriesError, join_entries, split_entries};
pub use frontier::{Frontier, FrontierError};
pub use hash::{Hash, ParseHashError, leaf_hash, node_hash};
pub use multi::{check_records, prove_records, records_nodes};
pub use node::{MAX_SIZE, Node, OutOfRange, stored_hash_count, tree_nodes};
pub use path::{MalformedPath, PathError, PathLevel, TilePath};
pub use plan::{AuthenticatedHashes, NotPlanned, TileError, TilePlan};
pub use proof::{
    ProofError, check_consistency, check_inclusion, check_subtree, consistency_nodes, inclusion_nodes,
    prove_consistency, prove_inclusion, prove_subtree, subtree_nodes,
};
pub use reader::{HashReader, ReadError, tree_root};
pub use record::{
    MalformedRecord, Record, RecordsError, format_record, is_record_text, join_records, parse_record,
    split_records,
};
pub use stored::{StoredTileError, StoredTiles};
pub use tile::{TILE_WIDTH, Tile, TileLevel, level_size, new_tiles};
pub use tree::{MalformedTree, Tree, format_checkpoint, format_tree, parse_checkpoint, parse_tree};
