//! Which files go into a bundle.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use quipu_fetch::{FileKind, MAX_GO_MOD};
use quipu_module::{ModulePath, ModuleVersion, Record, Version};
use quipu_tlog::Tree;

use super::since::Since;
use crate::cli;
use crate::files::Files;
use crate::import::source::of_proxy;
use crate::policy::Standing;
use crate::view::View;
use crate::wanted::{self, Want, Wanted, Zip};

/// What is exported of a version.
pub(super) struct Chosen {
    /// Its place in the log.
    pub(super) index: u64,
    /// Its record.
    pub(super) record: Record,
    /// The text of the record.
    pub(super) text: Bytes,
    /// The files to write.
    pub(super) kinds: Vec<FileKind>,
}

/// What a bundle will hold.
#[derive(Default)]
pub(super) struct Choice {
    /// The versions, in order.
    pub(super) chosen: BTreeMap<ModuleVersion, Chosen>,
    /// Lists of versions, by name.
    pub(super) lists: BTreeMap<String, String>,
    /// What was named and cannot be exported, with the reason.
    pub(super) missing: Vec<String>,
    /// What is stored and not exported, though nobody named it: a go.mod that no database knows has no proof, and what this
    /// server refuses is not handed on.
    pub(super) left_out: Vec<String>,
}

impl Choice {
    /// Chooses what the arguments name and the server does not refuse, without what the bundle to add to has.
    ///
    /// # Errors
    /// What is named cannot be read, or the disk fails.
    pub(super) fn make(
        args: &cli::Export,
        (view, head): (&View, &Tree),
        (tree, standing): (&Path, &Standing),
        since: Option<&Since>,
    ) -> Result<Self> {
        let wanted = if args.all { everything(tree)? } else { wanted::read(&args.what)? };
        let mut choice = Self::default();
        let mut listed: BTreeMap<ModulePath, Vec<Version>> = BTreeMap::new();
        for (version, want, named) in followed(wanted, tree)? {
            let chosen = match choose(&version, want, (view, head), tree)? {
                Ok(chosen) => chosen,
                Err(why) => {
                    if named {
                        choice.leave(args.all, format!("{version}: {why}"));
                    }
                    continue;
                }
            };
            if let Err(refused) = standing.judge(&version) {
                choice.leave(args.all || !named, refused.text);
                continue;
            }
            if chosen.kinds.len() == 3 && !version.version().is_pseudo() {
                listed.entry(version.path().clone()).or_default().push(version.version().clone());
            }
            if since.is_none_or(|since| since.lacks(&version, &chosen)) {
                choice.chosen.insert(version, chosen);
            }
        }
        choice.list(listed, since);
        Ok(choice)
    }

    /// Notes what does not come along: left out of all that there is, or missing of what was named.
    fn leave(&mut self, of_all: bool, why: String) {
        if of_all { &mut self.left_out } else { &mut self.missing }.push(why);
    }

    /// Writes the lists of modules of which something is new.
    fn list(&mut self, listed: BTreeMap<ModulePath, Vec<Version>>, since: Option<&Since>) {
        let is_new = |path: &ModulePath| self.chosen.keys().any(|version| version.path() == path);
        for (path, mut versions) in listed.into_iter().filter(|(path, _)| is_new(path)) {
            versions.extend(since.map(|since| since.versions(&path)).unwrap_or_default());
            versions.sort_unstable();
            versions.dedup();
            let lines = versions.iter().map(|version| format!("{version}\n")).collect();
            self.lists.insert(format!("{}/@v/list", path.escaped()), lines);
        }
    }
}

/// The name of a version's file in the tree of a proxy.
pub(super) fn file_name(version: &ModuleVersion, kind: FileKind) -> String {
    format!("{}/@v/{}.{}", version.path().escaped(), version.version().escaped(), kind.extension())
}

/// Every version with a stored go.mod.
fn everything(tree: &Path) -> Result<Wanted> {
    let names = if tree.exists() { Files::Directory(tree.to_owned()).names("")? } else { Vec::new() };
    let versions = names.iter().filter_map(|name| of_proxy(name));
    let versions = versions.filter(|(_, kind)| *kind == FileKind::GoMod);
    Ok(versions.map(|(version, _)| (version, Want { zip: Zip::IfStored, follow: false })).collect())
}

/// What is wanted, and what of that is to be followed brings along; with each whether it was named itself.
fn followed(wanted: Wanted, tree: &Path) -> Result<Vec<(ModuleVersion, Want, bool)>> {
    let mut found: BTreeMap<ModuleVersion, (Want, bool)> = BTreeMap::new();
    let mut open: Vec<ModuleVersion> =
        wanted.iter().filter(|(_, want)| want.follow).map(|(version, _)| version.clone()).collect();
    found.extend(wanted.into_iter().map(|(version, want)| (version, (want, true))));
    while let Some(version) = open.pop() {
        let path = tree.join(file_name(&version, FileKind::GoMod));
        if !path.metadata().is_ok_and(|metadata| metadata.len() <= MAX_GO_MOD) {
            continue;
        }
        let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        // What the go command cannot read requires nothing.
        for required in wanted::requirements(&content).unwrap_or_default() {
            if let Entry::Vacant(place) = found.entry(required) {
                open.push(place.key().clone());
                place.insert((Want { zip: Zip::IfStored, follow: true }, false));
            }
        }
    }
    Ok(found.into_iter().map(|(version, (want, named))| (version, want, named)).collect())
}

/// What there is of a version, or why it cannot be exported.
///
/// # Errors
/// The log cannot be read.
fn choose(
    version: &ModuleVersion,
    want: Want,
    (view, head): (&View, &Tree),
    tree: &Path,
) -> Result<std::result::Result<Chosen, &'static str>> {
    let stored = |kind: &FileKind| tree.join(file_name(version, *kind)).is_file();
    let all = [FileKind::Info, FileKind::GoMod, FileKind::Zip].into_iter();
    let all = all.filter(|kind| *kind != FileKind::Zip || want.zip != Zip::No);
    let kinds: Vec<FileKind> = all.filter(stored).collect();
    if !kinds.contains(&FileKind::GoMod) {
        return Ok(Err("its go.mod is not stored"));
    }
    if want.zip == Zip::Needed && !kinds.contains(&FileKind::Zip) {
        return Ok(Err("its zip is not stored"));
    }
    Ok(match view.record(version)? {
        Some((index, record, text)) if index < head.size => Ok(Chosen { index, record, text, kinds }),
        Some(_) => {
            Err("logged after the newest signed head that can be had (the signing key cannot be read)")
        }
        None => Err("no record of it is in the log"),
    })
}
