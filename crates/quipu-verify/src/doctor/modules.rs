//! The downloaded modules: is each what go says it was when it came?

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use quipu_module::{GoMod, ModuleVersion, hash_zip};

use super::files::{Found, files_below, read_small};
use super::finding::{Finding, Group, Report, Severity};
use super::text::{shell_path, some_of};

/// Checks the module files below `GOMODCACHE/cache/download`: all of them if `deep`, else all small ones and the newest
/// zips.
pub(crate) fn examine(report: &mut Report, mod_cache: &Path, deep: bool) {
    let root = mod_cache.join("cache/download");
    let files = files_below(&root, &["sumdb"], MAX_FILES);
    let modules: Vec<&Found> = files.iter().filter(|file| file.name.contains("/@v/")).collect();
    small_files(report, &modules);
    let hashed = pairs(report, &modules);
    let chosen = choose(report, hashed, deep);
    zips(report, mod_cache, &chosen);
}

/// Information and go.mod files that go could not read.
fn small_files(report: &mut Report, files: &[&Found]) {
    let (mut infos, mut mods) = (Vec::new(), Vec::new());
    for file in files {
        let broken = match file.name.rsplit_once('.') {
            Some((_, "info")) => !is_info(&file.path),
            Some((_, "mod")) => !is_go_mod(&file.path),
            _ => continue,
        };
        if broken && file.name.ends_with(".info") {
            infos.push(*file);
        } else if broken {
            mods.push(*file);
        }
    }
    let why = "go fails where it needs them, or asks anew each time; it fetches what is removed";
    for (id, broken) in [("broken-info", infos), ("broken-mod", mods)] {
        report.extend(removable(id, Severity::Problem, "files that cannot be read", why, &broken));
    }
}

fn is_info(path: &Path) -> bool {
    let content = read_small(path, MAX_SMALL).ok();
    let info: Option<serde_json::Value> = content.and_then(|content| serde_json::from_slice(&content).ok());
    info.is_some_and(|info| info.get("Version").is_some_and(serde_json::Value::is_string))
}

fn is_go_mod(path: &Path) -> bool {
    read_small(path, MAX_SMALL).is_ok_and(|content| {
        // Holes in a file are what a crash leaves.
        !content.contains(&0) && GoMod::parse_lax(&content).is_ok()
    })
}

/// Zips with the hash that go wrote down for each. The ones without the other are reported.
fn pairs<'a>(report: &mut Report, files: &[&'a Found]) -> Vec<(&'a Found, PathBuf)> {
    let by_name: BTreeMap<&str, &Found> = files.iter().map(|file| (file.name.as_str(), *file)).collect();
    let stems = |suffix: &'static str| {
        let names = files.iter().filter_map(move |file| file.name.strip_suffix(suffix));
        names.collect::<BTreeSet<&str>>()
    };
    let (zips, hashes) = (stems(".zip"), stems(".ziphash"));
    let get = |stem: &str, suffix: &str| by_name.get(format!("{stem}{suffix}").as_str()).copied();
    let alone: Vec<&Found> = hashes.difference(&zips).filter_map(|stem| get(stem, ".ziphash")).collect();
    let why = "a download was removed or interrupted; go fetches the zip again when it needs it";
    report.extend(removable("ziphash-alone", Severity::Note, "hashes without their zip", why, &alone));
    let unhashed: Vec<&Found> = zips.difference(&hashes).filter_map(|stem| get(stem, ".zip")).collect();
    let why = "go hashes such a zip when it next uses it, and compares it with go.sum alone";
    report.extend(removable("zip-without-hash", Severity::Note, "zips without their hash", why, &unhashed));
    let both = zips.intersection(&hashes);
    both.filter_map(|stem| Some((get(stem, ".zip")?, get(stem, ".ziphash")?.path.clone()))).collect()
}

