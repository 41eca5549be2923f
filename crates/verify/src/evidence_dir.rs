//! Evidence kept in files for a human.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use quipu_tlog::leaf_hash;

use crate::evidence::Evidence;

/// A directory that evidence is kept in; made when there is some.
#[derive(Clone, Debug)]
pub struct EvidenceDir(PathBuf);

impl EvidenceDir {
    /// Evidence goes to files below `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self(dir.to_owned())
    }

    /// Keeps a piece of evidence in a file named after its content, so that none overwrites another, and tells which.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn put(&self, evidence: &Evidence) -> io::Result<PathBuf> {
        let text = evidence.to_string();
        let hash = leaf_hash(text.as_bytes());
        let name: String = hash.as_bytes().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let file = self.0.join(format!("{name}.evidence"));
        write(&self.0, &file, text.as_bytes()).map(|()| file)
    }
}

fn write(dir: &Path, file: &Path, text: &[u8]) -> io::Result<()> {
    if file.exists() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    let unfinished = file.with_extension("unfinished");
    let mut out = fs::File::create(&unfinished)?;
    out.write_all(text)?;
    out.sync_all()?;
    fs::rename(&unfinished, file)
}
