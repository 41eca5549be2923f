//! A bare repository read with plain `git`, which is slow and simple.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use quipu_fetch::{Archive, ArchivedFile, Commit, Entry, EntryKind, Error, History, Oid, Refs, Result, Tree};

/// A bare repository in a directory, which goes with it if it was made here.
pub(crate) struct Repository {
    path: PathBuf,
    _made: Option<tempfile::TempDir>,
    /// What git said; it changes no more.
    said: Mutex<BTreeMap<Vec<String>, Output>>,
}

impl Repository {
    /// Makes one of a `git fast-import` stream.
    pub(crate) fn import(stream: &[u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let repository = Self { path, _made: Some(directory), said: Mutex::default() };
        repository.git(&["init", "-q", "--bare", "-b", "main"], b"");
        repository.export_all();
        let imported = repository.git(&["fast-import", "--quiet"], stream);
        assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
        repository
    }

    /// One that lies there already, which from now on exports everything as it is.
    pub(crate) fn adopt(path: &Path) -> Self {
        let repository = Self { path: path.to_owned(), _made: None, said: Mutex::default() };
        repository.export_all();
        repository
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn export_all(&self) {
        std::fs::create_dir_all(self.path().join("info")).unwrap();
        std::fs::write(self.path().join("info/attributes"), "\n* -export-subst -export-ignore\n").unwrap();
    }

    fn git(&self, args: &[&str], input: &[u8]) -> Output {
        let question: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut said = self.said.lock().unwrap();
        said.entry(question).or_insert_with(|| self.run(args, input)).clone()
    }

    fn run(&self, args: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new("git");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("LC_ALL", "C");
        command.envs([("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null")]);
        command.args(["-c", "core.autocrlf=input", "-c", "core.eol=lf"]).args(args).current_dir(self.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // A child that reads nothing breaks the pipe, which is its right.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    }

    /// What git prints, if it succeeds.
    fn ask(&self, args: &[&str]) -> Option<String> {
        let output = self.git(args, b"");
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }
}

impl History for Repository {
    async fn refs(&self) -> Result<Arc<Refs>> {
        let head = self.ask(&["rev-parse", "--verify", "-q", "HEAD"]).and_then(|id| Oid::parse(id.trim()));
        let mut refs = Refs { head, ..Refs::default() };
        let format = "--format=%(objectname) %(*objectname) %(refname)";
        for line in self.ask(&["for-each-ref", format]).unwrap().lines() {
            let (ids, name) = line.rsplit_once(' ').unwrap();
            let id = Oid::parse(ids.split(' ').rfind(|id| !id.is_empty()).unwrap()).unwrap();
            if let Some(name) = name.strip_prefix("refs/heads/") {
                refs.heads.insert(name.into(), id);
            } else if let Some(name) = name.strip_prefix("refs/tags/") {
                refs.tags.insert(name.into(), id);
            }
        }
        Ok(Arc::new(refs))
    }

    async fn commit(&self, rev: &str) -> Result<Option<Commit>> {
        let Some(id) = self.ask(&["rev-parse", "--verify", "-q", &format!("{rev}^{{commit}}")]) else {
            return Ok(None);
        };
        let contains = format!("--contains={}", id.trim());
        let refs = self.ask(&["for-each-ref", &contains, "refs/heads", "refs/tags"]).unwrap_or_default();
        if refs.is_empty() {
            return Ok(None);
        }
        let time = self.ask(&["show", "-s", "--format=%ct", id.trim()]).unwrap();
        Ok(Some(Commit { id: Oid::parse(id.trim()).unwrap(), time: time.trim().parse().unwrap() }))
    }

    async fn tags_before(&self, commit: &Oid) -> Result<Vec<String>> {
        let merged = format!("--merged={commit}");
        let names = self.ask(&["for-each-ref", &merged, "--format=%(refname:strip=2)", "refs/tags"]).unwrap();
        Ok(names.lines().map(str::to_owned).collect())
    }

    async fn is_ancestor(&self, ancestor: &Oid, commit: &Oid) -> Result<bool> {
        Ok(self.ask(&["merge-base", "--is-ancestor", ancestor.as_str(), commit.as_str()]).is_some())
    }

    async fn file(&self, commit: &Oid, path: &str, max_bytes: u64) -> Result<Option<Bytes>> {
        let blob = self.git(&["cat-file", "blob", &format!("{commit}:{path}")], b"");
        if !blob.status.success() {
            return Ok(None);
        }
        if blob.stdout.len() as u64 > max_bytes {
            return Err(Error::too_large(max_bytes));
        }
        Ok(Some(blob.stdout.into()))
    }
}

impl Tree for Repository {
    type Archive = Files;

    async fn entries(&self, commit: &Oid, dir: &str) -> Result<Vec<Entry>> {
        let listed = self.git(&["ls-tree", "-r", "-z", "-l", &format!("{commit}:{dir}")], b"");
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        let lines = listed.stdout.split(|&b| b == 0).filter(|line| !line.is_empty());
        Ok(lines.map(entry).collect())
    }

    async fn archive(&self, commit: &Oid, dir: &str) -> Result<Files> {
        let mut args = vec!["archive", "--format=tar", commit.as_str()];
        args.extend((!dir.is_empty()).then_some(dir));
        let tar = self.git(&args, b"");
        assert!(tar.status.success(), "{}", String::from_utf8_lossy(&tar.stderr));
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        Ok(Files { files: untar(&tar.stdout, prefix.as_bytes()).into_iter(), content: None })
    }
}

/// A line of `git ls-tree -l`.
fn entry(line: &[u8]) -> Entry {
    let tab = line.iter().position(|&b| b == b'\t').unwrap();
    let fields: Vec<&str> = std::str::from_utf8(&line[..tab]).unwrap().split_whitespace().collect();
    let kind = match fields[0] {
        "120000" => EntryKind::Symlink,
        "160000" => EntryKind::Gitlink,
        _ => EntryKind::File,
    };
    Entry { path: line[tab + 1..].to_vec(), kind, size: fields[3].parse().unwrap_or(0) }
}

/// Files of an archive that was read whole.
pub(crate) struct Files {
    files: std::vec::IntoIter<(ArchivedFile, Vec<u8>)>,
    content: Option<Vec<u8>>,
}

impl Archive for Files {
    async fn next_file(&mut self) -> Result<Option<ArchivedFile>> {
        let next = self.files.next();
        Ok(next.map(|(file, content)| {
            self.content = Some(content);
            file
        }))
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>> {
        Ok(self.content.take().filter(|content| !content.is_empty()).map(Bytes::from))
    }
}

/// The files in a tar archive as `git archive` writes it.
fn untar(tar: &[u8], prefix: &[u8]) -> Vec<(ArchivedFile, Vec<u8>)> {
    let mut files = Vec::new();
    let mut extended: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut rest = tar;
    while let Some((header, after)) = rest.split_at_checked(512).filter(|(header, _)| header[0] != 0) {
        let field =
            |from: usize, length: usize| header[from..from + length].split(|&b| b == 0).next().unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(field(124, 12)).unwrap().trim(), 8).unwrap();
        let content = after[..size].to_vec();
        rest = &after[size.next_multiple_of(512)..];
        let kind = match header[156] {
            b'x' => {
                extended = records(&content);
                continue;
            }
            b'0' => EntryKind::File,
            b'2' => EntryKind::Symlink,
            _ => continue,
        };
        let directory = field(345, 155);
        let slash: &[u8] = if directory.is_empty() { b"" } else { b"/" };
        let name = [directory, slash, field(0, 100)].concat();
        let name = extended.remove(b"path".as_slice()).unwrap_or(name);
        if let Some(path) = name.strip_prefix(prefix) {
            let file = ArchivedFile { path: path.to_vec(), kind, size: size as u64 };
            files.push((file, content));
        }
    }
    files
}

/// The records of an extended header: `<length> <key>=<value>\n`.
fn records(mut text: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut records = BTreeMap::new();
    while let Some(space) = text.iter().position(|&b| b == b' ') {
        let length: usize = std::str::from_utf8(&text[..space]).unwrap().parse().unwrap();
        let record = &text[space + 1..length - 1];
        let equals = record.iter().position(|&b| b == b'=').unwrap();
        records.insert(record[..equals].to_vec(), record[equals + 1..].to_vec());
        text = &text[length..];
    }
    records
}

/// A place for files under way.
pub(crate) fn scratch() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("staging");
    (directory, path)
}
