//! The log in service: appends from many tasks, reads, restarts, shutdown.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use quipu_ledger::{Entry, Error, Ledger, MemoryStore, OpenOptions, Receipt, Room, SignedHead, Store};
use quipu_note::{SignerKey, VerifierKey};
use quipu_tlog::{Hash, leaf_hash, node_hash, parse_checkpoint, parse_tree};

const NAME: &str = "sum.example.com";

fn signer(seed: u8) -> SignerKey {
    SignerKey::from_seed(NAME.parse().unwrap(), &[seed; 32].into())
}

fn open(store: &Arc<MemoryStore>, data: &Path) -> Ledger {
    let store = Arc::clone(store) as Arc<dyn Store>;
    let mut options = OpenOptions::new(store, data, vec![signer(1), signer(2)], [7; 16]);
    options.room = Room { reserve: 4096, floor: 0 };
    Ledger::open(options).unwrap()
}

fn entry(name: &str, text: &str) -> Entry {
    let key = format!("{name} v1.0.0 ");
    Entry::new(Bytes::from(format!("{key}{text}\n")), key.len()).unwrap()
}

fn root(texts: &[Bytes]) -> Hash {
    match texts {
        [] => Hash::EMPTY_TREE,
        [one] => leaf_hash(one),
        _ => {
            let (left, right) = texts.split_at(texts.len().next_power_of_two() / 2);
            node_hash(&root(left), &root(right))
        }
    }
}

/// Both notes verify under both keys and say what the head says; the root is that of the records.
fn check_head(ledger: &Ledger) {
    let head = ledger.head();
    let known: Vec<VerifierKey> = [1, 2].map(|seed| signer(seed).verifier().clone()).to_vec();
    let sumdb = quipu_note::open(&head.notes.sumdb, &known).unwrap();
    let checkpoint = quipu_note::open(&head.notes.checkpoint, &known).unwrap();
    assert_eq!((sumdb.verified.len(), checkpoint.verified.len()), (2, 2));
    let tree = parse_tree(&sumdb.text).unwrap();
    assert_eq!(parse_checkpoint(&checkpoint.text, NAME).unwrap(), tree);
    assert_eq!((tree.size, tree.root), (head.size(), head.head.root));
    let records = ledger.records(0..head.size()).unwrap().unwrap();
    assert!(records.is_sorted_by(|a, b| a.time < b.time));
    let texts: Vec<Bytes> = records.into_iter().map(|record| record.text).collect();
    assert_eq!(root(&texts), tree.root);
}

#[tokio::test]
async fn records_are_appended_once_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(&Arc::default(), dir.path());
    assert_eq!(ledger.head().size(), 0);
    check_head(&ledger);

    let first = ledger.append(entry("a", "one")).await.unwrap();
    assert_eq!((first.index, first.head.size()), (0, 1));
    let second = ledger.append(entry("b", "two")).await.unwrap();
    assert_eq!((second.index, second.head.size()), (1, 2));
    let again = ledger.append(entry("a", "one")).await.unwrap();
    assert_eq!((again.index, again.time, again.head.size()), (0, first.time, 2));
    let Err(Error::Conflict { index, record }) = ledger.append(entry("a", "three")).await else { panic!() };
    assert_eq!((index, &record.text[..]), (0, &b"a v1.0.0 one\n"[..]));

    assert_eq!(ledger.head().size(), 2);
    let (index, record) = ledger.find(b"b v1.0.0 ").unwrap().unwrap();
    assert_eq!((index, &record.text[..]), (1, &b"b v1.0.0 two\n"[..]));
    assert_eq!(ledger.find(b"c v1.0.0 ").unwrap(), None);
    assert_eq!(ledger.records(0..3).unwrap(), None);
    assert_eq!(ledger.tile(0, 0, 2).unwrap().unwrap().len(), 64);
    for (level, n, width) in
        [(0, 0, 3), (0, 0, 0), (0, 0, 257), (0, 1, 1), (1, 0, 1), (9, 0, 1), (0, u64::MAX, 1)]
    {
        assert_eq!(ledger.tile(level, n, width).unwrap(), None);
    }
    assert_eq!(ledger.notes(1).unwrap().unwrap().size, 1);
    assert_eq!(ledger.notes(2).unwrap().unwrap(), ledger.head().notes);
    assert_eq!(ledger.notes(3).unwrap(), None);
    check_head(&ledger);
    ledger.shutdown().await;
}

