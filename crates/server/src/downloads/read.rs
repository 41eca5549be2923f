//! Reading the record of downloads, also beside the server that writes it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use quipu_module::ModuleVersion;

use super::day::Day;
use super::file::{self, FORMAT};
use super::line::{self, DownloadKind, Parsed};

/// Longest line, in bytes.
const MAX_LINE: u64 = 4096;

/// Who downloaded something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Downloader {
    /// Somebody with a token.
    Token {
        /// The id of the token.
        id: String,
        /// What it was for; may be empty.
        name: String,
    },
    /// Somebody without one.
    Anonymous,
}

/// That somebody got a file of a version for the first time on some day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// The version.
    pub module: ModuleVersion,
    /// What of it.
    pub kind: DownloadKind,
    /// Who.
    pub by: Downloader,
    /// When, in seconds since 1970.
    pub time: u64,
}

/// How far the record goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DownloadReach {
    /// The first day that there is a record of (`2026-11-23`, UTC); none if there is none at all.
    pub since: Option<String>,
    /// Lines that are none of this format.
    pub unreadable: u64,
}

/// Shows `each` the downloads recorded in `directory` whose version, as text, is `wanted`: day by day, and within a day in the
/// order of the file. The same one may come twice.
///
/// # Errors
/// A file cannot be read, or is no record of downloads. Without the directory there is no record, and no error.
pub fn read_downloads(
    directory: &Path,
    wanted: impl Fn(&str) -> bool,
    mut each: impl FnMut(Download),
) -> io::Result<DownloadReach> {
    let days = match file::days(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(DownloadReach::default()),
        days => days?,
    };
    let mut reach = DownloadReach { since: days.first().map(ToString::to_string), unreadable: 0 };
    for day in days {
        let of_file = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", file::path(directory, day).display()))
        };
        match File::open(file::path(directory, day)) {
            Ok(file) => {
                reach.unreadable +=
                    read_day(BufReader::new(file), day, &wanted, &mut each).map_err(of_file)?;
            }
            // Its time may just have come.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(of_file(error)),
        }
    }
    Ok(reach)
}

/// Reads the file of a day; how many lines are none.
fn read_day(
    mut file: impl BufRead,
    day: Day,
    wanted: &impl Fn(&str) -> bool,
    each: &mut impl FnMut(Download),
) -> io::Result<u64> {
    let (mut names, mut unreadable, mut line) = (HashMap::new(), 0, Vec::new());
    let mut is_first = true;
    loop {
        line.clear();
        file.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
        // A line without an end is being written, or was never finished; an empty file has just been made.
        let Some(text) = line.strip_suffix(b"\n") else {
            return if line.len() as u64 == MAX_LINE { Err(foreign()) } else { Ok(unreadable) };
        };
        if std::mem::take(&mut is_first) {
            if text != FORMAT.as_bytes() {
                return Err(foreign());
            }
            continue;
        }
        match std::str::from_utf8(text).ok().and_then(line::parse) {
            Some(Parsed::Holder { id, name }) => drop(names.insert(id.to_owned(), name.to_owned())),
            Some(Parsed::Taken { module, .. }) if !wanted(module) => {}
            Some(Parsed::Taken { second, holder, kind, module }) => match module.parse() {
                Ok(module) => {
                    each(Download { module, kind, by: by(holder, &names), time: day.start() + second });
                }
                Err(_) => unreadable += 1,
            },
            None => unreadable += 1,
        }
    }
}

fn by(holder: Option<&str>, names: &HashMap<String, String>) -> Downloader {
    holder.map_or(Downloader::Anonymous, |id| {
        let name = names.get(id).cloned().unwrap_or_default();
        Downloader::Token { id: id.to_owned(), name }
    })
}

fn foreign() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "this is no record of downloads")
}
