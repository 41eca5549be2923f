//! The suite that every implementation of [`Storage`] must pass; [`run`] panics at the first failure.
//!
//! What it cannot show is durability against a power cut; that is for a test of the implementation.
#![expect(clippy::expect_used, reason = "a suite fails by panicking")]

use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Entry, Name, Placed, Storage};

/// Runs every case, each in a fresh place. `open` opens the storage of a place: empty the first time, afterwards with all that
/// was left there. It is not called while an earlier one is still in use.
pub fn run<P>(fresh: impl Fn() -> P, open: impl Fn(&P) -> Arc<dyn Storage>) {
    let cases: [fn(Open<'_>); 11] = [
        what_is_not_there_is_absent,
        drafts_become_files,
        drafts_start_over,
        names_are_taken_once,
        files_get_other_names,
        files_have_two_names,
        what_is_removed_is_gone_and_readers_read_on,
        directories_list_what_lies_in_them,
        times_are_kept,
        what_was_left_is_there_again,
        readers_see_whole_files,
    ];
    for case in cases {
        let place = fresh();
        case(&|| open(&place));
    }
}

type Open<'a> = &'a dyn Fn() -> Arc<dyn Storage>;

fn what_is_not_there_is_absent(open: Open<'_>) {
    let storage = open();
    for name in ["a", "a/b", ".staging/7.part", "example.com/!big/@v/v1.0.0.zip"].map(name) {
        assert!(storage.open(&name).expect("open").is_none());
        assert_eq!(storage.inspect(&name).expect("inspect"), None);
        assert_eq!(storage.list(Some(&name)).expect("list"), []);
        storage.remove(&name).expect("removing nothing");
        let there = self::name("there");
        for error in [
            storage.place(&name, &there).map(drop),
            storage.replace(&name, &there),
            storage.link(&name, &there),
            storage.set_modified(&name, 1),
        ] {
            assert_eq!(error.expect_err("no such file").kind(), ErrorKind::NotFound);
        }
        assert!(storage.open(&there).expect("open").is_none());
    }
    storage.free().expect("free");
}

fn drafts_become_files(open: Open<'_>) {
    let storage = open();
    let large: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    for (at, pieces) in
        [("empty", vec![]), ("one", vec![&b"a"[..]]), ("d/large", large.chunks(777).collect())]
    {
        let whole = pieces.concat();
        let mut draft = storage.create(&name(at)).expect("create");
        for piece in pieces {
            draft.write(piece).expect("write");
        }
        draft.sync().expect("sync");
        draft.finish().expect("finish");
        storage.sync(name(at).directory().as_ref()).expect("sync");
        assert_eq!(read(&*storage, at), Some(whole.clone()));
        let facts = storage.inspect(&name(at)).expect("inspect").expect("a file");
        assert_eq!(facts.length, whole.len() as u64);
        let stored = storage.open(&name(at)).expect("open").expect("a file");
        assert_eq!(stored.length().expect("a length"), whole.len() as u64);
        // In any order, and past its end.
        let mut reader = stored.reader();
        for start in [whole.len() / 2, 0, whole.len(), whole.len() + 10] {
            reader.seek(SeekFrom::Start(start as u64)).expect("seek");
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).expect("read");
            assert!(rest == whole.get(start..).unwrap_or_default(), "from {start} of {at}");
        }
    }
}

fn drafts_start_over(open: Open<'_>) {
    let storage = open();
    let mut draft = storage.create(&name("draft")).expect("create");
    draft.write(b"a long first attempt").expect("write");
    draft.restart().expect("restart");
    draft.write(b"second").expect("write");
    draft.finish().expect("finish");
    assert_eq!(read(&*storage, "draft"), Some(b"second".to_vec()));
    let draft = storage.create(&name("given up")).expect("create");
    drop(draft);
    storage.remove(&name("given up")).expect("remove");
    write(&*storage, "given up", "again");
}

fn names_are_taken_once(open: Open<'_>) {
    let storage = open();
    write(&*storage, "m/@v/v1.zip", "first");
    let taken = storage.create(&name("m/@v/v1.zip")).map(drop);
    assert_eq!(taken.expect_err("it exists").kind(), ErrorKind::AlreadyExists);
    write(&*storage, "staged", "second");
    assert_eq!(storage.place(&name("staged"), &name("m/@v/v1.zip")).expect("place"), Placed::Existed);
    assert_eq!(read(&*storage, "m/@v/v1.zip"), Some(b"first".to_vec()));
    assert_eq!(read(&*storage, "staged"), Some(b"second".to_vec()));
    let linked = storage.link(&name("staged"), &name("m/@v/v1.zip"));
    assert_eq!(linked.expect_err("it exists").kind(), ErrorKind::AlreadyExists);
}

fn files_get_other_names(open: Open<'_>) {
    let storage = open();
    write(&*storage, ".staging/1", "one");
    assert_eq!(storage.place(&name(".staging/1"), &name("deep/er/m/@v/list")).expect("place"), Placed::New);
    storage.sync(Some(&name("deep/er/m/@v"))).expect("sync");
    assert_eq!(
        (read(&*storage, ".staging/1"), read(&*storage, "deep/er/m/@v/list")),
        (None, Some(b"one".to_vec()))
    );
    for (to, content) in [("deep/er/m/@v/list", "two"), ("other/@latest", "three")] {
        write(&*storage, ".staging/2", content);
        storage.replace(&name(".staging/2"), &name(to)).expect("replace");
        assert_eq!((read(&*storage, ".staging/2"), read(&*storage, to)), (None, Some(content.into())));
    }
    // What was staged is forgotten like any other name.
    storage.remove(&name(".staging/1")).expect("remove");
    assert_eq!(read(&*storage, "deep/er/m/@v/list"), Some(b"two".to_vec()));
}

