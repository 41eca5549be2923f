//! What a module zip may contain: names under the module's prefix, sizes within limits, no two names that
//! a file system could take for one.

use std::collections::{HashMap, hash_map};

use super::{MAX_ENTRIES, MAX_ZIP, directory::Entry, select::check_root_file, too_large};
use crate::{error::Error, path::check_file_path, quote::quote, unicode::fold, version::ModuleVersion};

/// Judges the entries of a zip one after the other.
pub(super) struct NameChecker {
    /// `path@version/`.
    prefix: String,
    tree: Tree,
    files: usize,
    /// Sum of declared sizes; `None` when beyond the limit.
    size: Option<u64>,
}

impl NameChecker {
    pub(super) fn new(module: &ModuleVersion) -> Self {
        Self { prefix: format!("{module}/"), tree: Tree::default(), files: 0, size: Some(0) }
    }

    /// Judges `entry`; the error says what is wrong with it, without its name.
    pub(super) fn check(&mut self, entry: &Entry) -> Result<(), String> {
        let name = entry.name.strip_prefix(self.prefix.as_bytes());
        let name = name.ok_or_else(|| format!("path does not have prefix {}", quote(&self.prefix)))?;
        if name.is_empty() {
            return Ok(());
        }
        let path = name.strip_suffix(b"/").unwrap_or(name);
        if !is_clean(path) {
            return Err("file path is not clean".into());
        }
        check_file_path(path).map_err(|e| e.to_string())?;
        let path = str::from_utf8(path).map_err(|e| e.to_string())?;
        self.tree.insert(path, entry.is_dir())?;
        if entry.is_dir() {
            return Ok(());
        }
        check_go_mod_name(path)?;
        self.files += 1;
        self.size = self.size.and_then(|size| size.checked_add(entry.size)).filter(|&size| size <= MAX_ZIP);
        check_root_file(path, entry.size)
    }

    /// Number of files and sum of their sizes.
    pub(super) fn totals(&self) -> Result<(usize, u64), Error> {
        Ok((self.files, self.size.ok_or_else(too_large)?))
    }
}

/// There is one go.mod at most, in the root and in lower case.
fn check_go_mod_name(path: &str) -> Result<(), String> {
    let base = path.rsplit_once('/').map_or(path, |(_, base)| base);
    if !base.eq_ignore_ascii_case("go.mod") || path == "go.mod" {
        return Ok(());
    }
    let wrong_place = base.len() < path.len();
    Err(if wrong_place {
        "go.mod file not in module root directory"
    } else {
        "go.mod files must have lowercase names"
    }
    .into())
}

/// Whether `path` is what Go's `path.Clean` would make of it. The file-path check refuses everything
/// unclean anyhow; this only decides what is said about it.
pub(super) fn is_clean(path: &[u8]) -> bool {
    if path == b"." || path == b"/" {
        return true;
    }
    let relative = path.strip_prefix(b"/");
    let mut may_go_up = relative.is_none();
    relative.unwrap_or(path).split(|&b| b == b'/').all(|element| {
        may_go_up &= element == b"..";
        !element.is_empty() && element != b"." && (element != b".." || may_go_up)
    })
}

/// All names so far and the directories above them, folded, as a tree. Unlike a table of complete names it
/// grows no faster than the names do, however deep they are.
#[derive(Default)]
pub(super) struct Tree {
    /// By parent (0 is the root) and folded last element.
    nodes: HashMap<(usize, Box<str>), Node>,
}

struct Node {
    id: usize,
    /// The last element as it was first written.
    element: Box<str>,
    is_dir: bool,
}

impl Tree {
    /// Adds `path` and the directories above it, if no other name folds to the same.
    pub(super) fn insert(&mut self, path: &str, is_dir: bool) -> Result<(), String> {
        let mut parent = 0;
        // The path as earlier entries wrote it, as far as they did.
        let mut known = String::new();
        let mut clash = None;
        let mut end = 0;
        for element in path.split('/') {
            end += element.len() + usize::from(end > 0);
            let is_dir = is_dir || end < path.len();
            let id = self.nodes.len() + 1;
            parent = match self.nodes.entry((parent, fold(element).into())) {
                hash_map::Entry::Vacant(_) if id > MAX_ENTRIES => {
                    return Err("too many files and directories".into());
                }
                hash_map::Entry::Vacant(place) => {
                    place.insert(Node { id, element: element.into(), is_dir }).id
                }
                hash_map::Entry::Occupied(node) => {
                    let node = node.get();
                    known.extend((!known.is_empty()).then_some('/'));
                    known.push_str(&node.element);
                    // Of several the deepest is told, as Go starts there.
                    clash = Clash::between(node, element, is_dir, clash.as_ref())
                        .map(|kind| (kind, end))
                        .or(clash);
                    node.id
                }
            };
        }
        match clash {
            Some((kind, end)) => Err(kind.describe(&known, path.get(..end).unwrap_or(path))),
            None => Ok(()),
        }
    }
}

/// Why two names cannot both be.
#[derive(Clone, Copy, PartialEq)]
enum Clash {
    Case,
    FileAndDirectory,
    TwoFiles,
}

impl Clash {
    /// Compares an element with the one known at its place; `above` is what was found further up. Whole
    /// paths are never compared, which would take time in the square of their length.
    fn between(known: &Node, element: &str, is_dir: bool, above: Option<&(Self, usize)>) -> Option<Self> {
        let differs_above = above.is_some_and(|(kind, _)| *kind == Self::Case);
        if differs_above || *known.element != *element {
            return Some(Self::Case);
        }
        match (known.is_dir, is_dir) {
            (true, true) => None,
            (false, false) => Some(Self::TwoFiles),
            _ => Some(Self::FileAndDirectory),
        }
    }

    fn describe(self, known: &str, path: &str) -> String {
        let path = quote(path);
        match self {
            Self::Case => format!("case-insensitive file name collision: {} and {path}", quote(known)),
            Self::FileAndDirectory => format!("entry {path} is both a file and a directory"),
            Self::TwoFiles => format!("multiple entries for file {path}"),
        }
    }
}
