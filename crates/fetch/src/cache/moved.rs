//! Tags that were moved: upstream says of a version that it is another commit than it was.
//!
//! Nothing that is stored or served changes by that. It is kept as evidence, counted, and told once for each change; what
//! is known of it survives restarts in the file `.moved`, one version a line.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quipu_module::{ModuleVersion, Query};

use super::Shared;
use super::admit::FindingKind;
use super::check;
use super::evidence::Case;
use super::in_use::now;
use super::tree::{FileKind, Name, Tree};
use crate::error::{ErrorKind, Result};
use crate::info::Info;

/// Most moved tags that are remembered.
const MAX_MOVED: usize = 1000;

/// Longest file of moved tags that is read, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// Longest name of a commit that is remembered, in bytes.
const MAX_COMMIT: usize = 128;

/// A version whose tag was moved after it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The version.
    pub version: ModuleVersion,
    /// The commit that it was made from, and is served from.
    pub stored: String,
    /// The commit that upstream names now.
    pub upstream: String,
}

/// The moved tags.
#[derive(Default)]
pub(super) struct MovedTags {
    /// Commits stored and upstream. Held for a look or a change and the writing of the small file.
    known: Mutex<BTreeMap<ModuleVersion, (String, String)>>,
}

impl MovedTags {
    /// Reads the file; lines that are damaged are dropped.
    pub(super) fn read(tree: &Tree) -> io::Result<Self> {
        let text = tree.read_up_to(&file(), MAX_FILE)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let parse = |line: &str| {
            let [version, stored, upstream] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
            Some((version.parse().ok()?, (stored.to_owned(), upstream.to_owned())))
        };
        let known = text.lines().filter_map(parse).take(MAX_MOVED).collect();
        Ok(Self { known: Mutex::new(known) })
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn all(&self) -> Vec<Moved> {
        let known = self.lock();
        let moved = known.iter().map(|(version, (stored, upstream))| Moved {
            version: version.clone(),
            stored: stored.clone(),
            upstream: upstream.clone(),
        });
        moved.collect()
    }

    /// Notes what upstream says now, `None` if that is what is stored; whether that is new.
    fn note(&self, version: &ModuleVersion, commits: Option<(String, String)>) -> bool {
        let mut known = self.lock();
        match commits {
            None => known.remove(version).is_some(),
            Some(commits) if known.get(version) == Some(&commits) => false,
            Some(commits) => {
                if known.len() < MAX_MOVED || known.contains_key(version) {
                    known.insert(version.clone(), commits);
                }
                true
            }
        }
    }

    /// Writes the file anew, by way of `staged`. Blocks.
    fn write(&self, tree: &Tree, staged: &Name) -> io::Result<()> {
        let known = self.lock();
        let lines =
            known.iter().map(|(version, (stored, upstream))| format!("{version} {stored} {upstream}\n"));
        tree.write_unsynced(staged, &file(), lines.collect::<String>().as_bytes())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ModuleVersion, (String, String)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Asks upstream what the version is made from, and compares that with what was stored of it.
    pub(super) async fn compare(self: Arc<Self>, version: ModuleVersion) -> Result<()> {
        let Some(file) = self.open(&version, FileKind::Info)? else { return Ok(()) };
        let stored = Info::parse(version.path(), &file.bytes().await?)?;
        let Some(stored) = commit(&stored) else { return Ok(()) };
        let query = Query::from(version.version().clone());
        let upstream = match self.upstream.info(version.path(), &query).await {
            Ok(upstream) => upstream,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return self.keep(&version, "upstream does not have it any more").await;
            }
            Err(error) => return Err(error),
        };
        let info = Name::file(&version, FileKind::Info);
        // Only a hint of when it is asked again.
        let _ = self.tree.set_modified(&info, now());
        match commit(&upstream) {
            Some(now) if !is_same(&stored, &now) => self.note_moved(&version, (stored, now), &upstream).await,
            Some(_) if self.moved.note(&version, None) => {
                tracing::info!(%version, commit = stored, "a tag that was moved is back where it was");
                self.write_moved().await
            }
            _ => Ok(()),
        }
    }

    async fn note_moved(
        self: &Arc<Self>,
        version: &ModuleVersion,
        (stored, now): (String, String),
        info: &Info,
    ) -> Result<()> {
        if !self.moved.note(version, Some((stored.clone(), now.clone()))) {
            return Ok(());
        }
        self.counters.moved();
        tracing::error!(%version, stored, upstream = now, "a tag was moved: what is stored stays, what is there now is refused");
        let text =
            format!("{version}: its tag was moved: stored from commit {stored}, upstream has commit {now}");
        let json = info.format();
        let sha256 = check::digest(json.as_bytes());
        let staged = self.staging.write(json.into()).await?;
        let version = version.clone();
        let keep = move |shared: &Self| {
            let case =
                Case { version: &version, kind: FileKind::Info, sha256: &sha256, text: &text, proof: &[] };
            shared.keep_case(FindingKind::MovedTag, &case, staged.name())
        };
        self.on_disk(keep).await?;
        self.write_moved().await
    }

    async fn write_moved(self: &Arc<Self>) -> Result<()> {
        self.on_disk(|shared| shared.moved.write(&shared.tree, &shared.staging.new_name())).await
    }
}

fn file() -> Name {
    Name::checked(".moved".to_owned())
}

/// The commit that a version was made from.
fn commit(info: &Info) -> Option<String> {
    let hash = &info.origin()?.hash;
    let good =
        !hash.is_empty() && hash.len() <= MAX_COMMIT && hash.bytes().all(|byte| byte.is_ascii_alphanumeric());
    good.then(|| hash.clone())
}

/// One may be the beginning of the other.
fn is_same(one: &str, other: &str) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Memory;

    #[test]
    fn what_moved_survives_a_restart_and_damage_does_not_matter() {
        let tree = Tree::new(Arc::new(Memory::new(1 << 20)));
        let staged = Name::parse("staged").unwrap();
        let version: ModuleVersion = "example.com/m@v1.0.0".parse().unwrap();
        let moved = MovedTags::read(&tree).unwrap();
        let commits = |new: &str| Some(("aaaa".to_owned(), new.to_owned()));
        assert!(moved.note(&version, commits("bbbb")));
        assert!(!moved.note(&version, commits("bbbb")));
        assert!(moved.note(&version, commits("cccc")));
        moved.write(&tree, &staged).unwrap();
        let text = tree.read_up_to(&file(), 1000).unwrap().unwrap();
        let damaged = [&text[..], b"damage\nx@v1 a b c\n\xff\n"].concat();
        tree.write_unsynced(&staged, &file(), &damaged).unwrap();
        let again = MovedTags::read(&tree).unwrap();
        assert_eq!(again.all(), moved.all());
        assert_eq!(again.all()[0].upstream, "cccc");
        assert!(again.note(&version, None) && !again.note(&version, None));
        assert_eq!(again.len(), 0);
    }
}
