//! The signing key and what is known of the log without it: files of the data directory.
//!
//! `signer.key` holds the secret (mode 0400); `name` and `vkey` hold the log's name and verifier key as plain lines,
//! so that other programs can read them while the server runs.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use quipu_module::is_database_name;
use quipu_note::{KeyName, SignerKey, VerifierKey};
use zeroize::Zeroizing;

/// The files of a data directory.
#[derive(Clone, Debug)]
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The store of the log.
    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// The module cache: a GOPROXY file tree.
    pub(crate) fn modules(&self) -> PathBuf {
        self.0.join("modules")
    }

    /// Copies of repositories, which can be had again.
    pub(crate) fn repositories(&self) -> PathBuf {
        self.0.join("repositories")
    }

    /// What is kept of another checksum database.
    pub(crate) fn sumdb(&self, name: &str) -> PathBuf {
        self.0.join("sumdb").join(name)
    }

    /// Where evidence of misbehaviour is kept.
    pub(crate) fn evidence(&self) -> PathBuf {
        self.0.join("evidence")
    }

    /// The signing key, unless another file is configured.
    pub(crate) fn signer(&self) -> PathBuf {
        self.0.join("signer.key")
    }

    /// The file of the tokens.
    pub(crate) fn tokens(&self) -> PathBuf {
        self.0.join("tokens.json")
    }

    /// The log of what was done to the server.
    pub(crate) fn audit(&self) -> PathBuf {
        self.0.join("audit.log")
    }

    /// The record of who downloaded what.
    pub(crate) fn downloads(&self) -> PathBuf {
        self.0.join("downloads")
    }

    /// The plain file with the log's name.
    pub(crate) fn name_file(&self) -> PathBuf {
        self.0.join("name")
    }

    /// The plain file with the log's verifier key.
    pub(crate) fn vkey_file(&self) -> PathBuf {
        self.0.join("vkey")
    }

    /// Makes the directory if there is none, readable for its owner only.
    pub(crate) fn create(&self) -> Result<()> {
        let doing = || format!("cannot make the data directory {}", self.0.display());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0).with_context(doing)
    }

    /// Does it hold a log.
    pub(crate) fn has_log(&self) -> bool {
        self.log().join("CURRENT").exists()
    }

    /// Is there anything at all in the place of the store, whole or not.
    pub(crate) fn has_store_files(&self) -> bool {
        fs::read_dir(self.log()).is_ok_and(|mut files| files.next().is_some())
    }

    /// The file that marks a backup.
    pub(crate) fn backup_mark(&self) -> PathBuf {
        self.0.join("backup")
    }

    /// Is it a copy made by `quipu backup`, which has no guard of its own.
    pub(crate) fn is_backup(&self) -> bool {
        self.backup_mark().exists()
    }

    /// The name of the log that the directory belongs to, if it has one.
    pub(crate) fn name(&self) -> Result<Option<String>> {
        read_line(&self.name_file())
    }

    /// The verifier key of the log.
    pub(crate) fn verifier(&self) -> Result<VerifierKey> {
        let file = self.vkey_file();
        let none = || format!("{} holds no log: there is no {}", self.0.display(), file.display());
        let line = read_line(&file)?.with_context(none)?;
        line.parse().with_context(|| format!("{} does not hold a verifier key", file.display()))
    }

    /// Writes name and verifier key beside the log, if they are not there.
    pub(crate) fn introduce(&self, verifier: &VerifierKey) -> Result<()> {
        for (file, line) in
            [(self.name_file(), verifier.name().to_string()), (self.vkey_file(), verifier.to_string())]
        {
            match read_line(&file)? {
                None => write_new(&file, format!("{line}\n").as_bytes(), 0o444)?,
                Some(there) => ensure!(
                    there == line,
                    "{} says {there:?}, but the configured key is that of {line:?}: this data directory belongs to \
                     another log. Name the right directory (--data), name (--name) and key (--key)",
                    file.display()
                ),
            }
        }
        Ok(())
    }
}

