//! Which files of a directory or a repository make up a module.

use std::{
    collections::HashSet,
    fmt::{self, Write as _},
};

use super::{
    MAX_ROOT_FILE, MAX_ZIP,
    names::{Tree, is_clean},
};
use crate::{error::Error, go_mod::GoMod, path::check_file_path};

/// A file that a module may be made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Its path relative to the root of the module, slash-separated; need not be valid or UTF-8.
    pub path: &'a [u8],
    /// What it is.
    pub kind: ListedKind,
    /// Its length in bytes.
    pub size: u64,
}

/// What a [`Listed`] file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListedKind {
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// Anything else that is no directory.
    Other,
}

/// What [`select_files`] made of a list of files. Each list is in the order of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection<'a> {
    /// The paths of the files that belong to the module.
    pub kept: Vec<&'a str>,
    /// Files that do not belong to it, and why.
    pub omitted: Vec<(&'a [u8], Omission)>,
    /// Files that a module must not have, and why not: while there is one, there is no module.
    pub invalid: Vec<(&'a [u8], String)>,
    /// Whether the files are larger than [`MAX_ZIP`] together; then there is no module either.
    pub too_large: bool,
}

/// Why a file does not belong to a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Omission {
    /// It is part of a vendored package.
    Vendored,
    /// A directory above it has a go.mod of its own.
    OtherModule,
    /// It is `.hg_archival.txt`, made by Mercurial.
    HgArchival,
    /// It is a symbolic link.
    Symlink,
    /// It is neither a file nor a symbolic link.
    Irregular,
}

impl fmt::Display for Omission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vendored => "file is in vendor directory",
            Self::OtherModule => "file is in another module",
            Self::HgArchival => "file is inserted by 'hg archive' and is always omitted",
            Self::Symlink => "file is a symbolic link",
            Self::Irregular => "not a regular file",
        })
    }
}

impl Selection<'_> {
    /// Whether a module can be made of the files.
    ///
    /// # Errors
    /// It cannot: they are too large, or there are invalid ones, each of which gets a line.
    pub fn check(&self) -> Result<(), Error> {
        if self.too_large {
            return Err(tree_too_large());
        }
        let mut text = String::new();
        for (path, why) in &self.invalid {
            let line_feed = if text.is_empty() { "" } else { "\n" };
            // Writing to a String cannot fail.
            let _ = write!(text, "{line_feed}{}: {why}", String::from_utf8_lossy(path));
        }
        if text.is_empty() { Ok(()) } else { Err(Error::malformed(text)) }
    }
}

/// Selects the files of the module whose root go.mod has the content `go_mod`, as
/// `golang.org/x/mod/zip.CheckFiles` does. Directories must not be listed.
#[must_use]
pub fn select_files<'a>(go_mod: Option<&[u8]>, files: &[Listed<'a>]) -> Selection<'a> {
    let rules = Rules { vendor: VendorRule::of(go_mod), modules: nested_modules(files) };
    let mut selection = Selection::default();
    let mut told = HashSet::new();
    let mut names = Tree::default();
    let mut left = Some(MAX_ZIP);
    for file in files {
        let mut judge = || {
            rules.judge(file, &mut names).and_then(|path| {
                left = left.and_then(|left| left.checked_sub(file.size));
                check_size(path, file.size).map(|()| path)
            })
        };
        match judge() {
            Ok(path) => selection.kept.push(path),
            // Of each path only the first is told.
            Err(_) if !told.insert(file.path) => {}
            Err(Verdict::Omit(why)) => selection.omitted.push((file.path, why)),
            Err(Verdict::Refuse(why)) => selection.invalid.push((file.path, why)),
        }
    }
    selection.too_large = left.is_none();
    selection
}

/// What is said of files that are too large together.
pub(super) fn tree_too_large() -> Error {
    Error::malformed(format!("module source tree too large (max size is {MAX_ZIP} bytes)"))
}

/// Checks the size of a file that is read whole by everyone who uses the module.
pub(super) fn check_root_file(path: &str, size: u64) -> Result<(), String> {
    if matches!(path, "go.mod" | "LICENSE") && size > MAX_ROOT_FILE {
        return Err(format!("{path} file too large (max size is {MAX_ROOT_FILE} bytes)"));
    }
    Ok(())
}

