//! Starts on a real file system: each ends in service, or in a refusal that says what happened and what to do.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use quipu_ledger::{
    CommitError, Entry, Guarded, Head, Ledger, MemoryStore, Most, Notes, OpenError, OpenOptions, ReadError,
    RealDisk, Record, Room, Round, State, Store, Vouch, build, default_guard,
};
use quipu_note::SignerKey;
use tempfile::TempDir;

struct Case {
    dir: TempDir,
    store: Arc<MemoryStore>,
}

impl Case {
    /// A log of five records in two rounds, shut down.
    async fn new() -> Self {
        let case = Self { dir: TempDir::new().unwrap(), store: Arc::default() };
        std::fs::create_dir(case.data()).unwrap();
        let ledger = case.open().unwrap();
        for range in [0..2, 2..5] {
            ledger.append_all(range.map(entry).collect()).await;
        }
        ledger.shutdown().await;
        case
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn guard(&self) -> PathBuf {
        self.dir.path().join("data.guard")
    }

    fn options(&self) -> OpenOptions {
        options(Arc::clone(&self.store) as Arc<dyn Store>, &self.data())
    }

    fn open(&self) -> Result<Ledger, OpenError> {
        Ledger::open(self.options())
    }

    fn vouch(&self, vouch: Vouch) -> Result<Ledger, OpenError> {
        Ledger::open(OpenOptions { vouch, ..self.options() })
    }

    /// The guard as it is now, to be put back later under its own number.
    fn keep_guard(&self) -> PathBuf {
        let kept = self.dir.path().join("kept");
        std::fs::rename(self.guard(), &kept).unwrap();
        std::fs::copy(&kept, self.guard()).unwrap();
        kept
    }
}

fn options(store: Arc<dyn Store>, data: &Path) -> OpenOptions {
    let mut options = OpenOptions::new(store, data, vec![signer("sum.example.com", 1)], [3; 16]);
    options.room = Room { reserve: 4096, floor: 0 };
    options
}

fn signer(name: &str, seed: u8) -> SignerKey {
    SignerKey::from_seed(name.parse().unwrap(), &[seed; 32].into())
}

fn entry(n: u32) -> Entry {
    let key = format!("m{n} ");
    Entry::new(Bytes::from(format!("{key}text\n")), key.len()).unwrap()
}

/// The refusal, whose text must name all of these.
fn refusal(opened: Result<Ledger, OpenError>, names: &[&str]) -> OpenError {
    let refusal = opened.err().unwrap();
    let text = refusal.to_string();
    for name in names {
        assert!(text.contains(name), "{name} is not in: {text}");
    }
    refusal
}

async fn in_service(opened: Result<Ledger, OpenError>, size: u64) {
    let ledger = opened.unwrap();
    assert_eq!(ledger.head().size(), size);
    ledger.append(entry(0)).await.unwrap();
    ledger.shutdown().await;
}

#[tokio::test]
async fn a_clean_start_goes_on() {
    let case = Case::new().await;
    for _ in 0..3 {
        in_service(case.open(), 5).await;
    }
    // The guard's lock and the files in the data directory are all there is.
    assert!(case.guard().exists() && case.data().join("ledger.id").exists());
    assert!(!case.dir.path().join("data.guard.new").exists());
}

#[test]
fn the_guard_lies_beside_the_data_directory() {
    for data in ["/srv/quipu", "/srv/quipu/", "/srv/./quipu//"] {
        assert_eq!(default_guard(Path::new(data)), Path::new("/srv/quipu.guard"));
    }
    assert_eq!(default_guard(Path::new("./quipu-data")), Path::new("./quipu-data.guard"));
}

#[tokio::test]
async fn a_guard_without_its_store_is_refused() {
    let case = Case::new().await;
    let empty = Case { store: Arc::default(), ..case };
    let refused = refusal(empty.open(), &["5 records", "holds no log", "quipu restore", "data.guard"]);
    assert!(matches!(refused, OpenError::GuardWithoutStore { size: 5, .. }));
    // Not even an operator's word makes a new log under an old guard.
    refusal(empty.vouch(Vouch::Moved), &["holds no log"]);
    refusal(empty.vouch(Vouch::NewGuard), &["there is a guard"]);
}

#[tokio::test]
async fn a_store_without_its_guard_is_refused_until_an_operator_vouches() {
    let case = Case::new().await;
    std::fs::remove_file(case.guard()).unwrap();
    let refused = refusal(case.open(), &["no guard", "--guard", "quipu restore --new-guard"]);
    assert!(matches!(refused, OpenError::StoreWithoutGuard { size: 5, .. }));
    refusal(case.vouch(Vouch::Moved), &["no guard"]);
    in_service(case.vouch(Vouch::NewGuard), 5).await;
    in_service(case.open(), 5).await;
}

#[tokio::test]
async fn a_store_behind_its_guard_is_refused() {
    let case = Case::new().await;
    let kept = case.keep_guard();
    // The same founding and the same first records, but fewer of them.
    let shorter = shortened(&case.store, 2);
    let older = Case { store: shorter, ..case };
    std::fs::rename(kept, older.guard()).unwrap();
    let refused = refusal(older.open(), &["ends at record 2", "head of 5", "quipu restore", "quipu fsck"]);
    assert!(matches!(refused, OpenError::Behind { guarded: 5, stored: 2, .. }));
    refusal(older.vouch(Vouch::Moved), &["ends at record 2"]);
}

/// The first records of a store, as a backup would have them.
fn shortened(store: &MemoryStore, size: u64) -> Arc<MemoryStore> {
    let short = MemoryStore::new();
    let mut state = State::founded(0);
    let round = Round { records: vec![], tiles: vec![], head: *state.head(), notes: vec![] };
    short.commit(0, &round).unwrap();
    for (record, index) in store.records(0..size).unwrap().into_iter().zip(0..) {
        let (round, next) = build(&state, vec![Entry::new(record.text, 3).unwrap()], record.time).unwrap();
        short.commit(index, &round).unwrap();
        state = next;
    }
    Arc::new(short)
}

#[tokio::test]
async fn a_restored_log_of_the_guarded_size_is_taken_over_when_an_operator_vouches() {
    let case = Case::new().await;
    let restored = Case { store: shortened(&case.store, 5), ..case };
    std::fs::remove_file(restored.data().join("ledger.id")).unwrap();
    let refused = refusal(restored.open(), &["ledger.id is missing", "quipu restore --moved"]);
    assert!(matches!(refused, OpenError::Copied { .. }));
    in_service(restored.vouch(Vouch::Moved), 5).await;
    in_service(restored.open(), 5).await;
}

#[tokio::test]
async fn another_tree_of_the_same_size_is_refused() {
    let case = Case::new().await;
    let other = MemoryStore::new();
    let state = State::founded(0);
    let round = Round { records: vec![], tiles: vec![], head: *state.head(), notes: vec![] };
    other.commit(0, &round).unwrap();
    let (round, _) = build(&state, (10..15).map(entry).collect(), 0).unwrap();
    other.commit(0, &round).unwrap();
    let other = Case { store: Arc::new(other), ..case };
    let refused = refusal(other.open(), &["two different logs", "--data"]);
    assert!(matches!(refused, OpenError::Forked { size: 5, .. }));
    refusal(other.vouch(Vouch::Moved), &["two different logs"]);
}

/// Appends one record and leaves the guard as it was before.
async fn append_unguarded(case: &Case, n: u32) {
    let kept = case.dir.path().join(format!("kept{n}"));
    std::fs::copy(case.guard(), &kept).unwrap();
    let ledger = case.open().unwrap();
    ledger.append(entry(n)).await.unwrap();
    ledger.shutdown().await;
    put_guard(case, &kept);
}

/// Puts a guard's bytes into the guard file without making it a copy: its number is written anew.
fn put_guard(case: &Case, bytes: &Path) {
    std::fs::copy(bytes, case.guard()).unwrap();
}

#[tokio::test]
async fn one_unsigned_round_is_signed_at_the_start_and_more_is_refused() {
    let case = Case::new().await;
    append_unguarded(&case, 5).await;
    // The guard is older than the store now, by one round; it is a copy too, which only an operator may overlook.
    refusal(case.open(), &["is a copy"]);
    in_service(case.vouch(Vouch::Moved), 6).await;
    assert_eq!(Guarded::read(&RealDisk, &case.guard()).unwrap().unwrap().head.size, 6);
    in_service(case.open(), 6).await;

    let old = case.dir.path().join("old");
    std::fs::copy(case.guard(), &old).unwrap();
    let ledger = case.open().unwrap();
    ledger.append(entry(6)).await.unwrap();
    ledger.append(entry(7)).await.unwrap();
    ledger.shutdown().await;
    put_guard(&case, &old);
    let refused =
        refusal(case.vouch(Vouch::Moved), &["8 records", "signed head of 7", "guarded head of 6", "--guard"]);
    assert!(matches!(refused, OpenError::TooFarAhead { guarded: 6, stored: 8, .. }));
}

#[tokio::test]
async fn another_name_or_key_is_refused_and_an_additional_key_is_taken() {
    let case = Case::new().await;
    let with = |signers: Vec<SignerKey>| Ledger::open(OpenOptions { signers, ..case.options() });
    let refused =
        refusal(with(vec![signer("sum.other.com", 1)]), &["sum.other.com", "sum.example.com", "--name"]);
    assert!(matches!(refused, OpenError::OtherLog { .. }));
    refusal(with(vec![signer("sum.example.com", 2)]), &["its key is", "--key"]);
    refusal(with(vec![]), &["no signer"]);
    refusal(with(vec![signer("sum.example.com", 1), signer("sum.other.com", 2)]), &["two logs"]);
    // Rotation: old and new together, then the new one alone.
    in_service(with(vec![signer("sum.example.com", 1), signer("sum.example.com", 2)]), 5).await;
    in_service(with(vec![signer("sum.example.com", 2)]), 5).await;
    refusal(with(vec![signer("sum.example.com", 1)]), &["its key is"]);
}

#[tokio::test]
async fn a_copied_data_directory_or_guard_is_refused() {
    let case = Case::new().await;
    // `cp -r data copy; cp data.guard copy.guard`, then a start on the copy.
    let copy = case.dir.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    std::fs::copy(case.data().join("ledger.id"), copy.join("ledger.id")).unwrap();
    std::fs::copy(case.guard(), case.dir.path().join("copy.guard")).unwrap();
    let store = || Arc::clone(&case.store) as Arc<dyn Store>;
    let refused =
        refusal(Ledger::open(options(store(), &copy)), &["ledger.id is a copy", "quipu restore --moved"]);
    assert!(matches!(refused, OpenError::Copied { .. }));
    // The guard alone.
    let guard = case.dir.path().join("copy.guard");
    let refused = refusal(Ledger::open(OpenOptions { guard, ..case.options() }), &["copy.guard is a copy"]);
    assert!(matches!(refused, OpenError::Copied { .. }));
    // A directory that was only renamed is the original.
    std::fs::rename(case.data(), case.dir.path().join("renamed")).unwrap();
    std::fs::rename(case.guard(), case.dir.path().join("renamed.guard")).unwrap();
    in_service(Ledger::open(options(store(), &case.dir.path().join("renamed"))), 5).await;
}

#[tokio::test]
async fn guard_and_data_of_two_foundings_do_not_go_together() {
    let case = Case::new().await;
    let other = Case { dir: TempDir::new().unwrap(), store: Arc::default() };
    std::fs::create_dir(other.data()).unwrap();
    in_service(Ledger::open(OpenOptions { random: [4; 16], ..other.options() }), 0).await;
    let mixed = Ledger::open(OpenOptions { guard: other.guard(), ..case.options() });
    assert!(matches!(refusal(mixed, &["it was founded as"]), OpenError::OtherLog { .. }));
}

#[tokio::test]
async fn damaged_guards_and_identities_are_refused() {
    let case = Case::new().await;
    for (file, name) in [(case.guard(), "data.guard"), (case.data().join("ledger.id"), "ledger.id")] {
        let intact = std::fs::read(&file).unwrap();
        let mut bytes = intact.clone();
        bytes[30] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let refused = refusal(case.open(), &[name, "damaged", "--new-guard"]);
        assert!(matches!(refused, OpenError::GuardDamaged { .. }));
        std::fs::write(&file, intact).unwrap();
    }
    in_service(case.open(), 5).await;
    let missing = OpenOptions { guard: case.dir.path().join("none/guard"), ..case.options() };
    assert!(matches!(refusal(Ledger::open(missing), &["none/guard"]), OpenError::Io { .. }));
}

/// A store in which one answer is not what was written.
struct Rotten {
    store: Arc<MemoryStore>,
    rot: Rot,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rot {
    Tile,
    ShortTile,
    NoTile,
    Text,
    Time,
    Root,
    Unreadable,
}

impl Store for Rotten {
    fn head(&self) -> Result<Option<Head>, ReadError> {
        let mut head = self.store.head()?;
        if let (Rot::Root, Some(head)) = (self.rot, &mut head) {
            head.size += 1;
        }
        Ok(head)
    }

