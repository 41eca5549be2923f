//! The file of one day: opened, added to, cut back to whole lines.
//!
//! Syscalls of a batch: one `write` at the end. Syncs are the writer's. A crash may leave a last line without its end; it is
//! cut off when the file is opened again.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::day::Day;
use super::line::{self, Line, Parsed};

/// The first line.
pub(super) const FORMAT: &str = "quipu downloads 1";

/// Longest file of a day, in bytes: about a million lines. What comes beyond is lost and counted.
const MAX_BYTES: u64 = 64 << 20;

/// The file that is written to.
pub(super) struct DayFile {
    pub(super) day: Day,
    file: File,
    /// Its length, in bytes; the end of a line.
    end: u64,
    /// The ids of tokens that the file has a name for.
    named: HashSet<String>,
}

/// Makes the directory, readable for its owner only.
pub(super) fn make(directory: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// The file of a day.
pub(super) fn path(directory: &Path, day: Day) -> PathBuf {
    directory.join(day.to_string())
}

/// The days that there are files of, ascending. Other files are not looked at.
pub(super) fn days(directory: &Path) -> io::Result<Vec<Day>> {
    let mut days = Vec::new();
    for entry in fs::read_dir(directory)? {
        days.extend(entry?.file_name().to_str().and_then(|name| name.parse::<Day>().ok()));
    }
    days.sort_unstable();
    Ok(days)
}

/// Removes the files of days before `oldest`.
pub(super) fn prune(directory: &Path, oldest: Day) -> io::Result<()> {
    for day in days(directory)?.into_iter().filter(|day| *day < oldest) {
        fs::remove_file(path(directory, day))?;
    }
    Ok(())
}

impl DayFile {
    /// Opens the file of a day, or begins it. `seen` is shown every download that stands in it.
    pub(super) fn open(directory: &Path, day: Day, mut seen: impl FnMut(&Parsed<'_>)) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = file.open(path(directory, day))?;
        let mut text = Vec::new();
        (&file).take(MAX_BYTES + 1).read_to_end(&mut text)?;
        let refused = |why: &str| {
            let why = format!("{}: {why}", path(directory, day).display());
            Err(io::Error::new(io::ErrorKind::InvalidData, why))
        };
        if text.len() as u64 > MAX_BYTES {
            return refused("it is larger than any record of downloads");
        }
        let end = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let text = String::from_utf8_lossy(text.get(..end).unwrap_or_default());
        let mut lines = text.lines();
        if lines.next().is_some_and(|first| first != FORMAT) {
            return refused("its first line is not that of a record of downloads");
        }
        let mut named = HashSet::new();
        for parsed in lines.filter_map(line::parse) {
            match parsed {
                Parsed::Holder { id, .. } => drop(named.insert(id.to_owned())),
                Parsed::Taken { .. } => seen(&parsed),
            }
        }
        // What stands behind the last whole line was never finished.
        file.set_len(end as u64)?;
        let mut opened = Self { day, file, end: end as u64, named };
        if opened.end == 0 {
            opened.append(&format!("{FORMAT}\n"))?;
        }
        Ok(opened)
    }

    /// Adds downloads of this day. Returns how many found no room.
    pub(super) fn add(&mut self, lines: &[Line]) -> io::Result<usize> {
        let (mut text, mut new) = (String::new(), HashSet::new());
        for line in lines {
            if let Some((id, name)) = &line.holder
                && !self.named.contains(id)
                && new.insert(id.clone())
            {
                line::write_holder(id, name, &mut text);
            }
            line.write(&mut text);
        }
        if self.end.saturating_add(text.len() as u64) > MAX_BYTES {
            return Ok(lines.len());
        }
        self.append(&text)?;
        self.named.extend(new);
        Ok(0)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn append(&mut self, text: &str) -> io::Result<()> {
        if let Err(error) = self.file.write_all_at(text.as_bytes(), self.end) {
            // What may stand there half is no line; if it cannot be cut off now, the next write lies over it.
            let _ = self.file.set_len(self.end);
            return Err(error);
        }
        self.end += text.len() as u64;
        Ok(())
    }
}