/// All zips, or the newest ones up to a bearable number of bytes.
fn choose<'a>(
    report: &mut Report,
    mut zips: Vec<(&'a Found, PathBuf)>,
    deep: bool,
) -> Vec<(&'a Found, PathBuf)> {
    if deep {
        return zips;
    }
    zips.sort_by_key(|(zip, _)| std::cmp::Reverse(zip.changed));
    let all = zips.len();
    let mut left = SAMPLE_BYTES;
    zips.retain(|(zip, _)| match left.checked_sub(zip.size) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    });
    zips.truncate(SAMPLE_ZIPS);
    if zips.len() < all {
        report
            .skip(format_args!("{} of {all} zips in the module cache (--deep hashes all)", all - zips.len()));
    }
    zips
}

/// Zips that are not what go hashed when they came.
fn zips(report: &mut Report, mod_cache: &Path, zips: &[(&Found, PathBuf)]) {
    let shows = io::stderr().is_terminal() && zips.len() > SAMPLE_ZIPS;
    for (done, (zip, ziphash)) in zips.iter().enumerate() {
        if shows {
            // Whether it can be shown is of no importance.
            let _ = write!(io::stderr(), "\rhashing zips: {done} of {}", zips.len());
        }
        if let Some(why) = differs(&zip.path, ziphash) {
            report.extend([false_zip(mod_cache, zip, ziphash, &why)]);
        }
    }
    if shows {
        let _ = write!(io::stderr(), "\r\u{1b}[K");
    }
}

/// Why a zip is not the hashed one; none if it is.
fn differs(zip: &Path, ziphash: &Path) -> Option<String> {
    let written = match read_small(ziphash, MAX_SMALL) {
        Ok(hash) => String::from_utf8_lossy(&hash).trim().to_owned(),
        Err(error) => return Some(format!("its .ziphash cannot be read: {error}")),
    };
    let hash =
        File::open(zip).map_err(|e| e.to_string()).and_then(|file| hash_zip(file).map_err(|e| e.to_string()));
    match hash {
        Ok(hash) if hash.to_string() == written => None,
        Ok(hash) => Some(format!("it hashes to {hash}, and go wrote down {written}")),
        Err(why) => Some(format!("it cannot be read: {why}")),
    }
}

fn false_zip(mod_cache: &Path, zip: &Found, ziphash: &Path, why: &str) -> Finding {
    let escaped = zip.name.strip_suffix(".zip").unwrap_or(&zip.name).replacen("/@v/", "@", 1);
    let extracted = mod_cache.join(&escaped);
    let mut repair = format!("rm -f {} {}", shell_path(&zip.path), shell_path(ziphash));
    if extracted.is_dir() {
        let dir = shell_path(&extracted);
        repair += &format!(" && chmod -R u+w {dir} && rm -rf {dir}");
    }
    let module = ModuleVersion::parse_escaped(&escaped).map_or(escaped, |module| module.to_string());
    let what = format!("the cached zip of {module} is not the one that was downloaded: {why}");
    let reason = "the disk damaged it, or somebody changed it after go had checked it; what was extracted \
                  from it may be changed, too";
    Finding::new((Group::Cache, Severity::Problem), "zip-changed", what, reason).repair(repair)
}

/// One finding for files that may simply be removed.
fn removable(
    id: &'static str,
    severity: Severity,
    what: &str,
    why: &str,
    files: &[&Found],
) -> Option<Finding> {
    if files.is_empty() {
        return None;
    }
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let paths: Vec<String> = files.iter().take(MAX_REMOVED).map(|file| shell_path(&file.path)).collect();
    let more = if files.len() > MAX_REMOVED { "   # and run this again for the rest" } else { "" };
    let finding = Finding::new((Group::Cache, severity), id, format!("{what}: {}", some_of(&names)), why);
    Some(finding.repair(format!("rm -f {}{more}", paths.join(" "))))
}

const MAX_FILES: usize = 1_000_000;
const MAX_SMALL: u64 = 16 << 20;
/// What is hashed when not everything is wanted: about a second of work.
const SAMPLE_BYTES: u64 = 256 << 20;
const SAMPLE_ZIPS: usize = 50;
const MAX_REMOVED: usize = 10;
