//! Files by name, wherever they lie: below a directory, or in a tar archive that is read in place.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

/// Most files that are looked at.
const MAX_FILES: usize = 4_000_000;

/// Deepest directory that is looked into: more than any module path has elements.
const MAX_DEPTH: usize = 128;

/// A directory or an archive. Names are relative, with slashes, without dot elements.
#[derive(Clone)]
pub(crate) enum Files {
    /// What lies below this directory.
    Directory(PathBuf),
    /// Where in the file each content lies: first byte and length.
    Archive(Arc<File>, Arc<BTreeMap<String, (u64, u64)>>),
}

impl Files {
    /// The files of a directory, or of a tar archive.
    ///
    /// # Errors
    /// It is neither, or cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let cannot = || format!("cannot read {}", path.display());
        if fs::metadata(path).with_context(cannot)?.is_dir() {
            return Ok(Self::Directory(path.to_owned()));
        }
        let file = File::open(path).with_context(cannot)?;
        let places = index(&file).with_context(|| format!("{} is no tar archive", path.display()))?;
        Ok(Self::Archive(Arc::new(file), Arc::new(places)))
    }

    /// The names of all files at or below `prefix` (a directory, or empty), in order. Links are passed over, and so is
    /// what begins with a dot.
    ///
    /// # Errors
    /// A directory cannot be read, or there are too many files.
    pub(crate) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let mut names = match self {
            Self::Archive(_, places) => {
                places.keys().filter(|name| is_below(name, prefix)).cloned().collect()
            }
            Self::Directory(root) => {
                let mut names = Vec::new();
                walk(&root.join(prefix), prefix, MAX_DEPTH, &mut names)?;
                names
            }
        };
        names.sort_unstable();
        Ok(names)
    }

    /// Whether there is a directory of this name.
    pub(crate) fn has_directory(&self, name: &str) -> bool {
        match self {
            Self::Directory(root) => root.join(name).is_dir(),
            Self::Archive(_, places) => places.keys().any(|known| is_below(known, name)),
        }
    }

    /// A file by its name; `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn find(&self, name: &str) -> io::Result<Option<Piece>> {
        match self {
            Self::Archive(file, places) => Ok(places.get(name).map(|(start, length)| Piece {
                file: Arc::clone(file),
                start: *start,
                length: *length,
                at: 0,
            })),
            Self::Directory(root) => match open_plain(&root.join(name)) {
                Ok(found) => {
                    Ok(found.map(|(file, length)| Piece { file: Arc::new(file), start: 0, length, at: 0 }))
                }
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
                {
                    Ok(None)
                }
                Err(error) => Err(error),
            },
        }
    }

    /// The content of a small file of at most `most` bytes; `None` if there is none.
    ///
    /// # Errors
    /// It is longer, or cannot be read.
    pub(crate) fn read(&self, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(mut piece) = self.find(name)? else { return Ok(None) };
        if piece.length > most {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("{name} has more than {most} bytes"),
            ));
        }
        let mut content = Vec::new();
        piece.read_to_end(&mut content)?;
        Ok(Some(content))
    }
}

/// The content of one file.
#[derive(Clone)]
pub(crate) struct Piece {
    file: Arc<File>,
    start: u64,
    length: u64,
    /// The next byte to read, from the beginning of the content.
    at: u64,
}

impl Piece {
    /// Its length in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.length
    }
}

impl Read for Piece {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = buffer.len().min(left);
        let into = buffer.get_mut(..most).unwrap_or_default();
        let read = self.file.read_at(into, self.start.saturating_add(self.at))?;
        self.at = self.at.saturating_add(read as u64);
        Ok(read)
    }
}

impl Seek for Piece {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Hashes all of a file with SHA-256.
///
/// # Errors
/// It cannot be read.
pub(crate) fn digest(mut content: impl Read) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            read => hash.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}

/// A plain file and its length; `None` if it is something else, such as a pipe, on which opening would wait.
fn open_plain(path: &Path) -> io::Result<Option<(File, u64)>> {
    if !fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    Ok(Some((file, length)))
}

