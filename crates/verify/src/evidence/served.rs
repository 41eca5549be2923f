//! Evidence of the kinds `tile`, `tiles` and `answer`: what was served, beside what the signed tree has there.
//!
//! ```text
//! head
//!     <the signed note, line by line>
//! tile
//!     <path of the tile>
//! node
//!     <tree level> <index in the level>
//! served
//!     <all hashes of a hash tile, base64; of a data tile the record at the node, line by line>
//! signed
//!     <the hash that the tree has at the node, base64>
//!     <the hashes beside the way from there up to the root, base64>
//! ```
//!
//! `answer` has the path of a lookup under `lookup` instead of `tile`. `tiles` has, after the head, a section `tile` for
//! each tile that the root is made of, the largest subtree first: the path, then the hashes.

use std::fmt;
use std::iter::once;

use bytes::Bytes;
use quipu_module::ModuleVersion;
use quipu_tlog::{
    Hash, HashReader, Node, ReadError, Tile, TileError, TileLevel, TilePlan, check_subtree, is_record_text,
    leaf_hash, prove_subtree,
};

use super::NotProven;
use super::claim::Heads;
use super::finding::{Finding, Kind};
use crate::text::{Sections, hashes, join, section, text_section};

/// The hash of a complete subtree (of a single record, for example), and the proof that a tree has it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subtree {
    /// The place of the subtree.
    pub node: Node,
    /// Its hash.
    pub hash: Hash,
    /// The hashes beside the way up to the root.
    pub proof: Vec<Hash>,
}

impl Subtree {
    /// A subtree of the tree of `size` records, proven with the hashes of `reader`.
    ///
    /// # Errors
    /// The node lies outside the tree, or the reader fails.
    pub fn prove<R: HashReader>(size: u64, node: Node, reader: &R) -> Result<Self, ReadError<R::Error>> {
        let proof = prove_subtree(size, node, reader)?;
        let hashes = reader.read_hashes(&[node]).map_err(ReadError::Reader)?;
        let hash = *hashes.first().ok_or(ReadError::Count { want: 1, got: 0 })?;
        Ok(Self { node, hash, proof })
    }
}

/// Where content was served: what it says about a node.
pub(super) trait Place: Sized {
    const HEADING: &'static str;
    fn path(&self) -> String;
    fn parse(path: &str) -> Option<Self>;
    /// Whether the content is hashes, not a record.
    fn has_hashes(&self) -> bool;
    /// The hash of the node that follows from the content.
    fn hash(&self, content: &[u8], node: Node) -> Option<Hash>;
}

impl Place for Tile {
    const HEADING: &'static str = "tile";

    fn path(&self) -> String {
        self.sumdb_path()
    }

    fn parse(path: &str) -> Option<Self> {
        Self::parse_sumdb(path).ok()
    }

    fn has_hashes(&self) -> bool {
        self.level() != TileLevel::Data
    }

    fn hash(&self, content: &[u8], node: Node) -> Option<Hash> {
        if self.has_hashes() {
            return Self::hash(self, content, node);
        }
        let covered = self.first()..self.first() + u64::from(self.width());
        let is_record = node.level() == 0 && covered.contains(&node.index()) && is_record_text(content);
        is_record.then(|| leaf_hash(content))
    }
}

impl Place for ModuleVersion {
    const HEADING: &'static str = "lookup";

    fn path(&self) -> String {
        format!("lookup/{}", self.escaped())
    }

    fn parse(path: &str) -> Option<Self> {
        Self::parse_escaped(path.strip_prefix("lookup/")?).ok()
    }

    fn has_hashes(&self) -> bool {
        false
    }

    fn hash(&self, content: &[u8], node: Node) -> Option<Hash> {
        (node.level() == 0 && is_record_text(content)).then(|| leaf_hash(content))
    }
}

/// Content that was served, and what the signed tree has in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Served<P> {
    pub(super) head: Bytes,
    pub(super) place: P,
    pub(super) content: Bytes,
    pub(super) signed: Subtree,
}

