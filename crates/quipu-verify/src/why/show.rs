//! All hashes side by side, in words and as JSON.

use std::io;

use quipu_module::{H1, ModuleVersion, SumKind};
use serde_json::{Value, json};

use super::files::{Change, Difference};
use super::verdict::Verdict;
use super::view::{Held, View};
use crate::output::tell;

/// Prints everything, the verdict last.
///
/// # Errors
/// It cannot be written.
pub(super) fn show(
    module: &ModuleVersion,
    views: &[View],
    differences: &[Difference],
    verdict: &Verdict,
    as_json: bool,
) -> io::Result<()> {
    if as_json {
        return tell(json!({
            "verdict": verdict.exit.verdict(),
            "why": verdict.text,
            "module": module.path().as_str(),
            "version": module.version().as_str(),
            "places": views.iter().map(place).collect::<Vec<_>>(),
            "differences": differences.iter().map(difference).collect::<Vec<_>>(),
        }));
    }
    tell(table(SumKind::Zip, views))?;
    tell(table(SumKind::GoMod, views))?;
    for difference in differences {
        tell(list(difference))?;
    }
    tell(&verdict.text)
}

/// The hashes of one kind, with a mark at those that are not the first one.
fn table(kind: SumKind, views: &[View]) -> String {
    let first = views.iter().find_map(|view| view.held(kind).hash());
    let width = views.iter().map(|view| view.label.chars().count()).max().unwrap_or(0);
    let mut table = match kind {
        SumKind::Zip => "zip",
        SumKind::GoMod => "go.mod",
    }
    .to_owned();
    for view in views.iter().filter(|view| *view.held(kind) != Held::Nothing) {
        table.push_str(&format!("\n  {:width$}  {}", view.label, cell(view.held(kind), first)));
    }
    table
}

fn cell(held: &Held, first: Option<H1>) -> String {
    match held {
        Held::Hash(hash, place) => {
            let mark = if Some(*hash) == first { "=" } else { "≠" };
            let place = if place.is_empty() { String::new() } else { format!("  {place}") };
            format!("{mark} {hash}{place}")
        }
        Held::Absent(why) => format!("- has none: {why}"),
        Held::Damaged(why, place) if place.is_empty() => format!("≠ damaged: {why}"),
        Held::Damaged(why, place) => format!("≠ damaged: {why}  {place}"),
        Held::Failed(why) => format!("? could not be asked: {why}"),
        Held::NotAsked(why) => format!("- not asked: {why}"),
        Held::Nothing => String::new(),
    }
}

fn list(difference: &Difference) -> String {
    let [a, b] = &difference.between;
    let mut list = format!("the zips of {a} and of {b}");
    match &difference.files {
        Err(why) => list.push_str(&format!(" cannot be compared: {why}")),
        Ok(changes) => {
            let files = if changes.len() == 1 { "file" } else { "files" };
            list.push_str(&format!(" differ in {} {files}:", changes.len()));
            for change in changes.iter().take(MAX_SHOWN) {
                list.push_str(&line(change, [a, b]));
            }
            if changes.len() > MAX_SHOWN {
                list.push_str(&format!("\n  … and {} more", changes.len() - MAX_SHOWN));
            }
        }
    }
    list
}

fn line(change: &Change, [a, b]: [&str; 2]) -> String {
    let name = &change.name;
    match change.sizes {
        [Some(size), None] => format!("\n  {name}: only in {a} ({size} bytes)"),
        [None, Some(size)] => format!("\n  {name}: only in {b} ({size} bytes)"),
        [left, right] => {
            let size = |size: Option<u64>| size.unwrap_or_default();
            let mut text = format!("\n  {name}: {} and {} bytes", size(left), size(right));
            if let Some((number, [left, right])) = &change.line {
                text.push_str(&format!(", first in line {number}:\n    {a}: {left}\n    {b}: {right}"));
            }
            text
        }
    }
}

fn place(view: &View) -> Value {
    json!({
        "place": view.label,
        "zip": held(&view.zip),
        "go_mod": held(&view.go_mod),
    })
}

fn held(held: &Held) -> Value {
    match held {
        Held::Hash(hash, place) => json!({ "hash": hash.to_string(), "at": place }),
        Held::Absent(why) => json!({ "absent": why }),
        Held::Damaged(why, place) => json!({ "damaged": why, "at": place }),
        Held::Failed(why) => json!({ "failed": why }),
        Held::NotAsked(why) => json!({ "not_asked": why }),
        Held::Nothing => Value::Null,
    }
}

fn difference(difference: &Difference) -> Value {
    let change = |change: &Change| {
        json!({
            "name": change.name,
            "sizes": change.sizes,
            "line": change.line.as_ref().map(|(number, _)| number),
            "text": change.line.as_ref().map(|(_, text)| text),
        })
    };
    match &difference.files {
        Ok(changes) => {
            let files: Vec<Value> = changes.iter().map(change).collect();
            json!({ "between": difference.between, "files": files })
        }
        Err(why) => json!({ "between": difference.between, "failed": why }),
    }
}

const MAX_SHOWN: usize = 50;
