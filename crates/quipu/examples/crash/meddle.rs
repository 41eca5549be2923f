//! Does the harness notice? Whatever it claims to find is done to a log once, behind the back of an honest server, and the
//! run must fail with the right words.
//!
//! What a crash takes away from an engine that lies about durability is made by turning back time: the data directory
//! and the guard as they were at an earlier moment, whole and sound, with the very files (a copy would be noticed).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use super::kills::write_alone;
use super::mirror::Seen;
use super::support::command;
use super::{Args, Run};

/// Rounds of a run that is meddled with: it is over by then.
const ROUNDS: &str = "4";

/// Records that another history has where it parts, each with a head: more than the eight writers can have in one round.
const OTHERS: u64 = 20;

/// Bytes of a block of the guard.
const BLOCK: usize = 4096;

/// What is done to a log, and after which round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meddle {
    /// Nothing that would matter: the log goes on in a copy that the operator vouched for.
    Nothing,
    /// What the last round acknowledged is gone.
    Forget,
    /// So is what was there to be read after the round before.
    Shrink,
    /// Gone, and other records were acknowledged in its place.
    Replace,
    /// Gone, and heads of other records were signed in its place.
    SignTwice,
    /// Gone, and other records are in its place.
    Alter,
    /// Gone, and only a head tells that it was there.
    Unsay,
    /// A letter of a stored record is another one.
    Rot,
    /// The end of the write-ahead log is gone.
    Cut,
    /// The guard never heard of the last two rounds of the engine.
    Unguard,
}

/// Each of them by its name on the command line, with the words that it must be reported in; none where all is well.
const ALL: [(&str, Meddle, &[&str]); 10] = [
    ("nothing", Meddle::Nothing, &[]),
    ("forget", Meddle::Forget, &["LOST: ", " was acknowledged, the log ends at "]),
    ("shrink", Meddle::Shrink, &["LOST: the log had "]),
    ("replace", Meddle::Replace, &["FORK: two records "]),
    ("sign-twice", Meddle::SignTwice, &["FORK: two roots of "]),
    ("alter", Meddle::Alter, &["LOST: ", " was acknowledged as "]),
    ("unsay", Meddle::Unsay, &["FORK: at ", " was signed, the log has "]),
    ("rot", Meddle::Rot, &["fsck: NOT GOOD", "store: Corruption: block checksum mismatch"]),
    ("cut", Meddle::Cut, &["fsck: NOT GOOD", "the store ends at record "]),
    ("unguard", Meddle::Unguard, &["the server does not start again: ", "more than one interrupted round"]),
];

impl Meddle {
    /// By its name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|(known, ..)| *known == name).map(|(_, meddle, _)| meddle)
    }
}

