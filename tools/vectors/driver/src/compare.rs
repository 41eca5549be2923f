//! One comparison: generate, ask both, and tell where they differ.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc;
use std::thread;

use crate::Rng;
use crate::child::Oracle;

/// The arguments of one question.
pub type Args = Vec<Vec<u8>>;

/// What one side says of an input.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Accepted, with these results.
    Ok(Vec<Vec<u8>>),
    /// Rejected: kind and text. Kinds are compared when both sides give one, texts never.
    Err(String, String),
    /// It panicked: the reference on an input outside its contract, where we have to reject, or we,
    /// which is always a fault.
    Panic(String),
}

impl Answer {
    /// Accepted, with these results.
    pub fn ok<const N: usize>(fields: [&[u8]; N]) -> Self {
        Self::Ok(fields.iter().map(|f| f.to_vec()).collect())
    }

    /// Accepted, with one text as result.
    pub fn text(field: impl fmt::Display) -> Self {
        Self::Ok(vec![field.to_string().into_bytes()])
    }

    /// Rejected.
    pub fn err() -> Self {
        Self::Err(String::new(), String::new())
    }

    /// Rejected, for a reason that is shown where the other side accepts.
    pub fn rejected(reason: impl fmt::Display) -> Self {
        Self::Err(String::new(), reason.to_string())
    }

    /// Rejected, with a kind that has to be the reference's as well.
    pub fn kind(kind: &str) -> Self {
        Self::Err(kind.to_owned(), String::new())
    }

    /// True for `Ok`.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok(_))
    }

    /// True if the first result is not empty and not `0`: a verdict given as a result.
    pub fn says_yes(&self) -> bool {
        matches!(self, Self::Ok(fields) if fields.first().is_some_and(|f| !f.is_empty() && f != b"0"))
    }

    /// The same with every run of bytes that are no UTF-8 as one U+FFFD. How many of them a run
    /// becomes is a habit of each library.
    fn into_text(self) -> Self {
        let text = |field: Vec<u8>| {
            let mut chars: Vec<char> = String::from_utf8_lossy(&field).chars().collect();
            chars.dedup_by(|next, last| next == last && *next == '\u{fffd}');
            chars.into_iter().collect::<String>().into_bytes()
        };
        match self {
            Self::Ok(fields) => Self::Ok(fields.into_iter().map(text).collect()),
            rejected => rejected,
        }
    }

    /// Whether `ours` is as good as this answer of the reference.
    fn agrees(&self, ours: &Self) -> bool {
        match (self, ours) {
            (Self::Ok(a), Self::Ok(b)) => a == b,
            (Self::Err(a, _), Self::Err(b, _)) => a == b || a.is_empty() || b.is_empty(),
            (Self::Panic(_), Self::Err(..)) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok(fields) => write!(f, "ok {}", escaped(fields)),
            Self::Err(kind, text) => write!(f, "err {kind} {text:?}"),
            Self::Panic(text) => write!(f, "panic {text}"),
        }
    }
}

/// A comparison of one operation with the reference.
pub struct Comparison {
    op: &'static str,
    share: usize,
    divisor: usize,
    accepted: fn(&Answer) -> bool,
    lossy: bool,
}

/// How often each verdict came, and the first differences.
#[derive(Default)]
struct Tally {
    yes: usize,
    no: usize,
    different: Vec<String>,
}

impl Comparison {
    /// Compares `op`, as the oracle names it. At least a tenth of the cases have to be accepted
    /// and a tenth rejected, or the comparison fails as empty.
    pub fn of(op: &'static str) -> Self {
        Self { op, share: 10, divisor: 1, accepted: Answer::is_ok, lossy: false }
    }

    /// For an operation that answers everything: the verdict is its first result.
    #[must_use]
    pub fn by_first_result(self) -> Self {
        Self { accepted: Answer::says_yes, ..self }
    }

    /// For an operation that has no verdict at all: results only.
    #[must_use]
    pub fn without_verdict(self) -> Self {
        Self { share: 0, ..self }
    }

    /// Compares the results as text, with U+FFFD for what is no UTF-8: for types that hold text only.
    #[must_use]
    pub fn lossy(self) -> Self {
        Self { lossy: true, ..self }
    }

    /// For an operation that costs much more than the usual microseconds: fewer cases.
    #[must_use]
    pub fn one_in(self, divisor: usize) -> Self {
        Self { divisor, ..self }
    }

    /// Makes cases with `generate`, answers them with `ours`, and panics if Go answers otherwise.
    ///
    /// # Panics
    /// On a difference, if one verdict hardly occurs, or if the oracle cannot be used.
    pub fn run(&self, mut generate: impl FnMut(&mut Rng) -> Args + Send, ours: impl Fn(&Args) -> Answer) {
        let seed = seed();
        let mut rng = Rng::new(seed, self.op);
        let count = cases() / self.divisor;
        let cases = (0..count).map(move |_| generate(&mut rng));
        self.compare(cases, &format!("{count} cases, QUIPU_SEED={seed}"), ours);
    }

