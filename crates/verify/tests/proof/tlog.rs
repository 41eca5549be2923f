//! Proofs of single records, in the form of C2SP tlog-proof.

use quipu_module::Record;
use quipu_tlog::{Hash, check_inclusion, format_checkpoint, leaf_hash};
use quipu_verify::proof::TlogProof;

use crate::log::{Log, key, record, signed};
use crate::proven;

async fn made(size: u64, id: u64) -> TlogProof {
    TlogProof::new(&proven(Log::filler(size), &[id]).await, &[key()]).unwrap()
}

fn without_extra(text: &str) -> String {
    let kept: Vec<&str> = text.split_inclusive('\n').filter(|line| !line.starts_with("extra ")).collect();
    kept.concat()
}

#[tokio::test]
async fn it_holds_the_audit_path_of_the_record() {
    for (size, id) in [(1, 0), (7, 3), (300, 256), (70_000, 5)] {
        let text = made(size, id).await.to_string();
        let mut lines = text.lines();
        assert_eq!(lines.next().unwrap(), "c2sp.org/tlog-proof@v1");
        assert!(lines.next().unwrap().starts_with("extra "));
        assert_eq!(lines.next().unwrap(), format!("index {id}"));
        let path: Vec<Hash> =
            lines.take_while(|line| !line.is_empty()).map(|line| line.parse().unwrap()).collect();
        let (log, leaf) =
            (Log::filler(size), leaf_hash(record(&format!("filler.test/m{id}"), 'z').as_bytes()));
        assert_eq!(check_inclusion(&path, &log.tree(size), id, &leaf), Ok(()));
        assert!(text.ends_with(&format!("\n\n{}", log.note(size))));

        let read: TlogProof = text.parse().unwrap();
        assert_eq!(read.index(), id);
        let proven = read.check(&[key()], &[]).unwrap();
        let lines: Vec<String> = proven.lines().iter().map(ToString::to_string).collect();
        assert_eq!(lines.join("\n") + "\n", record(&format!("filler.test/m{id}"), 'z'));
        assert_eq!(proven.tree(), log.tree(size));
    }
}

#[tokio::test]
async fn the_record_may_come_from_elsewhere() {
    let text = without_extra(&made(300, 7).await.to_string());
    let proof: TlogProof = text.parse().unwrap();
    let candidates: Vec<Record> =
        Log::filler(10).records.iter().map(|record| record.parse().unwrap()).collect();
    assert_eq!(
        proof.check(&[key()], &candidates).unwrap().lines()[0],
        candidates[7].line(quipu_module::SumKind::Zip)
    );
    let error = proof.check(&[key()], &candidates[..7]).unwrap_err().to_string();
    assert!(error.contains("is not shown to be in the tree"), "{error}");
    assert!(proof.check(&[key()], &[]).unwrap_err().to_string().contains("name a go.sum"));
}

/// A log's other note of the same tree: origin and key have the log's name.
#[tokio::test]
async fn checkpoints_are_read_too() {
    let log = Log::filler(300);
    let text = made(300, 7).await.to_string();
    let with_origin = |origin: &str| {
        let checkpoint = signed(&format_checkpoint(origin, &log.tree(300)));
        text.replace(&log.note(300), &checkpoint).parse::<TlogProof>().unwrap().check(&[key()], &[])
    };
    assert_eq!(with_origin("sum.example.test").unwrap().tree(), log.tree(300));
    assert_eq!(with_origin("go.sum database tree").unwrap().tree(), log.tree(300));
    assert!(with_origin("sum.other.test").unwrap_err().to_string().contains("malformed tree note"));
}

#[tokio::test]
async fn any_bit_changed_and_it_proves_nothing() {
    let good = made(300, 7).await.to_string();
    for text in [good.clone(), without_extra(&good)] {
        let candidates = [record("filler.test/m7", 'z').parse().unwrap()];
        let candidates = if text == good { &[][..] } else { &candidates[..] };
        assert!(text.parse::<TlogProof>().unwrap().check(&[key()], candidates).is_ok());
        for at in 0..text.len() {
            for bit in 0..7 {
                let mut changed = text.clone().into_bytes();
                changed[at] ^= 1 << bit;
                let Ok(changed) = String::from_utf8(changed) else { continue };
                let Ok(parsed) = changed.parse::<TlogProof>() else { continue };
                assert!(parsed.check(&[key()], candidates).is_err(), "byte {at}, bit {bit}\n{changed}");
            }
        }
    }
}

#[tokio::test]
async fn other_spellings_are_malformed() {
    let text = made(7, 3).await.to_string();
    for changed in [
        text.replace("index 3", "index 03"),
        text.replace("index 3", "index +3"),
        text.replace("index 3", "index -3"),
        text.replace("index 3", "index  3"),
        text.replace("index 3\n", ""),
        text.replace("@v1", "@v2"),
        text.replace("@v1", "@v1 "),
        text.replace("extra ", "extra  "),
        text.replace("extra ", "extra ====="),
        text.replace("=\n\n", "=\n\n\n"),
        text.replace('\n', "\r\n"),
        text.split_once("\n\n").unwrap().0.to_owned(),
        String::new(),
    ] {
        assert_ne!(changed, text);
        let proven = changed.parse::<TlogProof>().is_ok_and(|proof| proof.check(&[key()], &[]).is_ok());
        assert!(!proven, "{changed}");
    }
    let two = proven(Log::filler(7), &[1, 2]).await;
    assert!(TlogProof::new(&two, &[key()]).unwrap_err().to_string().contains("exactly one record"));
}
