//! The tokens that count now: the file as it was a second ago at most, and when each was last used.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use subtle::ConstantTimeEq as _;
use tracing::{error, info};

use super::file::{Stamp, TokenError, TokenFile};
use super::secret::{Secret, hex};
use super::token::Token;

/// How often what was used is written down, in seconds.
const WRITE_USES: u64 = 60;

/// The tokens of a running server.
pub(crate) struct Tokens {
    file: TokenFile,
    /// Replaced as a whole when the file changes.
    current: ArcSwap<Current>,
    /// When the file was last looked at, in seconds since 1970.
    looked: AtomicU64,
    /// When tokens were last used, by id, in seconds since 1970, and when that was last written down.
    used: Mutex<(BTreeMap<String, u64>, u64)>,
}

#[derive(Default)]
struct Current {
    stamp: Option<Stamp>,
    /// By id.
    tokens: HashMap<String, Arc<Token>>,
}

impl Tokens {
    /// The tokens of `file`.
    ///
    /// # Errors
    /// There is a file, and it cannot be used.
    pub(crate) fn open(file: TokenFile) -> Result<Self, TokenError> {
        let current = Current::read(&file)?;
        let used = read_used(&file.used());
        Ok(Self {
            current: ArcSwap::from_pointee(current),
            looked: AtomicU64::new(0),
            used: Mutex::new((used, 0)),
            file,
        })
    }

    /// The token that `secret` opens at `now` (seconds since 1970), unless it is unknown or has ended.
    pub(crate) fn find(&self, secret: &Secret, now: u64) -> Option<Arc<Token>> {
        self.follow(now);
        let digest = hex(&secret.digest());
        let token = self.current.load().tokens.get(digest.get(..12)?).cloned()?;
        // The id is public; the rest is compared without telling how much of it was right.
        let same = bool::from(token.sha256().as_bytes().ct_eq(digest.as_bytes()));
        if !same || token.is_expired(now) {
            return None;
        }
        self.note_use(token.id(), now);
        Some(token)
    }

    /// Writes down when tokens were last used. It may be lost; nothing depends on it.
    pub(crate) fn write_uses(&self) -> io::Result<()> {
        let uses = self.used.lock().unwrap_or_else(PoisonError::into_inner).0.clone();
        let current = self.current.load();
        let kept: BTreeMap<_, _> =
            uses.into_iter().filter(|(id, _)| current.tokens.contains_key(id)).collect();
        let path = self.file.used();
        if kept.is_empty() && !path.exists() {
            return Ok(());
        }
        let new = path.with_extension("new");
        fs::write(&new, serde_json::to_vec(&kept)?)?;
        fs::rename(new, path)
    }

    /// Takes over a changed file, looking once a second at most. One that cannot be used changes nothing.
    fn follow(&self, now: u64) {
        if self.looked.swap(now, Ordering::Relaxed) == now {
            return;
        }
        let stamp = self.file.stamp();
        if stamp.as_ref().is_ok_and(|stamp| *stamp == self.current.load().stamp) {
            return;
        }
        match Current::read(&self.file) {
            Ok(current) => {
                info!(tokens = current.tokens.len(), "the tokens have changed");
                self.current.store(Arc::new(current));
            }
            Err(error) => error!(%error, "the changed tokens cannot be used; those of before count"),
        }
    }

    fn note_use(&self, id: &str, now: u64) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let (uses, written) = &mut *used;
        match uses.get_mut(id) {
            Some(last) => *last = now,
            None => drop(uses.insert(id.to_owned(), now)),
        }
        let due = now.saturating_sub(*written) >= WRITE_USES;
        if due {
            *written = now;
        }
        drop(used);
        if due && let Err(error) = self.write_uses() {
            error!(%error, "cannot write down when tokens were last used");
        }
    }
}

impl Current {
    fn read(file: &TokenFile) -> Result<Self, TokenError> {
        // Taken first: a file that changes meanwhile is read again.
        let stamp = file.stamp().unwrap_or_default();
        let tokens = file.load()?.into_iter().map(|token| (token.id().to_owned(), Arc::new(token)));
        Ok(Self { stamp, tokens: tokens.collect() })
    }
}

impl TokenFile {
    /// When tokens were last used, by id, in seconds since 1970, as a server wrote it down: within a minute.
    #[must_use]
    pub fn last_uses(&self) -> BTreeMap<String, u64> {
        read_used(&self.used())
    }
}

fn read_used(path: &PathBuf) -> BTreeMap<String, u64> {
    fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Grant, Scope};

    fn grant(expires: Option<u64>) -> Grant {
        Grant { name: String::new(), scopes: vec![Scope::Audit], patterns: String::new(), expires }
    }

    #[test]
    fn changes_count_a_second_later_and_expiry_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::new(&dir.path().join("tokens.json"));
        let tokens = Tokens::open(file.clone()).unwrap();
        let (one, two) = (Secret::from_random([1; 32]), Secret::from_random([2; 32]));
        assert!(tokens.find(&one, 100).is_none());
        let issued = file.issue(&one, grant(Some(110)), 0).unwrap();
        assert!(tokens.find(&one, 100).is_none(), "looked at in this second");
        assert_eq!(tokens.find(&one, 101).as_deref(), Some(&issued));
        assert!(tokens.find(&two, 101).is_none());
        assert!(tokens.find(&one, 110).is_none());
        assert_eq!(file.last_uses()[issued.id()], 101);
        file.revoke(issued.id()).unwrap();
        assert!(tokens.find(&one, 102).is_none());
    }

    #[test]
    fn a_file_that_breaks_while_it_runs_closes_nothing_and_opens_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.json");
        let file = TokenFile::new(&path);
        let secret = Secret::from_random([1; 32]);
        file.issue(&secret, grant(None), 0).unwrap();
        let tokens = Tokens::open(file.clone()).unwrap();
        fs::write(&path, "{").unwrap();
        assert!(tokens.find(&secret, 5).is_some());
        assert!(Tokens::open(file).is_err());
        fs::remove_file(&path).unwrap();
        assert!(tokens.find(&secret, 6).is_none());
    }
}
