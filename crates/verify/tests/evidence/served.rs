//! `tile`, `tiles`, `answer` and `signature`: what was served is not signed, what it contradicts is.

use bytes::Bytes;
use quipu_module::ModuleVersion;
use quipu_note::VerifierKey;
use quipu_tlog::{Hash, Node, Tile, TilePlan};
use quipu_verify::{Evidence, EvidenceDir, Finding, Kind, NotProven, Subtree};

use crate::log::{Log, key, record};
use crate::signed::{head, reader};

const SIZE: u64 = 700;

fn keys() -> Vec<VerifierKey> {
    vec![key()]
}

fn tile(path: &str) -> Tile {
    Tile::parse_sumdb(path).unwrap()
}

fn signed(log: &Log, level: u8, index: u64) -> Subtree {
    Subtree::prove(SIZE, Node::new(level, index).unwrap(), &reader(log, SIZE)).unwrap()
}

fn flipped(body: &[u8], at: usize) -> Bytes {
    let mut body = body.to_vec();
    body[at] ^= 1;
    body.into()
}

fn prove_tile(log: &Log, path: &str, content: Bytes, signed: Subtree) -> Result<Evidence, NotProven> {
    Evidence::prove_tile(&keys(), head(log, SIZE), (tile(path), content), signed)
}

/// One piece of evidence of each kind and form.
fn samples() -> Vec<Evidence> {
    let log = Log::filler(SIZE);
    let full = flipped(&log.tile(&tile("tile/8/0/001")).unwrap(), 3000);
    let partial = flipped(&log.tile(&tile("tile/8/0/002.p/188")).unwrap(), 0);
    let other: Bytes = record("filler.test/m7", 'y').into();
    let roots = TilePlan::new(&log.tree(SIZE), &[]).unwrap();
    let mut tiles: Vec<(Tile, Bytes)> =
        roots.tiles().iter().map(|tile| (*tile, log.tile(tile).unwrap().into())).collect();
    tiles[1].1 = flipped(&tiles[1].1, 0);
    let module = ModuleVersion::parse("filler.test/M7", "v1.0.0").unwrap();
    let note = log.note(SIZE).replace("\n700\n", "\n701\n");
    [
        prove_tile(&log, "tile/8/0/001", full, signed(&log, 8, 1)),
        prove_tile(&log, "tile/8/0/002.p/188", partial, signed(&log, 0, 512)),
        prove_tile(&log, "tile/8/data/000", other.clone(), signed(&log, 0, 7)),
        Evidence::prove_tiles(&keys(), head(&log, SIZE), tiles),
        Evidence::prove_answer(&keys(), head(&log, SIZE), (module, other), signed(&log, 0, 7)),
        Evidence::prove_signature(&keys(), note.into()),
    ]
    .map(Result::unwrap)
    .to_vec()
}

#[test]
fn each_kind_says_what_it_shows_and_what_must_be_believed() {
    let sentences = [
        (Kind::Tile, "by tile/8/0/001 hash 1 of level 8 is "),
        (Kind::Tile, "by tile/8/0/002.p/188 hash 512 of level 0 is "),
        (Kind::Tile, "by tile/8/data/000 hash 7 of level 0 is "),
        (Kind::Tiles, "tile/8/1/000.p/2 tile/8/0/002.p/188 are not those of the tree of 700 records"),
        (Kind::Answer, "by lookup/filler.test/!m7@v1.0.0 hash 7 of level 0 is "),
        (Kind::Signature, "the signature of sum.example.test+bdd4f679"),
    ];
    for (evidence, (kind, part)) in samples().iter().zip(sentences) {
        let finding = evidence.check(&keys()).unwrap();
        let sentence = finding.sentence();
        assert_eq!((finding.kind(), evidence.kind()), (kind, kind));
        assert!(sentence.contains(part) && sentence.ends_with(')'), "{sentence}");
        assert!(!kind.is_signed() && sentence.contains("does not prove who"), "{sentence}");
        assert!(evidence.check(&[]).is_err());
        assert_eq!(&evidence.to_string().parse::<Evidence>().unwrap(), evidence);
    }
}

