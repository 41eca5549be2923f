//! What a delta adds to: an earlier bundle, or a signed head.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use quipu_module::{ModulePath, ModuleVersion, Version};
use quipu_tlog::Tree;

use super::choice::{Chosen, file_name};
use crate::bundle::{Entry, MANIFEST, Manifest, database};
use crate::files::Files;
use crate::import::source::of_proxy;
use crate::view::View;

/// Longest signed note that is read, in bytes.
const MAX_NOTE: u64 = 1 << 20;

/// What is had already.
pub(super) enum Since {
    /// All that a bundle has.
    Bundle(Box<Manifest>),
    /// Whatever was in the log at this head.
    Head(Tree),
}

impl Since {
    /// Reads a bundle or a signed note; its head must be one of this log.
    ///
    /// # Errors
    /// It is neither, or of another log or history.
    pub(super) fn read(path: &Path, view: &View) -> Result<Self> {
        let named = || format!("--since {}", path.display());
        if let Ok(files) = Files::open(path) {
            let text = files.read(MANIFEST, Manifest::MAX_BYTES)?;
            let text =
                text.with_context(|| format!("{}: no bundle: there is no {MANIFEST}", path.display()))?;
            let manifest = Manifest::parse(&text).with_context(named)?;
            let own = view.verifier();
            ensure!(manifest.database == *own, "{}: it is of {}, not of {own}", named(), manifest.database);
            view.check(&manifest.head).with_context(named)?;
            return Ok(Self::Bundle(Box::new(manifest)));
        }
        ensure!(
            path.metadata().with_context(named)?.len() <= MAX_NOTE,
            "{}: too long for a signed head",
            named()
        );
        let note = std::fs::read(path).with_context(named)?;
        Ok(Self::Head(view.open_note(&note).with_context(named)?))
    }

    /// The head of it.
    pub(super) fn tree(&self) -> &Tree {
        match self {
            Self::Bundle(manifest) => &manifest.head,
            Self::Head(tree) => tree,
        }
    }

    /// Whether something of a version is not had.
    pub(super) fn lacks(&self, version: &ModuleVersion, chosen: &Chosen) -> bool {
        match self {
            Self::Bundle(manifest) => {
                chosen.kinds.iter().any(|kind| !manifest.files.contains_key(&file_name(version, *kind)))
            }
            Self::Head(tree) => chosen.index >= tree.size,
        }
    }

    /// The files that are had, by name.
    pub(super) fn files(&self) -> Option<&BTreeMap<String, Entry>> {
        match self {
            Self::Bundle(manifest) => Some(&manifest.files),
            Self::Head(_) => None,
        }
    }

    /// The versions of a module that are had and may be listed.
    pub(super) fn versions(&self, path: &ModulePath) -> Vec<Version> {
        let prefix = format!("{}/@v/", path.escaped());
        let files = self.files().into_iter().flat_map(|files| files.range(prefix.clone()..));
        let names = files.map(|(name, _)| name).take_while(|name| name.starts_with(&prefix));
        let versions = names.filter_map(|name| of_proxy(name)).filter(|(_, kind)| kind.extension() == "zip");
        versions
            .map(|(version, _)| version.version().clone())
            .filter(|version| !version.is_pseudo())
            .collect()
    }

    /// The versions whose records are had.
    pub(super) fn records(&self, name: &str) -> Vec<ModuleVersion> {
        let prefix = format!("{}/lookup/", database(name));
        let names = self.files().into_iter().flat_map(BTreeMap::keys);
        names.filter_map(|name| ModuleVersion::parse_escaped(name.strip_prefix(&prefix)?).ok()).collect()
    }
}
