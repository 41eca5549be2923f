//! `quipu who`: which tokens have downloaded a version, from the record that the server keeps. It may be running.

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use quipu_module::{ModuleVersion, Patterns};
use quipu_server::{Download, DownloadKind, Downloader, read_downloads};
use serde_json::{Value, json};

use crate::cli;
use crate::keys::DataDir;
use crate::output::tell;
use crate::time::date;

/// Seconds in a day.
const DAY: u64 = 86_400;

/// Prints who has what.
///
/// # Errors
/// What was asked makes no sense, there is no record, or it cannot be read.
pub(crate) fn run(args: &cli::Who) -> Result<ExitCode> {
    let data = DataDir::new(&args.data.data);
    ensure!(data.path().is_dir(), "there is no data directory {} (--data)", data.path().display());
    let (wanted, directory) = (Wanted::parse(&args.what)?, data.downloads());
    let mut takers = Takers::default();
    let reach = read_downloads(&directory, |text| wanted.matches(text), |download| takers.add(download))
        .with_context(|| format!("cannot read the record of downloads in {}", directory.display()))?;
    if reach.unreadable > 0 {
        eprintln!("quipu: {} lines in {} cannot be read", reach.unreadable, directory.display());
    }
    let Some(since) = reach.since else {
        bail!(
            "there is no record of downloads in {}: the server writes it unless [access] downloads_days is 0",
            directory.display()
        );
    };
    if args.json {
        tell(json!({ "since": since, "versions": takers.describe() }))?;
        return Ok(ExitCode::SUCCESS);
    }
    if takers.0.is_empty() {
        eprintln!("nobody has downloaded {} from this server since {since}", args.what);
    }
    for line in takers.lines() {
        tell(line)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What is asked about.
enum Wanted {
    /// One version, as the record names it.
    Version(String),
    /// All versions of these modules.
    Modules(Patterns),
}

impl Wanted {
    fn parse(what: &str) -> Result<Self> {
        if what.contains('@') {
            let module: ModuleVersion =
                what.parse().with_context(|| format!("{what:?} is no MODULE@VERSION"))?;
            return Ok(Self::Version(module.to_string()));
        }
        let patterns = Patterns::parse(what)?;
        ensure!(!patterns.is_empty(), "nothing is asked about: name a version, or patterns of modules");
        Ok(Self::Modules(patterns))
    }

    fn matches(&self, module: &str) -> bool {
        match self {
            Self::Version(wanted) => module == wanted,
            Self::Modules(patterns) => module.split_once('@').is_some_and(|(path, _)| patterns.matches(path)),
        }
    }
}

/// The first and the last time that somebody got something, in seconds since 1970, and on how many days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    first: u64,
    last: u64,
    days: u32,
}

impl Span {
    /// Adds a time that is not before the last one's day.
    fn add(span: &mut Option<Self>, time: u64) {
        match span {
            Some(span) => {
                // Of one day the first time is known, and what is written twice is one.
                if time / DAY > span.last / DAY {
                    (span.last, span.days) = (time, span.days.saturating_add(1));
                }
            }
            None => *span = Some(Self { first: time, last: time, days: 1 }),
        }
    }

    fn describe(self) -> Value {
        json!({ "first": date(self.first), "last": date(self.last), "days": self.days })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = if self.days == 1 { "day" } else { "days" };
        write!(f, "first {}, last {}, on {} {days}", date(self.first), date(self.last), self.days)
    }
}

/// What one holder got of a version.
#[derive(Debug, Default)]
struct Taken {
    zip: Option<Span>,
    go_mod: Option<Span>,
}

impl Taken {
    fn first(&self) -> Option<u64> {
        self.zip.or(self.go_mod).map(|span| span.first)
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.zip, self.go_mod) {
            (Some(zip), _) => write!(f, "zip  {zip}"),
            (None, Some(go_mod)) => write!(f, "go.mod only  {go_mod}"),
            (None, None) => f.write_str("nothing"),
        }
    }
}

/// Who got which version.
#[derive(Debug, Default)]
struct Takers(BTreeMap<ModuleVersion, BTreeMap<Downloader, Taken>>);

impl Takers {
    fn add(&mut self, download: Download) {
        let Download { module, kind, by, time } = download;
        let taken = self.0.entry(module).or_default().entry(by).or_default();
        let span = match kind {
            DownloadKind::Zip => &mut taken.zip,
            DownloadKind::GoMod => &mut taken.go_mod,
        };
        Span::add(span, time);
    }

