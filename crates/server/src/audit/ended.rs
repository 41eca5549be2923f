//! Whether the run before was ended, by what it left in the audit log.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::event::{EventKind, Wire};
use super::file::parse_line;

/// How much of the end of a log is read, in bytes: some ten thousand entries.
const LOOK_BACK: u64 = 4 << 20;

/// Whether the last run of a server in this audit log has noted its end. One that was killed has not, nor one whose disk was
/// full just then. `None` if there is no log, or its last 4 MiB tell neither of a start nor of an end.
///
/// # Errors
/// Reading fails.
pub fn last_run_ended(path: &Path) -> io::Result<Option<bool>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOOK_BACK)))?;
    let mut end = Vec::new();
    file.take(length.min(LOOK_BACK)).read_to_end(&mut end)?;
    let kind = |line| {
        let (_, json) = parse_line(std::str::from_utf8(line).ok()?)?;
        Some(serde_json::from_str::<Wire>(json).ok()?.event)
    };
    let mut kinds = end.rsplit(|&byte| byte == b'\n').filter_map(kind);
    Ok(kinds.find_map(|kind| match kind {
        EventKind::Start => Some(false),
        EventKind::Stop => Some(true),
        _ => None,
    }))
}
