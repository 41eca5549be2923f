//! What a zip must be to be published, beyond what `go` asks of it.

use std::io::{Read, Seek};

use super::{
    Reading, ZipReport, judge,
    layout::{self, Member},
    open,
};
use crate::{error::Error, go_mod::GoMod, quote::quote, version::ModuleVersion};

/// The most elements of a name below the module's root.
const MAX_DEPTH: usize = 64;

/// What version control systems keep their data under, in lower case.
const VCS_NAMES: [&str; 9] = [".git", ".hg", ".svn", ".bzr", "_darcs", "cvs", ".fslckout", "_fossil_", ".jj"];

/// Unix file types: of a regular file, and where none is said.
const PLAIN_TYPES: [u16; 2] = [0, 0o100_000];

/// Reads the zip of `module` through as [`check_zip`](super::check_zip) does, and refuses besides what a proxy that makes
/// it permanent should not take in:
///
/// * anything before, between or behind the parts of the archive, comments, zip64, encryption, and entries that the
///   directory and their own headers describe differently, so that two programs could read two different modules;
/// * 65,535 entries or more, names of more than 1,024 bytes, files more than 64 elements below the module;
/// * entries for directories (`go mod verify` would find the extracted module changed), symbolic links, devices;
/// * what a version control system keeps (`.git` and the like, in whatever case);
/// * a go.mod that is missing, cannot be read, or names another module, and `+incompatible` versions, which have none.
///
/// # Errors
/// The first rule that is broken, with the entry that breaks it, or reading fails.
pub fn check_publish(module: &ModuleVersion, zip: impl Read + Seek) -> Result<ZipReport, Error> {
    if module.version().is_incompatible() {
        return Err(Error::malformed(format!(
            "{module}: a module with a go.mod has no +incompatible versions"
        )));
    }
    let mut source = open(zip)?;
    for member in layout::read(&mut source)? {
        check_member(&member)
            .map_err(|why| Error::malformed(why).within(format!("zip entry {}", quote(&member.name))))?;
    }
    let report = judge(module, source, Reading::Exact)?;
    check_go_mod(module, report.go_mod.as_deref())?;
    Ok(report)
}

fn check_member(member: &Member) -> Result<(), String> {
    if member.name.ends_with(b"/") {
        return Err("an entry for a directory; a module zip holds only files".to_owned());
    }
    if !PLAIN_TYPES.contains(&member.file_type) {
        return Err("not a regular file (a symbolic link, perhaps)".to_owned());
    }
    let elements = || member.name.split(|&byte| byte == b'/');
    let is_vcs = |element: &[u8]| VCS_NAMES.iter().any(|name| element.eq_ignore_ascii_case(name.as_bytes()));
    if elements().any(is_vcs) {
        return Err("data of a version control system".to_owned());
    }
    // Below the module's root, which may itself be several elements deep.
    let below = elements().skip_while(|element| !element.contains(&b'@')).skip(1).count();
    if below > MAX_DEPTH {
        return Err(format!("more than {MAX_DEPTH} elements deep"));
    }
    Ok(())
}

fn check_go_mod(module: &ModuleVersion, content: Option<&[u8]>) -> Result<(), Error> {
    let content =
        content.ok_or_else(|| Error::malformed(format!("{module}: there is no go.mod in the zip")))?;
    let go_mod = GoMod::parse_lax(content).map_err(|error| error.within(format!("{module}/go.mod")))?;
    match go_mod.module {
        Some(path) if path == module.path().as_str() => Ok(()),
        Some(path) => Err(Error::malformed(format!("{module}/go.mod: it is the go.mod of {}", quote(&path)))),
        None => Err(Error::malformed(format!("{module}/go.mod: there is no module line"))),
    }
}