fn files_have_two_names(open: Open<'_>) {
    let storage = open();
    write(&*storage, ".staging/7.part", "zip");
    storage.link(&name(".staging/7.part"), &name(".staging/8.part")).expect("link");
    storage.place(&name(".staging/8.part"), &name("m/@v/v1.zip")).expect("place");
    assert_eq!(read(&*storage, ".staging/7.part"), Some(b"zip".to_vec()));
    storage.remove(&name(".staging/7.part")).expect("remove");
    assert_eq!(
        (read(&*storage, ".staging/7.part"), read(&*storage, "m/@v/v1.zip")),
        (None, Some(b"zip".to_vec()))
    );
}

fn what_is_removed_is_gone_and_readers_read_on(open: Open<'_>) {
    let storage = open();
    write(&*storage, "m/@v/v1.zip", "the first");
    let mut reader = storage.open(&name("m/@v/v1.zip")).expect("open").expect("a file").reader();
    let mut start = [0; 4];
    reader.read_exact(&mut start).expect("read");
    storage.remove(&name("m/@v/v1.zip")).expect("remove");
    assert_eq!(read(&*storage, "m/@v/v1.zip"), None);
    write(&*storage, "m/@v/v1.zip", "the second");
    let mut rest = String::new();
    reader.read_to_string(&mut rest).expect("read");
    assert_eq!((&start, rest.as_str()), (b"the ", "first"));
    // Also where the name is given to another file.
    let opened = storage.open(&name("m/@v/v1.zip")).expect("open").expect("a file");
    write(&*storage, "third", "the third");
    storage.replace(&name("third"), &name("m/@v/v1.zip")).expect("replace");
    assert_eq!(opened.read().expect("read"), "the second");
    assert_eq!(read(&*storage, "m/@v/v1.zip"), Some(b"the third".to_vec()));
}

fn directories_list_what_lies_in_them(open: Open<'_>) {
    let storage = open();
    for at in ["a/b/x", "a/b/y", "a/b.c", "a/b0", "a/c/d/e", "a-b", "b/!c", "b/\u{e4}", ".own/1"] {
        write(&*storage, at, "");
    }
    for (directory, files, directories) in [
        ("", "a-b", ".own a b"),
        ("a", "b.c b0", "b c"),
        ("a/b", "x y", ""),
        ("a/c", "", "d"),
        ("a/c/d", "e", ""),
        ("b", "!c \u{e4}", ""),
        ("a/b.", "", ""),
        ("c", "", ""),
    ] {
        let mut found = storage.list(Name::parse(directory).as_ref()).expect("list");
        found.sort();
        let entry = |is_directory| move |name: &str| Entry { name: name.to_owned(), is_directory };
        let files = files.split_whitespace().map(entry(false));
        let mut expected: Vec<_> = files.chain(directories.split_whitespace().map(entry(true))).collect();
        expected.sort();
        assert_eq!(found, expected, "{directory:?}");
    }
}

fn times_are_kept(open: Open<'_>) {
    let storage = open();
    let before = now();
    write(&*storage, "a", "content");
    let modified = |at| storage.inspect(&name(at)).expect("inspect").expect("a file").modified;
    // Some clocks of disks lag a little.
    assert!((before.saturating_sub(2)..=now()).contains(&modified("a")));
    storage.set_modified(&name("a"), 1_234_567_890).expect("set");
    assert_eq!((modified("a"), read(&*storage, "a")), (1_234_567_890, Some(b"content".to_vec())));
    storage.replace(&name("a"), &name("b")).expect("replace");
    assert_eq!(modified("b"), 1_234_567_890);
}

fn what_was_left_is_there_again(open: Open<'_>) {
    let storage = open();
    write(&*storage, "m/@v/list", "v1.0.0\n");
    storage.set_modified(&name("m/@v/list"), 1_234_567_890).expect("set");
    write(&*storage, ".staging/7.part", "zip");
    storage.remove(&name(".staging/7.part")).expect("remove");
    drop(storage);
    let storage = open();
    assert_eq!(read(&*storage, "m/@v/list"), Some(b"v1.0.0\n".to_vec()));
    assert_eq!(
        storage.inspect(&name("m/@v/list")).expect("inspect").expect("a file").modified,
        1_234_567_890
    );
    assert_eq!(storage.list(Some(&name(".staging"))).expect("list"), []);
}

/// While one name is given to file after file, some of them gone again at once.
fn readers_see_whole_files(open: Open<'_>) {
    let storage = open();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0u32;
            while !done.load(SeqCst) {
                let Some(content) = read(&*storage, "m/@v/list") else { continue };
                assert_eq!(content.len(), 5000);
                assert!(content.iter().all(|byte| Some(byte) == content.first()), "a mixture");
                seen += 1;
            }
            seen
        });
        for round in 0..300u32 {
            let staged = format!(".staging/{round}");
            let byte = char::from(b'a' + (round % 26) as u8).to_string();
            write(&*storage, &staged, &byte.repeat(5000));
            storage.replace(&name(&staged), &name("m/@v/list")).expect("replace");
            if round % 10 == 9 {
                storage.remove(&name("m/@v/list")).expect("remove");
            }
            std::thread::yield_now();
        }
        done.store(true, SeqCst);
        reader.join().expect("a reader");
    });
}

fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

fn write(storage: &dyn Storage, at: &str, content: &str) {
    let mut draft = storage.create(&name(at)).expect("create");
    draft.write(content.as_bytes()).expect("write");
    draft.finish().expect("finish");
}

fn read(storage: &dyn Storage, at: &str) -> Option<Vec<u8>> {
    let stored = storage.open(&name(at)).expect("open")?;
    Some(stored.read().expect("read").to_vec())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
