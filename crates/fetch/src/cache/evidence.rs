//! Keeping aside what must not be served, so that somebody can look at it.

use std::io;
use std::sync::{Mutex, PoisonError};

use quipu_module::ModuleVersion;

use super::Shared;
use super::admit::{Finding, FindingKind};
use super::mark::hex;
use super::tree::{FileKind, Name, Tree, write_whole};

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

/// The directory of cases.
pub(super) const DIRECTORY: &str = ".evidence";

/// The cases: for each `<id>.txt` with the reason, `<id>.proof` if there is one, and `<id>.zip` or `.mod`
/// with the bytes.
pub(super) struct Evidence {
    tree: Tree,
    limits: EvidenceLimits,
    /// Cases and bytes kept so far.
    kept: Mutex<(usize, u64)>,
}

impl Evidence {
    pub(super) fn open(tree: &Tree, limits: EvidenceLimits) -> io::Result<Self> {
        let mut kept = (0, 0u64);
        for entry in tree.list(Some(&directory()))? {
            kept.0 += usize::from(entry.name.ends_with(".txt"));
            let facts = Name::below(Some(&directory()), &entry.name).map(|name| tree.inspect(&name));
            kept.1 = kept.1.saturating_add(facts.transpose()?.flatten().map_or(0, |facts| facts.length));
        }
        Ok(Self { tree: tree.clone(), limits, kept: Mutex::new(kept) })
    }

    /// Moves the file of this name here as evidence, or removes it where there is no room. Whether the case was not known
    /// before. Blocks.
    pub(super) fn keep(&self, case: &Case<'_>, name: &Name) -> io::Result<bool> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let id = hex(&case.sha256[..16]);
        let file = |extension: &str| Name::checked(format!("{DIRECTORY}/{id}.{extension}"));
        let length = self.tree.inspect(name)?.ok_or(io::ErrorKind::NotFound)?.length;
        let is_known = self.tree.has(&file("txt"))?;
        if is_known || kept.0 >= self.limits.cases {
            self.tree.remove(name)?;
            return Ok(!is_known);
        }
        let text = format!(
            "{} {}\nsha256 {}\nlength {length}\n\n{}\n",
            case.version,
            case.kind.extension(),
            hex(case.sha256),
            case.text
        );
        write_whole(self.tree.storage(), &file("txt"), text.as_bytes())?;
        kept.0 += 1;
        if !case.proof.is_empty() {
            // One may have survived a crash that its report did not.
            self.tree.remove(&file("proof"))?;
            write_whole(self.tree.storage(), &file("proof"), case.proof)?;
        }
        if kept.1.saturating_add(length) > self.limits.bytes {
            self.tree.remove(name)?;
        } else {
            self.tree.storage().replace(name, &file(case.kind.extension()))?;
            kept.1 += length;
        }
        self.tree.storage().sync(Some(&directory()))?;
        Ok(true)
    }
}

impl Shared {
    /// Keeps a case and says so, if it is not known yet. Blocks.
    pub(super) fn keep_case(&self, kind: FindingKind, case: &Case<'_>, name: &Name) -> io::Result<()> {
        let kept = self.evidence.keep(case, name);
        if !matches!(kept, Ok(false)) {
            let Case { version, kind: file, text, .. } = *case;
            self.admit.note(&Finding { kind, version, file, text });
        }
        kept.map(drop)
    }
}

fn directory() -> Name {
    Name::checked(DIRECTORY.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::storage::Memory;

    #[test]
    fn cases_are_kept_once_and_within_limits() {
        let tree = Tree::new(Arc::new(Memory::new(1 << 20)));
        let version: ModuleVersion = "example.com/m@v1.0.0".parse().unwrap();
        let limits = EvidenceLimits { cases: 3, bytes: 10 };
        let evidence = Evidence::open(&tree, limits).unwrap();
        let file = Name::parse("file").unwrap();
        let files = [
            (1, "12345678", true),
            (1, "12345678", false),
            (2, "12345678", true),
            (3, "", true),
            (4, "", true),
        ];
        for (n, content, is_new) in files {
            write_whole(tree.storage(), &file, content.as_bytes()).unwrap();
            let case = Case {
                version: &version,
                kind: FileKind::Zip,
                sha256: &[n; 32],
                text: "why",
                proof: b"proof",
            };
            assert_eq!(evidence.keep(&case, &file).unwrap(), is_new);
            assert!(!tree.has(&file).unwrap());
        }
        let entries = tree.list(Some(&directory())).unwrap();
        let mut names: Vec<_> =
            entries.iter().map(|entry| format!("{}{}", &entry.name[..2], &entry.name[32..])).collect();
        names.sort();
        let expected = ["01.proof", "01.txt", "01.zip", "02.proof", "02.txt", "03.proof", "03.txt", "03.zip"];
        assert_eq!(names, expected);
        let report = Name::checked(format!("{DIRECTORY}/{}.txt", "01".repeat(16)));
        let report = tree.read_up_to(&report, 1000).unwrap().unwrap();
        let report = String::from_utf8(report.to_vec()).unwrap();
        assert!(report.starts_with("example.com/m@v1.0.0 zip\nsha256 0101") && report.ends_with("\nwhy\n"));
        assert_eq!(Evidence::open(&tree, limits).unwrap().kept.lock().unwrap().0, 3);
    }

    #[test]
    fn a_case_of_which_only_the_proof_survived_is_kept_whole() {
        let tree = Tree::new(Arc::new(Memory::new(1 << 20)));
        let version: ModuleVersion = "example.com/m@v1.0.0".parse().unwrap();
        let evidence = Evidence::open(&tree, EvidenceLimits::default()).unwrap();
        let [file, proof] = ["file", ".evidence/00000000000000000000000000000000.proof"]
            .map(|name| Name::parse(name).unwrap());
        write_whole(tree.storage(), &file, b"zip").unwrap();
        write_whole(tree.storage(), &proof, b"").unwrap();
        let case =
            Case { version: &version, kind: FileKind::Zip, sha256: &[0; 32], text: "", proof: b"proof" };
        evidence.keep(&case, &file).unwrap();
        assert_eq!(tree.read_up_to(&proof, 10).unwrap().unwrap(), "proof");
    }
}
