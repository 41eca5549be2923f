//! Tiles: paths, which tiles there are, hashes from tiles, and reading through tiles that may lie.

use quipu_oracle::{Answer, Args, Comparison, Recipe, Rng};
use quipu_tlog::{
    Hash, HashReader as _, Node, PathLevel, Tile, TileLevel, TilePath, TilePlan, Tree, inclusion_nodes,
    new_tiles,
};

use crate::log::{LARGEST, small, stored, tree};
use crate::{hash, joined, number, numbers, text};

const TOKENS: &[&str] = &[
    "/", "tile/", "tile/8/", "data", "data/", "x", "x000/", "x001/", "000", "001", "999", ".p", ".p/",
    ".p/1", ".p/255", ".p/256", "0", "8", "30", "31", "-", "+", "//", "067", "1000",
];

const PATH: Recipe = Recipe { grammar: path, tokens: TOKENS };

fn path(rng: &mut Rng) -> Vec<u8> {
    let [height, level, n, width] = coordinates(rng);
    let level = if rng.one_in(3) { "data".into() } else { level.to_string() };
    let mut groups = format!("{:03}", n % 1000);
    let mut rest = n / 1000;
    while rest > 0 {
        groups = format!("x{:03}/{groups}", rest % 1000);
        rest /= 1000;
    }
    let partial = if rng.one_in(2) { format!(".p/{width}") } else { String::new() };
    let height = if rng.one_in(16) {
        rng.pick(&["0", "31", "08", "+8", "", "-1", "8x"]).into()
    } else {
        height.to_string()
    };
    format!("tile/{height}/{level}/{groups}{partial}").into_bytes()
}

/// Height 1 to 30, level, n, width 1 to 2^height: all that a path can say.
fn coordinates(rng: &mut Rng) -> [u64; 4] {
    let height = if rng.one_in(2) { 8 } else { rng.between(1, 30) };
    let level = if rng.one_in(8) { rng.number() as u64 } else { rng.below(9) as u64 };
    let full = 1 << height;
    let width = if rng.one_in(3) { full } else { rng.between(1, full) };
    [height as u64, level, rng.number() as u64, width as u64]
}

#[test]
fn parsing_paths() {
    Comparison::of("tlog.tile-parse").run(
        |rng| vec![PATH.next_text(rng)],
        |args| match TilePath::parse(text(args, 0)) {
            Ok(tile) => {
                let level = match tile.level {
                    PathLevel::Data => "-1".to_owned(),
                    PathLevel::Hashes(level) => level.to_string(),
                };
                let fields = [tile.height.to_string(), level, tile.n.to_string(), tile.width.to_string()];
                assert_eq!(tile.to_string(), text(args, 0));
                Answer::Ok(fields.map(String::into_bytes).to_vec())
            }
            Err(e) => Answer::rejected(e),
        },
    );
}

#[test]
fn formatting_paths() {
    Comparison::of("tlog.tile-format").without_verdict().run(
        |rng| numbers(coordinates(rng)),
        |args| {
            let [height, level, n, width] = [0, 1, 2, 3].map(|i| number(args, i));
            let tile =
                TilePath { height: height as u8, level: PathLevel::Hashes(level), n, width: width as u32 };
            if let Some(tile) = tile.tile() {
                assert_eq!(tile.sumdb_path(), format!("{}", tile));
                assert_eq!(tile.sumdb_path(), TilePath::parse(&tile.sumdb_path()).unwrap().to_string());
            }
            Answer::text(tile)
        },
    );
}

/// The smallest tile of height 8 that determines a hash.
#[test]
fn tile_of_a_hash() {
    Comparison::of("tlog.tile-at").without_verdict().run(
        |rng| numbers([8, rng.number() as u64 >> 2]),
        |args| {
            let node = Node::from_stored_index(number(args, 1)).unwrap();
            let tile = Tile::containing(node, node.end()).unwrap();
            let TileLevel::Hashes(level) = tile.level() else { panic!("a data tile holds no hash") };
            let fields = ["8".to_owned(), level.to_string(), tile.n().to_string(), tile.width().to_string()];
            Answer::Ok(fields.map(String::into_bytes).to_vec())
        },
    );
}

#[test]
fn tiles_to_publish() {
    let sizes = |rng: &mut Rng| {
        let old = if rng.one_in(2) { rng.number() as u64 } else { rng.below(140_000) as u64 };
        let growth = if rng.one_in(3) { rng.below(3000) } else { rng.below(300) };
        numbers([8, old, (old + growth as u64).min(i64::MAX as u64)])
    };
    Comparison::of("tlog.tiles-new").without_verdict().run(sizes, |args| {
        Answer::text(
            new_tiles(number(args, 1), number(args, 2)).map(|t| t.sumdb_path() + "\n").collect::<String>(),
        )
    });
}

/// A hash tile of the log of numbers at some size, full or cut to fewer entries.
fn some_tile(rng: &mut Rng, size: u64) -> Tile {
    let level = rng.below(2 + usize::from(size >= 1 << 16)) as u8;
    let level = if size >> (8 * level) == 0 { 0 } else { level };
    let entries = size >> (8 * level);
    let n = (rng.word64() % entries) >> 8;
    let widest = Tile::widest(TileLevel::Hashes(level), n, size).unwrap();
    let width = if rng.one_in(2) { widest.width() } else { rng.between(1, widest.width().into()) as u16 };
    Tile::new(TileLevel::Hashes(level), n, width).unwrap()
}

fn body(tile: Tile) -> Vec<u8> {
    let hashes: Vec<Hash> = (0..tile.width()).map(|i| stored(tile.node(i).unwrap())).collect();
    joined(&hashes)
}

