//! Tiles from a server that lies: whatever hash it changes in a tile that a read uses, the read is refused.

use crate::common::{LOG, Log};
use quipu_tlog::{Hash, HashReader, Node, Tile, TileError, TilePlan, Tree, leaf_hash, tree_nodes, tree_root};

/// Flips one bit in each hash of each tile of a plan in turn; every one must be found out, and the tile named.
fn assert_every_flip_is_refused(tree: &Tree, wanted: &[Node]) {
    let plan = TilePlan::new(tree, wanted).unwrap_or_else(|e| panic!("{tree:?} {wanted:?}: {e}"));
    let mut bodies = LOG.bodies(plan.tiles());
    assert!(plan.authenticate(&bodies).is_ok());
    for (t, tile) in plan.tiles().iter().enumerate() {
        for i in 0..usize::from(tile.width()) {
            // Any bit will do; this takes them all in turn.
            let (byte, mask) = (i * Hash::SIZE + i % Hash::SIZE, 1 << (i / Hash::SIZE % 8));
            bodies[t][byte] ^= mask;
            match plan.authenticate(&bodies) {
                Err(TileError::Root { tiles }) => assert!(tiles.contains(tile) && !tile.is_full(), "{tile}"),
                Err(TileError::Parent { tile: named }) => assert_eq!(named, *tile),
                other => panic!("{tree:?} {wanted:?}: entry {i} of {tile}: {other:?}"),
            }
            bodies[t][byte] ^= mask;
        }
    }
}

fn leaf(index: u64) -> Node {
    Node::leaf(index).unwrap_or_else(|| panic!("no leaf {index}"))
}

#[test]
fn flips_in_small_trees() {
    for size in 1..=100 {
        let records = if size <= 20 { (0..size).collect() } else { vec![0, size / 2, size - 1] };
        for index in records {
            assert_every_flip_is_refused(&LOG.tree(size), &[leaf(index)]);
        }
        assert_every_flip_is_refused(&LOG.tree(size), &tree_nodes(size / 2).unwrap());
    }
}

#[test]
fn flips_around_one_and_two_full_tiles() {
    for size in [255, 256, 257, 300, 511, 512, 513, 767] {
        for index in [0, 5, 254, 255, 256, size - 1].into_iter().filter(|index| *index < size) {
            assert_every_flip_is_refused(&LOG.tree(size), &[leaf(index)]);
        }
        assert_every_flip_is_refused(&LOG.tree(size), &tree_nodes(201).unwrap());
    }
}

#[test]
fn flips_around_a_full_tile_of_tiles() {
    for size in [65_535, 65_536, 65_537, 70_000] {
        for index in [5, 32_767, size - 1] {
            assert_every_flip_is_refused(&LOG.tree(size), &[leaf(index)]);
        }
    }
    assert_every_flip_is_refused(&LOG.tree(70_000), &tree_nodes(65_537).unwrap());
}

/// CVE-2026-56865: readers counted the tiles that the root authenticates by the hashes that make up the root, of which
/// there may be more, and so left tiles after them unchecked. In a tree of 70,000 there are 6 hashes in 3 tiles, and
/// a forged leaf in tile 0/000 was accepted.
#[test]
fn forged_leaf_in_a_tree_of_70000_cve_2026_56865() {
    let tree = LOG.tree(70_000);
    let plan = TilePlan::new(&tree, &[leaf(5)]).unwrap();
    let paths: Vec<String> = plan.tiles().iter().map(Tile::sumdb_path).collect();
    let root_tiles = ["tile/8/2/000.p/1", "tile/8/1/001.p/17", "tile/8/0/273.p/112"];
    assert_eq!(paths, [root_tiles.as_slice(), &["tile/8/1/000", "tile/8/0/000"]].concat());
    assert_eq!(tree_nodes(70_000).unwrap().len(), 6);

    let mut bodies = LOG.bodies(plan.tiles());
    let forged = leaf_hash(b"evil.test/m v1.0.0 h1:x\n");
    bodies[4][5 * Hash::SIZE..6 * Hash::SIZE].copy_from_slice(forged.as_bytes());
    let error = plan.authenticate(&bodies).unwrap_err();
    assert_eq!(error, TileError::Parent { tile: Tile::parse_sumdb("tile/8/0/000").unwrap() });
}