/// Why a file is not kept.
enum Verdict {
    Omit(Omission),
    Refuse(String),
}

struct Rules<'a> {
    vendor: VendorRule,
    modules: HashSet<&'a [u8]>,
}

impl Rules<'_> {
    /// Gives the path of a file that is kept, whatever its size.
    fn judge<'a>(&self, file: &Listed<'a>, names: &mut Tree) -> Result<&'a str, Verdict> {
        let refuse = |why: &str| Err(Verdict::Refuse(why.into()));
        let omit = |why| Err(Verdict::Omit(why));
        if !is_clean(file.path) {
            return refuse("file path is not clean");
        }
        if file.path.starts_with(b"/") {
            return refuse("file path is not relative");
        }
        if self.vendor.omits(file.path) {
            return omit(Omission::Vendored);
        }
        if directories(file.path).any(|directory| self.modules.contains(directory)) {
            return omit(Omission::OtherModule);
        }
        if file.path == b".hg_archival.txt" {
            return omit(Omission::HgArchival);
        }
        check_file_path(file.path).map_err(|e| Verdict::Refuse(e.to_string()))?;
        let path = str::from_utf8(file.path).map_err(|e| Verdict::Refuse(e.to_string()))?;
        if path.eq_ignore_ascii_case("go.mod") && path != "go.mod" {
            return refuse("go.mod files must have lowercase names");
        }
        // Links collide, too, although they are not kept.
        names.insert(path, false).map_err(Verdict::Refuse)?;
        match file.kind {
            ListedKind::File => Ok(path),
            ListedKind::Symlink => omit(Omission::Symlink),
            ListedKind::Other => omit(Omission::Irregular),
        }
    }
}

fn check_size(path: &str, size: u64) -> Result<(), Verdict> {
    check_root_file(path, size).map_err(Verdict::Refuse)
}

/// The directories with a go.mod of their own, each with its trailing slash. A link to one does not count.
fn nested_modules<'a>(files: &[Listed<'a>]) -> HashSet<&'a [u8]> {
    let regular = files.iter().filter(|file| file.kind == ListedKind::File);
    let directory = |file: &Listed<'a>| {
        let at = file.path.iter().rposition(|&b| b == b'/')? + 1;
        let (directory, base) = file.path.split_at_checked(at)?;
        base.eq_ignore_ascii_case(b"go.mod").then_some(directory)
    };
    regular.filter_map(directory).collect()
}

/// All directories above `path`, each with its trailing slash.
fn directories(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|(_, b)| **b == b'/');
    slashes.filter_map(|(at, _)| path.get(..=at))
}

/// How vendored packages are told from others. It changed once, and what was hashed before must hash the same.
#[derive(Clone, Copy, PartialEq)]
enum VendorRule {
    /// Before go 1.24. Where `/vendor/` is not at the start, what counts is a slash after the eighth byte of
    /// the path, wherever `/vendor/` is (<https://go.dev/issue/37397>).
    Old,
    /// From go 1.24 on.
    New,
}

impl VendorRule {
    fn of(go_mod: Option<&[u8]>) -> Self {
        let go_mod = go_mod.and_then(|content| GoMod::parse_lax(content).ok());
        let new = go_mod.as_ref().and_then(GoMod::language).is_some_and(is_new);
        if new { Self::New } else { Self::Old }
    }

    fn omits(self, path: &[u8]) -> bool {
        const VENDOR: &[u8] = b"/vendor/";
        if self == Self::New && path == b"vendor/modules.txt" {
            return true;
        }
        let package = match path.windows(VENDOR.len()).position(|window| window == VENDOR) {
            _ if path.starts_with(b"vendor/") => path.get(b"vendor/".len()..),
            None => return false,
            Some(at) if self == Self::New => path.get(at + VENDOR.len()..),
            Some(_) => path.get(VENDOR.len()..),
        };
        package.is_some_and(|package| package.contains(&b'/'))
    }
}

/// Whether the language version (`1.24`, `2`) is 1.24 or later.
fn is_new(language: &str) -> bool {
    let (major, minor) = language.split_once('.').unwrap_or((language, "0"));
    let at_least = |number: &str, least: &str| (number.len(), number) >= (least.len(), least);
    if major == "1" { at_least(minor, "24") } else { at_least(major, "2") }
}