fn coordinates_of(tile: Tile) -> Args {
    let TileLevel::Hashes(level) = tile.level() else { panic!("only hash tiles here") };
    numbers([8, level.into(), tile.n(), tile.width().into()])
}

fn tile_of(args: &Args) -> Tile {
    Tile::new(TileLevel::Hashes(number(args, 1) as u8), number(args, 2), number(args, 3) as u16).unwrap()
}

#[test]
fn bodies() {
    Comparison::of("tlog.tile-data").without_verdict().one_in(10).run(
        |rng| {
            let size = small(rng);
            coordinates_of(some_tile(rng, size))
        },
        |args| Answer::ok([&body(tile_of(args))]),
    );
}

/// The hash of a node from one tile's bytes, also of nodes that the tile does not determine.
#[test]
fn hashes_from_tiles() {
    let case = |rng: &mut Rng| {
        let size = small(rng);
        let tile = some_tile(rng, size);
        let TileLevel::Hashes(level) = tile.level() else { panic!("only hash tiles here") };
        let levels = if rng.one_in(8) { 20 } else { 8 };
        let inner = rng.below(levels) as u8;
        let entries = u64::from(tile.width()) + u64::from(rng.one_in(4));
        let index = (tile.first() + rng.word64() % entries) >> inner;
        let level = if rng.one_in(10) { rng.below(20) as u8 } else { level * 8 + inner };
        let mut args = coordinates_of(tile);
        let mut body = body(tile);
        if rng.one_in(12) {
            let length = rng.below(body.len());
            body.truncate(length);
        }
        args.push(body);
        args.push(Node::new(level, index).unwrap().stored_index().to_string().into_bytes());
        args
    };
    Comparison::of("tlog.tile-hash").one_in(4).run(case, |args| {
        let (tile, node) = (tile_of(args), Node::from_stored_index(number(args, 5)).unwrap());
        // The hash over the whole tile is an entry of the tile above for Go, and here both.
        if Some(node) == tile.root_node() {
            return Answer::err();
        }
        tile.hash(&args[4], node).map_or_else(Answer::err, |hash| Answer::ok([hash.as_bytes()]))
    });
}

/// What the reader asks of a tile source, and then of the bodies, some of them damaged.
#[test]
fn reading() {
    let case = |rng: &mut Rng| {
        let size = small(rng);
        let wanted = wanted(rng, size);
        let mut tree = tree(size);
        if rng.one_in(40) {
            let other = rng.bytes(32);
            tree.root = Hash::from_bytes(other.try_into().unwrap());
        }
        let damage = damage(rng, &tree, &wanted);
        let list = wanted.iter().map(|node| node.stored_index().to_string()).collect::<Vec<_>>().join(",");
        let mut args = numbers([8, size]);
        args.extend([tree.root.as_bytes().to_vec(), list.into_bytes(), damage.into_bytes()]);
        args
    };
    Comparison::of("tlog.read").one_in(5).run(case, |args| {
        let tree = Tree { size: number(args, 1), root: hash(args, 2) };
        let nodes: Vec<Node> =
            text(args, 3).split(',').map(|x| Node::from_stored_index(x.parse().unwrap()).unwrap()).collect();
        read(&tree, &nodes, text(args, 4)).unwrap_or_else(Answer::err)
    });
}

/// Some nodes of the tree, or of a proof in it, and now and then one beyond.
fn wanted(rng: &mut Rng, size: u64) -> Vec<Node> {
    if rng.one_in(3) {
        let nodes = inclusion_nodes(size, rng.word64() % size).unwrap();
        if !nodes.is_empty() {
            return nodes;
        }
    }
    let end = if rng.one_in(20) { size + 2 } else { size };
    let mut nodes = Vec::new();
    for _ in 0..rng.between(1, 4) {
        let level = if rng.one_in(2) { 0 } else { rng.below(size.ilog2() as usize + 1) as u8 };
        nodes.push(Node::new(level, rng.word64() % (end >> level).max(1)).unwrap());
    }
    nodes
}

/// In half of the cases spoils one of the tiles that will be asked for: a bit of an entry, or the length.
fn damage(rng: &mut Rng, tree: &Tree, wanted: &[Node]) -> String {
    let Ok(plan) = TilePlan::new(tree, wanted) else { return String::new() };
    if rng.one_in(2) {
        return String::new();
    }
    let tile = plan.tiles()[rng.below(plan.tiles().len())];
    let path = tile.sumdb_path();
    if rng.one_in(10) {
        return format!("{path} {}\n", rng.below(tile.hash_bytes() + 40));
    }
    format!("{path} {} {}\n", rng.below(tile.hash_bytes()), 1 << rng.below(8))
}

fn read(tree: &Tree, nodes: &[Node], damage: &str) -> Option<Answer> {
    let plan = TilePlan::new(tree, nodes).ok()?;
    let bodies: Vec<Vec<u8>> = plan.tiles().iter().map(|tile| damaged(*tile, damage)).collect();
    let got = plan.authenticate(&bodies).ok()?.read_hashes(nodes).unwrap();
    let asked: String = plan.tiles().iter().map(|tile| tile.sumdb_path() + "\n").collect();
    Some(Answer::ok([&joined(&got), asked.as_bytes(), asked.as_bytes()]))
}

fn damaged(tile: Tile, damage: &str) -> Vec<u8> {
    assert!(tile.first() <= LARGEST);
    let mut body = body(tile);
    match damage.split_whitespace().collect::<Vec<_>>().as_slice() {
        [path, at, mask] if *path == tile.sumdb_path() => {
            body[at.parse::<usize>().unwrap()] ^= mask.parse::<u8>().unwrap()
        }
        [path, length] if *path == tile.sumdb_path() => body.resize(length.parse().unwrap(), 0),
        _ => {}
    }
    body
}
