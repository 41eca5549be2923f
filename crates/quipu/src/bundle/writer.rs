//! Writing a bundle: a directory or a tar, under another name until it is whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use super::{Entry, MANIFEST, Manifest};

/// Takes files one after the other; what it wrote so far goes away with it unless it is finished.
pub(crate) struct Writer {
    to: PathBuf,
    part: PathBuf,
    target: Target,
    files: BTreeMap<String, Entry>,
    finished: bool,
}

enum Target {
    Directory,
    Archive(Box<tar::Builder<BufWriter<File>>>),
}

impl Writer {
    /// Begins a bundle that will be called `to`: a tar if that ends in `.tar`, else a directory.
    ///
    /// # Errors
    /// There is something of this name, or it cannot be made.
    pub(crate) fn begin(to: &Path) -> Result<Self> {
        ensure!(!to.exists(), "{} is there already: a bundle gets a new name", to.display());
        let mut part = to.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let cannot = || format!("cannot make {} (left by an interrupted export? remove it)", part.display());
        let target = if to.extension().is_some_and(|extension| extension == "tar") {
            let file = File::create_new(&part).with_context(cannot)?;
            Target::Archive(Box::new(tar::Builder::new(BufWriter::with_capacity(256 << 10, file))))
        } else {
            fs::create_dir(&part).with_context(cannot)?;
            Target::Directory
        };
        Ok(Self { to: to.to_owned(), part, target, files: BTreeMap::new(), finished: false })
    }

    /// Adds a file with exactly `length` bytes of `content`.
    ///
    /// # Errors
    /// It is shorter or longer, or cannot be read or written.
    pub(crate) fn add(&mut self, name: &str, length: u64, content: impl Read) -> Result<()> {
        let mut content =
            Hashing { content: content.take(length.saturating_add(1)), hash: Sha256::new(), read: 0 };
        self.write(name, length, &mut content).with_context(|| format!("cannot write {name}"))?;
        ensure!(content.read == length, "{name} changed while it was read");
        let entry = Entry { length, sha256: content.hash.finalize().into() };
        self.files.insert(name.to_owned(), entry);
        Ok(())
    }

    fn write(&mut self, name: &str, length: u64, content: &mut impl Read) -> io::Result<()> {
        match &mut self.target {
            Target::Archive(archive) => {
                let mut header = tar::Header::new_gnu();
                header.set_size(length);
                header.set_mode(0o644);
                archive.append_data(&mut header, name, content)
            }
            Target::Directory => {
                let path = self.part.join(name);
                path.parent().map_or(Ok(()), fs::create_dir_all)?;
                let mut file = File::create_new(path)?;
                io::copy(content, &mut file)?;
                file.sync_all()
            }
        }
    }

    /// Adds the manifest and gives the bundle its name. Returns how many files it has and the bytes in them.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn finish(mut self, manifest: Manifest) -> Result<(usize, u64)> {
        let files = std::mem::take(&mut self.files);
        let sums = (files.len(), files.values().map(|entry| entry.length).sum());
        let text = Manifest { files, ..manifest }.to_string();
        self.add(MANIFEST, text.len() as u64, text.as_bytes())?;
        if let Target::Archive(archive) = &mut self.target {
            archive.finish()?;
            let buffered = archive.get_mut();
            buffered.flush()?;
            buffered.get_ref().sync_all()?;
        }
        fs::rename(&self.part, &self.to)
            .with_context(|| format!("cannot name the bundle {}", self.to.display()))?;
        self.finished = true;
        let parent = self.to.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(sums)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.finished {
            // What cannot be removed is named by the next export.
            let _ = match self.target {
                Target::Directory => fs::remove_dir_all(&self.part),
                Target::Archive(_) => fs::remove_file(&self.part),
            };
        }
    }
}

/// Hashes what passes.
struct Hashing<R> {
    content: R,
    hash: Sha256,
    read: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.hash.update(buffer.get(..read).unwrap_or_default());
        self.read = self.read.saturating_add(read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use quipu_tlog::{Hash, Tree};

    use super::*;
    use crate::files::Files;

    fn manifest() -> Manifest {
        let database = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
        let head = Tree { size: 0, root: Hash::EMPTY_TREE };
        Manifest { database: database.parse().unwrap(), head, since: None, files: BTreeMap::new() }
    }

    #[test]
    fn both_forms_hold_the_same_and_a_tar_is_the_same_every_time() {
        let dir = tempfile::tempdir().unwrap();
        let long = format!("{}x", "long/".repeat(40));
        let write = |name: &str| {
            let mut writer = Writer::begin(&dir.path().join(name)).unwrap();
            for (name, content) in [("a/b", "content"), (&long, "x"), ("c", "")] {
                writer.add(name, content.len() as u64, content.as_bytes()).unwrap();
            }
            assert_eq!(writer.finish(manifest()).unwrap(), (3, 8));
            Files::open(&dir.path().join(name)).unwrap()
        };
        let (plain, tar) = (write("plain"), write("one.tar"));
        assert_eq!(plain.names("").unwrap(), ["a/b", "c", &long, MANIFEST]);
        for name in plain.names("").unwrap() {
            assert_eq!(plain.read(&name, 999).unwrap(), tar.read(&name, 999).unwrap(), "{name}");
        }
        assert_eq!(tar.names("").unwrap(), plain.names("").unwrap());
        write("two.tar");
        assert_eq!(
            fs::read(dir.path().join("one.tar")).unwrap(),
            fs::read(dir.path().join("two.tar")).unwrap()
        );
        assert!(Writer::begin(&dir.path().join("plain")).is_err());
    }

    #[test]
    fn nothing_stays_of_what_is_not_finished() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["plain", "x.tar"] {
            let mut writer = Writer::begin(&dir.path().join(name)).unwrap();
            writer.add("a/b", 1, &b"1"[..]).unwrap();
            for length in [2, 4] {
                assert!(writer.add(&format!("c{length}"), length, &b"123"[..]).is_err());
            }
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