fn is_below(name: &str, prefix: &str) -> bool {
    prefix.is_empty() || name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
}

fn walk(directory: &Path, prefix: &str, depth: usize, names: &mut Vec<String>) -> Result<()> {
    ensure!(depth > 0, "{} lies too deep", directory.display());
    let cannot = || format!("cannot read {}", directory.display());
    for entry in fs::read_dir(directory).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') {
            continue;
        }
        let whole = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        let kind = entry.file_type().with_context(cannot)?;
        if kind.is_dir() {
            walk(&entry.path(), &whole, depth - 1, names)?;
        } else if kind.is_file() {
            ensure!(names.len() < MAX_FILES, "more than {MAX_FILES} files");
            names.push(whole);
        }
    }
    Ok(())
}

/// Where the contents of an archive lie. Only plain files count; of a name that is there twice, the last.
fn index(file: &File) -> Result<BTreeMap<String, (u64, u64)>> {
    let mut archive = tar::Archive::new(BufReader::new(file));
    let mut places = BTreeMap::new();
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8(entry.path_bytes().into_owned()).context("a name is not UTF-8")?;
        let name = name.strip_prefix("./").unwrap_or(&name);
        let plain = name.split('/').all(|element| !matches!(element, "" | "." | ".."));
        if !plain {
            bail!("{name:?} is no plain relative name");
        }
        ensure!(places.len() < MAX_FILES, "more than {MAX_FILES} files");
        places.insert(name.to_owned(), (entry.raw_file_position(), entry.size()));
    }
    ensure!(!places.is_empty(), "it holds no files");
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(path: &Path, files: &[(&str, &str)]) {
        let mut tar = tar::Builder::new(File::create(path).unwrap());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.as_gnu_mut().unwrap().name[..name.len().min(100)]
                .copy_from_slice(&name.as_bytes()[..name.len().min(100)]);
            header.set_cksum();
            tar.append(&header, content.as_bytes()).unwrap();
        }
        tar.finish().unwrap();
    }

    #[test]
    fn a_directory_and_an_archive_of_it_are_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        let long = format!("a/{}/x", "long".repeat(40));
        for (name, content) in [("a/b", "content"), ("c", ""), (long.as_str(), "x"), (".hidden/x", "")] {
            let file = root.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }
        let tar = dir.path().join("x.tar");
        let mut builder = tar::Builder::new(File::create(&tar).unwrap());
        for name in ["a/b", "c", &long] {
            builder.append_path_with_name(root.join(name), name).unwrap();
        }
        builder.finish().unwrap();
        for files in [Files::open(&root).unwrap(), Files::open(&tar).unwrap()] {
            assert_eq!(files.names("").unwrap(), ["a/b", &long, "c"]);
            assert_eq!(files.names("a").unwrap(), ["a/b", &long]);
            assert!(files.has_directory("a") && !files.has_directory("a/b") && !files.has_directory("aa"));
            assert_eq!(files.read("a/b", 7).unwrap().unwrap(), b"content");
            assert!(files.read("a/b", 6).is_err());
            assert!(files.read("a", 6).unwrap().is_none() && files.read("d", 6).unwrap().is_none());
            let mut piece = files.find("a/b").unwrap().unwrap();
            piece.seek(SeekFrom::End(-4)).unwrap();
            let mut end = String::new();
            piece.read_to_string(&mut end).unwrap();
            assert_eq!(end, "tent");
            assert_eq!(digest(files.find("c").unwrap().unwrap()).unwrap()[..4], [0xe3, 0xb0, 0xc4, 0x42]);
        }
    }

    #[test]
    fn names_that_lead_elsewhere_and_other_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let tar = dir.path().join("x.tar");
        for name in ["../x", "/x", "a/../x", "a//x"] {
            archive(&tar, &[("good", "1"), (name, "2")]);
            assert!(Files::open(&tar).is_err(), "{name}");
        }
        fs::write(&tar, "no archive at all").unwrap();
        assert!(Files::open(&tar).is_err());
        fs::write(&tar, "").unwrap();
        assert!(Files::open(&tar).is_err());
    }
}
