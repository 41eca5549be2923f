//! Keeping aside what must not be served, so that somebody can look at it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use quipu_module::ModuleVersion;

use super::mark::hex;
use super::tree::{FileKind, sync_directory, write_whole};

/// Bounds on what is kept.
#[derive(Clone, Copy, Debug)]
pub struct EvidenceLimits {
    /// Most cases. Later ones are counted and logged, not kept.
    pub cases: usize,
    /// Most bytes of refused files, all cases together. Beyond it only the reports are kept.
    pub bytes: u64,
}

impl Default for EvidenceLimits {
    fn default() -> Self {
        Self { cases: 1000, bytes: 2 << 30 }
    }
}

/// One refused file.
pub(super) struct Case<'a> {
    pub(super) version: &'a ModuleVersion,
    pub(super) kind: FileKind,
    /// SHA-256 of the file; the same bytes refused again are the same case.
    pub(super) sha256: &'a [u8; 32],
    /// Why it was refused, for people.
    pub(super) text: &'a str,
    /// What proves it, for programs.
    pub(super) proof: &'a [u8],
}

/// The directory of cases: for each `<id>.txt` with the reason, `<id>.proof` if there is one, and `<id>.zip` or `.mod`
/// with the bytes.
pub(super) struct Evidence {
    directory: PathBuf,
    limits: EvidenceLimits,
    /// Cases and bytes kept so far.
    kept: Mutex<(usize, u64)>,
}

impl Evidence {
    pub(super) fn open(directory: &Path, limits: EvidenceLimits) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let mut kept = (0, 0);
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            kept.0 += usize::from(entry.path().extension().is_some_and(|extension| extension == "txt"));
            kept.1 += entry.metadata()?.len();
        }
        Ok(Self { directory: directory.to_owned(), limits, kept: Mutex::new(kept) })
    }

    /// Moves the file at `path` here as evidence, or removes it where there is no room. Blocks.
    pub(super) fn keep(&self, case: &Case<'_>, path: &Path) -> io::Result<()> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let id = hex(&case.sha256[..16]);
        let report = self.directory.join(format!("{id}.txt"));
        let length = fs::metadata(path)?.len();
        if report.exists() || kept.0 >= self.limits.cases {
            return fs::remove_file(path);
        }
        let text = format!(
            "{} {}\nsha256 {}\nlength {length}\n\n{}\n",
            case.version,
            case.kind.extension(),
            hex(case.sha256),
            case.text
        );
        write_whole(&report, text.as_bytes())?;
        kept.0 += 1;
        if !case.proof.is_empty() {
            write_whole(&self.directory.join(format!("{id}.proof")), case.proof)?;
        }
        if kept.1.saturating_add(length) > self.limits.bytes {
            fs::remove_file(path)?;
        } else {
            fs::rename(path, self.directory.join(format!("{id}.{}", case.kind.extension())))?;
            kept.1 += length;
        }
        sync_directory(&self.directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_kept_once_and_within_limits() {
        let root = tempfile::tempdir().unwrap();
        let version: ModuleVersion = "example.com/m@v1.0.0".parse().unwrap();
        let limits = EvidenceLimits { cases: 3, bytes: 10 };
        let evidence = Evidence::open(&root.path().join("e"), limits).unwrap();
        let file = root.path().join("file");
        for (n, content) in [(1, "12345678"), (1, "12345678"), (2, "12345678"), (3, ""), (4, "")] {
            fs::write(&file, content).unwrap();
            let case = Case {
                version: &version,
                kind: FileKind::Zip,
                sha256: &[n; 32],
                text: "why",
                proof: b"proof",
            };
            evidence.keep(&case, &file).unwrap();
            assert!(!file.exists());
        }
        let mut names: Vec<_> = fs::read_dir(root.path().join("e"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .map(|name| format!("{}{}", &name[..2], &name[32..]))
            .collect();
        names.sort();
        let expected = ["01.proof", "01.txt", "01.zip", "02.proof", "02.txt", "03.proof", "03.txt", "03.zip"];
        assert_eq!(names, expected);
        let report =
            fs::read_to_string(root.path().join("e").join(format!("{}.txt", "01".repeat(16)))).unwrap();
        assert!(report.starts_with("example.com/m@v1.0.0 zip\nsha256 0101") && report.ends_with("\nwhy\n"));
        assert_eq!(Evidence::open(&root.path().join("e"), limits).unwrap().kept.lock().unwrap().0, 3);
    }
}
