//! A walk through the whole tree, for what is not written down anywhere else: which modules there are, where they come
//! from, and what they take up.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

use quipu_module::ModulePath;

use super::Shared;
use crate::info::Info;

/// Deepest directory that is looked into: more than the longest module path has elements.
const MAX_DEPTH: usize = 260;

/// The modules of a tree, in no order. Directories that cannot be read are passed over.
pub(super) struct Modules {
    root: PathBuf,
    /// Directories still to be looked into, and how deep they lie.
    left: Vec<(PathBuf, usize)>,
}

impl Modules {
    pub(super) fn below(root: &Path) -> Self {
        Self { root: root.to_owned(), left: vec![(root.to_owned(), 0)] }
    }

    /// The module whose versions lie in `<directory>/@v`.
    fn module(&self, directory: &Path) -> Option<ModulePath> {
        let escaped = directory.strip_prefix(&self.root).ok()?.to_str()?;
        ModulePath::unescape(escaped).ok()
    }
}

impl Iterator for Modules {
    /// The module and the directory of its versions.
    type Item = (ModulePath, PathBuf);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some((directory, depth)) = self.left.pop() {
            let mut versions = None;
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
                match entry.file_name().to_str() {
                    Some("@v") if is_directory => versions = Some(entry.path()),
                    // Names beginning with a dot are the cache's own, at the root, and elsewhere nothing's.
                    Some(name) if is_directory && !name.starts_with('.') && depth < MAX_DEPTH => {
                        self.left.push((entry.path(), depth + 1));
                    }
                    _ => {}
                }
            }
            if let Some(versions) = versions
                && let Some(module) = self.module(&directory)
            {
                return Some((module, versions));
            }
        }
        None
    }
}

impl Shared {
    /// Looks at everything once. Blocks, perhaps for minutes.
    pub(super) fn survey(&self) -> io::Result<()> {
        let mut bytes = 0u64;
        for (path, versions) in Modules::below(self.tree.root()) {
            bytes = bytes.saturating_add(self.bytes_of(&versions));
            self.origins.note_module(&path);
            if let Some(info) = any_origin(&path, &versions) {
                self.origins.note(&path, &info);
            }
        }
        // What was stored meanwhile may be counted twice, until room is made: then all is counted anew.
        self.counters.zip_bytes.fetch_add(bytes, Relaxed);
        Ok(())
    }
}

/// One of the stored versions that says where the module comes from.
fn any_origin(path: &ModulePath, versions: &Path) -> Option<Info> {
    // A few are enough: either all of them say it or, from another upstream, none.
    const TRIED: usize = 3;
    let infos = fs::read_dir(versions).ok()?.flatten().map(|entry| entry.path());
    let infos = infos.filter(|path| path.extension().is_some_and(|extension| extension == "info"));
    infos
        .filter(|file| fs::metadata(file).is_ok_and(|it| it.len() <= Info::MAX_BYTES as u64))
        .take(TRIED)
        .filter_map(|file| Info::parse(path, &fs::read(file).ok()?).ok())
        .find(|info| info.origin().is_some_and(|origin| !origin.url.is_empty()))
}
