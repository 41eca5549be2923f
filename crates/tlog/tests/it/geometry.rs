//! Properties of coordinates, tiles and paths.

use crate::common::LOG;
use proptest::prelude::*;
use quipu_tlog::{
    Frontier, HashReader, MAX_SIZE, Node, PathError, StoredTileError, StoredTiles, TILE_WIDTH, Tile,
    TileLevel, TilePath, TilePlan, Tree, level_size, new_tiles, stored_hash_count, tree_nodes,
};
use std::collections::BTreeSet;
use std::convert::Infallible;

/// Any size, small ones and those near a power of two and near the largest as likely as the rest.
fn size() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..1000_u64,
        (0..63_u32, 0..600_u64).prop_map(|(bit, more)| (1_u64 << bit).saturating_add(more).min(MAX_SIZE)),
        (0..600_u64).prop_map(|less| MAX_SIZE - less),
        0..=MAX_SIZE,
    ]
}

fn node() -> impl Strategy<Value = Node> {
    (0..63_u8, size()).prop_filter_map("in range", |(level, index)| Node::new(level, index >> level))
}

fn tile() -> impl Strategy<Value = Tile> {
    let level = prop_oneof![Just(TileLevel::Data), (0..8_u8).prop_map(TileLevel::Hashes)];
    let n = prop_oneof![0..2000_u64, size().prop_map(|size| size >> 8)];
    (level, n, 1..=TILE_WIDTH).prop_filter_map("in range", |(level, n, width)| Tile::new(level, n, width))
}

