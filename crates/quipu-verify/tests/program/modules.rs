//! Modules as files: zips, caches made by hand, and logs that hold their hashes.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use quipu_module::{H1, ModuleVersion, Record, hash_go_mod, hash_zip};

use crate::log::Log;
use crate::zip::zip;

/// A module of a few files.
pub(crate) struct Module {
    pub(crate) name: ModuleVersion,
    pub(crate) go_mod: String,
    pub(crate) zip: Vec<u8>,
}

impl Module {
    /// A module at v1.0.0 with this text in `m.go`.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let name = ModuleVersion::parse(path, "v1.0.0").unwrap();
        let go_mod = format!("module {path}\n");
        let files = [("go.mod", go_mod.as_bytes()), ("m.go", text.as_bytes())];
        let zip = zip(&files.map(|(file, content)| (format!("{name}/{file}"), content)));
        Self { name, go_mod, zip }
    }

    pub(crate) fn hash(&self) -> H1 {
        hash_zip(Cursor::new(&self.zip)).unwrap()
    }

    pub(crate) fn record(&self) -> String {
        let go_mod = hash_go_mod(self.go_mod.as_bytes());
        Record { module: self.name.clone(), zip: self.hash(), go_mod }.to_string()
    }

    /// The path of a file of this module in a tree of modules.
    pub(crate) fn file(&self, ending: &str) -> String {
        format!("{}/@v/{}.{ending}", self.name.path().escaped(), self.name.version().escaped())
    }

    /// Puts it into a module cache as the go command does.
    pub(crate) fn put(&self, cache: &Path) {
        self.put_file(cache, "info", format!("{{\"Version\":\"{}\"}}", self.name.version()).as_bytes());
        self.put_file(cache, "mod", self.go_mod.as_bytes());
        self.put_file(cache, "zip", &self.zip);
        self.put_file(cache, "ziphash", self.hash().to_string().as_bytes());
        self.put_file(cache, "lock", b"");
    }

    pub(crate) fn put_file(&self, cache: &Path, ending: &str, content: &[u8]) {
        let file = self.path(cache, ending);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    /// Where a file of it lies in a module cache.
    pub(crate) fn path(&self, cache: &Path, ending: &str) -> PathBuf {
        cache.join("cache/download").join(self.file(ending))
    }
}

/// A log with these modules among others; it has 300 records.
pub(crate) fn log_of(modules: &[&Module]) -> Log {
    let filler = Log::filler(300 - modules.len() as u64).records;
    let (before, after) = filler.split_at(100);
    let modules = modules.iter().map(|module| module.record());
    Log::new(before.iter().cloned().chain(modules).chain(after.iter().cloned()))
}