/// A log that differs from `LOG` in one record, with all hashes above it recomputed.
fn forged_log(size: u64, index: u64) -> Log {
    let forged = leaf_hash(b"evil.test/m v1.0.0 h1:x\n");
    Log::new((0..size).map(|i| if i == index { forged } else { LOG.leaf(i) }))
}

/// Forging the tile with the leaf and any number of tiles above it, consistently, does not help.
#[test]
fn forged_tiles_that_agree_with_each_other() {
    for (size, index) in [(300, 5), (767, 300), (65_536, 5), (65_537, 5), (70_000, 5), (70_000, 66_000)] {
        let forged = forged_log(size, index);
        let plan = TilePlan::new(&LOG.tree(size), &[leaf(index)]).unwrap();
        for genuine in 0..plan.tiles().len() {
            let (keep, replace) = plan.tiles().split_at(genuine);
            let bodies = [LOG.bodies(keep), forged.bodies(replace)].concat();
            assert!(plan.authenticate(&bodies).is_err(), "{size} {index}: forged from tile {genuine} on");
        }
        // They are what a tree of the forger's own would have.
        let own = TilePlan::new(&forged.tree(size), &[leaf(index)]).unwrap();
        assert!(own.authenticate(&forged.bodies(own.tiles())).is_ok());
    }
}

#[test]
fn genuine_tiles_of_another_place_or_size() {
    let plan = TilePlan::new(&LOG.tree(70_000), &[leaf(5), leaf(300)]).unwrap();
    let genuine = LOG.bodies(plan.tiles());
    assert!(plan.authenticate(&genuine).is_ok());

    let mut exchanged = genuine.clone();
    exchanged.swap(4, 5);
    assert_eq!(exchanged[4].len(), exchanged[5].len());
    assert!(matches!(plan.authenticate(&exchanged), Err(TileError::Parent { .. })));

    let got = genuine.len() - 1;
    assert_eq!(plan.authenticate(&genuine[1..]).unwrap_err(), TileError::Count { want: got + 1, got });

    for (t, tile) in plan.tiles().iter().enumerate() {
        for wrong in [0, 1, tile.hash_bytes() - 32, tile.hash_bytes() - 1, tile.hash_bytes() + 32] {
            let mut bodies = genuine.clone();
            bodies[t].resize(wrong, 0);
            let error = plan.authenticate(&bodies).unwrap_err();
            assert_eq!(error, TileError::Length { tile: *tile, got: wrong });
        }
    }
}

#[test]
fn a_tree_that_is_not_the_server_s() {
    let honest = LOG.tree(70_000);
    let bodies = |plan: &TilePlan| LOG.bodies(plan.tiles());
    for bit in 0..256 {
        let mut root = *honest.root.as_bytes();
        root[bit / 8] ^= 1 << (bit % 8);
        let tree = Tree { root: Hash::from_bytes(root), ..honest };
        let plan = TilePlan::new(&tree, &[leaf(5)]).unwrap();
        assert!(matches!(plan.authenticate(&bodies(&plan)), Err(TileError::Root { .. })));
    }
    // A signed tree of size 0 has the one root.
    let empty = Tree { size: 0, root: Hash::EMPTY_TREE };
    let plan = TilePlan::new(&empty, &[]).unwrap();
    assert!(plan.tiles().is_empty());
    let hashes = plan.authenticate::<Vec<u8>>(&[]).unwrap();
    assert_eq!(tree_root(0, &hashes), Ok(Hash::EMPTY_TREE));
    let plan = TilePlan::new(&Tree { root: honest.root, ..empty }, &[]).unwrap();
    assert!(plan.authenticate::<Vec<u8>>(&[]).is_err());
    assert!(TilePlan::new(&empty, &[leaf(0)]).is_err());
}

#[test]
fn only_what_was_planned_is_handed_out() {
    let plan = TilePlan::new(&LOG.tree(70_000), &[leaf(5), leaf(5)]).unwrap();
    let hashes = plan.authenticate(&LOG.bodies(plan.tiles())).unwrap();
    assert_eq!(hashes.get(leaf(5)), Some(LOG.leaf(5)));
    assert_eq!(hashes.get(leaf(6)), None);
    assert!(hashes.read_hashes(&[leaf(5), leaf(6)]).is_err());
}