impl<P: Place> Served<P> {
    pub(super) fn find(&self, heads: &Heads<'_>, kind: Kind) -> Result<Finding, NotProven> {
        let tree = heads.open("head", &self.head)?;
        let Subtree { node, hash: signed, proof } = &self.signed;
        check_subtree(proof, &tree, *node, signed).map_err(|e| {
            NotProven::new(format_args!("the tree is not shown to have the signed hash: {e}"))
        })?;
        let path = self.place.path();
        let served = self.place.hash(&self.content, *node);
        let served = served
            .ok_or_else(|| NotProven::new(format_args!("what {path} served says nothing about {node}")))?;
        if served == *signed {
            return Err(NotProven::new("what was served is what the tree has"));
        }
        Ok(Finding::Served { kind, tree, path, what: node.to_string(), signed: *signed, served })
    }

    pub(super) fn write(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        text_section(out, "head", &self.head)?;
        section(out, P::HEADING, once(self.place.path()))?;
        let node = self.signed.node;
        section(out, "node", once(format_args!("{} {}", node.level(), node.index())))?;
        if self.place.has_hashes() {
            section(out, "served", entries(&self.content))?;
        } else {
            text_section(out, "served", &self.content)?;
        }
        section(out, "signed", once(&self.signed.hash).chain(&self.signed.proof))
    }

    pub(super) fn parse(head: Bytes, sections: &mut Sections<'_>) -> Option<Self> {
        let place = P::parse(sections.take_line(P::HEADING)?)?;
        let (level, index) = sections.take_line("node")?.split_once(' ')?;
        let node = Node::new(level.parse().ok()?, index.parse().ok()?)?;
        let lines = sections.take("served")?;
        let content = if place.has_hashes() { body(&hashes(&lines)?) } else { join(&lines) };
        let hashes = sections.take_hashes("signed")?;
        let (hash, proof) = hashes.split_first()?;
        Some(Self { head, place, content, signed: Subtree { node, hash: *hash, proof: proof.to_vec() } })
    }
}

pub(super) fn find_tiles(
    heads: &Heads<'_>,
    head: &Bytes,
    tiles: &[(Tile, Bytes)],
) -> Result<Finding, NotProven> {
    let tree = heads.open("head", head)?;
    let plan = TilePlan::new(&tree, &[]).map_err(NotProven::new)?;
    let (tiles, bodies): (Vec<Tile>, Vec<&Bytes>) = tiles.iter().map(|(tile, body)| (*tile, body)).unzip();
    if plan.tiles() != tiles {
        return Err(NotProven::new("these are not the tiles that the root is made of"));
    }
    match plan.authenticate(&bodies) {
        Err(TileError::Root { tiles }) => {
            Ok(Finding::Tiles { tree, paths: tiles.iter().map(Tile::sumdb_path).collect() })
        }
        Err(e) => Err(NotProven::new(e)),
        Ok(_) => Err(NotProven::new("the tiles add up to the tree")),
    }
}

pub(super) fn write_tiles(
    out: &mut fmt::Formatter<'_>,
    head: &Bytes,
    tiles: &[(Tile, Bytes)],
) -> fmt::Result {
    text_section(out, "head", head)?;
    tiles.iter().try_for_each(|(tile, body)| {
        section(out, "tile", once(tile.sumdb_path()))?;
        entries(body).try_for_each(|hash| writeln!(out, "\t{hash}"))
    })
}

pub(super) fn parse_tiles(sections: &mut Sections<'_>) -> Option<Vec<(Tile, Bytes)>> {
    let mut tiles = Vec::new();
    while let Some(lines) = sections.take("tile") {
        let (path, entries) = lines.split_first()?;
        tiles.push((Tile::parse_sumdb(path).ok()?, body(&hashes(entries)?)));
    }
    Some(tiles)
}

/// The hashes in the body of a tile.
fn entries(body: &[u8]) -> impl Iterator<Item = Hash> {
    let (entries, _) = body.as_chunks::<{ Hash::SIZE }>();
    entries.iter().map(|entry| Hash::from_bytes(*entry))
}

fn body(hashes: &[Hash]) -> Bytes {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect::<Vec<u8>>().into()
}