#[tokio::test]
async fn a_restart_goes_on_where_the_log_was() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::default();
    let mut heads: Vec<Arc<SignedHead>> = Vec::new();
    for round in 0..5_u64 {
        let ledger = open(&store, dir.path());
        assert_eq!(ledger.head().size(), round * 100);
        let entries = (0..100).map(|n| entry(&format!("m{round}/{n}"), "x")).collect();
        let answers = ledger.append_all(entries).await;
        for (answer, index) in answers.into_iter().zip(round * 100..) {
            assert_eq!(answer.unwrap().index, index);
        }
        check_head(&ledger);
        for known in &heads {
            assert_eq!(ledger.notes(known.size()).unwrap().as_ref(), Some(&known.notes));
        }
        heads.push(ledger.head());
        ledger.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_get_one_record_each() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(&Arc::default(), dir.path());
    let tasks: Vec<_> = (0..600_u32)
        .map(|task| {
            let ledger = ledger.clone();
            tokio::spawn(async move {
                // Every key is asked for by three tasks, with the same text.
                let receipt = ledger.append(entry(&format!("m{}", task % 200), "same")).await.unwrap();
                assert!(receipt.head.size() > receipt.index);
                (task % 200, receipt)
            })
        })
        .collect();
    let mut places = BTreeMap::new();
    for task in tasks {
        let (key, receipt): (u32, Receipt) = task.await.unwrap();
        assert_eq!(*places.entry(key).or_insert(receipt.index), receipt.index);
    }
    assert_eq!(ledger.head().size(), 200);
    let indexes: BTreeSet<u64> = places.into_values().collect();
    assert_eq!(indexes.len(), 200);
    assert!(ledger.status().rounds <= 200);
    check_head(&ledger);
    ledger.shutdown().await;
}

#[tokio::test]
async fn one_batch_settles_its_own_duplicates_and_conflicts() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(&Arc::default(), dir.path());
    let batch = vec![entry("a", "1"), entry("b", "1"), entry("a", "1"), entry("a", "2"), entry("c", "1")];
    let answers = ledger.append_all(batch).await;
    let indexes: Vec<_> = answers.iter().map(|answer| answer.as_ref().map(|receipt| receipt.index)).collect();
    assert!(matches!(indexes[..], [Ok(0), Ok(1), Ok(0), Err(Error::Conflict { index: 0, .. }), Ok(2)]));
    assert_eq!(ledger.head().size(), 3);
    assert_eq!(ledger.status().last_round.unwrap().records, 3);
    ledger.shutdown().await;
}

#[tokio::test]
async fn after_a_shutdown_reads_go_on_and_appends_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::default();
    let ledger = open(&store, dir.path());
    let waiting: Vec<_> = (0..50)
        .map(|n| {
            let ledger = ledger.clone();
            tokio::spawn(async move { ledger.append(entry(&format!("m{n}"), "x")).await })
        })
        .collect();
    tokio::task::yield_now().await;
    ledger.shutdown().await;
    let mut appended = 0;
    for task in waiting {
        match task.await.unwrap() {
            Ok(_) => appended += 1,
            Err(error) => assert!(matches!(error, Error::Stopped(_)), "{error}"),
        }
    }
    assert_eq!(ledger.head().size(), appended);
    assert!(matches!(ledger.append(entry("late", "x")).await, Err(Error::Stopped(_))));
    assert!(matches!(ledger.append_all(vec![entry("late", "x")]).await[..], [Err(Error::Stopped(_))]));
    assert!(!ledger.status().can_sign());
    assert_eq!(&*ledger.stopped().await, "it was shut down");
    check_head(&ledger);
    // The locks are free again, though the handle is still there.
    let again = open(&store, dir.path());
    check_head(&again);
    again.shutdown().await;
    again.shutdown().await;
}

#[tokio::test]
async fn the_store_is_free_when_the_last_handle_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::default();
    for round in 0..20 {
        let ledger = open(&store, dir.path());
        let other = ledger.clone();
        // Not waited for: the writer is at work, or about to be, when the handles go.
        let waiting = tokio::spawn(async move { other.append(entry(&format!("m{round}"), "x")).await });
        tokio::task::yield_now().await;
        waiting.abort();
        let _ = waiting.await;
        drop(ledger);
        assert_eq!(Arc::strong_count(&store), 1, "round {round}");
    }
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (data, other) = (dir.path().join("data"), dir.path().join("other"));
    std::fs::create_dir(&data).unwrap();
    std::fs::create_dir(&other).unwrap();
    let store = Arc::default();
    let ledger = open(&store, &data);
    let refused = |data: &Path, guard: &Path| {
        let store = Arc::clone(&store) as Arc<dyn Store>;
        let mut options = OpenOptions::new(store, data, vec![signer(1)], [7; 16]);
        options.guard = guard.to_owned();
        Ledger::open(options).err().unwrap().to_string()
    };
    let guard = dir.path().join("data.guard");
    for (data, guard) in [(&data, &guard), (&data, &dir.path().join("elsewhere")), (&other, &guard)] {
        let text = refused(data, guard);
        assert!(text.contains("in use by another process"), "{text}");
    }
    ledger.shutdown().await;
}