/// The signing key of a log: the configured one, or that of the data directory, made at the very first start.
///
/// # Errors
/// No go command could use the name; the key cannot be read, is no key, is readable for others, or is of another name
/// than `name`; or it is missing
/// although there is a log that was signed with it.
pub(crate) fn signer(data: &DataDir, configured: Option<&Path>, name: Option<&str>) -> Result<SignerKey> {
    name.map_or(Ok(()), check_usable)?;
    let wanted = match name {
        Some(name) => Some(name.to_owned()),
        None => data.name()?,
    };
    let file = configured.map_or_else(|| data.signer(), Path::to_path_buf);
    if let Some(key) = load(&file)? {
        if let Some(wanted) = wanted {
            let found = key.name();
            ensure!(
                found.as_str() == wanted,
                "the key in {} is that of {found}, but the log's name is {wanted}: name the right key (--key) or name \
                 (--name)",
                file.display()
            );
        }
        check_usable(key.name().as_str())?;
        return Ok(key);
    }
    ensure!(
        configured.is_none(),
        "there is no key {}: make one with `quipu key new NAME -o {}`, or leave --key out",
        file.display(),
        file.display()
    );
    ensure!(
        !data.has_log(),
        "{} holds a log, but its signing key {} is missing: put the key back. A new key cannot go on with this log",
        data.path().display(),
        file.display()
    );
    let key = generate(&wanted.map_or_else(default_name, Ok)?)?;
    write_key(&file, &key)?;
    Ok(key)
}

/// Makes a new key for a database of this name.
///
/// # Errors
/// The name is not one a go command accepts for a checksum database, or there is no randomness.
pub(crate) fn generate(name: &str) -> Result<SignerKey> {
    check_new(name)?;
    let name: KeyName =
        name.parse().with_context(|| format!("{name:?} cannot be the name of a checksum database"))?;
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).context("no randomness for a key")?;
    Ok(SignerKey::from_seed(name, &seed))
}

/// Writes a key to a file that must not exist, readable for its owner only.
///
/// # Errors
/// The file exists or cannot be written.
pub(crate) fn write_key(file: &Path, key: &SignerKey) -> Result<()> {
    let mut text = key.encode();
    text.push('\n');
    write_new(file, text.as_bytes(), 0o400)
}

/// Reads a key file; none if there is no such file.
///
/// # Errors
/// The file cannot be read, others may read it, or it holds no key.
pub(crate) fn load(file: &Path) -> Result<Option<SignerKey>> {
    let meta = match fs::metadata(file) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read the key {}", file.display())),
    };
    ensure!(
        meta.mode() & 0o077 == 0,
        "the key {} can be read by others (mode {:04o}): a key that others have seen is no key. If nobody has, \
         `chmod 0400` it",
        file.display(),
        meta.mode() & 0o7777
    );
    let read = || format!("cannot read the key {}", file.display());
    let text = Zeroizing::new(fs::read_to_string(file).with_context(read)?);
    let key = text.trim_end_matches(['\r', '\n']).parse();
    key.map(Some).with_context(|| format!("{} does not hold a signing key (PRIVATE+KEY+…)", file.display()))
}

/// `sum.<hostname>`, as far as the host's name can be part of a database's name.
fn default_name() -> Result<String> {
    let host = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    let host: String =
        host.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    let host = host.trim_matches(['-', '.']);
    if host.is_empty() {
        bail!("this host has no name to call the log after: name it with --name");
    }
    Ok(format!("sum.{host}"))
}

/// A log of a name that the go command does not accept could be used by none.
fn check_usable(name: &str) -> Result<()> {
    ensure!(
        is_database_name(name),
        "{name:?} cannot be the name of a checksum database: no go command would take it. It must be host or host/path"
    );
    Ok(())
}