    fn commit(&self, expected: u64, round: &Round) -> Result<(), CommitError> {
        self.store.commit(expected, round)
    }

    fn find(&self, key: &[u8]) -> Result<Option<(u64, Record)>, ReadError> {
        self.store.find(key)
    }

    fn records(&self, range: Range<u64>) -> Result<Vec<Record>, ReadError> {
        let mut records = self.store.records(range)?;
        if let Some(record) = records.last_mut() {
            match self.rot {
                Rot::Text => record.text = Bytes::from_static(b"m4 other\n"),
                Rot::Time => record.time = 0,
                _ => {}
            }
        }
        Ok(records)
    }

    fn group(&self, group: &[u8], range: Range<u64>, most: Most) -> Result<Vec<(u64, Record)>, ReadError> {
        self.store.group(group, range, most)
    }

    fn tile(&self, level: u8, n: u64) -> Result<Option<Bytes>, ReadError> {
        let tile = self.store.tile(level, n)?;
        Ok(match self.rot {
            Rot::Unreadable => return Err(ReadError::Io("bad sector".to_owned())),
            Rot::NoTile => None,
            Rot::ShortTile => tile.map(|tile| tile.slice(..tile.len() - 1)),
            Rot::Tile => tile.map(|tile| {
                let mut bytes = tile.to_vec();
                bytes[40] ^= 1;
                Bytes::from(bytes)
            }),
            _ => tile,
        })
    }

    fn notes(&self, size: u64) -> Result<Option<Notes>, ReadError> {
        self.store.notes(size)
    }
}

#[tokio::test]
async fn a_damaged_store_is_not_opened() {
    let case = Case::new().await;
    for rot in [Rot::Tile, Rot::ShortTile, Rot::NoTile, Rot::Text, Rot::Time, Rot::Root] {
        let store = Arc::new(Rotten { store: Arc::clone(&case.store), rot }) as Arc<dyn Store>;
        let refused = refusal(Ledger::open(options(store, &case.data())), &[]);
        let text = refused.to_string();
        let right = match refused {
            OpenError::StoreDamaged { .. } => text.contains("quipu fsck"),
            // A size without the notes that its round must have.
            OpenError::TooFarAhead { .. } => rot == Rot::Root,
            _ => false,
        };
        assert!(right, "{text}");
    }
    let store = Arc::new(Rotten { store: Arc::clone(&case.store), rot: Rot::Unreadable }) as Arc<dyn Store>;
    let refused = refusal(Ledger::open(options(store, &case.data())), &["bad sector", "start again"]);
    assert!(matches!(refused, OpenError::Io { .. }));
    in_service(case.open(), 5).await;
}
