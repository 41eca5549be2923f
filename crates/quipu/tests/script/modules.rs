//! The modules in `testdata/mod`, as the files of a module proxy.
//!
//! One file is one version. Its first line names it, `example.com/hello@v1.0.0`; its files are the module's, except
//! `.mod` (the go.mod that proxies serve; default: the file go.mod, else one line) and `.info`.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use quipu_module::{H1, ModuleVersion, Record, check_zip, hash_go_mod};

use crate::archive::Archive;

/// One version of a module.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    pub(crate) id: ModuleVersion,
    pub(crate) info: Vec<u8>,
    pub(crate) go_mod: Vec<u8>,
    pub(crate) zip: Vec<u8>,
    /// What is in the zip.
    files: Vec<(String, Vec<u8>)>,
}

impl Module {
    /// Makes the files of a module version.
    pub(crate) fn read(text: &str) -> Self {
        let archive = Archive::parse(text);
        let name = archive.comment.lines().next().unwrap_or_default();
        let (path, version) = name.split_once('@').unwrap_or_else(|| panic!("no path@version: {name:?}"));
        let id = ModuleVersion::parse(path, version).unwrap();
        let go_mod = archive.file(".mod").or(archive.file("go.mod")).map(str::to_owned);
        let go_mod = go_mod.unwrap_or_else(|| format!("module {path}\n")).into_bytes();
        let info = archive.file(".info").map(|info| info.trim_end().to_owned());
        let info =
            info.unwrap_or_else(|| format!(r#"{{"Version":"{version}","Time":"2024-05-06T07:08:09Z"}}"#));
        let within = archive.files.iter().filter(|(name, _)| name != ".mod" && name != ".info");
        let files = within.map(|(name, content)| (format!("{id}/{name}"), content.clone().into_bytes()));
        let files: Vec<_> = files.collect();
        Self { id, info: info.into_bytes(), go_mod, zip: zip(&files), files }
    }

    /// The hash of the zip.
    pub(crate) fn zip_hash(&self) -> H1 {
        check_zip(&self.id, Cursor::new(&self.zip)).unwrap().hash
    }

    /// What a checksum database says of it.
    pub(crate) fn record(&self) -> Record {
        Record { module: self.id.clone(), zip: self.zip_hash(), go_mod: hash_go_mod(&self.go_mod) }
    }

    /// The same with a file more in the zip.
    pub(crate) fn altered(&self) -> Vec<u8> {
        let more = (format!("{}/altered.go", self.id), b"package altered\n".to_vec());
        zip(&[&self.files[..], &[more]].concat())
    }
}

/// All versions below a directory.
pub(crate) fn read_all(directory: &Path) -> Vec<Module> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| Module::read(&std::fs::read_to_string(file).unwrap())).collect()
}

/// The GOPROXY tree of these versions: URL path (with its slash) to content.
pub(crate) fn tree(modules: &[Module]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut newest: BTreeMap<String, &Module> = BTreeMap::new();
    for module in modules {
        let path = module.id.path().escaped();
        let base = format!("/{path}/@v/{}", module.id.version().escaped());
        files.insert(format!("{base}.info"), module.info.clone());
        files.insert(format!("{base}.mod"), module.go_mod.clone());
        files.insert(format!("{base}.zip"), module.zip.clone());
        let list: &mut Vec<u8> = files.entry(format!("/{path}/@v/list")).or_default();
        if !module.id.version().is_pseudo() {
            list.extend(format!("{}\n", module.id.version()).bytes());
        }
        let known = newest.entry(path).or_insert(module);
        if module.id.version() > known.id.version() {
            *known = module;
        }
    }
    files.extend(newest.into_iter().map(|(path, module)| (format!("/{path}/@latest"), module.info.clone())));
    files
}

/// A zip of these files, stored without compression.
fn zip(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    let int = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
    let short = |n: usize| u16::try_from(n).unwrap().to_le_bytes();
    for (name, content) in files {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        // Version needed 2.0; no flags, method "stored", no time, no date.
        let mut fields = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        fields.extend(crc.sum().to_le_bytes());
        fields.extend([int(content.len()), int(content.len())].concat());
        fields.extend([short(name.len()), [0, 0]].concat());
        directory.extend(
            [b"PK\x01\x02", &[20, 0][..], &fields, &[0; 10], &int(out.len()), name.as_bytes()].concat(),
        );
        out.extend([b"PK\x03\x04", &fields[..], name.as_bytes(), content].concat());
    }
    let count = short(files.len());
    let end = [b"PK\x05\x06", &[0; 4][..], &count, &count, &int(directory.len()), &int(out.len()), &[0; 2]];
    [out, directory, end.concat()].concat()
}
