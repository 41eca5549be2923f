//! Module caches: trees of `<path>/@v/<version>.{zip,ziphash,mod}`, as the go command and proxies keep them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, bail};
use quipu_module::{H1, ModulePath, ModuleVersion, Patterns, SumKind, Version};

use super::claims::{Claim, Input, Origin, Place};
use super::finding::{Finding, Rule};
use crate::local::{self, NoHash};
use crate::progress::Progress;

/// A file that has, or is, the hash of a module.
#[derive(Debug)]
struct Piece {
    module: ModuleVersion,
    kind: SumKind,
    origin: Origin,
    file: PathBuf,
}

impl Input {
    /// Reads a module cache: GOMODCACHE itself, its `cache/download`, or the tree of a proxy. What `skip` matches is
    /// counted and not hashed; the number is returned.
    ///
    /// # Errors
    /// The directory cannot be read, or holds no module.
    pub(super) fn add_tree(&mut self, dir: &Path, skip: &Patterns) -> Result<usize> {
        let below = dir.join("cache").join("download");
        let root = if below.is_dir() { below } else { dir.to_owned() };
        let pieces = self.pieces(&root)?;
        if pieces.is_empty() && self.findings.is_empty() {
            bail!("{}: there is no module here: want GOMODCACHE, or the tree of a proxy", dir.display());
        }
        let all = pieces.len();
        let mut pieces: Vec<_> = pieces.into_iter().filter(|p| !skip.matches(p.module.path())).collect();
        pieces.sort_by(|a, b| a.file.cmp(&b.file));
        let skipped = all - pieces.len();
        for (piece, hash) in hash_all(pieces) {
            self.add(piece, hash);
        }
        self.sources.push(root.display().to_string());
        Ok(skipped)
    }

    fn add(&mut self, piece: Piece, hash: Result<H1, NoHash>) {
        let Piece { module, kind, origin, file } = piece;
        let place = Place { file, line: None, origin };
        let (rule, why) = match hash {
            Ok(hash) => return self.claims.push(Claim { module, kind, hash, place }),
            Err(why @ NoHash::Damaged(_)) => (Rule::Malformed, why),
            Err(why) => (Rule::Unchecked, why),
        };
        self.findings.push(Finding::new(rule, place, why.to_string()).about(module, kind));
    }

    /// The files of all `@v` directories below `root`. Symbolic links are not followed.
    fn pieces(&mut self, root: &Path) -> Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        let mut open = vec![PathBuf::new()];
        while let Some(relative) = open.pop() {
            let dir = root.join(&relative);
            let entries = fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
            for entry in entries {
                let entry = entry.with_context(|| format!("cannot read {}", dir.display()))?;
                let name = entry.file_name();
                let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if relative.file_name() == Some(OsStr::new("@v")) {
                    self.add_piece(&mut pieces, &relative, entry.path());
                } else if is_dir && !passed_over(&relative, &name) {
                    open.push(relative.join(name));
                }
            }
        }
        Ok(pieces)
    }

    fn add_piece(&mut self, pieces: &mut Vec<Piece>, relative: &Path, file: PathBuf) {
        let (kind, origin) = match file.extension().and_then(OsStr::to_str) {
            Some("zip") => (SumKind::Zip, Origin::Hashed),
            Some("ziphash") => (SumKind::Zip, Origin::Recorded),
            Some("mod") => (SumKind::GoMod, Origin::Hashed),
            _ => return,
        };
        match module_of(relative, &file) {
            Some(module) => pieces.push(Piece { module, kind, origin, file }),
            None => {
                let place = Place { file, line: None, origin };
                self.findings.push(Finding::new(Rule::Malformed, place, "this names no module version"));
            }
        }
    }
}

/// What is kept beside modules: the go command's copy of databases, and what is not finished.
fn passed_over(relative: &Path, name: &OsStr) -> bool {
    let hidden = name.as_encoded_bytes().starts_with(b".");
    hidden || (relative.as_os_str().is_empty() && name == "sumdb")
}

fn module_of(relative: &Path, file: &Path) -> Option<ModuleVersion> {
    let path: Option<Vec<&str>> = relative.parent()?.iter().map(OsStr::to_str).collect();
    let path = ModulePath::unescape(&path?.join("/")).ok()?;
    let version = Version::unescape(file.file_stem()?.to_str()?).ok()?;
    ModuleVersion::new(path, version).ok()
}

/// Hashes on all processors.
fn hash_all(pieces: Vec<Piece>) -> Vec<(Piece, Result<H1, NoHash>)> {
    let progress = Progress::new("hashing", pieces.len() as u64);
    let next = AtomicUsize::new(0);
    let hashes = Mutex::new(Vec::new());
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(piece) = pieces.get(at) else { break };
            let hash = hash(piece);
            let mut hashes = hashes.lock().unwrap_or_else(PoisonError::into_inner);
            hashes.push((at, hash));
            progress.show(hashes.len() as u64);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let mut hashes = hashes.into_inner().unwrap_or_else(PoisonError::into_inner);
    hashes.sort_by_key(|(at, _)| *at);
    pieces.into_iter().zip(hashes.into_iter().map(|(_, hash)| hash)).collect()
}

fn hash(piece: &Piece) -> Result<H1, NoHash> {
    match (piece.kind, piece.origin) {
        (SumKind::Zip, Origin::Recorded) => local::recorded_hash(&piece.file),
        (SumKind::Zip, _) => local::zip_hash(&piece.file),
        (SumKind::GoMod, _) => local::go_mod_hash(&piece.file),
    }
}

const MAX_THREADS: usize = 16;