/// What was served may have been anything else; what is signed may not.
#[test]
fn what_is_signed_cannot_be_changed() {
    for evidence in samples() {
        let text = evidence.to_string();
        let Finding::Served { signed, what, tree, .. } = evidence.check(&keys()).unwrap() else { continue };
        let (served, end) = (text.find("\nserved\n").unwrap(), text.find("\nsigned\n").unwrap());
        for at in (text.find("\nhead\n").unwrap()..text.len()).filter(|at| !(served..end).contains(at)) {
            for bit in [1, 4, 32] {
                let mut changed = text.clone().into_bytes();
                changed[at] ^= bit;
                let Ok(changed) = String::from_utf8(changed) else { continue };
                let Ok(found) =
                    changed.parse::<Evidence>().map_err(drop).and_then(|e| e.check(&keys()).map_err(drop))
                else {
                    continue;
                };
                // Only where it was served may then be another place.
                let Finding::Served { signed: s, what: w, tree: t, .. } = found else { panic!("{changed}") };
                assert_eq!((s, w, t), (signed, what.clone(), tree), "byte {at} ^ {bit}\n{changed}");
                let path_ends = text.find("\nnode\n").unwrap();
                assert!(at < path_ends && at > text.find("\n\ttile/").or(text.find("\n\tlookup/")).unwrap());
            }
        }
    }
}

#[test]
fn nothing_true_is_accused() {
    let log = Log::filler(SIZE);
    let fails = |outcome: Result<Evidence, NotProven>, why: &str| {
        let text = outcome.unwrap_err().to_string();
        assert!(text.contains(why), "{text}");
    };
    let good = |path: &str| Bytes::from(log.tile(&tile(path)).unwrap());
    let bad = flipped(&good("tile/8/0/001"), 3000);
    fails(prove_tile(&log, "tile/8/0/001", good("tile/8/0/001"), signed(&log, 8, 1)), "is what the tree has");
    // The flipped entry is not below this node.
    fails(prove_tile(&log, "tile/8/0/001", bad.clone(), signed(&log, 0, 256)), "is what the tree has");
    fails(prove_tile(&log, "tile/8/0/001", bad.clone(), signed(&log, 8, 0)), "says nothing about");
    fails(prove_tile(&log, "tile/8/0/001", bad.slice(32..), signed(&log, 8, 1)), "says nothing about");
    fails(prove_tile(&log, "tile/8/data/001", bad.clone(), signed(&log, 0, 257)), "says nothing about");
    let mut forged = signed(&log, 8, 1);
    forged.hash = Hash::EMPTY_TREE;
    fails(prove_tile(&log, "tile/8/0/001", good("tile/8/0/001"), forged), "is not shown to have");

    let roots = TilePlan::new(&log.tree(SIZE), &[]).unwrap();
    let tiles: Vec<_> =
        roots.tiles().iter().map(|tile| (*tile, Bytes::from(log.tile(tile).unwrap()))).collect();
    let prove = |tiles| Evidence::prove_tiles(&keys(), head(&log, SIZE), tiles);
    fails(prove(tiles.clone()), "add up to the tree");
    fails(prove(tiles[1..].to_vec()), "not the tiles that the root is made of");
    fails(prove(vec![tiles[0].clone(), (tiles[1].0, tiles[1].1.slice(32..))]), "has 5984 bytes");

    let note = log.note(SIZE);
    let of_other = note.replace("— sum.example.test", "— sum.other.test");
    fails(Evidence::prove_signature(&keys(), note.into()), "the signature is good");
    fails(Evidence::prove_signature(&keys(), of_other.into()), "no verifiable signatures");
    fails(Evidence::prove_signature(&keys(), Bytes::from_static(b"x\n")), "malformed note");
}

/// Whoever is in the way could make such evidence without end; what is proven finds room all the same.
#[test]
fn a_directory_does_not_grow_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let (kept, log) = (EvidenceDir::new(dir.path()), Log::filler(SIZE));
    let answer = |i: u64| {
        let module = ModuleVersion::parse("filler.test/m7", "v1.0.0").unwrap();
        let served = (module, Bytes::from(record(&format!("evil.test/m{i}"), 'y')));
        Evidence::prove_answer(&keys(), head(&log, SIZE), served, signed(&log, 0, 7)).unwrap()
    };
    for i in 0..100 {
        kept.put(&answer(i)).unwrap();
    }
    assert!(!kept.put(&answer(5)).unwrap().is_new, "it is there already");
    assert!(kept.put(&answer(100)).unwrap_err().to_string().contains("100 files"));
    let bad = Log::new(["example.test/m v1.0.0 h1:x\n".to_owned()]);
    let leaf = quipu_verify::Leaf { index: 0, text: bad.records[0].clone().into(), proof: Vec::new() };
    let proof = Evidence::prove_record(&keys(), head(&bad, 1), leaf).unwrap();
    let kept = kept.put(&proof).unwrap();
    assert!(kept.is_new);
    assert_eq!(std::fs::read_to_string(kept.file).unwrap(), proof.to_string());
}
