//! Evidence of databases that signed two histories, kept in files for a human.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use quipu_verify::Evidence;
use sha2::{Digest as _, Sha256};
use tracing::error;

/// The directory that evidence is kept in; made when there is some.
#[derive(Clone, Debug)]
pub struct EvidenceDir(PathBuf);

impl EvidenceDir {
    /// Evidence goes to files below `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self(dir.to_owned())
    }

    /// Keeps a piece of evidence in a file named after its content, so that no fork overwrites another, and tells which.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn put(&self, evidence: &Evidence) -> io::Result<PathBuf> {
        let text = evidence.to_string();
        let name: String = Sha256::digest(&text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let file = self.0.join(format!("{name}.evidence"));
        write(&self.0, &file, text.as_bytes()).map(|()| file)
    }

    /// Keeps a piece of evidence and says so in the log.
    pub(crate) fn keep(&self, evidence: &Evidence) {
        metrics::counter!("quipu_forks_seen_total").increment(1);
        match self.put(evidence) {
            Ok(file) => error!(file = %file.display(), "a database signed two histories: evidence kept"),
            Err(error) => {
                error!(%error, %evidence, "a database signed two histories: cannot keep the evidence");
            }
        }
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
