//! The record of downloads from the first note to its reader, across restarts, crashes and days.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::access::{Grant, Scope, Secret};

/// A second of some day, long ago.
const NOON: u64 = 951_825_600;

const FILE: &str = "2000-02-29";

fn token(n: u8, name: &str) -> Token {
    let grant =
        Grant { name: name.to_owned(), scopes: vec![Scope::Read], patterns: "*".to_owned(), expires: None };
    Token::new(&Secret::from_random([n; 32]), grant, 0).unwrap()
}

fn sent(path: &str, kind: DownloadKind) -> Sent<'_> {
    Sent { path, version: "v1.0.0", kind }
}

struct Place {
    _dir: tempfile::TempDir,
    directory: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { directory: dir.path().join("downloads"), _dir: dir }
    }

    /// One run of a server.
    fn run(&self, work: impl FnOnce(&Downloads)) {
        let downloads = Downloads::open_at(&self.directory, 180, NOON).unwrap();
        work(&downloads);
        downloads.close();
    }

    fn text(&self) -> String {
        fs::read_to_string(self.directory.join(FILE)).unwrap()
    }

    fn read(&self) -> (Vec<String>, DownloadReach) {
        let mut lines = Vec::new();
        let reach = read_downloads(
            &self.directory,
            |_| true,
            |Download { module, kind, by, time }| {
                let by = match by {
                    Downloader::Token { name, .. } => name,
                    Downloader::Anonymous => "anonymous".to_owned(),
                };
                lines.push(format!("{by} {kind:?} {module} {time}"));
            },
        );
        (lines, reach.unwrap())
    }
}

#[test]
fn a_line_for_each_holder_version_and_day() {
    let place = Place::new();
    let (ana, ci) = (token(1, "ana"), token(2, "ci job"));
    for _ in 0..3 {
        place.run(|downloads| {
            for later in 0..3 {
                let now = NOON + later;
                downloads.note(sent("a.b/!c", DownloadKind::Zip), Some(&ana), now);
                downloads.note(sent("a.b/!c", DownloadKind::Zip), Some(&ci), now);
                downloads.note(sent("a.b/!c", DownloadKind::GoMod), Some(&ana), now);
                downloads.note(sent("a.b/c", DownloadKind::Zip), None, now);
                downloads.note(Sent { version: "v1.1.0", ..sent("a.b/c", DownloadKind::Zip) }, None, now);
            }
        });
    }
    place.run(|downloads| downloads.note(sent("a.b/!c", DownloadKind::Zip), Some(&ana), NOON + 86_400));
    let noon = NOON;
    let tomorrow = NOON + 86_400;
    let want = [
        format!("ana Zip a.b/C@v1.0.0 {noon}"),
        format!("ci job Zip a.b/C@v1.0.0 {noon}"),
        format!("ana GoMod a.b/C@v1.0.0 {noon}"),
        format!("anonymous Zip a.b/c@v1.0.0 {noon}"),
        format!("anonymous Zip a.b/c@v1.1.0 {noon}"),
        format!("ana Zip a.b/C@v1.0.0 {tomorrow}"),
    ];
    let (lines, reach) = place.read();
    assert_eq!((reach.since.as_deref(), reach.unreadable), (Some(FILE), 0));
    assert_eq!(lines, want);
    assert_eq!(place.text().matches("holder ").count(), 2, "{}", place.text());
}

#[test]
fn only_what_is_asked_for_is_shown() {
    let place = Place::new();
    place.run(|downloads| {
        for path in ["a.b/c", "a.b/d"] {
            downloads.note(sent(path, DownloadKind::Zip), None, NOON);
        }
    });
    let mut seen = Vec::new();
    read_downloads(&place.directory, |module| module.contains('d'), |download| seen.push(download.module))
        .unwrap();
    assert_eq!(seen, ["a.b/d@v1.0.0".parse().unwrap()]);
    let nowhere = read_downloads(&place.directory.join("x"), |_| true, |_| panic!("shown")).unwrap();
    assert_eq!(nowhere, DownloadReach::default());
}

