//! The module versions that go.sum files, go.mod files and words on the command line name.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use quipu_module::{GoMod, ModuleVersion, SumKind, parse_go_sum};

/// What is wanted of a module version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Want {
    /// Whether the zip as well, not only the go.mod.
    pub(crate) zip: Zip,
    /// What its go.mod requires as well.
    pub(crate) follow: bool,
}

/// Whether a zip is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Zip {
    /// It is not.
    #[default]
    No,
    /// It is if there is one.
    IfStored,
    /// It is.
    Needed,
}

/// Module versions and what is wanted of them.
pub(crate) type Wanted = BTreeMap<ModuleVersion, Want>;

/// Reads what is named: files called `go.mod` (or ending in `.mod`), other files as go.sum, else `MODULE@VERSION`.
///
/// # Errors
/// A file cannot be read or understood, or a word is neither a file nor a module version.
pub(crate) fn read(what: &[String]) -> Result<Wanted> {
    let mut wanted = Wanted::new();
    for word in what {
        let path = Path::new(word);
        let versions = match path.extension() {
            Some(extension) if extension == "mod" => go_mod(path),
            _ if path.exists() => go_sum(path),
            _ => word.parse().map(|version| vec![(version, WHOLE)]).with_context(|| {
                format!("{word:?} is neither a file nor a module version such as example.com/m@v1.2.3")
            }),
        };
        for (version, want) in versions? {
            let known = wanted.entry(version).or_default();
            *known = Want { zip: known.zip.max(want.zip), follow: known.follow || want.follow };
        }
    }
    Ok(wanted)
}

const WHOLE: Want = Want { zip: Zip::Needed, follow: true };

/// The module versions that a go.mod file requires. What its `replace` lines say is not looked at: those of a main module
/// name what is not fetched, or what its go.sum knows better.
///
/// # Errors
/// It is no go.mod file, or a path in it is malformed.
pub(crate) fn requirements(content: &[u8]) -> Result<Vec<ModuleVersion>> {
    let go_mod = GoMod::parse_lax(content)?;
    let parse = |required: &quipu_module::Requirement| {
        ModuleVersion::parse(&required.path, &required.version).with_context(|| required.path.clone())
    };
    go_mod.require.iter().map(parse).collect()
}

fn go_mod(path: &Path) -> Result<Vec<(ModuleVersion, Want)>> {
    let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let required = requirements(&content).with_context(|| path.display().to_string())?;
    Ok(required.into_iter().map(|version| (version, WHOLE)).collect())
}

fn go_sum(path: &Path) -> Result<Vec<(ModuleVersion, Want)>> {
    let name = || path.display().to_string();
    let content = fs::read(path).with_context(name)?;
    let mut versions = Vec::new();
    for entry in parse_go_sum(&content).with_context(name)? {
        // The go command too ignores hashes that it does not know.
        if entry.hash.starts_with("h1:") {
            let line = entry.to_line().with_context(name)?;
            let zip = if line.kind == SumKind::Zip { Zip::Needed } else { Zip::No };
            versions.push((line.module, Want { zip, follow: false }));
        }
    }
    Ok(versions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_adds_up() {
        let dir = tempfile::tempdir().unwrap();
        let (sum, go_mod) = (dir.path().join("go.sum"), dir.path().join("go.mod"));
        let h1 = "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let lines =
            format!("a.test/m v1.0.0 {h1}\na.test/m v1.0.0/go.mod {h1}\na.test/n v1.0.0/go.mod {h1}\n\n");
        fs::write(&sum, format!("{lines}a.test/m v1.0.0 h9:x\n")).unwrap();
        fs::write(
            &go_mod,
            "module x\nrequire a.test/n v1.0.0\nrequire (\n\ta.test/o/v2 v2.1.0 // indirect\n)\n",
        )
        .unwrap();
        let name = |path: &Path| path.display().to_string();
        let wanted = read(&[name(&sum), name(&go_mod), "a.test/p@v0.1.0".to_owned()]).unwrap();
        let shown: Vec<_> =
            wanted.iter().map(|(v, want)| (v.to_string(), want.zip == Zip::Needed, want.follow)).collect();
        let expected = [
            ("a.test/m@v1.0.0", true, false),
            ("a.test/n@v1.0.0", true, true),
            ("a.test/o/v2@v2.1.0", true, true),
            ("a.test/p@v0.1.0", true, true),
        ];
        assert_eq!(shown, expected.map(|(v, zip, follow)| (v.to_owned(), zip, follow)));
        for (content, word) in
            [("a.test/m v1\n", name(&sum)), ("", "a.test/m@latest".to_owned()), ("", "go.sun".to_owned())]
        {
            fs::write(&sum, content).unwrap();
            assert!(read(std::slice::from_ref(&word)).is_err(), "{word}");
        }
    }
}