proptest! {
    #[test]
    fn stored_indexes(node in node(), stored in any::<u64>()) {
        prop_assert_eq!(Node::from_stored_index(node.stored_index()), Some(node));
        // Complete subtrees are stored right after their last leaf.
        prop_assert!(node.stored_index() < stored_hash_count(node.end()));
        prop_assert!(node.stored_index() >= stored_hash_count(node.end() - 1));
        match Node::from_stored_index(stored) {
            Some(node) => prop_assert_eq!(node.stored_index(), stored),
            None => prop_assert!(stored >= stored_hash_count(MAX_SIZE)),
        }
    }

    #[test]
    fn a_tree_s_nodes_cover_it(size in size()) {
        let mut start = 0;
        for node in tree_nodes(size).unwrap() {
            prop_assert_eq!(node.first_leaf(), start);
            start = node.end();
        }
        prop_assert_eq!(start, size);
    }

    #[test]
    fn a_node_is_computed_from_its_tile(size in 1..=70_000_u64, level in 0..17_u8, at in any::<u64>()) {
        let node = Node::new(level, at % (size >> level).max(1)).unwrap();
        match Tile::containing(node, size) {
            None => prop_assert!(node.end() > size),
            Some(tile) => {
                prop_assert!(node.end() <= size && tile.is_in(size));
                prop_assert_eq!(Some(tile), tile.widened(size));
                prop_assert_eq!(tile.hash(&LOG.body(&tile), node), Some(LOG.hash(node)));
            }
        }
    }

    #[test]
    fn widths(tile in tile(), size in size()) {
        let widest = Tile::widest(tile.level(), tile.n(), size);
        prop_assert_eq!(tile.widened(size), widest);
        prop_assert_eq!(tile.is_in(size), widest.is_some_and(|widest| tile.width() <= widest.width()));
        let level = if let TileLevel::Hashes(level) = tile.level() { level } else { 0 };
        let end = tile.first() + u64::from(tile.width());
        prop_assert_eq!(tile.is_in(size), end <= level_size(level, size));
        prop_assert_eq!(tile.node(tile.width()), None);
        let last = tile.node(tile.width() - 1).unwrap();
        prop_assert_eq!((last.level(), last.index()), (level * 8, end - 1));
        prop_assert_eq!(tile.is_in(size), last.end() <= size);
    }

    #[test]
    fn tiles_to_write(old in 0..200_000_u64, more in 0..2000_u64) {
        let new = old + more;
        let written: Vec<Tile> = new_tiles(old, new).collect();
        let distinct: BTreeSet<(TileLevel, u64)> = written.iter().map(|tile| (tile.level(), tile.n())).collect();
        prop_assert_eq!(distinct.len(), written.len());
        let mut changed = Vec::new();
        for level in 0..7 {
            for n in old >> (8 * (level + 1))..=new >> (8 * (level + 1)) {
                let level = TileLevel::Hashes(level);
                let now = Tile::widest(level, n, new);
                changed.extend(now.filter(|_| now != Tile::widest(level, n, old)));
            }
        }
        prop_assert_eq!(written, changed);
    }

    #[test]
    fn tiles_to_write_of_hostile_sizes(old in any::<u64>(), new in any::<u64>()) {
        for tile in new_tiles(old, new).take(10) {
            prop_assert!(old < new && tile.is_in(new) && !tile.is_in(old));
        }
        prop_assert!(new_tiles(new, old.min(new)).next().is_none());
    }

    #[test]
    fn paths_of_tiles(tile in tile()) {
        prop_assert_eq!(Tile::parse_sumdb(&tile.sumdb_path()), Ok(tile));
        prop_assert_eq!(Tile::parse_c2sp(&tile.c2sp_path()), Ok(tile));
        prop_assert_eq!(tile.to_string(), tile.sumdb_path());
        // No path is one of both forms.
        prop_assert_eq!(Tile::parse_c2sp(&tile.sumdb_path()), Err(PathError::Malformed));
        prop_assert_eq!(Tile::parse_sumdb(&tile.c2sp_path()), Err(PathError::Malformed));
    }

    #[test]
    fn what_parses_is_written_the_same(
        path in "tile/([0-9]{1,2}|[0-9]{1,3}|-1|x)/([0-9]{1,2}|data|entries)/(x[0-9]{3}/){0,6}[0-9]{3}(\\.p/[0-9]{1,4})?",
        cut in 0..40_usize,
        byte in any::<char>(),
    ) {
        let mut changed: String = path.chars().take(cut).collect();
        changed.push(byte);
        changed.extend(path.chars().skip(cut + 1));
        for path in [path, changed] {
            if let Ok(parsed) = TilePath::parse(&path) {
                prop_assert_eq!(parsed.to_string(), path.clone());
            }
            if let Ok(tile) = Tile::parse_sumdb(&path) {
                prop_assert_eq!(tile.sumdb_path(), path.clone());
            }
            if let Ok(tile) = Tile::parse_c2sp(&path) {
                prop_assert_eq!(tile.c2sp_path(), path);
            }
        }
    }

    #[test]
    fn plans_for_hostile_sizes(size in any::<u64>(), wanted in proptest::collection::vec(node(), 0..4)) {
        let tree = Tree { size, root: quipu_tlog::Hash::EMPTY_TREE };
        let fits = size <= MAX_SIZE && wanted.iter().all(|node| node.end() <= size);
        let plan = TilePlan::new(&tree, &wanted);
        prop_assert_eq!(plan.is_ok(), fits);
        let Ok(plan) = plan else { return Ok(()) };
        // At most one partial tile a level, and a way down from it for each node.
        prop_assert!(plan.tiles().len() <= 8 * (1 + wanted.len()));
        for tile in plan.tiles() {
            prop_assert_eq!(tile.widened(size), Some(*tile));
        }
        let distinct: BTreeSet<&Tile> = plan.tiles().iter().collect();
        prop_assert_eq!(distinct.len(), plan.tiles().len());
        let zeros: Vec<Vec<u8>> = plan.tiles().iter().map(|tile| vec![0; tile.hash_bytes()]).collect();
        prop_assert_eq!(plan.authenticate(&zeros).is_ok(), size == 0);
    }

    #[test]
    fn stored_tiles(size in 0..70_000_u64, ahead in 0..300_u64) {
        // The storage may hold more than the tree that is read.
        let stored = (size + ahead).min(70_000);
        let reader = StoredTiles::new(size, |tile: Tile| Ok::<_, Infallible>(LOG.body(&tile.widened(stored).unwrap())));
        let frontier = Frontier::restore(size, &reader).unwrap();
        prop_assert_eq!(frontier.root(), LOG.tree(size).root);
        let beyond = Node::leaf(size).unwrap();
        prop_assert_eq!(reader.read_hashes(&[beyond]), Err(StoredTileError::Outside(beyond)));
    }
}

