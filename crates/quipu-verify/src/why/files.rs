//! Where two zips of the same module version differ, file by file.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use anyhow::Result;
use quipu_module::{H1, ModuleVersion, ZipFile, list_zip, read_zip_file};

use super::view::{Kind, View};

/// Two zips that differ, and where.
#[derive(Clone, Debug)]
pub(super) struct Difference {
    /// The labels of the places that they come from.
    pub(super) between: [String; 2],
    /// What is not the same, by name; or why that cannot be told.
    pub(super) files: Result<Vec<Change>, String>,
}

/// A file that is not the same in both zips.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Without the name of the module in front, where that is there.
    pub(super) name: String,
    /// The sizes in bytes, where it exists.
    pub(super) sizes: [Option<u64>; 2],
    /// The first line that differs, from 1, and what both say there; if it is text and was looked at.
    pub(super) line: Option<(usize, [String; 2])>,
}

/// Compares a zip of each other hash with the one that has the hash in the log, or else with the first.
pub(super) fn differences(module: &ModuleVersion, views: &[View]) -> Vec<Difference> {
    let logged = views.iter().find(|view| view.kind == Kind::Log).and_then(|view| view.zip.hash());
    let mut copies: Vec<(&View, &Path, H1)> = Vec::new();
    for view in views {
        if let (Some(file), Some(hash)) = (&view.file, view.zip.hash())
            && copies.iter().all(|(_, _, other)| *other != hash)
        {
            copies.push((view, file, hash));
        }
    }
    // The sort is stable: the logged one comes first, the others stay in order.
    copies.sort_by_key(|(_, _, hash)| Some(*hash) != logged);
    let Some(((first, base, _), others)) = copies.split_first() else { return Vec::new() };
    let compare = |(view, file, _): &(&View, &Path, H1)| Difference {
        between: [first.label.clone(), view.label.clone()],
        files: changes(module, [base, file]).map_err(|error| error.to_string()),
    };
    others.iter().take(MAX_COMPARED).map(compare).collect()
}

fn changes(module: &ModuleVersion, zips: [&Path; 2]) -> Result<Vec<Change>> {
    let mut files: BTreeMap<Vec<u8>, [Option<ZipFile>; 2]> = BTreeMap::new();
    for (side, zip) in zips.into_iter().enumerate() {
        for file in list_zip(File::open(zip)?)? {
            let sides = files.entry(file.name.clone()).or_default();
            sides[side] = Some(file);
        }
    }
    files.retain(|_, [a, b]| a != b);
    let prefix = format!("{module}/");
    let mut changes = Vec::new();
    for (name, sides) in files {
        let looked_at = changes.len() < MAX_READ && sides.iter().all(Option::is_some);
        let line = if looked_at { first_line(&name, zips)? } else { None };
        let name = printable(&String::from_utf8_lossy(name.strip_prefix(prefix.as_bytes()).unwrap_or(&name)));
        changes.push(Change { name, sizes: sides.map(|side| Some(side?.size)), line });
    }
    Ok(changes)
}

/// The first line that differs; none if one of them is no text, or is large.
fn first_line(name: &[u8], zips: [&Path; 2]) -> Result<Option<(usize, [String; 2])>> {
    let [left, right] = zips;
    let left = read_zip_file(File::open(left)?, name, MAX_TEXT)?.and_then(text);
    let right = read_zip_file(File::open(right)?, name, MAX_TEXT)?.and_then(text);
    let Some((left, right)) = left.zip(right) else { return Ok(None) };
    let (mut left, mut right) = (left.split_inclusive('\n'), right.split_inclusive('\n'));
    for number in 1.. {
        match (left.next(), right.next()) {
            (None, None) => break,
            (a, b) if a == b => {}
            (a, b) => return Ok(Some((number, [a, b].map(|line| printable(line.unwrap_or_default()))))),
        }
    }
    Ok(None)
}

fn text(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

/// One short line without anything that a terminal would act upon; a line end is shown.
fn printable(text: &str) -> String {
    let mut line: String = text.chars().take(MAX_CHARS).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        line.push('…');
    }
    line
}

/// Zips of so many hashes are compared.
const MAX_COMPARED: usize = 4;
/// So many files are compared line by line.
const MAX_READ: usize = 20;
const MAX_TEXT: u64 = 4 << 20;
const MAX_CHARS: usize = 120;
