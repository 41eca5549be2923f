//! The file of tokens: written by commands, read by the server, which takes over changes.
//!
//! Syscalls of a change, in order: `flock` of `<file>.lock`; the new content written to `<file>.new` and fsynced; `rename`;
//! fsync of the directory. A crash leaves the old file or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::secret::Secret;
use super::token::{Grant, Token};

/// What the file says that it is.
const FORMAT: &str = "quipu tokens 1";

/// Longest file that is read, in bytes: some 30,000 tokens.
const MAX_FILE: u64 = 16 << 20;

/// Most tokens in one file.
const MAX_TOKENS: usize = 10_000;

/// Why tokens cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// What was asked for makes no sense; the text says why.
    #[error("{0}")]
    Refused(String),
    /// There is no such token.
    #[error("there is no token {0}")]
    Unknown(String),
    /// The file is not one that this program wrote.
    #[error("{file} is damaged: {why}")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// The file cannot be read or written.
    #[error("{file}: {error}")]
    Io {
        /// The file.
        file: String,
        /// What the system said.
        error: io::Error,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    format: String,
    tokens: Vec<Token>,
}

/// The file that holds the tokens of a server. Any number of processes may use it at once.
#[derive(Clone, Debug)]
pub struct TokenFile {
    path: PathBuf,
}

/// Tells one state of the file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl TokenFile {
    /// The file at `path`, which need not exist: then there are no tokens.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// All tokens, in the order in which they were made, expired ones included.
    ///
    /// # Errors
    /// The file cannot be read, or is not one.
    pub fn load(&self) -> Result<Vec<Token>, TokenError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.failed(error)),
        };
        let mut text = String::new();
        file.take(MAX_FILE).read_to_string(&mut text).map_err(|error| self.failed(error))?;
        let content: Content =
            serde_json::from_str(&text).map_err(|error| self.damaged(error.to_string()))?;
        if content.format != FORMAT {
            return Err(self.damaged(format!("its format is {:?}, not {FORMAT:?}", content.format)));
        }
        match content.tokens.iter().find(|token| !token.is_sound()) {
            Some(token) => Err(self.damaged(format!("token {:?} is no token", token.id()))),
            None => Ok(content.tokens),
        }
    }

    /// Adds the token that `secret` opens, at `now` (seconds since 1970).
    ///
    /// # Errors
    /// The grant makes no sense, there are too many tokens, or the file cannot be changed.
    pub fn issue(&self, secret: &Secret, grant: Grant, now: u64) -> Result<Token, TokenError> {
        let token = Token::new(secret, grant, now)?;
        self.change(|tokens| {
            if tokens.len() >= MAX_TOKENS {
                let why = format!("there are {MAX_TOKENS} tokens already: revoke some");
                return Err(TokenError::Refused(why));
            }
            tokens.push(token.clone());
            Ok(token)
        })
    }

    /// Removes the token of this id.
    ///
    /// # Errors
    /// There is none, or the file cannot be changed.
    pub fn revoke(&self, id: &str) -> Result<Token, TokenError> {
        self.change(|tokens| {
            let at = tokens.iter().position(|token| token.id() == id);
            at.map(|at| tokens.remove(at)).ok_or_else(|| TokenError::Unknown(id.to_owned()))
        })
    }

    /// What tells this state of the file from others; `None` if there is no file.
    pub(super) fn stamp(&self) -> io::Result<Option<Stamp>> {
        match fs::metadata(&self.path) {
            Ok(meta) => Ok(Some(Stamp {
                inode: meta.ino(),
                length: meta.len(),
                changed: (meta.mtime(), meta.mtime_nsec()),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The file beside it that remembers when tokens were last used.
    pub(super) fn used(&self) -> PathBuf {
        self.path.with_extension("used.json")
    }

    fn change<T>(
        &self,
        work: impl FnOnce(&mut Vec<Token>) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        let lock = private().open(self.path.with_extension("lock")).map_err(|error| self.failed(error))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| self.failed(error.into()))?;
        let mut tokens = self.load()?;
        let outcome = work(&mut tokens)?;
        let content = Content { format: FORMAT.to_owned(), tokens };
        let text = serde_json::to_string_pretty(&content).map_err(|error| self.failed(error.into()))?;
        self.replace(text.as_bytes()).map_err(|error| self.failed(error))?;
        Ok(outcome)
    }

    fn replace(&self, content: &[u8]) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = private().truncate(true).open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }

    fn damaged(&self, why: String) -> TokenError {
        TokenError::Damaged { file: self.path.display().to_string(), why }
    }

    fn failed(&self, error: io::Error) -> TokenError {
        TokenError::Io { file: self.path.display().to_string(), error }
    }
}

/// Files for the owner alone: the digests are no secrets, but who holds what is nobody else's business.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Scope;

    fn grant(name: &str) -> Grant {
        Grant { name: name.to_owned(), scopes: vec![Scope::Read], patterns: "*".to_owned(), expires: None }
    }

    #[test]
    fn what_is_issued_is_there_until_it_is_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::new(&dir.path().join("tokens.json"));
        assert_eq!(file.load().unwrap(), []);
        let one = file.issue(&Secret::from_random([1; 32]), grant("one"), 7).unwrap();
        let two = file.issue(&Secret::from_random([2; 32]), grant("two"), 8).unwrap();
        assert_eq!(file.load().unwrap(), [one.clone(), two.clone()]);
        assert_eq!(file.revoke(one.id()).unwrap(), one);
        assert!(matches!(file.revoke(one.id()), Err(TokenError::Unknown(_))));
        assert_eq!(file.load().unwrap(), [two]);
        let text = fs::read_to_string(dir.path().join("tokens.json")).unwrap();
        assert!(!text.contains(Secret::from_random([2; 32]).expose()), "{text}");
        let mode = fs::metadata(dir.path().join("tokens.json")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.json");
        std::thread::scope(|scope| {
            for n in 0..16 {
                let file = TokenFile::new(&path);
                scope.spawn(move || file.issue(&Secret::from_random([n; 32]), grant("x"), 0).unwrap());
            }
        });
        assert_eq!(TokenFile::new(&path).load().unwrap().len(), 16);
    }

    #[test]
    fn what_opens_nothing_or_too_much_by_mistake_is_refused() {
        let good = grant("x");
        let wrong = [
            Grant { scopes: Vec::new(), ..good.clone() },
            Grant { patterns: String::new(), ..good.clone() },
            Grant { patterns: "corp.example,[".to_owned(), ..good.clone() },
            Grant { expires: Some(5), ..good.clone() },
            Grant { name: "two\nlines".to_owned(), ..good },
        ];
        for grant in wrong {
            let said = format!("{grant:?}");
            assert!(Token::new(&Secret::from_random([1; 32]), grant, 5).is_err(), "{said}");
        }
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.json");
        let file = TokenFile::new(&path);
        file.issue(&Secret::from_random([1; 32]), grant("x"), 0).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        for end in (0..text.len() - 1).step_by(7) {
            fs::write(&path, &text[..end]).unwrap();
            assert!(matches!(file.load(), Err(TokenError::Damaged { .. })), "{end}");
        }
        fs::write(&path, text.replace("\"id\": \"", "\"id\": \"f")).unwrap();
        assert!(matches!(file.load(), Err(TokenError::Damaged { .. })));
    }
}
