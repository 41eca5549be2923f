//! Whatever is changed in whatever is served: the client says the truth or nothing.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use proptest::prelude::*;
use quipu_tlog::Tile;
use quipu_verify::{Error, MemoryState};

use crate::log::Log;
use crate::server::{Server, client, filler};

static LOG: LazyLock<Arc<Log>> = LazyLock::new(|| Arc::new(Log::filler(66_000)));

/// A change to a body: at a place some bytes go and others come.
#[derive(Clone, Debug)]
struct Change {
    at: prop::sample::Index,
    remove: usize,
    insert: Vec<u8>,
}

impl Change {
    fn apply(&self, body: &Bytes) -> Bytes {
        let at = self.at.index(body.len() + 1);
        let rest = body.get(at + self.remove..).unwrap_or_default();
        [&body[..at], &self.insert, rest].concat().into()
    }
}

fn change() -> impl Strategy<Value = Change> {
    let insert = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..3),
        prop::sample::select(vec![&b"\n"[..], b"\n\n", b"0", b" ", b"\r", b"=", b"\xe2\x80\x94 "])
            .prop_map(<[u8]>::to_vec),
    ];
    (any::<prop::sample::Index>(), 0..3_usize, insert).prop_map(|(at, remove, insert)| Change {
        at,
        remove,
        insert,
    })
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lookups_give_the_record_or_an_error(
        size in prop_oneof![1..100_u64, 250..260_u64, 500..1100_u64, 65_500..66_000_u64],
        record: prop::sample::Index,
        changes in prop::collection::vec((any::<prop::sample::Index>(), change()), 1..4),
    ) {
        let wanted = record.index(usize::try_from(size).unwrap()) as u64;
        let lie = move |path: &str, honest: Result<Bytes, _>| {
            // Each change hits one of the handful of requests that a lookup makes, by a hash of its path.
            let bucket = path.bytes().fold(7_usize, |sum, b| sum.wrapping_mul(31).wrapping_add(b.into())) % 5;
            let mine = changes.iter().filter(|(index, _)| index.index(5) == bucket);
            honest.map(|body| mine.fold(body, |body, (_, change)| change.apply(&body)))
        };
        let server = Arc::new(Server::lying(LOG.clone(), lie).at(size));
        let client = client(&server, &Arc::new(MemoryState::new()));
        match block_on(client.lookup(&filler(wanted))) {
            Ok(verified) => {
                prop_assert_eq!(verified.id, wanted);
                prop_assert_eq!(verified.record.text(), &LOG.records[usize::try_from(wanted).unwrap()]);
                prop_assert_eq!(verified.head.tree(), LOG.tree(size));
            }
            // All signatures that can be served here are of one history.
            Err(Error::Misbehaved(evidence)) => panic!("a forged fork: {evidence}"),
            Err(_) => {}
        }
    }

    #[test]
    fn tiles_are_handed_on_as_they_are_in_the_log_or_not_at_all(
        size in prop_oneof![1..100_u64, 250..260_u64, 500..1100_u64, 65_500..66_000_u64],
        path in prop_oneof!["tile/8/[01]/00[0-4](\\.p/[1-9][0-9]?)?", "tile/8/(data|0|1)/(000|001|255|256|257)(\\.p/[1-9])?"],
        change in change(),
        only: bool,
    ) {
        let tile = Tile::parse_sumdb(&path).unwrap();
        let lie = move |asked: &str, honest: Result<Bytes, _>| {
            let hit = asked[1..] == *path || !only && asked.starts_with("/tile/");
            honest.map(|body| if hit { change.apply(&body) } else { body })
        };
        let server = Arc::new(Server::lying(LOG.clone(), lie).at(size));
        let client = client(&server, &Arc::new(MemoryState::new()));
        match block_on(client.tile(tile)) {
            Ok(body) => {
                let honest = LOG.tile(&tile).unwrap();
                // A data tile may also end in an empty line.
                prop_assert!(body == honest || body == [&honest[..], b"\n"].concat());
                prop_assert!(tile.is_in(size));
            }
            Err(Error::NotFound(_)) => prop_assert!(!tile.is_in(size)),
            Err(_) => {}
        }
    }
}
