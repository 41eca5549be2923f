//! Everywhere this client is stricter than the reference client of the `go` command, in one place.
//!
//! All else that is accepted or refused is what `go` accepts or refuses. Each rule here refuses something that no
//! honest database sends and that two readers could understand differently:
//!
//! - base64 in signature lines and of the root has one spelling; Go skips CR and LF in it and takes any trailing bits;
//! - no two signature lines of a note have the same name and key id; Go passes over the later ones;
//! - the id of a record is written in one way; Go takes `+7`, `007` and `-7`;
//! - a tree of 2^40 records or more is not believed (the limit can be set); `go` spins on sizes near 2^63;
//! - the tree without records has the root that RFC 6962 gives it;
//! - of two lines for the same file of a module with different hashes neither counts; Go takes the first.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quipu_module::{ModuleVersion, SumKind};
use quipu_note::Note;
use quipu_tlog::{Hash, Record, Tree};

/// Checks the signature lines of a note that was opened.
pub(crate) fn check_signatures(message: &[u8], note: &Note) -> Result<(), String> {
    let mut seen = HashSet::new();
    for signature in note.verified.iter().chain(&note.unverified) {
        if STANDARD.decode(signature.base64()).is_err() {
            return Err(format!("signature of {} is not canonical base64", signature.name()));
        }
        if !seen.insert((signature.name(), signature.id())) {
            return Err(format!("two signature lines of {}+{}", signature.name(), signature.id()));
        }
    }
    // Lines that repeat another one exactly, or come from a known key again, were passed over when opening.
    let lines = message.iter().filter(|byte| **byte == b'\n').count();
    let text_lines = note.text.bytes().filter(|byte| *byte == b'\n').count();
    if lines != text_lines + 1 + seen.len() {
        return Err("a signature line is there twice".to_owned());
    }
    Ok(())
}

/// Checks a tree against the text that it was read from.
pub(crate) fn check_tree(text: &str, tree: &Tree, max_size: u64) -> Result<(), String> {
    if tree.size >= max_size {
        return Err(format!("tree of {} records: no log is believed to have {max_size} or more", tree.size));
    }
    if text.lines().nth(2) != Some(tree.root.to_string().as_str()) {
        return Err("root is not canonical base64".to_owned());
    }
    if tree.size == 0 && tree.root != Hash::EMPTY_TREE {
        return Err("a tree without records has another root".to_owned());
    }
    Ok(())
}

/// The id of a record, if it is written as it should be.
pub(crate) fn record_id(record: &Record<'_>) -> Result<u64, String> {
    let id = u64::try_from(record.id).ok().filter(|_| record.canonical_id);
    id.ok_or_else(|| "record id is not in canonical decimal".to_owned())
}

/// Checks that a record does not name two different hashes for the same file.
pub(crate) fn check_single_hash(text: &str, module: &ModuleVersion) -> Result<(), String> {
    for kind in [SumKind::Zip, SumKind::GoMod] {
        let suffix = if kind == SumKind::GoMod { "/go.mod" } else { "" };
        let wanted = format!("{} {}{suffix} h1:", module.path(), module.version());
        let hashes: HashSet<&str> = text.lines().filter_map(|line| line.strip_prefix(&wanted)).collect();
        if hashes.len() > 1 {
            return Err(format!("record names two hashes for {module}{suffix}"));
        }
    }
    Ok(())
}
