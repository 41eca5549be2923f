//! Evidence kept in files for a human.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use quipu_tlog::leaf_hash;

use crate::durable::replace_file;
use crate::evidence::{Evidence, Kind};

/// A directory that evidence is kept in; made when there is some.
#[derive(Clone, Debug)]
pub struct EvidenceDir(PathBuf);

/// A piece of evidence that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptEvidence {
    /// Where.
    pub file: PathBuf,
    /// Whether it was not there before.
    pub is_new: bool,
}

impl EvidenceDir {
    /// Evidence goes to files below `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self(dir.to_owned())
    }

    /// Keeps a piece of evidence in a file named after its content, so that none overwrites another, and tells which.
    ///
    /// # Errors
    /// The file cannot be written, or there are too many: 100 files are room enough for what was served (whoever is in
    /// the way to a database could make more without end), and 1,000 more for what is proven.
    pub fn put(&self, evidence: &Evidence) -> io::Result<KeptEvidence> {
        let text = evidence.to_string();
        let hash = leaf_hash(text.as_bytes());
        let name: String = hash.as_bytes().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let file = self.0.join(format!("{name}.evidence"));
        let is_new = !file.exists();
        if is_new {
            fs::create_dir_all(&self.0)?;
            self.check_room(evidence.kind())?;
            replace_file(&file, text.as_bytes())?;
        }
        Ok(KeptEvidence { file, is_new })
    }

    fn check_room(&self, kind: Kind) -> io::Result<()> {
        let room = if kind.is_signed() { MAX_SERVED + MAX_SIGNED } else { MAX_SERVED };
        if fs::read_dir(&self.0)?.take(room).count() < room {
            return Ok(());
        }
        let dir = self.0.display();
        Err(io::Error::other(format!("there are {room} files in {dir} already: move them elsewhere")))
    }
}

/// Files, all counted, with which no more is kept of what anybody could have made.
const MAX_SERVED: usize = 100;
/// Files that may be there beyond these.
const MAX_SIGNED: usize = 1000;
