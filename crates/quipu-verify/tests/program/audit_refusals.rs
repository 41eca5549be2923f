//! Every way a log can be wrong under an audit: each ends in time, with the right exit code, a sentence that names the
//! fault, and evidence that a third person accepts where there can be some.

use std::fs;
use std::time::Duration;

use quipu_tlog::{Tile, join_records};
use tempfile::{TempDir, tempdir};

use crate::audit::{audit, put, write_sumdb, write_tlog_tiles};
use crate::log::{Log, key, record};
use crate::run::{Ran, run};
use crate::site::{Reply, Site, View, honest};

/// Records in the log: two full tiles and one of 88.
const SIZE: u64 = 600;

/// What becomes of an honest answer.
type Lie = fn(&Log, Vec<u8>) -> Reply;

/// What is done to the answer at `at`, how the program must end, and the evidence that must remain.
struct Case {
    what: &'static str,
    at: &'static str,
    lie: Lie,
    code: i32,
    says: &'static str,
    kind: Option<&'static str>,
}

impl Case {
    const fn without_evidence(
        (what, at): (&'static str, &'static str),
        lie: Lie,
        (code, says): (i32, &'static str),
    ) -> Self {
        Self { what, at, lie, code, says, kind: None }
    }
}

#[track_caller]
fn refused(cases: impl IntoIterator<Item = Case>) {
    for Case { what, at, lie, code, says, kind } in cases {
        let log = Log::filler(SIZE);
        let site = Site::new(move |path| match honest(&log, SIZE, path) {
            Reply::Good(body) if path == at => lie(&log, body),
            truth => truth,
        });
        let state = tempdir().unwrap();
        let ran = audit(&state, &site.url(), &[]);
        assert!(ran.took < Duration::from_secs(15), "{what}: {ran:#?}");
        assert_eq!(ran.code, code, "{what}: {ran:#?}");
        assert!(ran.err.contains(says), "{what}: want {says:?} in {ran:#?}");
        assert!(!ran.out.contains("good"), "{what}: {ran:#?}");
        match kind {
            Some(kind) => accepted(&state, &ran, (code, kind)),
            None => assert_eq!(files(&ran), [""; 0], "{what}"),
        }
        // What was not good is not taken for checked.
        assert_eq!(audit(&state, &site.url(), &[]).code, code, "{what}: the second time");
    }
}

/// The evidence files that a run named.
fn files(ran: &Ran) -> Vec<&str> {
    ran.err.lines().filter_map(|line| Some(line.split_once(" is in ")?.1)).collect()
}

/// Checks that a run named one evidence file, of this kind, and that others end with this exit code when they check it.
#[track_caller]
fn accepted(state: &TempDir, ran: &Ran, (code, kind): (i32, &str)) {
    let files = files(ran);
    assert_eq!(files.len(), 1, "{ran:#?}");
    let json =
        run(state.path(), &["evidence", "--db", &key().to_string(), files[0], "--json"]).ends(code).json();
    assert_eq!(json["files"][0]["kind"], kind, "{json}");
}

/// The first `count` records as a data tile.
fn first_tile(log: &Log, count: usize) -> Reply {
    Reply::Good(join_records(&log.records[..count]))
}

#[test]
fn data_tiles_with_more_or_fewer_records() {
    const FULL: &str = "/tile/8/data/000";
    const PARTIAL: &str = "/tile/8/data/002.p/88";
    let case = Case::without_evidence;
    refused([
        case(
            ("257 records", FULL),
            |log, _| first_tile(log, 257),
            (4, "tile/8/data/000: a data tile goes on after its last record"),
        ),
        case(
            ("255 records", FULL),
            |log, _| first_tile(log, 255),
            (4, "tile/8/data/000: a data tile ends after 255 records"),
        ),
        case(
            ("none", FULL),
            |_, _| Reply::Good(Vec::new()),
            (4, "tile/8/data/000: a data tile ends after 0"),
        ),
        case(
            ("a full tile in the place of a partial one", PARTIAL),
            |log, _| first_tile(log, 256),
            (4, "tile/8/data/002.p/88: a data tile goes on after its last record"),
        ),
        case(
            ("87 records of 88", PARTIAL),
            |log, _| Reply::Good(join_records(&log.records[512..599])),
            (4, "tile/8/data/002.p/88: a data tile ends after 87 records"),
        ),
        case(
            ("half a record", FULL),
            |_, mut body| {
                body.truncate(body.len() - 60);
                Reply::Good(body)
            },
            (4, "tile/8/data/000: "),
        ),
        case(
            ("no text", FULL),
            |_, mut body| {
                body[10] = 0xff;
                Reply::Good(body)
            },
            (4, "tile/8/data/000: "),
        ),
    ]);
}

#[test]
fn hash_tiles_of_wrong_width() {
    let case = Case::without_evidence;
    let without_last = |_: &Log, mut body: Vec<u8>| {
        body.truncate(body.len() - 32);
        Reply::Good(body)
    };
    let with_one_more = |_: &Log, body: Vec<u8>| Reply::Good([body, vec![0; 32]].concat());
    refused([
        case(
            ("87 of 88", "/tile/8/0/002.p/88"),
            without_last,
            (4, "tile/8/0/002.p/88: 2784 bytes, want 2816"),
        ),
        case(
            ("89 of 88", "/tile/8/0/002.p/88"),
            with_one_more,
            (4, "tile/8/0/002.p/88: body of more than 2816 bytes"),
        ),
        case(("255 of 256", "/tile/8/0/001"), without_last, (4, "tile/8/0/001: 8160 bytes, want 8192")),
        case(
            ("257 of 256", "/tile/8/0/001"),
            with_one_more,
            (4, "tile/8/0/001: body of more than 8192 bytes"),
        ),
    ]);
}

#[test]
fn what_was_not_signed_is_kept() {
    let flipped = |_: &Log, mut body: Vec<u8>| {
        body[40] ^= 1;
        Reply::Good(body)
    };
    let kind = Some("tile");
    refused([
        Case {
            what: "another record in a data tile",
            at: "/tile/8/data/001",
            lie: |log, _| {
                let mut records = log.records[256..512].to_vec();
                records[3] = record("evil.test/m", 'e');
                Reply::Good(join_records(&records))
            },
            code: 4,
            says: "record 259: not the record that was signed",
            kind,
        },
        Case {
            what: "two records in each other's place",
            at: "/tile/8/data/002.p/88",
            lie: |log, _| {
                let mut records = log.records[512..600].to_vec();
                records.swap(1, 80);
                Reply::Good(join_records(&records))
            },
            code: 4,
            says: "record 592: not the record that was signed",
            kind,
        },
        Case {
            what: "a bit of a hash tile",
            at: "/tile/8/0/001",
            lie: flipped,
            code: 4,
            says: "tile/8/0/001: entry 1 (record 257) is not what was signed",
            kind,
        },
        Case {
            what: "a bit of a tile that the root is made of",
            at: "/tile/8/1/000.p/2",
            lie: flipped,
            code: 4,
            says: "tile/8/1/000.p/2: entry 1 (",
            kind,
        },
        Case {
            what: "a head that fits no tile",
            at: "/latest",
            lie: |_, _| {
                let other = Log::new((0..SIZE).map(|i| record(&format!("other.test/m{i}"), 'o')));
                Reply::Good(other.note(SIZE).into_bytes())
            },
            code: 4,
            says: "the tree of these 600 records has the root ",
            kind: Some("tiles"),
        },
    ]);
}

/// A data tile and its hash tile fit each other, but not what is above them.
#[test]
fn a_forged_tile_with_forged_records_is_kept() {
    let (state, log) = (tempdir().unwrap(), Log::filler(SIZE));
    let mut forged = log.records.clone();
    forged[300] = record("forged.test/m", 'f');
    let forged = Log::new(forged);
    let site = Site::new(move |path| match Tile::parse_sumdb(path.trim_start_matches('/')) {
        Ok(tile) if path.ends_with("/001") => Reply::Good(forged.tile(&tile).unwrap()),
        _ => honest(&log, SIZE, path),
    });
    let ran = audit(&state, &site.url(), &[]).ends(4).says("tile/8/0/001: does not hash to entry 1 of");
    accepted(&state, &ran, (4, "tile"));
}

#[test]
fn answers_that_do_not_end() {
    let case = Case::without_evidence;
    const LAST: &str = "/tile/8/data/002.p/88";
    refused([
        case(
            ("a flood", LAST),
            |_, _| Reply::Endless,
            (4, "tile/8/data/002.p/88: body of more than 16777216 bytes"),
        ),
        case(
            ("a flood of hashes", "/tile/8/0/000"),
            |_, _| Reply::Endless,
            (4, "body of more than 8192 bytes"),
        ),
        case(("a flood of a head", "/latest"), |_, _| Reply::Endless, (1, "latest: body of more than")),
    ]);
}

/// These are slow: each is asked for three times.
#[test]
fn answers_that_do_not_come() {
    let silence: Lie = |_, _| Reply::Stall;
    let drops: Lie = |_, body| Reply::Trickle(body);
    let case = Case::without_evidence;
    let case = |at, lie| case(("silence", at), lie, (1, "no whole answer in 2 s"));
    std::thread::scope(|scope| {
        for (at, lie) in [
            ("/tile/8/data/001", silence),
            ("/tile/8/data/001", drops),
            ("/tile/8/0/001", silence),
            ("/latest", silence),
        ] {
            scope.spawn(move || refused([case(at, lie)]));
        }
    });
}

#[test]
fn records_that_must_not_be_signed_are_proof() {
    for (what, change, says, kind) in [
        (
            "a version that is not canonical",
            (17, record("filler.test/m17", 'z').replace("v1.0.0", "v1.0")),
            "record 17: line 1: ",
            "record",
        ),
        ("no record", (599, "just a line\n".to_owned()), "record 599: want two lines", "record"),
        (
            "a module version in the first and in the last tile",
            (599, record("filler.test/m0", 'y')),
            "record 599: filler.test/m0 v1.0.0 is already in record 0",
            "duplicate",
        ),
        (
            "a record twice, word for word",
            (256, record("filler.test/m255", 'z')),
            "record 256: filler.test/m255 v1.0.0 is already in record 255",
            "duplicate",
        ),
    ] {
        let (state, mut records) = (tempdir().unwrap(), Log::filler(SIZE).records);
        records[change.0] = change.1;
        let site = Site::honest(Log::new(records), SIZE);
        let ran = audit(&state, &site.url(), &[])
            .ends(3)
            .says(says)
            .says("MISBEHAVIOUR PROVEN, the evidence is in");
        let verdict = "MISBEHAVIOUR PROVEN: sum.example.test: 1 fault in the log of 600 records";
        accepted(&state, &ran.prints(verdict), (3, kind));
        let json = audit(&state, &site.url(), &["--json"]).ends(3).json();
        assert_eq!(
            (&json["verdict"], &json["faults"][0]["kind"]),
            (&"misbehaved".into(), &kind.into()),
            "{what}"
        );
        let file = json["evidence"].as_str().unwrap();
        assert!(json["faults"][0]["evidence"] == file && fs::exists(file).unwrap(), "{what}: {json}");
    }
}

#[test]
fn a_module_version_that_is_there_twice_is_proven_by_a_later_audit() {
    let (state, mut log) = (tempdir().unwrap(), Log::filler(SIZE));
    (0..299).for_each(|i| log.push(record(&format!("later.test/m{i}"), 'z')));
    log.push(record("filler.test/m5", 'y'));
    let view = View::new(log, SIZE);
    let site = Site::viewing(&view);
    for size in [600, 700, 899] {
        view.show(size);
        audit(&state, &site.url(), &[]).ends(0);
    }
    view.show(900);
    for _ in 0..2 {
        let ran = audit(&state, &site.url(), &[]).ends(3);
        accepted(
            &state,
            &ran.says("record 899: filler.test/m5 v1.0.0 is already in record 5"),
            (3, "duplicate"),
        );
    }
}

/// A log that falls silent when its fault is found out is convicted all the same.
#[test]
fn what_is_proven_before_an_audit_breaks_off_is_not_lost() {
    let (state, mut records) = (tempdir().unwrap(), Log::filler(SIZE).records);
    records[0] = "just a line\n".to_owned();
    let log = Log::new(records);
    let site = Site::new(move |path| match path {
        "/tile/8/data/002.p/88" => Reply::Status(503, String::new(), b"closed".to_vec()),
        _ => honest(&log, SIZE, path),
    });
    let ran =
        audit(&state, &site.url(), &["--threads", "1"]).ends(3).says("record 0 of the tree of 600 records");
    accepted(&state, &ran, (3, "record"));
}

/// A log with very many faults does not fill the disk with proof of each.
#[test]
fn of_many_faults_a_few_are_proven() {
    let state = tempdir().unwrap();
    let site = Site::honest(Log::new((0..SIZE).map(|i| format!("no record {i}\n"))), SIZE);
    let ran = audit(&state, &site.url(), &[]).ends(3).prints("600 faults in the log of 600 records");
    assert_eq!(files(&ran).len(), 8, "{ran:#?}");
}

#[test]
fn a_head_that_travels_in_time_is_told_and_remembered() {
    let state = tempdir().unwrap();
    let view = View::new(Log::filler(900), 600);
    let site = Site::viewing(&view);
    for (size, code, words) in [
        (600, 0, "600 records, every"),
        (
            300,
            4,
            "ROLLED BACK: sum.example.test shows a head of 300 records after one of 600, which begins with it",
        ),
        (600, 0, "600 records (0 new)"),
        (599, 4, "a head of 599 records after one of 600"),
        (900, 0, "900 records (300 new)"),
        (600, 4, "a head of 600 records after one of 900"),
        (0, 4, "a head of 0 records after one of 900"),
        (900, 0, "900 records (0 new)"),
    ] {
        view.show(size);
        let ran = audit(&state, &site.url(), &[]).ends(code).prints(words);
        assert_eq!(files(&ran), [""; 0], "going back is no proof");
    }
}

#[test]
fn forks_are_proven_at_any_size() {
    let fork = || Log::new((0..900).map(|i| record(&format!("fork.test/m{i}"), 'f')));
    for size in [SIZE, 601, 900] {
        let state = tempdir().unwrap();
        let view = View::new(Log::filler(SIZE), SIZE);
        let site = Site::viewing(&view);
        audit(&state, &site.url(), &[]).ends(0);
        view.replace(fork(), size);
        for _ in 0..2 {
            let ran = audit(&state, &site.url(), &[]).ends(3);
            accepted(
                &state,
                &ran.says("the database signed two trees that cannot both be true"),
                (3, "fork"),
            );
        }
    }
    // A smaller head of another history is proven with the tiles of the larger, and only told without them.
    for (keeps_tiles, code) in [(true, 3), (false, 4)] {
        let (state, log) = (tempdir().unwrap(), Log::filler(SIZE));
        audit(&state, &Site::honest(log.clone(), SIZE).url(), &[]).ends(0);
        let site = Site::new(move |path| match path == "/latest" || !keeps_tiles {
            true => honest(&fork(), 500, path),
            false => honest(&log, SIZE, path),
        });
        let ran = audit(&state, &site.url(), &[]).ends(code);
        if keeps_tiles {
            accepted(&state, &ran, (3, "fork"));
        } else {
            ran.prints("500 records after one of 600, and whether that begins with it cannot be checked");
        }
    }
}

/// Evidence holds notes of the checksum database; of the other layout there is none, and that is said.
#[test]
fn a_log_in_the_layout_of_tlog_tiles_is_not_convicted() {
    let (state, mut records) = (tempdir().unwrap(), Log::filler(SIZE).records);
    records[7] = record("filler.test/m6", 'y');
    let dir = state.path().join("log");
    write_tlog_tiles(&Log::new(records), SIZE, &dir);
    let ran = audit(&state, dir.to_str().unwrap(), &[]).ends(4);
    let ran = ran.says("record 7: filler.test/m6 v1.0.0 is already in record 6").says("no evidence is made");
    assert_eq!(files(&ran), [""; 0]);

    fs::remove_dir_all(&dir).unwrap();
    write_tlog_tiles(&Log::filler(SIZE), SIZE, &dir);
    audit(&state, dir.to_str().unwrap(), &[])
        .ends(4)
        .says("600 records with root ")
        .says("cannot both be true, but it proves nothing");
}

#[test]
fn a_log_in_files_is_held_to_the_same() {
    let (state, log) = (tempdir().unwrap(), Log::filler(SIZE));
    let dir = state.path().join("log");
    write_sumdb(&log, SIZE, &dir);
    for (path, kind) in [("tile/8/0/000", "tile"), ("tile/8/1/000.p/2", "tile")] {
        let good = fs::read(dir.join(path)).unwrap();
        let mut bad = good.clone();
        bad[0] ^= 1;
        bad[33] ^= 1;
        put(&dir, path, &bad);
        // Two wrong entries, one file.
        let ran =
            audit(&state, dir.to_str().unwrap(), &[]).ends(4).prints("FAULTY: sum.example.test: 2 faults");
        accepted(&state, &ran, (4, kind));
        put(&dir, path, &good);
    }
    audit(&state, dir.to_str().unwrap(), &[]).ends(0);
}