/// Runs the harness once for each kind of meddling; how many were reported as they should be, and how many were not.
pub(crate) fn self_test(args: &Args) -> (u32, u32) {
    let dir = std::env::temp_dir().join(format!("quipu-crash-self-test-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    // They wait for the disk most of the time.
    let noticed = thread::scope(|scope| {
        let runs = ALL.map(|(name, _, expected)| scope.spawn(|| is_noticed(args, &dir, name, expected)));
        runs.map(|run| run.join().unwrap())
    });
    let passed = noticed.into_iter().filter(|noticed| *noticed).count();
    let (passed, failed) = (u32::try_from(passed).unwrap(), u32::try_from(noticed.len() - passed).unwrap());
    if failed == 0 {
        fs::remove_dir_all(&dir).unwrap();
    }
    (passed, failed)
}

/// One run of the harness: does it fail with these words.
fn is_noticed(args: &Args, dir: &Path, name: &str, expected: &[&str]) -> bool {
    let mut harness = Command::new(std::env::current_exe().unwrap());
    harness.arg(&args.program).args(["--meddle", name, "--rounds", ROUNDS]);
    harness.args(["--seed", &args.seed.to_string()]).env("TMPDIR", dir);
    let output = harness.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let noticed = if expected.is_empty() {
        output.status.code() == Some(0) && said.ends_with("4 passed, 0 failed\n")
    } else {
        let told = expected.iter().all(|words| said.contains(words));
        output.status.code() == Some(1) && told && said.ends_with(", 1 failed\n")
    };
    match (noticed, expected.is_empty()) {
        (true, true) => println!("{name}: nothing to be noticed"),
        (true, false) => println!("{name}: noticed"),
        (false, _) => {
            println!("{name}: NOT NOTICED, wanted {expected:?}; {}, and it said:\n{said}", output.status);
            println!("{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    noticed
}

/// Meddles with what the server that was just killed has left, and with what is known of it, if this is the round.
///
/// # Errors
/// What is done cannot be done.
pub(crate) fn after_kill(run: &mut Run, round: u32, seen: Vec<Seen>) -> Result<Vec<Seen>, String> {
    let Some(meddle) = run.meddle else { return Ok(seen) };
    let doing = |error: io::Error| format!("{meddle:?}: {error}");
    match (meddle, round) {
        (Meddle::Rot, 2) => rot(run).map_err(doing)?,
        (Meddle::Cut, 2) => cut(run).map_err(doing)?,
        (Meddle::Unguard, 2) => unguard(run).map_err(doing)?,
        (Meddle::Rot | Meddle::Cut | Meddle::Unguard, _) => {}
        (_, 1) => keep(run).map_err(doing)?,
        (Meddle::Forget, 2) | (Meddle::Shrink, 3) => turn_back(run).map_err(doing)?,
        (Meddle::Replace | Meddle::SignTwice | Meddle::Alter | Meddle::Unsay, 2) => {
            turn_back(run).map_err(doing)?;
            let other = write_alone(&run.start()?.url, OTHERS);
            return Ok(told(meddle, run.mirror.size(), seen, other));
        }
        _ => {}
    }
    Ok(seen)
}

/// What the world knows of two histories that part at `size`.
fn told(meddle: Meddle, size: u64, mut seen: Vec<Seen>, other: Seen) -> Vec<Seen> {
    match meddle {
        Meddle::Replace => seen.push(other),
        Meddle::SignTwice => {
            seen.push(other);
            seen.iter_mut().for_each(|seen| seen.records.clear());
        }
        Meddle::Alter => seen.iter_mut().for_each(|seen| seen.heads.clear()),
        Meddle::Unsay => {
            let heads = seen.into_iter().flat_map(|seen| seen.heads).filter(|tree| tree.size > size);
            let heads = heads.min_by_key(|tree| tree.size).into_iter().collect();
            seen = vec![Seen { records: Vec::new(), heads }];
        }
        _ => {}
    }
    seen
}

fn kept(run: &Run) -> [(PathBuf, PathBuf); 2] {
    ["data", "data.guard"].map(|name| (run.dir.join(name), run.dir.join(format!("{name}.kept"))))
}

/// Puts data and guard aside, the very files, and goes on in a copy.
fn keep(run: &Run) -> io::Result<()> {
    // What is half fetched would be finished, and logged, in both histories.
    fs::remove_dir_all(run.data().join("modules"))?;
    for (live, kept) in kept(run) {
        fs::rename(&live, &kept)?;
        succeed(Command::new("cp").arg("-a").args([&kept, &live]))?;
    }
    succeed(command(&run.program).args(["restore", "--moved", "--data"]).arg(run.data()))
}

/// Puts them back.
fn turn_back(run: &Run) -> io::Result<()> {
    fs::remove_dir_all(run.data())?;
    for (live, kept) in kept(run) {
        fs::rename(kept, live)?;
    }
    Ok(())
}

/// The first record lies in tables: it was written before the last start.
fn rot(run: &Run) -> io::Result<()> {
    let text = run.mirror.text(0).ok_or(io::ErrorKind::NotFound)?.as_bytes();
    let mut places = 0;
    for file in files(&run.data().join("log"), "sst")? {
        let mut bytes = fs::read(&file)?;
        while let Some(at) = bytes.windows(text.len()).position(|window| window == text) {
            bytes[at] ^= 1;
            places += 1;
        }
        fs::write(&file, bytes)?;
    }
    if places == 0 { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) }
}

fn cut(run: &Run) -> io::Result<()> {
    let file = files(&run.data().join("log"), "log")?.pop().ok_or(io::ErrorKind::NotFound)?;
    let file = fs::File::options().write(true).open(file)?;
    file.set_len(file.metadata()?.len() / 2)
}

/// Blanks the two newest heads of the ring.
fn unguard(run: &Run) -> io::Result<()> {
    let file = run.dir.join("data.guard");
    let mut bytes = fs::read(&file)?;
    let number = |block: &[u8]| {
        let text = str::from_utf8(block).ok()?;
        text.strip_prefix("head ")?.split(' ').next()?.parse::<u64>().ok()
    };
    for _ in 0..2 {
        let newest = bytes.chunks_exact_mut(BLOCK).max_by_key(|block| number(block));
        newest.ok_or(io::ErrorKind::NotFound)?.fill(b' ');
    }
    fs::write(file, bytes)
}

/// Files of a kind, in the order of their names.
fn files(dir: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let all = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let mut files: Vec<_> =
        all.into_iter().filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    Ok(files)
}

fn succeed(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
}