    /// By version; those who have the code first, in the order in which they got it.
    fn sorted(&self) -> impl Iterator<Item = (&ModuleVersion, Vec<(&Downloader, &Taken)>)> {
        self.0.iter().map(|(module, takers)| {
            let mut takers: Vec<_> = takers.iter().collect();
            takers.sort_by_key(|(_, taken)| (taken.zip.is_none(), taken.first()));
            (module, takers)
        })
    }

    /// A line for each version and holder.
    fn lines(&self) -> impl Iterator<Item = String> {
        let line = |module: &_, by, taken| format!("{module}  {}  {taken}", called(by));
        self.sorted().flat_map(move |(module, takers)| {
            takers.into_iter().map(move |(by, taken)| line(module, by, taken)).collect::<Vec<_>>()
        })
    }

    fn describe(&self) -> Vec<Value> {
        let holder = |(by, taken): (&Downloader, &Taken)| {
            let (token, name) = match by {
                Downloader::Token { id, name } => (Some(id), Some(name)),
                Downloader::Anonymous => (None, None),
            };
            let (zip, go_mod) = (taken.zip.map(Span::describe), taken.go_mod.map(Span::describe));
            json!({ "token": token, "name": name, "zip": zip, "go_mod": go_mod })
        };
        let version = |(module, takers): (&ModuleVersion, Vec<_>)| {
            json!({
                "path": module.path().as_str(),
                "version": module.version().as_str(),
                "holders": takers.into_iter().map(holder).collect::<Vec<_>>(),
            })
        };
        self.sorted().map(version).collect()
    }
}

/// A holder as the audit log calls one.
fn called(by: &Downloader) -> String {
    match by {
        Downloader::Anonymous => "anonymous".to_owned(),
        Downloader::Token { id, name } if name.is_empty() => format!("token {id}"),
        Downloader::Token { id, name } => format!("token {id} ({name})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn download(module: &str, kind: DownloadKind, id: &str, time: u64) -> Download {
        let by = match id {
            "" => Downloader::Anonymous,
            id => Downloader::Token { id: id.to_owned(), name: format!("of {id}") },
        };
        Download { module: module.parse().unwrap(), kind, by, time }
    }

    #[test]
    fn first_last_and_how_many_days() {
        let mut takers = Takers::default();
        for (kind, id, time) in [
            (DownloadKind::GoMod, "looked", 1),
            (DownloadKind::GoMod, "a", 5),
            (DownloadKind::Zip, "b", 6),
            (DownloadKind::Zip, "b", 7),
            (DownloadKind::Zip, "a", 9),
            (DownloadKind::Zip, "", DAY),
            (DownloadKind::Zip, "a", 3 * DAY + 2),
            (DownloadKind::Zip, "a", 3 * DAY + 3),
        ] {
            takers.add(download("a.b/c@v1.0.0", kind, id, time));
        }
        let lines: Vec<_> = takers.lines().collect();
        assert_eq!(
            lines,
            [
                "a.b/c@v1.0.0  token b (of b)  zip  first 1970-01-01T00:00:06Z, last 1970-01-01T00:00:06Z, on 1 day",
                "a.b/c@v1.0.0  token a (of a)  zip  first 1970-01-01T00:00:09Z, last 1970-01-04T00:00:02Z, on 2 days",
                "a.b/c@v1.0.0  anonymous  zip  first 1970-01-02T00:00:00Z, last 1970-01-02T00:00:00Z, on 1 day",
                "a.b/c@v1.0.0  token looked (of looked)  go.mod only  first 1970-01-01T00:00:01Z, last \
                 1970-01-01T00:00:01Z, on 1 day",
            ]
        );
        let json = Value::from(takers.describe());
        assert_eq!(json[0]["holders"][1]["go_mod"]["first"], "1970-01-01T00:00:05Z");
        assert_eq!(json[0]["holders"][2]["token"], Value::Null);
    }

    #[test]
    fn what_can_be_asked_about() {
        let one = Wanted::parse("a.b/C@v1.0.0").unwrap();
        assert!(
            one.matches("a.b/C@v1.0.0") && !one.matches("a.b/C@v1.0.0-rc.1") && !one.matches("a.b/c@v1.0.0")
        );
        let some = Wanted::parse("a.b/*,x.y").unwrap();
        assert!(
            some.matches("a.b/c/d@v1.0.0") && some.matches("x.y/z@v0.1.0") && !some.matches("b.c/d@v1.0.0")
        );
        for wrong in ["", ",", "a.b/[", "a.b/c@", "a.b/c@master", "@v1.0.0"] {
            assert!(Wanted::parse(wrong).is_err(), "{wrong}");
        }
    }
}
