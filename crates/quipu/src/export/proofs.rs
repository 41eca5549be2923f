//! The part of the log that goes into a bundle: records, the signed head, and the tiles that lead from the one to the other.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use quipu_tlog::{Node, Tile, TileLevel, TilePlan, consistency_nodes, format_record, level_size, tree_nodes};

use super::choice::Choice;
use super::{Export, add};
use crate::bundle::{Writer, database};

/// Highest level of hash tiles.
const LEVELS: u8 = 8;

impl Export<'_> {
    pub(super) fn write_proofs(&self, writer: &mut Writer, choice: &Choice, all: bool) -> Result<()> {
        let prefix = database(self.view.verifier().name().as_str());
        add(writer, &format!("{prefix}/supported"), b"")?;
        add(writer, &format!("{prefix}/latest"), &self.note)?;
        let note = std::str::from_utf8(&self.note)?;
        for (version, chosen) in &choice.chosen {
            let answer = format!("{}{note}", format_record(chosen.index, &chosen.text)?);
            add(writer, &format!("{prefix}/lookup/{}", version.escaped()), answer.as_bytes())?;
        }
        for tile in self.tiles(choice, all)? {
            add(writer, &format!("{prefix}/{}", tile.sumdb_path()), &self.view.tile(tile)?)?;
        }
        Ok(())
    }

    /// What checks this bundle alone, and what older records need of the tree as it is now, unless they have it.
    fn tiles(&self, choice: &Choice, all: bool) -> Result<BTreeSet<Tile>> {
        let indexes: Vec<u64> = choice.chosen.values().map(|chosen| chosen.index).collect();
        let mut own = leaves(&indexes);
        let Some(since) = &self.since else {
            let mut tiles = self.plan(&own)?;
            tiles.extend(if all { self.all_tiles() } else { BTreeSet::new() });
            return Ok(tiles);
        };
        let size = since.tree().size;
        if size > 0 {
            own.extend(tree_nodes(size)?);
            own.extend(consistency_nodes(self.head.size, size)?);
        }
        let mut tiles = self.plan(&own)?;
        let prefix = database(self.view.verifier().name().as_str());
        let had = |tile: &Tile| {
            since.files().is_some_and(|files| files.contains_key(&format!("{prefix}/{}", tile.sumdb_path())))
        };
        let mut older = Vec::new();
        for version in since.records(self.view.verifier().name().as_str()) {
            let (index, ..) =
                self.view.record(&version)?.with_context(|| format!("{version} is not in the log"))?;
            older.push(index);
        }
        let mut further = self.plan(&leaves(&older))?;
        further.extend(if all { self.all_tiles() } else { BTreeSet::new() });
        tiles.extend(further.into_iter().filter(|tile| !had(tile)));
        Ok(tiles)
    }

    fn plan(&self, nodes: &[Node]) -> Result<BTreeSet<Tile>> {
        Ok(TilePlan::new(&self.head, nodes)?.tiles().iter().copied().collect())
    }

    /// Every hash tile of the tree.
    fn all_tiles(&self) -> BTreeSet<Tile> {
        let size = self.head.size;
        let levels = (0..LEVELS).take_while(|level| level_size(*level, size) > 0);
        let tiles = levels.flat_map(|level| {
            (0..level_size(level, size).div_ceil(256))
                .filter_map(move |n| Tile::widest(TileLevel::Hashes(level), n, size))
        });
        tiles.collect()
    }
}

fn leaves(indexes: &[u64]) -> Vec<Node> {
    indexes.iter().filter_map(|index| Node::leaf(*index)).collect()
}
