//! A walk through the whole tree, for what is not written down anywhere else: which modules there are, where they come
//! from, and what they take up.

use std::io;
use std::sync::atomic::Ordering::Relaxed;

use quipu_module::ModulePath;

use super::Shared;
use super::tree::{Name, Tree};
use crate::info::Info;

/// Deepest directory that is looked into: more than the longest module path has elements.
const MAX_DEPTH: usize = 260;

/// The modules of a tree, in no order. Directories that cannot be read are passed over.
pub(super) struct Modules<'a> {
    tree: &'a Tree,
    /// Directories still to be looked into, and how deep they lie.
    left: Vec<(Option<Name>, usize)>,
}

impl<'a> Modules<'a> {
    pub(super) fn of(tree: &'a Tree) -> Self {
        Self { tree, left: vec![(None, 0)] }
    }
}

impl Iterator for Modules<'_> {
    type Item = ModulePath;

    fn next(&mut self) -> Option<ModulePath> {
        while let Some((directory, depth)) = self.left.pop() {
            let mut has_versions = false;
            let entries = self.tree.list(directory.as_ref()).unwrap_or_default();
            for entry in entries.into_iter().filter(|entry| entry.is_directory) {
                // Names beginning with a dot are the cache's own, at the root, and elsewhere nothing's.
                if entry.name == "@v" {
                    has_versions = true;
                } else if !entry.name.starts_with('.') && depth < MAX_DEPTH {
                    let below = Name::below(directory.as_ref(), &entry.name);
                    self.left.extend(below.map(|below| (Some(below), depth + 1)));
                }
            }
            let module = directory.filter(|_| has_versions);
            if let Some(module) = module.and_then(|module| ModulePath::unescape(module.as_str()).ok()) {
                return Some(module);
            }
        }
        None
    }
}

impl Shared {
    /// Looks at everything once. Blocks, perhaps for minutes.
    pub(super) fn survey(&self) -> io::Result<()> {
        let mut bytes = 0u64;
        for path in Modules::of(&self.tree) {
            bytes = bytes.saturating_add(self.bytes_of(&path));
            self.origins.note_module(&path);
            if let Some(info) = any_origin(&self.tree, &path) {
                self.origins.note(&path, &info);
            }
        }
        // What was stored meanwhile may be counted twice, until room is made: then all is counted anew.
        self.counters.zip_bytes.fetch_add(bytes, Relaxed);
        Ok(())
    }
}

/// One of the stored versions that says where the module comes from.
fn any_origin(tree: &Tree, path: &ModulePath) -> Option<Info> {
    // A few are enough: either all of them say it or, from another upstream, none.
    const TRIED: usize = 3;
    let versions = Name::versions(path);
    let infos = tree.list(Some(&versions)).ok()?.into_iter().filter(|entry| entry.name.ends_with(".info"));
    infos
        .filter_map(|entry| Name::below(Some(&versions), &entry.name))
        .filter_map(|name| tree.read_up_to(&name, Info::MAX_BYTES as u64).ok()?)
        .take(TRIED)
        .filter_map(|json| Info::parse(path, &json).ok())
        .find(|info| info.origin().is_some_and(|origin| !origin.url.is_empty()))
}