    /// Compares the answers to a given list of cases, whatever the verdicts.
    ///
    /// # Panics
    /// On a difference, or if the oracle cannot be used.
    pub fn over(self, cases: Vec<Args>, ours: impl Fn(&Args) -> Answer) {
        let what = format!("{} cases", cases.len());
        self.without_verdict().compare(cases.into_iter(), &what, ours);
    }

    fn compare(&self, cases: impl Iterator<Item = Args> + Send, what: &str, ours: impl Fn(&Args) -> Answer) {
        let cmdgo = self.op.starts_with("cmdgo.");
        let variable = if cmdgo { "QUIPU_ORACLE_CMDGO" } else { "QUIPU_ORACLE" };
        let Some(program) = std::env::var_os(variable) else {
            skipped(self.op, variable);
            return;
        };
        eprintln!("{}: {what}", self.op);
        let tally = self.tally(&program, cases, ours);
        self.judge(&tally.unwrap_or_else(|e| panic!("{}: oracle: {e}", self.op)), what);
    }

    /// Asks both about every case. A second thread generates and asks ahead of this one.
    fn tally(
        &self,
        program: &OsStr,
        cases: impl Iterator<Item = Args> + Send,
        ours: impl Fn(&Args) -> Answer,
    ) -> io::Result<Tally> {
        let (oracle, mut asking, mut hearing) = Oracle::start(program)?;
        let (sent, asked) = mpsc::sync_channel::<Args>(4096);
        let tally = thread::scope(|scope| {
            let writer = scope.spawn(move || -> io::Result<()> {
                for args in cases {
                    asking.ask(self.op, &args)?;
                    if sent.send(args).is_err() {
                        break;
                    }
                }
                Ok(())
            });
            let mut tally = Tally::default();
            for args in asked {
                let theirs = hearing.hear()?;
                self.count(&mut tally, &args, theirs, guarded(&ours, &args));
            }
            writer.join().expect("the generator does not panic")?;
            Ok::<_, io::Error>(tally)
        })?;
        oracle.finish()?;
        Ok(tally)
    }

    fn count(&self, tally: &mut Tally, args: &Args, mut theirs: Answer, mut ours: Answer) {
        if self.lossy {
            (theirs, ours) = (theirs.into_text(), ours.into_text());
        }
        if (self.accepted)(&theirs) {
            tally.yes += 1;
        } else {
            tally.no += 1;
        }
        if !theirs.agrees(&ours) {
            let case = format!("{} {}\n  go   {theirs}\n  ours {ours}", self.op, escaped(args));
            tally.different.push(case);
        }
    }

    fn judge(&self, tally: &Tally, what: &str) {
        let Tally { yes, no, different } = tally;
        eprintln!("{}: {yes} accepted, {no} rejected", self.op);
        if !different.is_empty() {
            let mut shortest: Vec<&str> = different.iter().map(String::as_str).collect();
            shortest.sort_by_key(|s| s.len());
            shortest.truncate(10);
            let (op, count, list) = (self.op, different.len(), shortest.join("\n"));
            panic!("{op}: {count} answers differ from Go's ({what}), the shortest:\n{list}");
        }
        let least = (yes + no) * self.share / 100;
        assert!(
            *yes >= least && *no >= least,
            "{}: {yes} accepted and {no} rejected: too one-sided to mean anything",
            self.op
        );
    }
}

/// Our answer. A panic is one too, so that it is shown with the arguments that caused it.
fn guarded(ours: impl Fn(&Args) -> Answer, args: &Args) -> Answer {
    let answer = panic::catch_unwind(AssertUnwindSafe(|| ours(args)));
    answer.unwrap_or_else(|_| Answer::Panic("see the message above".into()))
}

/// The arguments as Rust byte strings.
fn escaped(args: &[Vec<u8>]) -> String {
    let quoted = |arg: &Vec<u8>| format!("b\"{}\"", arg.escape_ascii());
    args.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn seed() -> u64 {
    match std::env::var("QUIPU_SEED").as_deref() {
        Ok("random") => {
            use std::hash::{BuildHasher, RandomState};
            RandomState::new().hash_one(0)
        }
        Ok(text) => text.parse().expect("QUIPU_SEED is a number or `random`"),
        Err(_) => 1,
    }
}

fn cases() -> usize {
    let number = |text: String| text.parse().expect("QUIPU_DIFF_CASES is a number");
    std::env::var("QUIPU_DIFF_CASES").map_or(100_000, number)
}

/// Says past the test harness's capture that nothing was compared.
fn skipped(op: &str, variable: &str) {
    use std::io::Write as _;
    let line = format!(
        "SKIPPED: {op} was not compared with Go: {variable} is not set, see tools/vectors/README.md\n"
    );
    drop(io::stderr().write_all(line.as_bytes()));
}
