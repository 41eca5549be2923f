//! Files that are replaced whole.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Puts a file in its place whole and durably: whoever opens it finds the former content or this one, also after a crash.
///
/// Written beside it first, under its name with `.unfinished` added; what a crash leaves there is overwritten by the next
/// one. So two at once must not write the same file.
///
/// # Errors
/// It cannot be written, or its directory cannot be synced: then either content may be there.
pub fn replace_file(file: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".unfinished");
    let unfinished = file.with_file_name(name);
    let mut out = File::create(&unfinished)?;
    out.write_all(content)?;
    out.sync_all()?;
    fs::rename(&unfinished, file)?;
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
    sync_dir(dir.unwrap_or(Path::new(".")))
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state.v1");
        fs::write(dir.path().join("state.v1.unfinished"), "what a crash left, longer than what follows")
            .unwrap();
        for content in ["one", "", "two"] {
            replace_file(&file, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(replace_file(&dir.path().join("missing/file"), b"x").is_err());
        assert!(replace_file(dir.path(), b"x").is_err(), "a directory");
    }
}