/// New names are simpler still: URLs, file systems and shells can hold them as they stand.
fn check_new(name: &str) -> Result<()> {
    check_usable(name)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    let well_formed =
        name.chars().all(plain) && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
    ensure!(
        well_formed,
        "{name:?} cannot be the name of a new log: it must be host or host/path of letters, digits and - . _ ~"
    );
    Ok(())
}

fn read_line(file: &Path) -> Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text.trim_end_matches('\n').to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

/// Writes a file that must not exist, durably: a log must not be signed with a key that a power cut takes away.
pub(crate) fn write_new(file: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut options = fs::OpenOptions::new();
        let mut out = options.write(true).create_new(true).mode(mode).open(file)?;
        out.write_all(bytes)?;
        out.sync_all()?;
        let parent = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::File::open(parent)?.sync_all()
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_start_makes_a_key_and_the_next_finds_it() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path().join("data"));
        data.create().unwrap();
        let first = signer(&data, None, Some("sum.example")).unwrap();
        data.introduce(first.verifier()).unwrap();
        assert_eq!(fs::metadata(data.signer()).unwrap().mode() & 0o7777, 0o400);
        let second = signer(&data, None, None).unwrap();
        assert_eq!(first.verifier().to_string(), second.verifier().to_string());
        assert_eq!(data.verifier().unwrap().to_string(), first.verifier().to_string());
    }

    #[test]
    fn a_key_of_another_name_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        data.introduce(signer(&data, None, Some("sum.example")).unwrap().verifier()).unwrap();
        let error = signer(&data, None, Some("sum.other")).unwrap_err().to_string();
        assert!(error.contains("sum.example") && error.contains("sum.other"), "{error}");
        let other = generate("sum.other").unwrap();
        let error = data.introduce(other.verifier()).unwrap_err().to_string();
        assert!(error.contains("another log"), "{error}");
    }

    #[test]
    fn a_log_without_its_key_gets_no_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        fs::create_dir(data.log()).unwrap();
        fs::write(data.log().join("CURRENT"), "").unwrap();
        let error = signer(&data, None, Some("sum.example")).unwrap_err().to_string();
        assert!(error.contains("missing") && !data.signer().exists(), "{error}");
    }

    #[test]
    fn a_named_key_must_exist_and_be_private() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        let file = dir.path().join("k");
        assert!(signer(&data, Some(&file), None).unwrap_err().to_string().contains("key new"));
        fs::write(&file, generate("sum.example").unwrap().encode().as_bytes()).unwrap();
        assert!(signer(&data, Some(&file), None).unwrap_err().to_string().contains("read by others"));
    }

    #[test]
    fn names_are_hosts_with_paths() {
        for good in ["sum.example", "sum.example/team/a", "localhost", "sum.example~1"] {
            check_new(good).unwrap();
        }
        for bad in [
            "",
            "/",
            "sum.example/",
            "sum example",
            "sum+x",
            "a//b",
            "a/../b",
            "sum.example?x",
            "a%2fb",
            "ü.example",
        ] {
            assert!(check_new(bad).is_err(), "{bad}");
        }
        for (name, usable) in [("sum.example:8443/a$b", true), ("sum.example/a%2fb", false), ("a@b", false)] {
            assert_eq!((check_usable(name).is_ok(), check_new(name).is_ok()), (usable, false), "{name}");
        }
    }

    #[test]
    fn a_name_that_no_go_command_takes_is_refused_also_with_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        let key = SignerKey::from_seed("sum.example/a%2fb".parse().unwrap(), &Zeroizing::new([1; 32]));
        write_key(&data.signer(), &key).unwrap();
        for name in [None, Some("sum.example/a%2fb")] {
            let error = signer(&data, None, name).unwrap_err().to_string();
            assert!(error.contains("sum.example/a%2fb") && error.contains("no go command"), "{error}");
        }
        let error = signer(&data, None, Some("sum.example/")).unwrap_err().to_string();
        assert!(error.contains("no go command"), "{error}");
    }
}