#[test]
fn what_is_written_is_there_while_the_writer_runs() {
    let place = Place::new();
    let downloads = Downloads::open_at(&place.directory, 180, NOON).unwrap();
    downloads.note(sent("a.b/c", DownloadKind::Zip), None, NOON);
    let begun = std::time::Instant::now();
    while place.read().0.is_empty() {
        assert!(begun.elapsed().as_secs() < 10, "not written");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_line_cut_by_a_crash_goes_and_the_rest_stays() {
    let place = Place::new();
    let ana = token(1, "ana");
    place.run(|downloads| {
        for path in ["a.b/c", "a.b/d"] {
            downloads.note(sent(path, DownloadKind::Zip), Some(&ana), NOON);
        }
    });
    let good = place.text();
    for end in 0..=good.len() {
        fs::write(place.directory.join(FILE), &good[..end]).unwrap();
        let whole: Vec<_> = good[..end].split_inclusive('\n').filter(|line| line.ends_with('\n')).collect();
        let before = place.read().0.len();
        assert_eq!(before, whole.len().saturating_sub(2), "cut at {end}");
        place.run(|downloads| downloads.note(sent("a.b/e", DownloadKind::Zip), Some(&ana), NOON));
        let (lines, reach) = place.read();
        assert_eq!((lines.len(), reach.unreadable), (before + 1, 0), "cut at {end}: {}", place.text());
        assert_eq!(lines.last().map(String::as_str), Some("ana Zip a.b/e@v1.0.0 951825600"));
    }
}

#[test]
fn old_days_go_and_nothing_else_does() {
    let place = Place::new();
    let downloads = Downloads::open_at(&place.directory, 7, NOON - 86_400).unwrap();
    for name in ["2000-02-21", "2000-02-22", "1999-01-01", "notes", "2000-02-21.txt"] {
        fs::write(place.directory.join(name), "quipu downloads 1\n").unwrap();
    }
    downloads.note(sent("a.b/c", DownloadKind::Zip), None, NOON);
    downloads.close();
    let mut names: Vec<_> = fs::read_dir(&place.directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["2000-02-21.txt", "2000-02-22", "2000-02-28", FILE, "notes"]);
}

#[test]
fn a_foreign_file_is_left_alone() {
    let place = Place::new();
    fs::create_dir(&place.directory).unwrap();
    let file = place.directory.join(FILE);
    for content in ["something else\n", "quipu downloads 2\n", "\n"] {
        fs::write(&file, content).unwrap();
        assert!(Downloads::open_at(&place.directory, 180, NOON).is_err());
        let downloads = Downloads::open_at(&place.directory, 180, 0).unwrap();
        downloads.note(sent("a.b/c", DownloadKind::Zip), None, NOON);
        downloads.close();
        assert_eq!(place.text(), content);
        fs::remove_file(place.directory.join("1970-01-01")).unwrap();
        assert!(read_downloads(&place.directory, |_| true, |_| {}).is_err(), "{content:?}");
    }
    fs::write(&file, "quipu downloads 1\nwhat is this\n00:00:00 - zip a.b/c\n").unwrap();
    assert_eq!(place.read().1.unreadable, 2);
}

#[test]
fn a_full_day_takes_no_more() {
    let place = Place::new();
    fs::create_dir(&place.directory).unwrap();
    let line = "x".repeat(4000) + "\n";
    let full = format!("quipu downloads 1\n{}", line.repeat((64 << 20) / line.len()));
    fs::write(place.directory.join(FILE), &full).unwrap();
    place.run(|downloads| {
        for n in 0..100 {
            downloads.note(sent(&format!("a.b/{n}"), DownloadKind::Zip), None, NOON);
        }
    });
    let length = fs::metadata(place.directory.join(FILE)).unwrap().len();
    assert!(length <= 64 << 20 && length >= full.len() as u64, "{length}");
    assert!(place.read().0.len() < 100);
}

#[test]
fn files_are_for_the_owner_alone() {
    use std::os::unix::fs::MetadataExt as _;
    let place = Place::new();
    place.run(|downloads| downloads.note(sent("a.b/c", DownloadKind::Zip), None, NOON));
    assert_eq!(fs::metadata(&place.directory).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(place.directory.join(FILE)).unwrap().mode() & 0o777, 0o600);
}