#[test]
fn a_stored_tile_that_is_too_short() {
    let reader = StoredTiles::new(300, |tile: Tile| Ok::<_, Infallible>(LOG.body(&tile)[32..].to_vec()));
    let leaf = Node::leaf(299).unwrap();
    let tile = Tile::parse_sumdb("tile/8/0/001.p/44").unwrap();
    assert_eq!(reader.read_hashes(&[leaf]), Err(StoredTileError::Short(tile)));
}

#[test]
fn c2sp_paths() {
    let tile = |path| Tile::parse_c2sp(path);
    let hashes = |level, n, width| Ok(Tile::new(TileLevel::Hashes(level), n, width).unwrap());
    assert_eq!(tile("tile/0/x001/x234/067"), hashes(0, 1_234_067, 256));
    assert_eq!(tile("tile/1/000.p/255"), hashes(1, 0, 255));
    assert_eq!(tile("tile/entries/000.p/1"), Ok(Tile::new(TileLevel::Data, 0, 1).unwrap()));
    // Well-formed, beyond every log.
    for path in ["tile/8/000", "tile/63/000.p/1", "tile/7/128", "tile/0/x036/x028/x797/x018/x963/968"] {
        assert_eq!(tile(path), Err(PathError::NotServed), "{path}");
    }
    let malformed = [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/64/000",
        "tile/00/000",
        "tile/+1/000",
        "tile/data/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000/",
        "tile/0/000.p/1/",
        "tile/0/x1/000",
        "tile/0/X001/000",
        "tile/8/0/000",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/0/000.p/1.p/1",
        "tile/0/٠٠٠",
    ];
    for path in malformed {
        assert_eq!(tile(path), Err(PathError::Malformed), "{path}");
    }
}

#[test]
fn the_edges_of_the_largest_tree() {
    assert_eq!(Node::leaf(MAX_SIZE), None);
    assert_eq!(Node::new(63, 0), None);
    assert_eq!(Node::new(62, 1), None);
    assert_eq!(Node::new(255, 0), None);
    let last = Node::leaf(MAX_SIZE - 1).unwrap();
    assert_eq!(last.end(), MAX_SIZE);
    assert_eq!(last.stored_index() + 1, stored_hash_count(MAX_SIZE));
    assert_eq!(tree_nodes(MAX_SIZE).unwrap().len(), 63);
    assert!(tree_nodes(MAX_SIZE + 1).is_err());
    assert_eq!(Tile::containing(last, MAX_SIZE).unwrap().width(), 255);
    assert_eq!(Tile::new(TileLevel::Hashes(7), 0, 127).unwrap().node(126).unwrap().end(), 127 << 56);
    assert_eq!(Tile::new(TileLevel::Hashes(7), 0, 128), None);
    assert_eq!(Tile::new(TileLevel::Hashes(8), 0, 1), None);
    assert_eq!(Tile::new(TileLevel::Hashes(255), u64::MAX, u16::MAX), None);
    assert_eq!(level_size(255, u64::MAX), 0);
    let mut frontier = Frontier::from_hashes(MAX_SIZE, vec![LOG.leaf(0); 63]).unwrap();
    frontier.push(LOG.leaf(0));
    assert_eq!(frontier.size(), MAX_SIZE + 1);
    assert!(Frontier::from_hashes(7, vec![LOG.leaf(0); 2]).is_err());
    assert!(Frontier::from_hashes(MAX_SIZE + 1, vec![LOG.leaf(0)]).is_err());
}
