//! The cases of `tiles.json`, which the Go reference made: paths, bodies, plans.

use crate::common::{LOG, cases, hash, number, record, sections_are, sha256_hex, strings, text};
use quipu_tlog::{
    HashReader, Node, PathError, PathLevel, Tile, TilePath, TilePlan, join_entries, join_records, leaf_hash,
    new_tiles, split_entries, split_records, tree_nodes, tree_root,
};

const FILE: &str = include_str!("../../../../testdata/vectors/tiles.json");

#[test]
fn every_section_is_consumed() {
    let sections = [
        "client_plan_consistency",
        "client_plan_record",
        "data_tiles",
        "description",
        "new_tiles_h8",
        "parse_path",
        "tile_data",
    ];
    sections_are(FILE, &sections);
}

#[test]
fn parse_path() {
    for case in cases(FILE, "parse_path", 41) {
        let path = text(&case, "path");
        let parsed = TilePath::parse(path);
        assert_eq!(parsed.is_ok(), case["ok"].as_bool().unwrap(), "{case}");
        let tile = Tile::parse_sumdb(path);
        let Ok(parsed) = parsed else {
            assert_eq!(tile, Err(PathError::Malformed));
            continue;
        };
        assert_eq!(parsed.to_string(), path);
        assert_eq!(u64::from(parsed.height), number(&case, "H"));
        assert_eq!(parsed.n, number(&case, "N"));
        assert_eq!(u64::from(parsed.width), number(&case, "W"));
        match parsed.level {
            PathLevel::Data => assert_eq!(case["L"].as_i64(), Some(-1)),
            PathLevel::Hashes(level) => assert_eq!(level, number(&case, "L")),
        }
        let served = parsed.height == 8 && case["L"].as_i64().unwrap() < 8;
        match tile {
            Ok(tile) => assert!(served && tile.sumdb_path() == path, "{case}"),
            Err(error) => assert!(!served && error == PathError::NotServed, "{case}"),
        }
    }
}

#[test]
fn tile_data() {
    for case in cases(FILE, "tile_data", 14) {
        let tile = Tile::parse_sumdb(text(&case, "path")).unwrap();
        let body = LOG.body(&tile);
        assert_eq!(body.len() as u64, number(&case, "bytes"));
        assert_eq!(tile.hash_bytes(), body.len());
        assert_eq!(sha256_hex(&body), text(&case, "sha256"));
        let entry = |i| tile.hash(&body, tile.node(i).unwrap()).unwrap();
        assert_eq!(entry(0), hash(&case, "first_hash"));
        assert_eq!(entry(tile.width() - 1), hash(&case, "last_hash"));
        assert_eq!(tile.root(&body), tile.root_node().map(|node| LOG.hash(node)));
        assert_eq!(tile.root(&body).is_some(), tile.is_full());
    }
}

#[test]
fn data_tiles() {
    for case in cases(FILE, "data_tiles", 4) {
        let tile = Tile::parse_sumdb(text(&case, "path")).unwrap();
        let records: Vec<String> = (tile.first()..).take(tile.width().into()).map(record).collect();
        let body = join_records(&records);
        assert_eq!(split_records(&body, tile.width()).unwrap(), records);

        // The reference ends the last record too with an empty line.
        let terminated = [body.as_slice(), b"\n"].concat();
        assert_eq!(terminated.len() as u64, number(&case, "bytes"));
        assert_eq!(sha256_hex(&terminated), text(&case, "sha256"));
        assert_eq!(split_records(&terminated, tile.width()).unwrap(), records);
        if let Some(body) = case["body"].as_str() {
            assert_eq!(terminated, body.as_bytes());
        }

        let bundle = join_entries(&records).unwrap();
        assert_eq!(bundle.len(), records.iter().map(|text| text.len() + 2).sum::<usize>());
        let entries: Vec<&[u8]> = records.iter().map(String::as_bytes).collect();
        assert_eq!(split_entries(&bundle, tile.width()).unwrap(), entries);
    }
}

#[test]
fn new_tiles_of_height_8() {
    for case in cases(FILE, "new_tiles_h8", 16) {
        let paths: Vec<String> =
            new_tiles(number(&case, "old"), number(&case, "new")).map(|tile| tile.sumdb_path()).collect();
        if let Some(count) = case["count"].as_u64() {
            assert_eq!(paths.len() as u64, count);
            assert!(paths.ends_with(&strings(&case, "last")), "{case}");
        } else {
            assert_eq!(paths, strings(&case, "tiles"));
        }
    }
}

fn paths(plan: &TilePlan) -> Vec<String> {
    plan.tiles().iter().map(Tile::sumdb_path).collect()
}

#[test]
fn client_plan_record() {
    for case in cases(FILE, "client_plan_record", 13) {
        let leaf = Node::leaf(number(&case, "record")).unwrap();
        let tree = LOG.tree(number(&case, "tree_size"));
        let plan = TilePlan::new(&tree, &[leaf]).unwrap();
        assert_eq!(paths(&plan), strings(&case, "tiles"));
        let hashes = plan.authenticate(&LOG.bodies(plan.tiles())).unwrap();
        let want = leaf_hash(record(leaf.index()).as_bytes());
        assert_eq!(hashes.read_hashes(&[leaf]), Ok(vec![want]));
    }
}

#[test]
fn client_plan_consistency() {
    for case in cases(FILE, "client_plan_consistency", 6) {
        let (new, old) = (LOG.tree(number(&case, "new_size")), LOG.tree(number(&case, "old_size")));
        let plan = TilePlan::new(&new, &tree_nodes(old.size).unwrap()).unwrap();
        assert_eq!(paths(&plan), strings(&case, "tiles"));
        let hashes = plan.authenticate(&LOG.bodies(plan.tiles())).unwrap();
        assert_eq!(tree_root(old.size, &hashes), Ok(old.root));
    }
}
