//! Files that were stored before, or are not to be stored: what they have in common with those of the source.

use std::io::BufReader;
use std::path::Path;

use anyhow::{Context as _, Result};
use quipu_fetch::{CachedFile, FileKind};
use quipu_module::{H1, ModuleVersion, Record, SumKind, check_zip, hash_go_mod};

use super::source::Source;
use super::take::Tally;
use crate::files::digest;
use crate::view::View;

/// What a source's file has otherwise than the one that is stored; `None` if nothing that a hash covers. An `.info` has no
/// hash: the one that is stored stays.
///
/// # Errors
/// A file cannot be read.
pub(super) fn difference(
    source: &Source,
    version: &ModuleVersion,
    kind: FileKind,
    stored: &CachedFile,
) -> Result<Option<String>> {
    let Some(h1) = stored.h1 else { return Ok(None) };
    if kind == FileKind::Zip && is_same(source, version, stored)? {
        return Ok(None);
    }
    let found = hash(source, version, kind)?;
    let suffix = if kind == FileKind::GoMod { "/go.mod" } else { "" };
    Ok(match found {
        Ok(found) if found == h1 => None,
        Ok(found) => Some(format!("{version}{suffix}: the file has {found}, the stored one {h1}")),
        Err(why) => Some(format!("{version}{suffix}: {why}; the stored one has {h1}")),
    })
}

/// Whether a zip has the very bytes of the stored one: so one that was taken before is read once and not unpacked.
fn is_same(source: &Source, version: &ModuleVersion, stored: &CachedFile) -> Result<bool> {
    let Some(piece) = source.file(version, FileKind::Zip)? else { return Ok(false) };
    if piece.len() != stored.length {
        return Ok(false);
    }
    let sha256 = hex::encode(digest(piece)?);
    // The tag begins with a quote, and holds the first half of the hash.
    Ok(stored.etag.trim_matches('"') == &sha256[..32])
}

/// The go.sum hash of a source's go.mod or zip, or what is wrong with it.
///
/// # Errors
/// It cannot be read.
pub(super) fn hash(
    source: &Source,
    version: &ModuleVersion,
    kind: FileKind,
) -> Result<std::result::Result<H1, String>> {
    let missing = || format!("{version}: its .{} is gone", kind.extension());
    if kind == FileKind::GoMod {
        let go_mod = source.read(version, kind)?.with_context(missing)?;
        return Ok(Ok(hash_go_mod(&go_mod)));
    }
    let piece = source.file(version, kind)?.with_context(missing)?;
    match check_zip(version, BufReader::with_capacity(128 << 10, piece)) {
        Ok(report) => Ok(Ok(report.hash)),
        Err(error) if error.kind() == quipu_module::ErrorKind::Malformed => Ok(Err(error.to_string())),
        Err(error) => Err(error).with_context(|| version.to_string()),
    }
}

/// Where the files of a version contradict its record.
///
/// # Errors
/// A file cannot be read.
pub(super) fn with_record(source: &Source, record: &Record) -> Result<Vec<String>> {
    let version = &record.module;
    let mut found = Vec::new();
    let Some(names) = source.versions.get(version) else { return Ok(found) };
    for kind in names.kinds() {
        let (suffix, logged) = match kind {
            FileKind::Info => continue,
            FileKind::GoMod => ("/go.mod", record.line(SumKind::GoMod).hash),
            FileKind::Zip => ("", record.line(SumKind::Zip).hash),
        };
        match hash(source, version, kind)? {
            Ok(hash) if hash == logged => {}
            Ok(hash) => found.push(format!("{version}{suffix}: the file has {hash}, the log has {logged}")),
            Err(why) => found.push(format!("{version}{suffix}: {why}; the log has {logged}")),
        }
    }
    Ok(found)
}

/// What an import would do with a version, as far as can be known without asking anybody; whether anybody has to be is for
/// who knows the settings.
///
/// # Errors
/// A file or the log cannot be read.
pub(super) fn foresee(
    source: &Source,
    version: &ModuleVersion,
    view: Option<&View>,
    tree: &Path,
) -> Result<Tally> {
    let mut tally = Tally::default();
    let Some(names) = source.versions.get(version) else { return Ok(tally) };
    let record = view.map_or(Ok(None), |view| view.record(version))?;
    tally.unproven = u64::from(record.is_none());
    if let Some((_, record, _)) = record {
        tally.refused = with_record(source, &record)?;
    } else if names.kinds().any(|kind| kind == FileKind::Zip)
        && let Err(why) = hash(source, version, FileKind::Zip)?
    {
        tally.refused.push(format!("{version}: {why}"));
    }
    if tally.refused.is_empty() {
        for kind in names.kinds() {
            let (path, escaped) = (version.path().escaped(), version.version().escaped());
            let stored = tree.join(format!("{path}/@v/{escaped}.{}", kind.extension())).exists();
            *(if stored { &mut tally.there } else { &mut tally.taken }) += 1;
        }
    }
    Ok(tally)
}
