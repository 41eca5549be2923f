//! Proofs of a whole go.sum.

use std::sync::Arc;

use quipu_module::{SumKind, SumLine};
use quipu_tlog::records_nodes;
use quipu_verify::proof::GoSumProof;
use quipu_verify::{Error, MemoryState};

use crate::log::{Log, key, record};
use crate::server::{Server, client, filler, kind};
use crate::{lines, proven};

async fn made(size: u64, ids: &[u64]) -> GoSumProof {
    let log = Log::filler(size);
    let lines = lines(&log, ids);
    GoSumProof::new(&proven(log, ids).await, &lines, &[key()]).unwrap()
}

#[tokio::test]
async fn a_proof_proves_its_lines_and_no_others() {
    for (size, ids) in [
        (1, &[0][..]),
        (2, &[1]),
        (7, &[0, 1, 2, 3, 4, 5, 6]),
        (100, &[0, 3, 50, 99]),
        (300, &[5, 255, 256, 299]),
        (70_000, &[6, 65_535, 65_536, 69_999]),
    ] {
        let proof = made(size, ids).await;
        let (log, text) = (Log::filler(size), proof.to_string());
        let read: GoSumProof = text.parse().unwrap();
        assert_eq!(read, proof);
        let proven = read.check(&[key()]).unwrap();
        assert_eq!(proven.tree(), log.tree(size));
        assert_eq!(proven.lines(), lines(&log, ids), "{size}");
        assert_eq!(read.records(), ids.len());
        for id in 0..size.min(100) {
            let both: Vec<SumLine> =
                log.records[usize::try_from(id).unwrap()].lines().map(|line| line.parse().unwrap()).collect();
            let expected = |i: usize| ids.contains(&id).then(|| both[i].hash);
            assert_eq!(proven.hash(&filler(id), SumKind::Zip), expected(0));
            assert_eq!(proven.hash(&filler(id), SumKind::GoMod), expected(1));
        }
    }
}

/// Every record and every hash once, and no hash that follows from others.
#[tokio::test]
async fn a_proof_is_as_short_as_it_can_be() {
    let ids: Vec<u64> = (1000..1500).collect();
    let text = made(70_000, &ids).await.to_string();
    let hashes = text.split_once("\nproof\n").unwrap().1.lines().count();
    // The 500 records are side by side: what stands beside them are the edges of the range and the way up.
    assert!(hashes <= records_nodes(70_000, &ids).unwrap().len() && hashes < 20, "{hashes}");
    assert_eq!(text.matches("\nrecord\n").count(), 500);
    assert!(text.len() < 500 * 190, "{}", text.len());
}

#[tokio::test]
async fn any_bit_changed_and_it_proves_nothing() {
    let text = made(300, &[6, 7, 256]).await.to_string();
    for at in 0..text.len() {
        for bit in 0..7 {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1 << bit;
            let Ok(changed) = String::from_utf8(changed) else { continue };
            let Ok(parsed) = changed.parse::<GoSumProof>() else { continue };
            assert!(parsed.check(&[key()]).is_err(), "byte {at}, bit {bit}\n{changed}");
        }
    }
}

#[tokio::test]
async fn lines_left_out_doubled_or_exchanged_prove_nothing() {
    let text = made(300, &[6, 7, 256]).await.to_string();
    let lines: Vec<&str> = text.lines().collect();
    let proves = |lines: &[&str]| {
        let text = lines.join("\n") + "\n";
        text.parse::<GoSumProof>().is_ok_and(|proof| proof.check(&[key()]).is_ok())
    };
    assert!(proves(&lines));
    for at in 0..lines.len() {
        assert!(!proves(&[&lines[..at], &lines[at + 1..]].concat()), "without line {at}");
        assert!(!proves(&[&lines[..at], &[""], &lines[at..]].concat()), "blank line at {at}");
        assert!(!proves(&[&lines[..=at], &lines[at..]].concat()), "line {at} twice");
        for other in at + 1..lines.len() {
            let mut exchanged = lines.clone();
            exchanged.swap(at, other);
            assert!(lines[at] == lines[other] || !proves(&exchanged), "lines {at} and {other} exchanged");
        }
    }
    assert!(text.replace('\n', "\r\n").parse::<GoSumProof>().is_err());
    assert!(text.trim_end().parse::<GoSumProof>().is_err());
}

#[tokio::test]
async fn the_key_comes_from_elsewhere() {
    let proof = made(7, &[0]).await;
    let other = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8".parse().unwrap();
    for keys in [vec![], vec![other]] {
        let error = proof.check(&keys).unwrap_err().to_string();
        assert!(error.contains("no verifiable signatures"), "{error}");
    }
    assert!(!proof.to_string().contains(&key().to_string()));
}

#[tokio::test]
async fn a_line_that_the_log_contradicts_is_not_proven() {
    let log = Log::filler(7);
    let proven = proven(log.clone(), &[0, 3]).await;
    let good = lines(&log, &[0, 3]);
    let refused = |lines: &[SumLine]| GoSumProof::new(&proven, lines, &[key()]).unwrap_err().to_string();
    let other: SumLine = record("filler.test/m0", 'y').lines().next().unwrap().parse().unwrap();
    let error = refused(&[&good[1..], &[other]].concat());
    assert!(error.contains("the log has h1:"), "{error}");
    let unknown: SumLine = record("filler.test/m9", 'z').lines().next().unwrap().parse().unwrap();
    assert!(refused(&[&good[..], &[unknown]].concat()).contains("no record of it"));
    assert!(refused(&good[..1]).contains("is not wanted"));
}

#[tokio::test]
async fn nothing_is_proven_without_records_or_beyond_the_log() {
    let server = Arc::new(Server::honest(Log::filler(7)));
    let client = client(&server, &Arc::new(MemoryState::new()));
    assert_eq!(kind(client.prove(&[]).await), "unproven");
    assert_eq!(kind(client.prove(&[filler(3), filler(7)]).await), "not found");
    let twice = client.prove(&[filler(3), filler(3)]).await.unwrap();
    assert_eq!(twice.records.len(), 1);
}

/// The records were found under heads of several sizes; the proof is under one.
#[tokio::test]
async fn one_head_for_all() {
    let log = Log::filler(300);
    let state = Arc::new(MemoryState::new());
    for (size, id) in [(100, 1), (200, 150), (300, 299)] {
        let client = client(&Arc::new(Server::honest(log.clone()).at(size)), &state);
        client.lookup(&filler(id)).await.unwrap();
    }
    let away = Server::lying(log.clone(), |path, honest| {
        if path.starts_with("/tile") { honest } else { panic!("asked for {path}") }
    });
    let client = client(&Arc::new(away), &state);
    let ids = [1, 150, 299];
    let proven = client.prove(&ids.map(filler)).await.unwrap();
    assert_eq!(proven.head.size(), 300);
    let proof = GoSumProof::new(&proven, &lines(&log, &ids), &[key()]).unwrap();
    assert_eq!(proof.check(&[key()]).unwrap().tree(), log.tree(300));
}

#[tokio::test]
async fn false_tiles_make_no_proof() {
    let lie = |path: &str, honest: crate::server::Answer| {
        let mut body = honest?.to_vec();
        if path.starts_with("/tile/8/0/000") {
            body[40] ^= 1;
        }
        Ok(body.into())
    };
    let client = client(&Arc::new(Server::lying(Log::filler(300), lie)), &Arc::new(MemoryState::new()));
    let outcome = client.prove(&[filler(5), filler(299)]).await;
    assert!(matches!(&outcome, Err(Error::Unproven(failure)) if failure.evidence().is_some()), "{outcome:?}");
}
