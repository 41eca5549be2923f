//! Packing a directory as a module zip, by the rules of `go`.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Read as _, Seek as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use quipu_module::{
    GoMod, Listed, ListedKind, MAX_ROOT_FILE, ModulePath, ModuleVersion, Version, ZipWriter, select_files,
};

/// What is passed over wherever it lies, as `go` does with directories of these names.
const VCS: [&str; 4] = [".git", ".hg", ".svn", ".bzr"];

/// Most files that are looked at.
const MAX_FILES: usize = 200_000;

/// A file found: its path below the directory, what it is, its size in bytes.
struct Found {
    path: PathBuf,
    kind: ListedKind,
    size: u64,
}

/// Packs the module in `directory` as `version`: its zip, standing at its beginning, without a name.
///
/// # Errors
/// There is no module, it has files that no module may have, or the disk fails.
pub(crate) fn pack(directory: &Path, version: Version) -> Result<(ModuleVersion, File)> {
    let go_mod = read_go_mod(directory)?;
    let path = GoMod::parse_lax(&go_mod)?.module.context("its go.mod has no module line")?;
    let module = ModuleVersion::new(ModulePath::parse(&path)?, version)?;
    let mut found = Vec::new();
    walk(directory, Path::new(""), &mut found)?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    let listed: Vec<_> = found
        .iter()
        .map(|file| Listed { path: file.path.as_os_str().as_bytes(), kind: file.kind, size: file.size })
        .collect();
    let selection = select_files(Some(&go_mod), &listed);
    selection.check()?;
    let mut zip = ZipWriter::new(&module, BufWriter::new(nameless()?));
    for path in &selection.kept {
        zip.start_file(path)?;
        copy(&directory.join(path), &mut zip).with_context(|| (*path).to_owned())?;
    }
    let mut file = zip.finish()?.into_inner().context("cannot write the zip")?;
    file.rewind()?;
    Ok((module, file))
}

fn read_go_mod(directory: &Path) -> Result<Vec<u8>> {
    let file = directory.join("go.mod");
    let open = File::open(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut content = Vec::new();
    open.take(MAX_ROOT_FILE + 1).read_to_end(&mut content)?;
    Ok(content)
}

/// Lists what lies below `directory/below`, without following links.
fn walk(directory: &Path, below: &Path, found: &mut Vec<Found>) -> Result<()> {
    let at = directory.join(below);
    for entry in fs::read_dir(&at).with_context(|| format!("cannot read {}", at.display()))? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), below.join(entry.file_name()));
        let meta = entry.metadata()?;
        if VCS.iter().any(|vcs| name == *vcs) {
            continue;
        }
        if meta.is_dir() {
            walk(directory, &path, found)?;
            continue;
        }
        ensure!(found.len() < MAX_FILES, "{} holds more than {MAX_FILES} files", directory.display());
        let kind = match meta.file_type() {
            kind if kind.is_file() => ListedKind::File,
            kind if kind.is_symlink() => ListedKind::Symlink,
            _ => ListedKind::Other,
        };
        found.push(Found { path, kind, size: meta.len() });
    }
    Ok(())
}

fn copy(file: &Path, zip: &mut ZipWriter<BufWriter<File>>) -> Result<()> {
    // A file that was put in place of a listed one is not followed elsewhere.
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    let mut file = options.open(file)?;
    let mut buffer = vec![0; 128 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            read => zip.write(buffer.get(..read).unwrap_or_default())?,
        }
    }
}

/// A file of nobody else's that is gone when it is closed.
fn nameless() -> Result<File> {
    for attempt in 0..100 {
        let name = format!("quipu-publish-{}-{attempt}.zip", std::process::id());
        let path = std::env::temp_dir().join(name);
        match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => {
                fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot write {}", path.display())),
        }
    }
    bail!("no name is free in {}", std::env::temp_dir().display())
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use quipu_module::{check_publish, list_zip};

    use super::*;

    #[test]
    fn a_working_tree_becomes_a_module_that_may_be_published() {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("go.mod", "module corp.test/lib\n\ngo 1.21\n"),
            ("lib.go", "package lib\n"),
            ("sub/é.txt", "x"),
            (".git/config", "secret"),
            (".gitignore", "x"),
            ("nested/go.mod", "module corp.test/lib/nested\n"),
            ("nested/n.go", "package n\n"),
        ] {
            let file = dir.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }
        std::os::unix::fs::symlink("lib.go", dir.path().join("link.go")).unwrap();
        let (module, zip) = pack(dir.path(), Version::parse("v1.0.0").unwrap()).unwrap();
        check_publish(&module, BufReader::new(&zip)).unwrap();
        let names: Vec<_> = list_zip(BufReader::new(&zip))
            .unwrap()
            .into_iter()
            .map(|file| String::from_utf8(file.name).unwrap())
            .collect();
        let root = "corp.test/lib@v1.0.0";
        assert_eq!(
            names,
            ["/.gitignore", "/go.mod", "/lib.go", "/sub/é.txt"].map(|name| format!("{root}{name}"))
        );
        fs::write(dir.path().join("con.go"), "").unwrap();
        assert!(pack(dir.path(), Version::parse("v1.0.0").unwrap()).is_err());
    }
}
